"""The page at /docs: complete, strict, with examples that run; and addresses that help."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

import pytest

from phonemo.server.auth import digest_of
from phonemo.server.reference.examples import examples_of, stream_examples
from phonemo.server.reference.markup import Markup, joined, prose, tag
from phonemo.server.reference.operations import read_errors, read_operations
from phonemo.server.settings import ServeLimits
from tests.server.asking import PATH, ask, wav
from tests.server.serving import Held, served, settings

VOID = {"meta", "link", "img", "br"}
KEY = "key"


class Elements(HTMLParser):
    """Every element, and whether all are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag


@pytest.fixture(scope="module")
def locked():
    """A server with an API key."""
    config = settings(access={"keys": [digest_of(KEY)]}, limits={"audio_seconds": 77})
    with served(config, {"held": Held()}) as found:
        yield found


@pytest.fixture(scope="module")
def page(server):
    return ask(server.port, "/docs").body.decode()


def test_the_page_names_every_operation_option_and_error(server, page):
    document = ask(server.port, "/openapi.json").data
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    for operation in read_operations(document):
        assert operation.path in text
        assert all(option.name in text for option in operation.options)
    codes = {row.code for row in read_errors(document)}
    assert len(codes) > 25
    assert all(code in text for code in codes)
    assert all(name in text for name in ServeLimits.model_fields)
    assert "tiny-bundle" in text


def test_the_page_is_valid_and_loads_only_from_this_server(page):
    elements = Elements(page)
    assert elements.opened == []
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes in elements.found:
        assert "style" not in attributes
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            target = attributes.get(key) or ""
            assert ":" not in target, (name, target)
            assert not target.startswith("#") or target[1:] in ids
    assert "<script>" not in page
    assert "<style" not in page


def test_everything_that_the_page_loads_is_there(port, page):
    targets = re.findall(r'(?:src|href)="([^"#]+)"', page)
    for target in set(targets):
        assert ask(port, f"/{target.removeprefix('./')}").status == 200


def test_the_page_shows_the_limits_and_the_key_of_this_server(locked):
    text = ask(locked.port, "/docs").body.decode()
    assert "<code>audio_seconds</code></td><td>77</td>" in text
    assert "PHONEMO_KEY" in text


