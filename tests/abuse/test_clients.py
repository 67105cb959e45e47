"""Cases 17, 18 and 19: clients that dawdle or leave, and a server that is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.abuse import launch
from tests.abuse.dawdling import GET, deaf, dripped, fill_to_the_brim, is_kept, many, upgrade
from tests.abuse.figures import figure
from tests.abuse.processes import children, heard, memory_bytes, open_files, server, temporary_files
from tests.abuse.pulse import metric
from tests.server import serving
from tests.server.asking import (
    ask,
    clip,
    connected,
    encoded,
    events,
    form,
    head,
    part,
    post,
    rest,
    stream,
    wav,
)
from tests.server.serving import until
from tests.tiny_bundle import RATE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SECONDS = 2
SHORT = ("--set", f"limits.read_seconds={SECONDS}", "--set", f"limits.header_seconds={SECONDS}")
ONE = ("--set", "workers=1", "--set", "decoders=1")
WAV = wav(0.3)
BODY = form(part("file", WAV, "a.wav"))
#: Above 1 MiB, so that it is kept in a temporary file.
LARGE = form(part("file", wav(60.0), "a.wav"))


def status_of(said):
    return int(said.split(b" ", 2)[1])


def sockets(found):
    return sum(one.startswith("socket:") for one in open_files(found.process.pid))


# Case 17 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty():
    """One that waits two seconds for what has to arrive or to leave."""
    with server(*SHORT) as found:
        yield found


@pytest.fixture
def hurried(hasty):
    """The same; afterwards it answers, holds nothing and has said nothing."""
    before, said = sockets(hasty), hasty.said
    yield hasty
    heard(hasty)
    until(lambda: sockets(hasty) <= before)
    assert temporary_files(hasty.process.pid) == []
    assert metric(hasty.port, "in_flight") == 0
    assert hasty.said == said


def test_case_17_uploads_at_a_byte_at_a_time_are_closed_at_the_limit(hurried):
    """With a length, in chunks, in chunks of a byte each, and where little is left to come."""
    port = hurried.port
    starts = [
        head(port, 10_000) + BODY[:200],
        head(port) + b"ffff\r\n" + BODY[:200],
        head(port) + b"".join(b"1\r\n%c\r\n" % one for one in BODY[:200]) + b"ff\r\n",
        head(port, len(LARGE)) + LARGE[: len(LARGE) - 400],
    ]
    began = time.monotonic()
    with many(port, len(starts)) as clients:
        for one, start in zip(clients, starts, strict=True):
            one.sendall(start)
        answers = dripped(clients, b"-")
    figure(17, "uploads at 10 bytes/s are answered and closed after", time.monotonic() - began, "s")
    for said in answers:
        assert status_of(said) == 408
        assert b'"code":"read_timeout"' in said


def test_case_17_many_slow_uploads_keep_nobody_out(hurried):
    """As many as may arrive at once, but for the places of the ordinary ones."""
    with many(hurried.port, 60) as clients, ThreadPoolExecutor(1) as pool:
        for one in clients:
            one.sendall(head(hurried.port, 10_000) + BODY[:200])
        slow = pool.submit(dripped, clients, b"-")
        answered = 0
        while not slow.done():
            assert post(hurried.port, WAV).status == 200
            answered += 1
        assert answered > 1
        assert {status_of(one) for one in slow.result()} == {408}


def test_case_17_slow_heads_are_closed_and_keep_nobody_out(hurried):
    with many(hurried.port, 100) as clients, ThreadPoolExecutor(1) as pool:
        for one in clients:
            one.sendall(GET + b"A: ")
        slow = pool.submit(dripped, clients, b"b")
        while not slow.done():
            assert post(hurried.port, WAV).status == 200
        assert set(slow.result()) == {b""}


def test_case_17_who_never_says_what_it_wants_is_closed(hurried):
    starts = (b"", b"\x16\x03\x01", b"POST", head(hurried.port, 10)[:-2], b"\r\n")
    with many(hurried.port, len(starts)) as clients:
        for one, start in zip(clients, starts, strict=True):
            one.sendall(start)
        assert {rest(one)[:12] for one in clients} <= {b"", b"HTTP/1.1 400"}


def test_case_17_who_takes_in_no_answer_is_given_up(hurried):
    with deaf(hurried.port) as client:
        client.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            client.sendall((GET + b"\r\n") * 8_000)  # more than is kept for it
        until(lambda: is_kept(hurried, client))  # it may not have been let in yet
        until(lambda: not is_kept(hurried, client))


def test_case_17_who_leaves_the_rest_of_an_answer_is_given_up_too(hurried):
    """As much waits as the system keeps, and a few bytes more."""
    with deaf(hurried.port) as client:
        fill_to_the_brim(client)
        until(lambda: is_kept(hurried, client))  # it may not have been let in yet
        until(lambda: not is_kept(hurried, client), 20)


def test_case_17_pongs_that_nobody_takes_in_are_not_kept(hurried):
    """A ping is answered at once: whoever sends them without end and reads nothing gets none."""
    ping = b"\x89\xfd" + bytes(4) + bytes(125)
    grown = memory_bytes(hurried.process.pid)
    with deaf(hurried.port) as client:
        client.sendall(upgrade(hurried.port))
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                client.sendall(ping * 1000)
        grown = memory_bytes(hurried.process.pid) - grown
    figure(17, "memory after 26 MB of pings whose pongs are not read", grown / 2**20, "MiB")
    assert grown < 12 * 2**20


# Case 18 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone():
    """One decoder and one worker; a long recording takes it seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "COMMAND", launch.COMMAND)
        with server(*ONE, "--set", "limits.decode_seconds=60", **launch.ENVIRONMENT) as found:
            yield found


