"""Case 20: pages of other origins, and names and labels that would be HTML; a real browser."""

from __future__ import annotations

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.abuse.processes import heard, server
from tests.abuse.pulse import metric
from tests.server.asking import PATH, ask, connected, events, head, post, raw, rest, stream, wav
from tests.tiny_bundle import BUNDLE
from tests.voices import spoken

EVIL = "<img src=x onerror=alert(1)>"
#: Also where a label stands in an attribute, a script, a template or an address.
LABELS = (EVIL, '"><script>alert(2)</script>', "javascript:alert(3)//'`${alert(4)}{{7*7}}")
STRANGERS = [
    "https://stranger.example",
    "null",
    "http://localhost:1",
    "http://127.0.0.1",
    "file://",
]
WAV = wav(0.3)
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A server whose model's labels and phonemes are HTML."""
    folder = tmp_path_factory.mktemp("bundle") / "hostile"
    shutil.copytree(BUNDLE, folder)
    card = json.loads((folder / "bundle.json").read_text("utf-8"))
    card |= {"labels": list(LABELS), "name": EVIL}
    blank, *symbols = card["inventory"]["symbols"]
    card["inventory"]["symbols"] = [blank, *(f"{EVIL}{one}" for one in symbols)]
    (folder / "bundle.json").write_text(json.dumps(card), encoding="utf-8")
    with server("--model", str(folder), model=False) as found:
        yield found


@pytest.fixture
def abused_page(hostile):
    """The same; afterwards it answers and has said nothing."""
    said = hostile.said
    yield hostile
    heard(hostile)
    assert hostile.said == said


# Other origins ------------------------------------------------------------------------------------


def opened(found):
    """Whether a page of another origin may read it."""
    return [name for name in found.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("origin", STRANGERS)
def test_case_20_a_foreign_page_may_neither_ask_nor_read(abused, origin):
    headers = {"Origin": origin}
    found = post(abused.port, WAV, headers=headers)
    assert found.told == (403, "wrong_origin")
    assert opened(found) == []
    for path in ("/", "/v1/models", "/health/live", "/metrics", "/openapi.json", "/nowhere", PATH):
        assert opened(ask(abused.port, path, headers=headers)) == []
    wanted = {"Access-Control-Request-Method": "POST"}
    assert opened(ask(abused.port, PATH, "OPTIONS", headers={**headers, **wanted})) == []


def test_case_20_a_foreign_page_may_not_listen_live(abused):
    for origin in STRANGERS:
        with stream(abused.port, origin=origin) as client:
            (told,) = events(client)
            assert told["error"]["code"] == "wrong_origin"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
def test_case_20_a_foreign_form_takes_no_place(abused, kind):
    """What a page may send without asking first."""
    headers = {"Origin": STRANGERS[0], "Content-Type": kind}
    assert ask(abused.port, PATH, "POST", b"x" * 1000, headers).told == (403, "wrong_origin")


def test_case_20_its_own_page_may_ask(abused):
    for name in ("127.0.0.1", "localhost"):
        place = f"{name}:{abused.port}"
        headers = {"Host": place, "Origin": f"http://{place}"}
        assert post(abused.port, WAV, headers=headers).status == 200


# Headers ------------------------------------------------------------------------------------------


def content_policy(headers):
    (found,) = headers.get_all("Content-Security-Policy")
    return dict(one.strip().partition(" ")[::2] for one in found.split(";"))


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (200, lambda port: ask(port, "/")),
        (200, lambda port: ask(port, "/web/main.js")),
        (200, lambda port: ask(port, "/v1/models")),
        (200, lambda port: post(port, WAV)),
        (200, lambda port: post(port, WAV, response_format="textgrid")),
        (400, lambda port: post(port, None)),
        (403, lambda port: post(port, WAV, headers={"Origin": "null"})),
        (404, lambda port: ask(port, "/<script>alert(1)</script>")),
        (404, lambda port: ask(port, "/web/%2e%2e/app.py")),
        (405, lambda port: ask(port, PATH)),
        (413, lambda port: ask(port, PATH, "POST", b"", {"Content-Length": str(2**40)})),
        (415, lambda port: ask(port, PATH, "POST", b"<script>alert(1)</script>")),
        (421, lambda port: ask(port, "/", headers={"Host": "evil.example"})),
        (415, lambda port: post(port, bytes(100))),
    ],
)
def test_case_20_every_response_has_a_content_policy(abused, status, answered):
    found = answered(abused.port)
    assert found.status == status
    rules = content_policy(found.headers)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert not any("unsafe" in one for one in rules.values())
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Content-Type"].startswith("text/html") == (found.body[:9] == b"<!doctype")