def test_a_strange_host_is_not_shown():
    with served(settings(host="0.0.0.0"), {"held": Held()}) as found:
        for host in ("<b>evil", 'a"b', "evil'/x"):
            text = ask(found.port, "/docs", headers={"Host": host}).body.decode()
            assert host not in text
            assert f"http://127.0.0.1:{found.port}/v1/audio/emotions" in text


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_the_examples_run_as_they_stand(locked, tmp_path, language):
    programs = {"curl": ["bash", "-e"], "Python": [sys.executable], "JavaScript": ["node"]}
    program, suffix = programs[language], {"JavaScript": ".mjs"}.get(language, ".txt")
    if shutil.which(program[0]) is None or (language == "curl" and shutil.which("curl") is None):
        pytest.skip(f"needs {program[0]}")
    (tmp_path / "my.wav").write_bytes(wav(0.5))
    environment = {**os.environ, "PHONEMO_KEY": KEY, "no_proxy": "*", "NO_PROXY": "*"}
    document = ask(locked.port, "/openapi.json").data
    for operation in read_operations(document):
        for example in examples_of(operation, f"http://127.0.0.1:{locked.port}/"):
            if example.language != language or operation.path not in (PATH, "/version"):
                continue  # the others are written like these; this model has no profiles
            script = tmp_path / f"example{suffix}"
            script.write_text(example.text, encoding="utf-8")
            done = subprocess.run(
                [*program, script.name], cwd=tmp_path, env=environment, capture_output=True,
                timeout=60, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (example.text, done.stderr)
            assert '"error"' not in done.stdout, (example.text, done.stdout)
            assert "anger" in done.stdout or operation.path != PATH


def test_the_example_of_a_stream_runs(locked, tmp_path):
    (tmp_path / "my.wav").write_bytes(wav(0.5))
    (example, _) = stream_examples(f"http://127.0.0.1:{locked.port}/", needs_key=True)
    done = subprocess.run(
        [sys.executable, "-c", example.text], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PHONEMO_KEY": KEY}, timeout=60, check=True,
    )  # fmt: skip
    assert '"type":"final"' in done.stdout.replace(" ", "")


def test_text_in_markup_is_escaped():
    assert tag("p", "<b>", class_='a"b') == '<p class="a&quot;b">&lt;b&gt;</p>'
    assert joined("&", Markup("<br>")) == "&amp;<br>"
    assert prose("use `a<b`\nnow") == "use <code>a&lt;b</code> now"


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target"), [("/redoc", "/docs"), ("/favicon.ico", "/web/icon.svg")]
)
def test_a_usual_address_leads_to_the_one_here(port, path, target):
    found = ask(port, path)
    assert found.status == 308
    assert found.headers["Location"] == target.removeprefix("/")
    assert ask(port, target).status == 200


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_usual_probes_are_answered(port, path):
    assert ask(port, path).data == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/audio/transcriptions", "POST /v1/audio/emotions"),
        ("/v1/audio/translations", "POST /v1/audio/emotions"),
        ("/v1/chat/completions", "POST /v1/audio/emotions"),
        ("/predict", "POST /v1/audio/emotions"),
        ("/v1", "POST /v1/audio/emotions"),
        ("/v1/audio/emotion", "did you mean /v1/audio/emotions?"),
        ("/v1/audio/stream", "ws://HOST/v1/audio/stream"),
        ("/v1/model", "did you mean /v1/models?"),
        ("/v1/models/phonemo-small", "GET /v1/models"),
        ("/livez", "GET /health/live"),
        ("/swagger", "GET /openapi.json"),
        ("/nowhere", "GET /docs describes"),
        ("/" + "x" * 5000, "GET /docs describes"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address_names_the_right_one(port, path, method, words):
    found = ask(port, path, method)
    assert found.told == (404, "not_found")
    assert words in found.data["error"]["message"]


def test_a_wrong_method_names_the_right_one(port):
    assert "expected POST or PUT, got GET" in ask(port, PATH).data["error"]["message"]


def test_a_browser_gets_a_page_with_links_for_an_unknown_address(port):
    found = ask(port, "/v1/audio/<script>", headers={"Accept": "text/html,*/*"})
    assert found.status == 404
    text = found.body.decode()
    assert found.headers["X-Request-Id"] in text
    assert 'href="../../docs"' in text
    assert Elements(text).opened == []
    assert "<script>" not in text


def test_the_page_links_to_the_reference(port):
    assert 'href="docs"' in ask(port, "/").body.decode()


def test_without_the_page_there_is_no_reference_and_errors_name_the_document():
    with served(settings(page=False), {"held": Held()}) as found:
        assert ask(found.port, "/docs", headers={"Accept": "text/html"}).told == (404, "not_found")
        message = ask(found.port, "/nowhere").data["error"]["message"]
    assert "GET /openapi.json" in message


def test_descriptions_of_the_server_need_a_key_if_the_config_says_so(locked):
    paths = ("/v1/models", "/version", "/metrics", "/openapi.json", "/docs")
    assert [ask(locked.port, path).status for path in paths] == [200] * 5
    config = settings(access={"keys": [digest_of(KEY)], "about": "key"})
    with served(config, {"held": Held()}) as found:
        for path in paths:
            assert ask(found.port, path).told == (401, "invalid_api_key")
            bearer = {"Authorization": f"Bearer {KEY}"}
            assert ask(found.port, path, headers=bearer).status == 200
        assert ask(found.port, "/v1/limits").data["key_required"] is True
        assert ask(found.port, "/").status == 200