@pytest.fixture
def left(alone):
    """The same; afterwards it answers, no place, file or connection is taken, and no 5xx was."""
    said, open_now = alone.said, sockets(alone)
    yield alone
    heard(alone)
    until(lambda: metric(alone.port, "in_flight") == 0)
    until(lambda: temporary_files(alone.process.pid) == [])
    until(lambda: sockets(alone) <= open_now)
    until(lambda: len(children(alone.process.pid)) == 1)
    assert metric(alone.port, 'requests{status="5') == 0
    assert alone.said == said


@contextlib.contextmanager
def still(found):
    """Its decoders stand still."""
    pids = [int(one) for one in children(found.process.pid)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def reset(client):
    """Leave without a word: the system tells the other side that the connection is broken."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def hang_up(client):
    client.close()


LEAVING = pytest.mark.parametrize("leave", [hang_up, reset], ids=["hang_up", "reset"])


def in_flight(found):
    return metric(found.port, "in_flight")


def asked(found, body):
    """A connection that has sent a whole request."""
    client = socket.create_connection(("127.0.0.1", found.port), timeout=240)
    client.sendall(head(found.port, len(body)) + body)
    return client


@LEAVING
def test_case_18_who_leaves_while_it_sends_leaves_nothing_behind(left, leave):
    with contextlib.closing(socket.create_connection(("127.0.0.1", left.port))) as client:
        client.sendall(head(left.port, len(LARGE)) + LARGE[: 3 * len(LARGE) // 4])
        until(lambda: temporary_files(left.process.pid))
        leave(client)
        until(lambda: temporary_files(left.process.pid) == [])


@LEAVING
def test_case_18_who_leaves_while_it_is_decoded_gives_its_place_back(left, leave):
    seconds = metric(left.port, "audio_seconds")
    with still(left), contextlib.closing(asked(left, LARGE)) as client:
        until(lambda: in_flight(left) == 1)
        assert temporary_files(left.process.pid)
        leave(client)
        until(lambda: in_flight(left) == 0)
        until(lambda: temporary_files(left.process.pid) == [])
    heard(left)
    assert metric(left.port, "audio_seconds") == seconds + 0.5, "nobody heard it"


@LEAVING
def test_case_18_who_leaves_the_queue_gives_its_place_back(left, leave):
    seconds = metric(left.port, "audio_seconds")
    with still(left), contextlib.ExitStack() as all:
        clients = [all.enter_context(contextlib.closing(asked(left, LARGE))) for _ in range(6)]
        until(lambda: in_flight(left) == 6)
        assert len(temporary_files(left.process.pid)) == 6
        for one in clients[1:5]:
            leave(one)
        until(lambda: in_flight(left) == 2)
        until(lambda: len(temporary_files(left.process.pid)) == 2)
        for one in clients[:1] + clients[5:]:
            leave(one)
        until(lambda: in_flight(left) == 0)
    heard(left)
    assert metric(left.port, "audio_seconds") == seconds + 0.5


def heard_so_far(found):
    """Recordings that a thread has begun with."""
    return metric(found.port, "batch_clips_count")


@pytest.fixture(scope="module")
def recording():
    """The form of a recording that takes the slow ears ten seconds."""
    return form(part("file", encoded(clip(500 * RATE), "FLAC"), "long.flac"))


@LEAVING
def test_case_18_who_leaves_while_it_is_heard_stops_the_work(left, recording, leave):
    begun, seconds = heard_so_far(left), metric(left.port, "audio_seconds")
    with contextlib.closing(asked(left, recording)) as client:
        until(lambda: heard_so_far(left) == begun + 1)
        assert in_flight(left) == 1
        leave(client)
        until(lambda: in_flight(left) == 0)
        until(lambda: temporary_files(left.process.pid) == [])
    heard(left)  # there is one thread alone: it was let go
    assert metric(left.port, "audio_seconds") == seconds + 0.5
    assert launch.WHOLE not in left.said


def test_case_18_who_leaves_its_stream_gives_its_place_back(left):
    for leave in (hang_up, reset) * 3:
        with stream(left.port) as client:
            client.recv(timeout=240)
            client.send(clip(3 * RATE).tobytes())
            leave(client.socket)
        until(lambda: metric(left.port, "streams") == 0)  # a busy machine takes a moment


def test_case_18_many_that_leave_at_any_moment_leave_nothing_behind(left):
    """From the first byte to the answer: after every part of the request, and of the work."""
    for place in range(40):
        sent = min(len(LARGE), place * len(LARGE) // 30)
        with socket.create_connection(("127.0.0.1", left.port)) as client:
            client.sendall((head(left.port, len(LARGE)) + LARGE)[:sent])
            if place % 3:
                time.sleep(0.001 * place)
            (reset if place % 2 else hang_up)(client)
    until(lambda: in_flight(left) == 0)
    until(lambda: temporary_files(left.process.pid) == [])


# Case 19 ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stopping(*words):
    """A server of its own; when it has ended, none of its processes is left."""
    with server(*ONE, "--set", "limits.decode_seconds=60", *words) as found:
        pids = children(found.process.pid)
        yield found
        assert found.process.poll() is not None
        until(lambda: not any(os.path.exists(f"/proc/{one}") for one in pids))
        assert "Traceback" not in found.said, found.said


def told_to_stop(found):
    """SIGTERM; returns once it is seen to have arrived."""
    found.process.send_signal(signal.SIGTERM)
    until(lambda: ask(found.port, "/health/ready").told == (503, "stopping"))


def test_case_19_what_is_in_flight_under_load_is_answered_before_it_stops():
    with stopping() as found, ThreadPoolExecutor(8) as pool:
        port = found.port
        with still(found), connected(port) as slow, stream(port) as live:
            waiting = [pool.submit(post, port, WAV) for _ in range(8)]
            until(lambda: in_flight(found) == 8)
            slow.sendall(head(port, len(BODY), "Connection: close") + BODY[:1000])
            live.recv(timeout=240)
            live.send(clip(2 * RATE).tobytes())
            live.ping().wait(60)
            told_to_stop(found)
            began = time.monotonic()
            assert ask(port, "/health/live").status == 200
            assert post(port, WAV).told == (503, "stopping")
            assert not any(one.done() for one in waiting)
            slow.sendall(BODY[1000:])  # it began in time
            said = events(live)
            assert (said[-1]["type"], live.close_code) == ("final", 1012)
            os.kill(int(children(found.process.pid)[0]), signal.SIGCONT)
            assert status_of(rest(slow)) == 200
        assert [one.result().status for one in waiting] == [200] * 8
        assert found.ended() == 0
        figure(19, "from SIGTERM to the exit, with nine in flight", time.monotonic() - began, "s")


def test_case_19_a_decoder_that_is_lost_while_it_stops_costs_nobody_an_answer():
    with stopping() as found, ThreadPoolExecutor(3) as pool:
        (decoder,) = children(found.process.pid)
        with still(found):
            waiting = [pool.submit(post, found.port, WAV) for _ in range(3)]
            until(lambda: in_flight(found) == 3)
            told_to_stop(found)
            os.kill(int(decoder), signal.SIGKILL)
        assert [one.result().status for one in waiting] == [200] * 3
        assert found.ended() == 0


def refused_or_cut(waiting):
    """Nobody is told of a fault: 503, or a connection that is closed."""
    for one in waiting:
        if one.exception() is None:
            assert one.result().told == (503, "stopping")
        else:
            assert isinstance(one.exception(), OSError | EOFError), one.exception()


def test_case_19_a_decoder_that_hangs_does_not_hold_it_beyond_the_grace():
    with stopping("--set", "grace_seconds=0.5") as found, ThreadPoolExecutor(4) as pool:
        with still(found):
            waiting = [pool.submit(post, found.port, WAV) for _ in range(4)]
            until(lambda: in_flight(found) == 4)
            found.process.send_signal(signal.SIGTERM)
            assert found.ended() == 0
        refused_or_cut(waiting)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_case_19_a_second_signal_ends_it_at_once(second):
    """Long before the grace, or the decoder's limit, is over."""
    with stopping() as found, ThreadPoolExecutor(4) as pool:
        with still(found):
            waiting = [pool.submit(post, found.port, WAV) for _ in range(4)]
            until(lambda: in_flight(found) == 4)
            told_to_stop(found)
            began = time.monotonic()
            found.process.send_signal(second)
            assert found.ended() == 0
            took = time.monotonic() - began
            figure(19, "from the second signal to the exit", took, "s")
        refused_or_cut(waiting)


def test_case_19_clients_that_dawdle_do_not_hold_it():
    """Idle connections, half a head, half a body, a stream that says nothing, an unread answer."""
    with (
        stopping("--set", "grace_seconds=1") as found,
        many(found.port, 30) as clients,
        stream(found.port) as live,
        deaf(found.port) as none,
    ):
        for place, one in enumerate(clients):
            one.sendall([GET[:20], head(found.port, 1000) + BODY[:100], b""][place % 3])
        none.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            none.sendall((GET + b"\r\n") * 8_000)
        live.recv(timeout=240)
        found.process.send_signal(signal.SIGTERM)
        assert events(live)[-1]["type"] == "error", "there was no sample"
        assert found.ended() == 0


def test_case_19_it_stops_in_the_middle_of_a_crowd():
    """Every answer is one of those that are documented, however the moment falls."""
    with stopping() as found, ThreadPoolExecutor(40) as pool:
        port = found.port
        crowd = [pool.submit(post, port, WAV) for _ in range(200)]
        until(lambda: sum(one.done() for one in crowd) > 20)
        found.process.send_signal(signal.SIGTERM)
        assert found.ended() == 0
        answers = [one.result() for one in crowd if one.exception() is None]
    statuses = {one.status for one in answers}
    assert 200 in statuses
    assert statuses <= {200, 429, 503}
    assert {one.code for one in answers if one.status == 503} <= {"stopping"}
    failed = [one.exception() for one in crowd if one.exception() is not None]
    assert all(isinstance(one, ConnectionError) for one in failed), failed[:3]