def test_case_20_what_is_no_http_is_answered_without_html(abused):
    for sent in (b"<script>alert(1)</script>\r\n\r\n", b"GET /<script> HTTP/9\r\n\r\n"):
        said = raw(abused.port, sent)
        assert said.startswith(b"HTTP/1.1 400")
        assert b"application/json" in said
        assert b"<script>" not in said


def test_case_20_the_page_has_no_script_of_its_own(abused):
    html = ask(abused.port, "/").body.decode()
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>|<style|\son[a-z]+=|javascript:", html) == []
    for source in re.findall(r"(?:src|href)=\"([^\"]*)\"", html):
        assert re.match(r"web/|#|docs$", source), source


# HTML in names ------------------------------------------------------------------------------------


def test_case_20_labels_and_names_that_are_html_are_data(abused_page):
    """JSON and text say them as they are, under a type that no browser shows as HTML."""
    found = post(abused_page.port, WAV, f"{EVIL}.wav", phonemes=True)
    assert set(found.data["scores"]) == set(LABELS)
    assert found.headers["Content-Type"] == "application/json"
    for kind in ("csv", "srt", "vtt", "rttm", "textgrid"):
        text = post(abused_page.port, WAV, f"{EVIL}.wav", response_format=kind)
        assert text.status == 200
        assert text.headers["X-Content-Type-Options"] == "nosniff"
        assert "html" not in text.headers["Content-Type"]


def test_case_20_a_name_of_html_splits_no_header(abused):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\r\nSet-Cookie: a=b"\r\n'
    )
    body += b"\r\n\r\n--b--\r\n"
    with connected(abused.port) as client:
        start = head(abused.port, len(body), "Connection: close")
        client.sendall(re.sub(rb"boundary=\S+", b"boundary=b", start) + body)
        said = rest(client)
    assert said[9:12] in (b"400", b"422")
    assert b"set-cookie" not in said.split(b"\r\n\r\n")[0].lower()


