"""Cases 15 and 16: forms and heads that are too much, and crowds that are; others are answered."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from string import ascii_letters

import pytest

from tests.abuse.figures import figure
from tests.abuse.processes import children, heard, open_files, server, temporary_files
from tests.abuse.pulse import metric, pulse
from tests.server.asking import BOUNDARY, PATH, ask, connected, form, head, part, post, rest, wav
from tests.server.serving import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
MARK = f"--{BOUNDARY}\r\n".encode()
LARGE = 20_000_000
WAV = wav(0.2)
LIVE_MS = 100
QUEUE, WORKERS, CROWD = 16, 2, 200


def filled(*pieces):
    """Bytes of about 20 MB, within what a request may have: a beginning and its repetition."""
    *beginning, again = pieces
    return b"".join(beginning) + again * (LARGE // len(again))


def file_part(data, more=b""):
    """A part with the file; ``more`` are further lines of its head."""
    named = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    return named + more + b"\r\n" + data + b"\r\n"


def flood_of(lines):
    return b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + lines


def told(port, sent):
    """The status that is answered to bytes, however many of them are taken in."""
    with connected(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        said = rest(client)
    assert said.startswith(b"HTTP/1.1 "), said[:200]
    return int(said.split(b" ", 2)[1])


def posted(port, body, more="Connection: close"):
    return told(port, head(port, len(body), more) + body)


@pytest.fixture(scope="module")
def floods():
    """What is sent -> when it began and ended."""
    return {}


@pytest.fixture(scope="module")
def crowded(floods):
    """The command, asked how it is doing from the first flood to the last."""
    with server("--set", f"workers={WORKERS}") as found, pulse(found.port) as beside:
        yield found
    worst = {name: beside.worst(*when) for name, when in floods.items()}
    many = worst.pop("test_case_15_many_of_them_at_once_keep_nobody_out", 0)
    figure(15, "/health/live, worst", max(worst.values(), default=0), "ms", bar=LIVE_MS)
    figure(15, "/health/live, worst, with twelve floods at once", many, "ms")


@pytest.fixture
def flooded(request, crowded, floods):
    """The same; afterwards it answers, holds no file and has said nothing."""
    said, before = crowded.said, children(crowded.process.pid)
    began = time.monotonic()
    yield crowded
    floods[request.node.name] = (began, time.monotonic())
    heard(crowded)
    assert temporary_files(crowded.process.pid) == []
    assert metric(crowded.port, "in_flight") == 0
    assert children(crowded.process.pid) == before
    assert crowded.said == said


# Case 15 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        lambda: form(part("file", WAV, "a.wav"), *(part(f"f{i}", b"x") for i in range(10_000))),
        lambda: form(*(part("top_k", b"1") for _ in range(10_000))),
        lambda: form(*(part("file", WAV, "a.wav") for _ in range(2_000))),
        lambda: filled(MARK, b"\r\n\r\n" + MARK),
        lambda: filled(form(part("f", b"")).removesuffix(b"--\r\n") + b"\r\n"),
        lambda: form(part("a" * LARGE, b"x")),
        lambda: form(part("file", WAV, "a" * LARGE)),
        lambda: form(part("labels", b"a" * LARGE)),
        lambda: filled(MARK, b"A: b\r\n"),
        lambda: filled(MARK, b"A: ", b"b"),
        lambda: filled(MARK, b"A"),
        lambda: form(file_part(WAV, b"A: b\r\n" * 20_000)),
        lambda: filled(b"junk\r\n") + form(part("file", WAV, "a.wav")),
        lambda: filled(b"--" + BOUNDARY.encode()[:-1] + b"\r\n") + form(part("file", WAV, "a.wav")),
        lambda: filled(b"-"),
        lambda: filled(b"\x00"),
        lambda: filled(MARK),
        lambda: filled(MARK, file_part(b""), b"\r\n" + MARK),
    ],
    ids=[
        *("fields", "one_field_again", "files", "parts_without_a_head", "empty_parts"),
        *("long_name", "long_file_name", "long_field", "many_lines", "long_line", "long_key"),
        *("lines_before_a_file", "preamble", "nearly_boundaries", "dashes", "zeros", "boundaries"),
        "a_file_and_boundaries",
    ],
)
def test_case_15_a_form_that_is_too_much_is_refused(flooded, body):
    assert posted(flooded.port, body()) in (400, 413)


@pytest.mark.parametrize(
    "again", [b"\r", b"\r\n", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\r\n-" * 3 + b"\x00"]
)
def test_case_15_a_file_that_looks_like_boundaries_is_no_audio(flooded, again):
    body = form(file_part(filled(again)))
    assert posted(flooded.port, body) in (400, 413, 415, 422)


def test_case_15_a_preamble_and_an_epilogue_do_no_harm(flooded):
    """They are allowed; whether such a form is read or refused, nothing breaks."""
    body = b"\r\n" * 1000 + form(part("file", WAV, "a.wav")) + filled(b"junk\r\n")
    assert posted(flooded.port, body) in (200, 400, 413)


@pytest.mark.parametrize("boundary", ["", "a" * 60_000, "a" * 400, "\xff", '"', "a b", "-" * 70])
def test_case_15_a_boundary_that_is_none_is_refused(flooded, boundary):
    body = form(part("file", WAV, "a.wav"))
    asked = head(flooded.port, len(body), "Connection: close").decode()
    asked = asked.replace(BOUNDARY, boundary).encode("latin-1")
    assert told(flooded.port, asked + body) in (400, 413, 431)


@pytest.mark.parametrize(
    "flood",
    [
        lambda: flood_of(b"A: b\r\n" * 2_000_000),
        lambda: flood_of(b"A: b\r\n" * 14_000 + b"\r\n"),
        lambda: flood_of(b"A: " + b"b" * LARGE),
        lambda: flood_of(b"A" * LARGE),
        lambda: b"GET /" + b"a" * LARGE,
        lambda: b"GET /health/live?" + b"a=b&" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        lambda: b"A" * LARGE,
        lambda: b"\r\n" * 1_000_000,
        lambda: head(1).replace(b":1", b"") + b"1;" + b"a" * LARGE,
        lambda: head(1).replace(b":1", b"") + b"0\r\n" + b"A: b\r\n" * 1_000_000,
    ],
    ids=[
        *("lines", "just_too_many_lines", "long_line", "long_key", "long_path", "long_query"),
        *("no_http", "empty_lines", "chunk_extension", "trailers"),
    ],
)
def test_case_15_a_head_that_is_too_much_is_refused(flooded, flood):
    assert told(flooded.port, flood()) in (400, 413, 431)


def test_case_15_a_head_as_large_as_may_be_is_answered(flooded):
    lines = b"A: b\r\n" * 2000 + b"Connection: close\r\n\r\n"
    for _ in range(20):
        assert told(flooded.port, flood_of(lines)) == 200


def test_case_15_a_query_of_thousands_of_names_is_refused(flooded):
    """It is a stream's, for nothing else takes one."""
    names = "&".join(map("".join, product(ascii_letters, repeat=2)))
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**upgrade, **key}.items())
    for _ in range(5):
        with connected(flooded.port) as client:
            start = f"GET /v1/audio/stream?{names[:8000]} HTTP/1.1\r\nHost: localhost\r\n"
            client.sendall(f"{start}{lines}\r\n".encode())
            said = b""
            while b'"error"' not in said and (more := client.recv(2**16)):
                said += more
        assert b'"code":"invalid_value"' in said, said[:300]


