"""Cases 12 to 14: playlists, addresses and file names lead nowhere."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlencode

import pytest
from fsspec import AbstractFileSystem, register_implementation

from phonemo.audio import load_waveform
from phonemo.batch.fetch import fetched, release
from phonemo.batch.plan import BatchItem
from phonemo.errors import AudioError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.abuse.leads import ADDRESSES, ATTRIBUTES, DISGUISES, NAMES, PLAYLISTS
from tests.abuse.processes import Process, family, open_files, server, temporary_files
from tests.abuse.traps import Trap, trap
from tests.cli import test_predict_command
from tests.server.asking import (
    KIND,
    PATH,
    Answer,
    ask,
    form,
    part,
    post,
    raw,
    wav,
)
from tests.server.serving import until
from tests.tiny_bundle import BUNDLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches files as Linux does")
GOOD = wav(0.5)


@pytest.fixture(scope="module")
def set_trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    """One trap for all."""
    with trap(tmp_path_factory.mktemp("secret")) as found:
        yield found


@pytest.fixture
def bait(set_trap: Trap) -> Iterator[Trap]:
    """The trap; after the test nobody has called and nobody has opened a thing."""
    set_trap.touched()
    yield set_trap
    assert set_trap.callers() == 0
    assert set_trap.touched() == set()


@pytest.fixture
def asked(abused: Process) -> Iterator[int]:
    """The port of a server that afterwards has nothing open that it had not before."""
    before = opened_by(abused)
    yield abused.port
    until(lambda: opened_by(abused) <= before, 20.0)


def opened_by(found: Process) -> set[tuple[int, str]]:
    """What a server and its decoders have open; each socket has a name of its own."""
    return {(pid, one) for pid in family(found.process.pid) for one in open_files(pid)}


def test_case_12_the_trap_tells_who_opens_and_who_calls(tmp_path):
    """Or nothing below would mean anything."""
    with trap(tmp_path) as found:
        assert (found.callers(), found.touched()) == (0, set())
        load_waveform(found.secret)
        (tmp_path / "new").touch()
        assert found.touched() == {"secret.wav", "new"}
        assert ask(found.port, "/").status == 302
        assert found.callers() == 1


# 12: playlists ------------------------------------------------------------------------------------


def filled(text: str, bait: Trap) -> bytes:
    """A playlist that leads into the trap."""
    return text.format(url=bait.address, path=bait.secret, key="").encode()


@pytest.mark.parametrize("title", PLAYLISTS)
def test_case_12_a_playlist_is_told_apart_and_not_followed(asked, bait, title):
    data = filled(PLAYLISTS[title], bait)
    for name in ("x.wav", "x.m3u8", "x.sdp", str(bait.secret)):
        found = post(asked, data, name)
        assert found.told == (415, "unsupported_audio"), found.body


@pytest.mark.parametrize("title", DISGUISES)
def test_case_12_a_playlist_behind_a_mask_is_not_followed(asked, bait, title):
    for text in PLAYLISTS.values():
        data = filled(text, bait)
        data = data.decode().encode("utf-16-le") if title == "UTF-16" else data
        found = post(asked, DISGUISES[title] + data)
        assert found.status == 200 if title == "a WAV" else found.status in (415, 422), found.body


def test_case_12_the_library_follows_no_playlist(bait, tmp_path):
    for title, text in PLAYLISTS.items():
        path = tmp_path / f"{title}.wav"
        path.write_bytes(filled(text, bait))
        for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
            with pytest.raises(AudioError) as told:
                load_waveform(source)
            assert told.value.code == "unsupported_audio", title


def test_case_12_the_command_follows_no_playlist_and_answers_the_good_one(bait, tmp_path):
    paths = [tmp_path / f"{title}.wav" for title in PLAYLISTS]
    paths += [tmp_path / f"{title}.{title}" for title in ("m3u8", "sdp", "pls", "ffconcat")]
    for path in paths:
        path.write_bytes(filled(PLAYLISTS[path.stem], bait))
    (tmp_path / "good.wav").write_bytes(GOOD)
    answer = test_predict_command.predict("--jobs", 2, *paths, tmp_path / "good.wav")
    *bad, good = answer.rows
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert {row["code"] for row in bad} == {"unsupported_audio"}
    assert good["label"]


# 13: addresses ------------------------------------------------------------------------------------


def addresses(bait: Trap) -> list[str]:
    """All of them, into the trap."""
    where = {"at": f"127.0.0.1:{bait.port}", "port": bait.port, "path": bait.secret}
    return [one.format(**where) for one in ADDRESSES]


def test_case_13_an_address_instead_of_a_file_is_refused(asked, bait):
    for address in addresses(bait):
        found = ask(asked, PATH, "POST", form(part("file", address.encode())), KIND)
        assert found.told == (400, "invalid_file"), address
        assert "URLs are not supported" in found.data["error"]["message"]


@pytest.mark.parametrize("field", ["url", "audio", "file_url", "path", "uri", "input"])
def test_case_13_there_is_no_field_for_an_address(asked, bait, field):
    for file in (None, GOOD):
        found = post(asked, file, **{field: bait.address})
        assert found.status == 400
        assert found.code in ("unknown_field", "missing_file")
        assert file is None or field in found.data["error"]["message"]


@pytest.mark.parametrize("field", ["model", "response_format", "labels", "top_k", "phonemes"])
def test_case_13_no_other_field_takes_an_address(asked, bait, field):
    for address in addresses(bait):
        found = post(asked, GOOD, **{field: address})
        assert found.status in (400, 404), address
        assert found.data["error"]["message"].isprintable()


def test_case_13_the_query_takes_no_address(asked, bait):
    for name in ("url", "file", "model", "audio"):
        query = urlencode({name: bait.address})
        assert ask(asked, f"{PATH}?{query}", "POST", form(), KIND).status == 400
        assert ask(asked, f"{PATH}?{query}").status == 405


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", '{{"file": "{url}", "url": "{url}"}}'),
        ("application/x-www-form-urlencoded", "file={url}&url={url}"),
        ("text/uri-list", "{url}"),
        ("text/plain", "{url}"),
        ("message/external-body; access-type=URL; URL={url}", "{url}"),
        ("", "{url}"),
    ],
)
def test_case_13_no_other_kind_of_body_takes_an_address(asked, bait, kind, body):
    headers = {"Content-Type": kind.format(url=bait.address)}
    found = ask(asked, PATH, "POST", body.format(url=bait.address), headers)
    code = "unsupported_media_type" if kind else "unsupported_audio"  # a body without a type
    assert found.told == (415, code)


def test_case_13_a_part_that_points_elsewhere_is_what_it_has_in_it(asked, bait):
    lines = [
        'Content-Disposition: form-data; name="file"; filename="a.wav"',
        f'Content-Type: message/external-body; access-type=URL; URL="{bait.address}"',
        f"Content-Location: {bait.address}",
        f"Location: {bait.address}",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    for data, status in ((GOOD, 200), (b"", 422)):
        assert ask(asked, PATH, "POST", form(head + data + b"\r\n"), KIND).status == status


def test_case_13_an_address_as_a_name_is_a_name_and_as_content_a_text(asked, bait):
    for address in addresses(bait):
        assert post(asked, address.encode()).told == (415, "unsupported_audio"), address
        if not re.search(r'[\n"]', address):
            assert post(asked, GOOD, address).status == 200, address
            assert post(asked, b"\0", address).told == (415, "unsupported_audio"), address


@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT", "PUT", "OPTIONS"])
def test_case_13_the_server_is_no_proxy(asked, bait, method):
    for target in (bait.address, f"127.0.0.1:{bait.port}", f"/{bait.address}", f"/@{bait.address}"):
        host = f"Host: 127.0.0.1:{asked}\r\nX-Forwarded-Host: 127.0.0.1:{bait.port}\r\n"
        said = raw(asked, f"{method} {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.1 4"), said


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    """The library's way in."""
    return OnnxRecognizer.load(BUNDLE, threads=1)