# A browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Chromium, headless; the tests that want it are skipped without."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium: make browser")
    flags = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser, hostile):
    """The page over the hostile model; a dialog, an error or a foreign request fails the test."""
    context = browser.new_context(locale="en-GB", accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    found = context.new_page()
    faults = []
    address = f"http://127.0.0.1:{hostile.port}/"
    found.on("dialog", lambda one: (faults.append(f"dialog {one.message}"), one.dismiss()))
    found.on("pageerror", lambda one: faults.append(f"error {one}"))
    found.on("request", lambda one: faults.append(one.url) if is_foreign(one, address) else None)
    found.goto(address)
    yield found
    context.close()
    assert faults == []


def is_foreign(request, address):
    return not request.url.startswith((address, "blob:", "data:")) or request.url.endswith("/x")


@pytest.fixture
def evil_file(tmp_path):
    """A recording whose name is HTML."""
    path = spoken(tmp_path / "voice.wav")
    return path.rename(tmp_path / f"{EVIL}.wav")


def injected(page):
    """Elements that nobody but a label or a name could have brought."""
    return page.evaluate(
        """() => [...document.querySelectorAll('*')].filter(one =>
            one.matches('img[src="x"], script:not([src]), iframe, object, embed, base') ||
            [...one.attributes].some(({name, value}) =>
                /^on/.test(name) || (/^(href|src|action|formaction|data)$/.test(name) &&
                    /^\\s*javascript:/i.test(value)))).map(one => one.outerHTML)"""
    )


def test_case_20_the_page_shows_html_as_text(page, evil_file):
    page.get_by_test_id("file-input").set_input_files(str(evil_file))
    label = page.get_by_test_id("result-label")
    label.wait_for()
    assert label.inner_text().strip() in LABELS
    rows = page.get_by_test_id("score-row")
    assert set(rows.evaluate_all("rows => rows.map(row => row.dataset.emotion)")) == set(LABELS)
    assert all(any(one in row for one in LABELS) for row in rows.all_inner_texts())
    assert evil_file.name in page.get_by_test_id("file-row").inner_text()
    page.get_by_test_id("phoneme").first.hover()
    page.wait_for_timeout(300)  # for an image that would not load
    assert injected(page) == []


def test_case_20_downloads_of_hostile_names_stay_files(page, evil_file):
    page.get_by_test_id("file-input").set_input_files(str(evil_file))
    page.get_by_test_id("result-label").wait_for()
    for kind in ("json", "csv", "textgrid"):
        with page.expect_download() as waiting:
            page.get_by_test_id(f"download-{kind}").click()
        assert "/" not in waiting.value.suggested_filename
    assert injected(page) == []


def test_case_20_an_error_with_html_is_text(page, tmp_path):
    bad = tmp_path / f"{EVIL}.wav"
    bad.write_bytes(b"#EXTM3U\n<script>alert(1)</script>\n")
    page.get_by_test_id("file-input").set_input_files(str(bad))
    page.get_by_test_id("failure").wait_for()
    page.wait_for_timeout(300)
    assert injected(page) == []


def test_case_20_a_script_that_gets_in_all_the_same_does_not_run(page):
    """The content policy is the second wall: inline, from elsewhere, and as text all fail."""
    page.evaluate(
        """() => {
            const add = (name, change) => {
                const one = document.createElement(name);
                try { change(one); } catch { /* refused by its types already */ }
                document.body.append(one);
            };
            add('script', (one) => { one.text = 'window.ran = 1'; });
            add('script', (one) => { one.src = 'data:text/javascript,window.ran = 2'; });
            add('script', (one) => { one.append('window.ran = 3'); });
            add('img', (one) => { one.src = 'data:,'; one.setAttribute('onerror', 'ran = 4'); });
            add('div', (one) => { one.innerHTML = '<i id=got></i>'; });
            add('iframe', (one) => { one.src = 'javascript:parent.ran = 5'; });
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("[window.ran ?? null, document.getElementById('got')]") == [None, None]


@pytest.fixture(scope="module")
def stranger():
    """Where a page of another origin stands: on this machine, so that nothing else keeps it out."""

    class Blank(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Stranger</title>")

        def log_message(self, *words):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()
        thread.join()


FOREIGN = """async (place) => {
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array(1000)]), 'a.wav');
    const ask = (address, options) =>
        fetch(address, options).then((one) => one.type, () => 'refused');
    const emotions = `http://${place}/v1/audio/emotions`;
    const live = new WebSocket(`ws://${place}/v1/audio/stream`);
    const closed = new Promise((done) => { live.onclose = (event) => done(event.code); });
    return [
        await ask('/'),
        await ask(`http://${place}/v1/models`),
        await ask(emotions, {method: 'POST', body: form}),
        await ask(emotions, {method: 'POST', body: form, mode: 'no-cors'}),
        await closed,
    ];
}"""


def test_case_20_a_foreign_page_in_a_browser_reads_nothing_and_is_not_worked_for(
    browser, stranger, hostile
):
    refused = metric(hostile.port, 'errors{code="wrong_origin"')
    context = browser.new_context()
    page = context.new_page()
    page.goto(stranger)
    told = page.evaluate(FOREIGN, f"127.0.0.1:{hostile.port}")
    context.close()
    assert told == ["basic", "refused", "refused", "opaque", 1008]
    assert metric(hostile.port, 'errors{code="wrong_origin"') == refused + 3
    heard(hostile)
