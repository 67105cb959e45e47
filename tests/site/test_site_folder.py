"""The folder that phonemo site writes: complete, checksummed, replaced only on request."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from phonemo.errors import CheckpointError, UsageError
from phonemo.runtime.bundle import open_bundle, packaged
from phonemo.runtime.phonemes.language_model import count_phonemes
from phonemo.site import page_files as pages
from phonemo.site.onnxruntime_web import Engine
from phonemo.site.site_models import open_models
from phonemo.site.write_site import check_target, write_site
from tests.site.engines import FILES
from tests.tiny_bundle import ADAPTABLE, with_language_model

ENGINE = Engine("0.0.1", "MIT", FILES)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(ADAPTABLE)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    target = tmp_path_factory.mktemp("sites") / "site"
    write_site(target, [bundle], ENGINE)
    return target


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def worker_of(folder):
    text = (folder / "sw.js").read_text()
    return json.loads(re.match(r"const SITE = (\{.*?\n\});", text, re.DOTALL)[1])


class References(HTMLParser):
    """The addresses in a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_every_reference_is_relative_and_exists(folder):
    parser = References()
    parser.feed((folder / "index.html").read_text())
    references = [name for name in parser.found if not name.startswith("#")]
    assert len(references) > 10
    assert [name for name in references if not (folder / name).is_file()] == []


def test_every_import_of_a_module_exists(folder):
    for path in (folder / "web").rglob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), (path.name, name)


def test_nothing_comes_from_elsewhere(folder):
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".webmanifest"):
            text = path.read_text("utf-8")
            elsewhere = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", text)
            assert [one for one in elsewhere if "www.w3.org" not in one] == [], path.name


def test_the_policy_precedes_all_that_it_rules(folder):
    html = (folder / "index.html").read_text()
    assert "connect-src 'self'" in html
    assert "'wasm-unsafe-eval'" in html
    assert "unsafe-inline" not in html
    assert html.index("Content-Security-Policy") < min(html.index("<link"), html.index("<script"))


def test_nothing_of_a_server_is_left(folder):
    html = (folder / "index.html").read_text()
    assert "curl" not in html
    assert "docs" not in html
    assert "<!-- s" not in html
    assert not {"web/api.js", "web/livesocket.js", "web/reference.js"} & files_of(folder)
    assert "local/backend.js" in (folder / "web" / "backend.js").read_text()


def test_the_service_worker_knows_every_file_by_its_checksum(folder):
    site = worker_of(folder)
    assert set(site["files"]) == files_of(folder) - {"sw.js"}
    for path, mark in site["files"].items():
        digest = hashlib.sha256((folder / path).read_bytes()).digest()
        assert mark == "sha256-" + base64.b64encode(digest).decode(), path


def test_models_and_engine_are_packed_as_the_card_says(folder, bundle):
    card = json.loads((folder / "site.json").read_text())
    (model,) = card["models"]
    assert model["id"] == bundle.card.name
    assert model["profiles"] is True
    for file in [*model["files"].values(), card["engine"]["wasm"]]:
        content = (folder / file["path"]).read_bytes()
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    network = folder / model["files"]["model.onnx"]["path"]
    assert gzip.decompress(network.read_bytes()) == bundle.model


def test_the_same_input_gives_the_same_site(folder, bundle, tmp_path):
    write_site(tmp_path / "again", [bundle], ENGINE)
    assert (tmp_path / "again" / "sw.js").read_bytes() == (folder / "sw.js").read_bytes()


def test_a_change_of_any_file_is_another_version(folder, bundle, tmp_path):
    other = Engine("0.0.2", "MIT", {**FILES, "dist/ort.wasm.bundle.min.mjs": b"export {};\n"})
    write_site(tmp_path / "again", [bundle], other)
    assert worker_of(tmp_path / "again")["version"] != worker_of(folder)["version"]


def test_two_models_that_share_a_network_have_it_once(tmp_path):
    bundles = open_models([packaged("phonemo-small"), packaged("phonemo-open")])
    written = write_site(tmp_path / "site", bundles, ENGINE)
    assert written.models == ("phonemo-small", "phonemo-open")
    assert len(list((tmp_path / "site" / "models").rglob("model.onnx.gz"))) == 1
    assert written.first_bytes < 30e6


