"""Cases 1 to 5: uploads that are larger than allowed, or become so, or only say they are."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import pytest
import soundfile

from phonemo.audio import AudioLimits, load_waveform
from phonemo.errors import AudioError
from phonemo.server.middleware import HEADERS
from tests.abuse.figures import figure
from tests.abuse.lies import ABSURD, LONGER, UNKNOWN, forged, silence
from tests.abuse.processes import (
    Process,
    heard,
    memory_bytes,
    open_files,
    peak_bytes,
    reset_peak,
    server,
    temporary_files,
)
from tests.cli import test_predict_command
from tests.server.asking import (
    BOUNDARY,
    KIND,
    PATH,
    Answer,
    ask,
    clip,
    connected,
    form,
    head,
    part,
    post,
    raw,
    rest,
)
from tests.server.serving import until
from tests.tiny_bundle import BUNDLE

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory and files are read in /proc"
)
MOST = 25 * 2**20
SMALL = 3 * 2**20
MIB = 2**20
MOST_GROWTH = 100 * MIB
Value = TypeVar("Value")


def status_of(said: bytes) -> int:
    """Of a whole response."""
    return int(said.split(b" ", 2)[1])


# 1: too large by its Content-Length ---------------------------------------------------------------


def told_early(port: int, length: int, more: str = "") -> bytes:
    """What is said to the head of a request whose body never comes."""
    with connected(port) as client:
        client.sendall(head(port, length, more))
        said = client.recv(2**16)
        while b'"}}' not in said:
            said += client.recv(2**16) or pytest.fail(f"closed after {said!r}")
        return said


@pytest.mark.parametrize("more", ["", "Expect: 100-continue", "Connection: close"])
@pytest.mark.parametrize("length", [MOST + 1, 2**31, 2**63, 10**19])
def test_case_01_a_byte_too_many_is_refused_before_the_body_is_sent(abused, length, more):
    said = told_early(abused.port, length, more)
    assert status_of(said) == 413
    assert b'"param":"file","code":"body_too_large"' in said
    assert b"connection: close" in said.lower()
    assert all(f"{name.lower()}: ".encode() in said.lower() for name in HEADERS)


def test_case_01_the_limit_itself_is_read_to_its_end(abused):
    empty = form(part("file", b"", "a.wav"))
    body = form(part("file", bytes(MOST - len(empty)), "a.wav"))
    assert len(body) == MOST
    assert ask(abused.port, PATH, "POST", body, KIND).told == (415, "unsupported_audio")


def test_case_01_what_follows_a_refused_head_is_no_request(abused):
    """A body that looks like a request must not be answered as one."""
    hidden = f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{abused.port}\r\n\r\n".encode()
    with connected(abused.port) as client:
        client.sendall(head(abused.port, MOST + 1) + hidden)
        client.shutdown(1)
        said = rest(client)
    assert said.count(b"HTTP/1.1 ") == 1
    assert status_of(said) == 413


@pytest.mark.parametrize("length", ["+5", "5_0", "\u00b2", "0x5", "5, 6", "", " ", "1e9"])
def test_case_01_a_length_that_is_no_number_is_no_request(abused, length):
    lines = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{abused.port}\r\nContent-Length: {length}"
    assert status_of(raw(abused.port, f"{lines}\r\n\r\n".encode("latin-1"))) == 400


# 2: too large without a length --------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server below keeps uploads."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Process]:
    """A server that takes 3 MiB and keeps what is above 1 MiB in a file."""
    with server("--set", f"limits.body_bytes={SMALL}", TMPDIR=str(folder)) as found:
        yield found


def begun(name: str, file: str | None = None) -> bytes:
    """A form whose only part has no end."""
    return form(part(name, b"", file)).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())


def chunk(data: bytes) -> bytes:
    """As it travels without a Content-Length."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def left_over(found: Process, folder: Path) -> list[str]:
    """What is left of uploads on the disk, with a name or without."""
    inside = [str(one) for one in folder.iterdir()]
    return inside + temporary_files(found.process.pid)