def test_case_13_the_library_fetches_nothing(bait, recognizer):
    for address in addresses(bait):
        for source in (address, Path(address), os.fsencode(address)):
            with pytest.raises(AudioError) as told:
                recognizer.predict(source)
            assert told.value.code in ("unsupported_audio", "missing_file"), address
            assert str(told.value).isprintable()


def test_case_13_the_command_fetches_nothing_and_answers_the_good_one(bait, tmp_path):
    (tmp_path / "good.wav").write_bytes(GOOD)
    names = addresses(bait)
    answer = test_predict_command.predict("--jobs", 2, "--", *names, tmp_path / "good.wav")
    *bad, good = answer.rows
    assert (answer.code, len(bad)) == (1, len(names))
    assert good["label"]
    for row in bad:
        assert row["code"] in ("unsupported_audio", "missing_file"), row
        assert row["error"].isprintable()


@pytest.mark.parametrize("option", ["--model", "--turns"])
def test_case_13_no_option_of_the_command_fetches(bait, tmp_path, option, monkeypatch):
    for name in ("HF_ENDPOINT", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{bait.port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (tmp_path / "good.wav").write_bytes(GOOD)
    # hf://someone/model names a model of a hub, which is asked for on purpose
    for address in (bait.address, "someone/model", f"file://{bait.secret}", "hf:someone/model"):
        answer = test_predict_command.predict(tmp_path / "good.wav", option, address)
        assert answer.code in (1, 2), answer
        assert (answer.out, answer.err.count("\n")) == ("", 1)


def test_case_13_a_server_opens_no_model_at_an_address(bait):
    with (
        pytest.raises(AssertionError, match=r"phonemo: .*127\.0\.0\.1"),
        server("--model", bait.address, HF_HUB_OFFLINE="0"),
    ):
        pass


class Endless(AbstractFileSystem):
    """A store that does not say how long its files are, as a web server need not."""

    protocol = "endless"
    taken: ClassVar[list[str]] = []

    def info(self, path: str, **options: object) -> dict[str, object]:
        """Of a file."""
        return {"name": path, "size": None, "type": "file"}

    def cat_file(self, path: str, *options: object, **more: object) -> bytes:
        """All of it, in memory."""
        self.taken.append(path)
        return GOOD

    def open(self, path: str, *options: object, **more: object) -> io.BytesIO:
        """A piece at a time."""
        return io.BytesIO(GOOD)


def test_case_13_what_does_not_say_its_length_is_not_held_in_memory():
    """Those who name it may not know what lies there, or no longer."""
    register_implementation("endless", Endless, clobber=True)
    item = BatchItem("endless://a.wav", "endless://a.wav")
    (source,) = fetched([item], deque())
    assert load_waveform(source).seconds == 0.5
    release(source)
    assert Endless.taken == []


class Forward(io.RawIOBase):
    """A stream that says it can seek and cannot, as fsspec's of what has no length."""

    def __init__(self, fault: type[Exception]) -> None:
        self._inner, self._fault = io.BytesIO(GOOD), fault

    def readable(self) -> bool:
        """As it can."""
        return True

    def seekable(self) -> bool:
        """As it cannot."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Refused."""
        raise self._fault("Cannot seek streaming HTTP file")

    def tell(self) -> int:
        """Where it stands."""
        return self._inner.tell()

    def readinto(self, buffer: memoryview) -> int:
        """Forwards alone."""
        return self._inner.readinto(buffer)


@pytest.mark.parametrize("fault", [ValueError, OSError, NotImplementedError])
def test_case_13_a_stream_that_cannot_seek_as_it_says_is_read_all_the_same(fault):
    assert load_waveform(Forward(fault)).seconds == 0.5


# 14: file names -----------------------------------------------------------------------------------


def posted(port: int, disposition: bytes, data: bytes = GOOD, **fields: str) -> Answer:
    """A file whose part has this after its name."""
    head = b'Content-Disposition: form-data; name="file"; ' + disposition + b"\r\n\r\n"
    parts = [head + data + b"\r\n", *(part(key, one.encode()) for key, one in fields.items())]
    return ask(port, PATH, "POST", form(*parts), KIND)


def named(title: str, bait: Trap) -> bytes:
    """A name as an attribute of its part."""
    name = NAMES[title].replace("{path}", str(bait.secret))
    return b'filename="' + name.encode("utf-8", "surrogatepass") + b'"'


def assert_shown(name: str) -> None:
    """One short line that a terminal shows as it is."""
    assert name.isprintable()
    assert 0 < len(name) <= 123


@pytest.mark.parametrize("title", NAMES)
def test_case_14_a_name_is_shown_in_one_printable_line_and_never_opened(asked, bait, title):
    found = posted(asked, named(title, bait), response_format="verbose_json")
    assert found.status == 200, found.body
    assert_shown(found.data["file"])
    assert found.data["seconds"] == 0.5
    refused = posted(asked, named(title, bait), b"\0junk")
    assert refused.told == (415, "unsupported_audio")
    assert_shown(refused.data["error"]["message"].partition(": expected ")[0])


@pytest.mark.parametrize("title", NAMES)
def test_case_14_a_name_breaks_out_of_no_format(asked, bait, title):
    disposition = named(title, bait)
    for kind in ("srt", "vtt", "textgrid"):  # which say nothing of it
        given = posted(asked, disposition, response_format=kind)
        assert given.body == post(asked, GOOD, response_format=kind).body
    table = posted(asked, disposition, response_format="csv").body.decode()
    (row,) = csv.DictReader(io.StringIO(table))
    assert_shown(row["file"])
    assert set(row) == set(next(csv.reader(io.StringIO(table))))
    turns = posted(asked, disposition, response_format="rttm").body.decode()
    assert [len(line.split(" ")) for line in turns.splitlines()] == [10] * turns.count("\n")
    assert all(line.isprintable() for line in turns.split("\n"))


@pytest.mark.parametrize("place", range(len(ATTRIBUTES)))
def test_case_14_whatever_the_attribute_it_is_answered_or_refused(asked, bait, place):
    found = posted(asked, ATTRIBUTES[place], response_format="verbose_json")
    assert found.status in (200, 400), found.body
    if found.status == 200:
        assert_shown(found.data["file"])
        assert found.data["seconds"] == 0.5
    else:
        assert found.data["error"]["message"].isprintable()
    for one in found.headers.values():
        assert one.isprintable()
    assert "X-Evil" not in found.headers


def test_case_14_a_name_of_10_kb_is_shortened_or_refused(asked):
    found = posted(asked, b'filename="' + b"y" * 10_000 + b'"', response_format="verbose_json")
    assert len(found.body) < 4000
    assert found.status == 400 or len(found.data["file"]) <= 123


def test_case_14_names_of_fields_are_shown_as_files_are(asked):
    for title in ("NUL", "bell", "right to left", "line separators", "html", "long"):
        name = NAMES[title].encode()
        head = b'Content-Disposition: form-data; name="' + name + b'"\r\n\r\n1\r\n'
        found = ask(asked, PATH, "POST", form(part("file", GOOD, "a.wav"), head), KIND)
        assert found.status == 400, title
        assert_shown(found.data["error"]["param"])
        assert found.data["error"]["message"].isprintable()


@pytest.fixture(scope="module")
def chatty(set_trap: Trap) -> Iterator[Process]:
    """A server with a line for each request; its uploads go into the folder that is watched."""
    folder = str(set_trap.secret.parent)
    with server("--access-log", "--set", "workers=1", TMPDIR=folder) as found:
        post(found.port, bytes(2**21))  # it looks once whether it may write there
        yield found


def test_case_14_a_large_upload_makes_no_file_of_its_name(chatty, bait):
    """Above 1 MiB it goes to the disk."""
    for title in ("up", "absolute", "secret", "NUL", "up to the secret"):
        assert posted(chatty.port, named(title, bait), bytes(2**21)).status == 415
    until(lambda: temporary_files(chatty.process.pid) == [])
    assert {one[0] for one in bait.touched()} <= {"#"}  # files without a name
    assert os.listdir(bait.secret.parent) == ["secret.wav"]


def test_case_14_the_log_has_no_names(chatty):
    """A line of a log that a client writes is a line that nobody can trust."""
    posted(chatty.port, b'filename="secret\x1b[31m name"')
    posted(chatty.port, b'filename="secret name"', b"junk")
    ask(chatty.port, "/secret%0d%0aname%1b[31m?" + quote("secret\nname"))
    until(lambda: "/secret%0D" in chatty.said)
    assert all(line.isprintable() for line in chatty.said.splitlines())
    assert "secret name" not in chatty.said


def test_case_14_what_the_command_writes_stays_in_its_folder(tmp_path, monkeypatch):
    """The file of a recording is named by its stem, wherever the recording was."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x\u202e\n.wav").write_bytes(GOOD)
    monkeypatch.chdir(tmp_path / "a")
    words = ("--format", "json", "--output-dir", "out")
    answer = test_predict_command.predict("b/../../a/b/x\u202e\n.wav", *words)
    assert (answer.code, answer.out.count("\n")) == (0, 1)
    assert [one.name for one in (tmp_path / "a" / "out").iterdir()] == ["x\u202e\n.json"]
    told = json.loads((tmp_path / "a" / "out" / "x\u202e\n.json").read_text(encoding="utf-8"))
    assert told["file"] == "b/../../a/b/x\u202e\n.wav"
    assert sorted(os.listdir(tmp_path)) == ["a"]