def test_a_model_twice_is_refused():
    with pytest.raises(UsageError, match="two named"):
        open_models([ADAPTABLE, ADAPTABLE])


def test_a_phoneme_language_model_is_part_of_the_site(bundle, tmp_path):
    counted = count_phonemes([(1, 2)], len(bundle.card.inventory.symbols))
    with_language_model(tmp_path / "bundle", bundle, counted)
    write_site(tmp_path / "site", open_models([tmp_path / "bundle"]), ENGINE)
    (model,) = json.loads((tmp_path / "site" / "site.json").read_text())["models"]
    written = tmp_path / "site" / model["files"]["phonemes.npz"]["path"]
    assert written.read_bytes() == (tmp_path / "bundle" / "phonemes.npz").read_bytes()


def test_a_site_is_replaced_only_on_request(bundle, tmp_path):
    target = tmp_path / "site"
    write_site(target, [bundle], ENGINE)
    with pytest.raises(UsageError, match="use another --output or --overwrite"):
        check_target(target, overwrite=False)
    (target / ".DS_Store").write_text("left by a desktop")
    write_site(target, [open_bundle(packaged())], ENGINE, overwrite=True)
    assert not any(path.startswith(f"models/{bundle.card.name}") for path in files_of(target))
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("name", ["CNAME", ".git/config", "web/own.js"])
def test_a_file_that_was_added_to_a_site_is_not_removed(bundle, tmp_path, name):
    target = tmp_path / "site"
    write_site(target, [bundle], ENGINE)
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text("of the user")
    with pytest.raises(UsageError, match=f"got {name}, which --overwrite would remove"):
        write_site(target, [bundle], ENGINE, overwrite=True)
    assert (target / name).read_text() == "of the user"


@pytest.mark.parametrize(
    "worker", [None, "self.x = 1;", "const SITE = {\n};", "const SITE = [\n];"]
)
def test_a_folder_with_a_site_json_of_another_program_is_not_replaced(bundle, tmp_path, worker):
    (tmp_path / "site.json").write_text("{}")
    if worker is not None:
        (tmp_path / "sw.js").write_text(worker)
    with pytest.raises(UsageError, match="expected a new or empty folder, or a site"):
        write_site(tmp_path, [bundle], ENGINE, overwrite=True)
    assert (tmp_path / "site.json").read_text() == "{}"


@pytest.mark.parametrize("target", [".", "..", "nowhere/.."])
def test_the_working_folder_is_not_replaced(bundle, tmp_path, monkeypatch, target):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="got the working folder or one above it"):
        write_site(Path(target), [bundle], ENGINE)


def test_an_interrupted_replacement_leaves_the_older_site(bundle, tmp_path, monkeypatch):
    target = tmp_path / "site"
    write_site(target, [bundle], ENGINE)
    before = files_of(target)
    rename = Path.rename

    def interrupted(path, place):
        if path.name == "site.part":
            raise KeyboardInterrupt
        return rename(path, place)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_site(target, [bundle], ENGINE, overwrite=True)
    assert files_of(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_other_files_are_never_replaced(bundle, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="expected a new or empty folder, or a site"):
        write_site(tmp_path, [bundle], ENGINE, overwrite=True)
    with pytest.raises(UsageError, match="got a file or a link"):
        check_target(tmp_path / "thesis.txt", overwrite=True)
    with pytest.raises(UsageError, match="not a writable folder"):
        check_target(tmp_path / "thesis.txt" / "site", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_site_that_cannot_be_written_leaves_the_older_one(bundle, tmp_path, monkeypatch):
    target = tmp_path / "site"
    write_site(target, [bundle], ENGINE)
    before = files_of(target)
    monkeypatch.setattr("phonemo.site.write_site.fsync", _full_disk)
    with pytest.raises(UsageError, match="No space left"):
        write_site(target, [bundle], ENGINE, overwrite=True)
    assert files_of(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def _full_disk(path):
    raise OSError(28, "No space left on device")


def test_an_incomplete_copy_of_phonemo_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "WEB", tmp_path)
    with pytest.raises(CheckpointError, match="install phonemo again"):
        pages.page_files()