def test_case_02_a_byte_past_the_limit_ends_it_and_its_file_is_gone(small, folder):
    start = begun("file", "a.wav")
    with connected(small.port) as client:
        client.sendall(head(small.port) + chunk(start))
        for _ in range((SMALL - len(start)) // 2**16):
            client.sendall(chunk(bytes(2**16)))
        client.sendall(chunk(bytes((SMALL - len(start)) % 2**16)))
        until(lambda: left_over(small, folder))
        assert not select.select([client], [], [], 0.3)[0], "it was refused at the limit itself"
        client.sendall(chunk(b"\0"))
        said = client.recv(2**16)
        assert status_of(said) == 413
    until(lambda: left_over(small, folder) == [])
    heard(small)


@pytest.mark.parametrize(
    "start",
    [
        begun("file", "a.wav"),
        b"",
        b"no boundary at all ",
        begun("top_k"),
        b"------phonemo-test\r\n",
        b"------phonemo-test\r\nContent-Disposition: form-data; name=",
        b"------phonemo-test\r\nX: a\r\n" * 3,
    ],
    ids=["file", "nothing", "preamble", "field", "part", "header", "headers"],
)
def test_case_02_whatever_the_endless_body_is_it_has_an_end(small, folder, start):
    """A few of them are no form: they may be told so before the limit is reached."""
    pieces = (one for one in [start or b"\r\n", *[b"x" * 2**16] * (SMALL // 2**16 + 1)])
    told = ask(small.port, PATH, "POST", pieces, KIND).told
    assert told in ((413, "body_too_large"), (400, "invalid_form"))
    until(lambda: left_over(small, folder) == [])
    heard(small)


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"7fffffffffffffff", b"40000000"])
def test_case_02_a_chunk_that_says_it_is_endless_is_read_to_the_limit(small, folder, size):
    with connected(small.port) as client:
        client.sendall(head(small.port) + size + b"\r\n" + begun("file", "a.wav"))
        client.sendall(bytes(SMALL))
        assert status_of(client.recv(2**16)) == 413
    until(lambda: left_over(small, folder) == [])
    heard(small)


def test_case_02_chunks_that_are_none_end_it_and_its_file_is_gone(small, folder):
    with connected(small.port) as client:
        client.sendall(head(small.port) + chunk(begun("file", "a.wav") + bytes(2**21)))
        until(lambda: left_over(small, folder))
        client.sendall(b"5\r\n12345678")
        assert status_of(client.recv(2**16)) == 400
    until(lambda: left_over(small, folder) == [])
    heard(small)


def test_case_02_fifty_at_once_leave_nothing_open(small, folder):
    before = len(open_files(small.process.pid))
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(connected(small.port))
            client.sendall(head(small.port) + chunk(begun("file", "a") + bytes(2**20 + 1)))
        until(lambda: len(temporary_files(small.process.pid)) == 50)
    until(lambda: left_over(small, folder) == [])
    until(lambda: len(open_files(small.process.pid)) <= before)
    heard(small)


# 3 and 4: small files that become large -----------------------------------------------------------


def growth(found: Process, call: Callable[[], Value]) -> tuple[Value, int]:
    """What a call gives, and by how much server and decoders grew meanwhile at most."""
    reset_peak(found.process.pid)
    before = memory_bytes(found.process.pid)
    value = call()
    return value, max(0, peak_bytes(found.process.pid) - before)


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two hours of silence, and a second more, which nobody takes."""
    data = silence(tmp_path_factory.mktemp("hours") / "hours.flac", 7201 * 16_000, 16_000)
    assert len(data) < 400_000
    return data


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three minutes of silence in eight channels: more than 256 MiB, and shorter than 10 min."""
    data = silence(tmp_path_factory.mktemp("eight") / "eight.flac", 2**23 + 1, 48_000, 8)
    assert len(data) < 100_000
    return data


@pytest.fixture(scope="module")
def fresh() -> Iterator[Process]:
    """A server that has not grown yet, with as many decoders wherever it runs."""
    with server("--set", "decoders=2", "--set", "workers=2") as found:
        heard(found)
        yield found


def refused_small(found: Process, file: bytes, case: int = 0, what: str = "") -> tuple[int, str]:
    """Status and code of an upload that would become large; its memory has a bound."""
    began = perf_counter()
    answer, grown = growth(found, lambda: post(found.port, file))
    if what:
        figure(
            case,
            f"{what}: until the answer",
            perf_counter() - began,
            "s",
            1.0 if case == 3 else None,
        )
        figure(case, f"{what}: server and decoders grew by", grown / MIB, "MiB", 100.0)
    assert grown < MOST_GROWTH
    heard(found)
    return answer.told


@pytest.mark.parametrize("total", [None, 0, 2**36 - 1], ids=["true", "unknown", "most"])
def test_case_03_two_hours_of_silence_are_too_long(fresh, hours, total):
    what = {None: "true header", 0: "header without a length"}.get(total, "lying header")
    told = refused_small(fresh, forged(hours, total=total), 3, f"2 h of silence, {what}")
    assert told == (413, "audio_too_long")


def test_case_03_a_dozen_at_once_take_no_more(fresh, hours):
    """Each is decoded up to the limit, as many at a time as there are decoders."""
    file = forged(hours, total=0)
    with ThreadPoolExecutor(12) as pool:
        answers, grown = growth(
            fresh, lambda: list(pool.map(lambda _: post(fresh.port, file).told, range(12)))
        )
    assert answers == [(413, "audio_too_long")] * 12
    figure(3, "12 at once: server and decoders grew by", grown / MIB, "MiB", 100.0)
    assert grown < MOST_GROWTH
    heard(fresh)


def test_case_03_a_header_that_says_less_gets_no_more(fresh, hours):
    answer, grown = growth(fresh, lambda: post(fresh.port, forged(hours, total=16_000)))
    assert (answer.status, answer.data["seconds"]) == (200, 1.0)
    assert "no_speech" in answer.data["warnings"]
    assert grown < MOST_GROWTH


@pytest.mark.parametrize("total", [None, 0], ids=["true", "unknown"])
def test_case_03_the_library_stops_where_its_limit_is(hours, total):
    with pytest.raises(AudioError) as told:
        load_waveform(forged(hours, total=total), limits=AudioLimits(max_seconds=60))
    assert told.value.code == "audio_too_long"


def test_case_03_the_command_has_a_row_for_it_and_answers_its_neighbour(hours, tmp_path):
    (tmp_path / "hours.flac").write_bytes(hours)
    soundfile.write(tmp_path / "good.wav", clip(), 16_000)
    answer = test_predict_command.predict("--jobs", 1, tmp_path)
    good, bad = answer.rows
    assert (answer.code, bad["code"], good["seconds"]) == (1, "audio_too_long", 1.0)


@pytest.mark.parametrize("total", [None, 0], ids=["true", "unknown"])
def test_case_04_eight_channels_are_counted_in_bytes(fresh, eight, total):
    what = "true header" if total is None else "header without a length"
    told = refused_small(fresh, forged(eight, total=total), 4, f"8 channels, {what}")
    assert told == (413, "audio_too_large")


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (655_350, (422, "unsupported_audio")),
        (384_001, (422, "unsupported_audio")),
        (384_000, (413, "audio_too_large")),
        (4_000, (413, "audio_too_long")),
        (3_999, (422, "unsupported_audio")),
        (1, (422, "unsupported_audio")),
        (0, (422, "unsupported_audio")),
    ],
)
@pytest.mark.parametrize("total", [None, 0], ids=["true", "unknown"])
def test_case_04_a_forged_rate_takes_no_more_memory(fresh, eight, rate, told, total):
    assert refused_small(fresh, forged(eight, rate=rate, total=total)) == told