def test_case_15_many_of_them_at_once_keep_nobody_out(flooded):
    bodies = [filled(MARK, b"A: b\r\n"), filled(b"junk\r\n"), form(part("a" * LARGE, b"x"))]
    with ThreadPoolExecutor(12) as pool:
        floods = [pool.submit(posted, flooded.port, one) for one in bodies * 8]
        for _ in range(5):
            assert post(flooded.port, WAV).status == 200
        assert {one.result() for one in floods} <= {400, 413, 429}


# Case 16 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow():
    """A queue of 16 and two workers."""
    words = [f"workers={WORKERS}", f"limits.queue={QUEUE}", "limits.decode_seconds=60"]
    with server(*(word for one in words for word in ("--set", one))) as found:
        yield found


def give_way():
    """The server's processors are its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def crowd(pool, port):
    file = wav(2.0)
    return [pool.submit(post, port, file) for _ in range(CROWD)]


def check_refused(answers):
    """All others are told when it is worth another try."""
    for one in answers:
        if one.status != 200:
            assert one.told == (429, "queue_full")
            assert 1 <= int(one.headers["Retry-After"]) <= 600, "it depends on the machine's load"


def test_case_16_of_200_at_once_as_many_as_have_a_place_are_served_and_the_rest_is_429(narrow):
    """Decoders that stand still hold everybody, so that the number is exact on any machine."""
    decoders = [int(one) for one in children(narrow.process.pid)]
    for one in decoders:
        os.kill(one, signal.SIGSTOP)
    with ThreadPoolExecutor(CROWD, initializer=give_way) as pool:
        asked = crowd(pool, narrow.port)
        until(lambda: sum(one.done() for one in asked) == CROWD - QUEUE - WORKERS)
        assert metric(narrow.port, "in_flight") == QUEUE + WORKERS
        assert ask(narrow.port, "/health/ready").status == 200
        for one in decoders:
            os.kill(one, signal.SIGCONT)
        answers = [one.result() for one in asked]
    statuses = sorted(one.status for one in answers)
    assert statuses == [200] * (QUEUE + WORKERS) + [429] * (CROWD - QUEUE - WORKERS)
    check_refused(answers)
    heard(narrow)


def test_case_16_crowds_one_after_the_other_break_nothing(narrow):
    with pulse(narrow.port) as beside, ThreadPoolExecutor(CROWD, initializer=give_way) as pool:
        for _ in range(3):
            answers = [one.result() for one in crowd(pool, narrow.port)]
            served = [one for one in answers if one.status == 200]
            assert len(served) >= QUEUE + WORKERS
            check_refused(answers)
    figure(16, "/health/live, p99", beside.quantile(0.99), "ms", bar=LIVE_MS)
    figure(16, "/health/live, worst", beside.quantile(1), "ms")
    heard(narrow)
    assert metric(narrow.port, 'requests{status="5') == 0
    assert metric(narrow.port, "in_flight") == 0
    assert "Traceback" not in narrow.said


def test_case_16_connections_that_say_nothing_keep_nobody_out(narrow):
    before = sockets(narrow)
    with contextlib.ExitStack() as all:
        for _ in range(CROWD):
            all.enter_context(connected(narrow.port))
        until(lambda: sockets(narrow) >= CROWD)
        heard(narrow)
    until(lambda: sockets(narrow) <= before)


def test_case_16_a_crowd_that_leaves_is_forgotten(narrow):
    """All of them send a whole request and are gone before they are told anything."""
    body = form(part("file", WAV, "a.wav"))
    for _ in range(CROWD):
        with connected(narrow.port) as client:
            client.sendall(head(narrow.port, len(body)) + body)
    until(lambda: metric(narrow.port, "in_flight") == 0)
    heard(narrow)
    assert ask(narrow.port, PATH).status == 405
    assert "Traceback" not in narrow.said


@contextlib.contextmanager
def few_files(count):
    """Whatever is started meanwhile may open so many files, unless it raises that itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_case_16_more_connections_than_files_may_be_open_are_no_flood_of_the_log():
    with contextlib.ExitStack() as all:
        with few_files(200):
            found = all.enter_context(server("--set", "limits.header_seconds=2"))
        said = found.said
        for _ in range(500):
            all.enter_context(connected(found.port))
        until(lambda: sockets(found) < 100)  # all of them were closed
        heard(found)
        assert found.said == said


def test_case_16_more_connections_than_may_be_there_are_closed_at_once():
    """Those that are there stay; as soon as they leave, others are let in again."""
    most = 50
    with server("--set", f"limits.connections={most}") as found:
        said = found.said
        with contextlib.ExitStack() as all:
            for _ in range(CROWD):
                all.enter_context(connected(found.port))
            until(lambda: sockets(found) <= most + 5)  # and a few of its own
            assert sockets(found) >= most
        until(lambda: sockets(found) < most)
        heard(found)
        assert found.said == said


def sockets(found):
    return sum(one.startswith("socket:") for one in open_files(found.process.pid))