def test_case_04_the_library_counts_bytes_too(eight):
    for total in (None, 0):
        with pytest.raises(AudioError) as told:
            load_waveform(forged(eight, total=total), limits=AudioLimits(max_decoded_bytes=2**24))
        assert told.value.code == "audio_too_large"


# 5: headers that say 4 GB -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown() -> Iterator[list[int]]:
    """By how much servers grew, for the table."""
    found = [0]
    yield found
    figure(5, "server and decoders grew at most by", max(found) / MIB, "MiB", 100.0)


@pytest.mark.parametrize("name", LONGER)
def test_case_05_a_header_that_says_4_gb_is_heard_as_far_as_it_goes(fresh, name, grown):
    answer, bytes_more = growth(fresh, lambda: post(fresh.port, LONGER[name]))
    assert answer.status == 200, answer.body
    assert answer.data["seconds"] == pytest.approx(1500 / 16_000, abs=1e-3)
    assert ("truncated" in answer.data["warnings"]) is (name not in UNKNOWN)
    grown.append(bytes_more)
    assert bytes_more < MOST_GROWTH
    heard(fresh)


@pytest.mark.parametrize("name", ABSURD)
def test_case_05_a_header_that_makes_no_sense_is_not_believed(fresh, name, grown):
    answer, bytes_more = growth(fresh, lambda: post(fresh.port, ABSURD[name]))
    assert is_sound(answer), answer.body
    grown.append(bytes_more)
    assert bytes_more < MOST_GROWTH
    heard(fresh)


def is_sound(answer: Answer) -> bool:
    """Whether it is an answer, or says that the file is at fault."""
    if answer.status == 200:
        return sum(answer.data["scores"].values()) == pytest.approx(1, abs=1e-3)
    return answer.told in (
        (415, "unsupported_audio"),
        (422, "unsupported_audio"),
        (422, "too_short"),
        (422, "empty_audio"),
    )


#: Loads each file and tells by how much the addresses that the process holds grew at most.
READER = """
import json, re, sys
from pathlib import Path
from phonemo.audio import load_waveform
from phonemo.errors import AudioError

def peak():
    return int(re.search(r"VmPeak:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

load_waveform(sys.argv[1])
for path in sys.argv[2:]:
    before = peak()
    try:
        found = load_waveform(path).warnings
    except AudioError as error:
        found = str(error)
    print(json.dumps([path, found, peak() - before]))
"""


def test_case_05_the_library_never_asks_for_4_gb(tmp_path):
    """Not even for addresses, which resident memory would not show."""
    soundfile.write(tmp_path / "good.wav", clip(), 16_000)
    paths = []
    for place, data in enumerate([*LONGER.values(), *ABSURD.values()]):
        paths.append(tmp_path / f"{place}.wav")
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / "good.wav", *paths],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    told: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(paths)
    worst = max(grown for *_, grown in told)
    figure(5, "the library's addresses grew at most by", worst / MIB, "MiB", 100.0)
    assert worst < MOST_GROWTH
    cut_short = ["truncated" in found for _, found, _ in told[: len(LONGER)]]
    assert cut_short == [name not in UNKNOWN for name in LONGER]


def test_case_05_the_command_hears_what_is_there_and_says_no_more(tmp_path):
    """In a process of its own, where standard error is whatever comes there."""
    names = sorted(LONGER)
    for place, name in enumerate(names):
        (tmp_path / f"{place}.wav").write_bytes(LONGER[name])
    line = [sys.executable, "-m", "phonemo", "predict", "--model", str(BUNDLE), "-q", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(one) for one in done.stdout.splitlines()]
    cut_short = ["truncated" in row["warnings"] for row in rows]
    assert cut_short == [name not in UNKNOWN for name in names]
