"""What a busy server saves: kept connections, large reads, responses that are one write."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import socket
import sys

import pytest

from phonemo.server import service as service_module
from phonemo.server import uvicorn_server
from phonemo.server.admission import Throttle
from phonemo.server.app import create_app
from phonemo.server.connections import protocols
from phonemo.server.decoders import decoder_process
from tests.server.asking import KIND, PATH, PATIENCE_SECONDS, connected, form, head, part, rest, wav
from tests.server.serving import Held, served, settings, until

BODY = form(part("file", wav(), "clip.wav"))


@pytest.fixture(scope="module")
def full():
    """A server without a free place: it is held until the end."""
    model = Held()
    with served(settings(workers=1, limits={"queue": 0}), {"held": model}) as found:
        found.service.admission.throttle = Throttle(1e9)
        with found.service.admission.queue.slot("another client"):
            yield found


def refused(client: http.client.HTTPConnection):
    client.request("POST", PATH, BODY, KIND)
    response = client.getresponse()
    response.read()
    return response


def assert_closed(said: bytes) -> None:
    assert said.startswith(b"HTTP/1.1 429")
    assert b"connection: close" in said.lower()


def test_a_refused_client_that_sent_its_small_body_keeps_its_connection(full):
    client = http.client.HTTPConnection("127.0.0.1", full.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(client):
        client.connect()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first, port = refused(client), client.sock.getsockname()
        second = refused(client)
        assert (first.status, second.status) == (429, 429)
        assert first.headers["Retry-After"]
        assert first.headers["Connection"] is None
        assert client.sock.getsockname() == port


def test_a_body_that_does_not_come_is_refused_all_the_same(full):
    with connected(full.port) as client:
        client.sendall(head(full.port, len(BODY)) + BODY[:100])
        said = rest(client)
    assert_closed(said)


def test_a_large_body_is_refused_before_it_comes_and_its_connection_is_closed(full):
    with connected(full.port) as client:
        client.sendall(head(full.port, 2**20))
        said = rest(client)
    assert_closed(said)


def test_a_client_that_waits_for_a_go_ahead_is_refused_without_one(full):
    with connected(full.port) as client:
        client.sendall(head(full.port, len(BODY), "Expect: 100-continue"))
        said = rest(client)
    assert_closed(said)


def test_a_chunked_body_is_refused_and_its_connection_closed(full):
    with connected(full.port) as client:
        client.sendall(head(full.port) + b"5\r\nhello\r\n")
        said = rest(client)
    assert_closed(said)


# Reading ------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """Notes what is written, how much may be read at once, and whether it is closed."""

    max_size = 2**18

    def __init__(self):
        super().__init__()
        self.written, self.closed = [], False

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name in ("sockname", "peername") else default

    def is_closing(self):
        return self.closed

    def get_protocol(self):
        return self.protocol

    def set_write_buffer_limits(self, high=None, low=None):
        return None

    def write(self, data):
        self.written.append(bytes(data))

    def close(self):
        self.closed = True

    def pause_reading(self):
        return None

    def resume_reading(self):
        return None


@contextlib.asynccontextmanager
async def connection(app):
    """A connection of the server's protocol to an app, and its wire."""
    config = settings()
    places = uvicorn_server.ConnectionPlaces(4)
    kind = protocols.http_protocol(config.limits, places)
    made = uvicorn_server.uvicorn.Config(app, http=kind, lifespan="off", log_level="error")
    made.load()
    state = uvicorn_server.uvicorn.server.ServerState()
    protocol, wire = kind(made, state, {}), Wire()
    wire.protocol = protocol
    protocol.connection_made(wire)
    try:
        yield protocol, wire
    finally:
        protocol.connection_lost(None)
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def waits(scope, receive, send):
    await asyncio.Event().wait()


async def sizes_after(parts: list[bytes]) -> list[int]:
    async with connection(waits) as (protocol, wire):
        found = [wire.max_size]
        for data in parts:
            protocol.data_received(data)
            found.append(wire.max_size)
    return found


def test_only_within_a_body_of_known_length_much_is_read_at_once():
    small, large = protocols._READ_BYTES, protocols._BODY_READ_BYTES
    parts = [head(1, 3 * large), bytes(large), bytes(2 * large)]
    assert asyncio.run(sizes_after(parts)) == [small, large, large, small]
    chunks = [head(1), b"5\r\nhello\r\n"]
    assert asyncio.run(sizes_after(chunks)) == [small, small, small]
    both = [head(1, 3 * large, "Transfer-Encoding: chunked"), b"5\r\nhello\r\n"]
    assert asyncio.run(sizes_after(both)) == [small, small, small]


def test_what_follows_a_body_is_not_read_in_large_pieces():
    small, large = protocols._READ_BYTES, protocols._BODY_READ_BYTES
    parts = [head(1, 2 * large), bytes(large), bytes(large - 10), bytes(10)]
    assert asyncio.run(sizes_after(parts)) == [small, large, large, small, small]
    assert asyncio.run(sizes_after([head(1, 100), bytes(60)])) == [small, small, small]


# Writing ------------------------------------------------------------------------------------------

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}


def body(data: bytes, more: bool = False) -> dict:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def writes_of(app, *requests: bytes) -> Wire:
    """What a connection wrote for some requests, each received after the turn of the last."""
    async with connection(app) as (protocol, wire):
        for request in requests:
            protocol.data_received(request)
            for _ in range(10):
                await asyncio.sleep(0)
    return wire


async def in_two_parts(scope, receive, send):
    await send(START)
    await send(body(b"ab", more=True))
    await send(body(b"cd"))


def test_the_head_of_a_response_is_written_with_the_first_part_of_its_body():
    wire = asyncio.run(writes_of(in_two_parts, GET))
    first, *later = [data for data in wire.written if data]
    assert first.startswith(b"HTTP/1.1 200")
    assert first.endswith(b"\r\n\r\nab")
    assert later == [b"cd"]


def test_each_response_of_a_connection_has_its_own_head_also_if_requests_are_pipelined():
    for requests in ([GET, GET], [GET + GET]):
        wire = asyncio.run(writes_of(in_two_parts, *requests))
        said = b"".join(wire.written)
        assert said.count(b"HTTP/1.1 200") == 2
        assert said.count(b"\r\n\r\nabcd") == 2
        assert len([data for data in wire.written if data]) == 4


def test_the_head_of_a_response_without_content_is_written():
    async def empty(scope, receive, send):
        await send({**START, "status": 204, "headers": []})
        await send(body(b""))

    wire = asyncio.run(writes_of(empty, GET))
    assert b"".join(wire.written).startswith(b"HTTP/1.1 204")


def test_a_go_ahead_is_written_at_once():
    async def reads(scope, receive, send):
        await receive()
        await waits(scope, receive, send)

    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    wire = asyncio.run(writes_of(reads, request))
    assert b"".join(wire.written).startswith(b"HTTP/1.1 100 ")


def test_the_head_of_a_response_that_breaks_off_is_written_before_the_connection_closes():
    async def breaks_off(scope, receive, send):
        await send(START)

    wire = asyncio.run(writes_of(breaks_off, GET))
    assert wire.closed
    assert b"".join(wire.written).startswith(b"HTTP/1.1 200")


# Decoders and memory ------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pipes of a chosen size")
def test_the_pipes_of_a_decoder_hold_a_clip():
    fcntl = pytest.importorskip("fcntl")
    process = decoder_process.spawn([sys.executable, "-c", "input()"])
    try:
        sizes = [
            fcntl.fcntl(one.fileno(), fcntl.F_GETPIPE_SZ) for one in (process.stdin, process.stdout)
        ]
    finally:
        process.kill()
        process.wait()
        decoder_process.close_pipes(process)
    assert all(size >= 2**16 for size in sizes)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pipes of a chosen size")
def test_a_user_without_room_for_larger_pipes_gets_decoders_with_small_ones(monkeypatch):
    def no_room(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(decoder_process, "fcntl", no_room)
    process = decoder_process.spawn([sys.executable, "-c", "print(1)"])
    assert process.wait(PATIENCE_SECONDS) == 0
    decoder_process.close_pipes(process)


def test_what_a_warm_server_keeps_is_out_of_garbage_collection():
    try:
        uvicorn_server._freeze()
        assert gc.get_freeze_count() > 1000
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_memory_is_returned_by_an_idle_server_and_now_and_then_by_a_busy_one(monkeypatch):
    returned = []
    monkeypatch.setattr(service_module, "release_memory", lambda: returned.append(1))
    monkeypatch.setattr(service_module, "_IDLE_SECONDS", 0.001)
    monkeypatch.setattr(service_module, "_BUSY_SECONDS", 0.003)

    async def act():
        service = create_app(settings(), {}).service
        task = asyncio.ensure_future(service.return_memory())
        await asyncio.sleep(0.05)
        assert not returned, "nothing was done that could have left memory"
        with service.admission.queue.slot("a client"):
            await asyncio.to_thread(until, lambda: len(returned) == 1)  # busy, and past the time
            with service.admission.queue.slot("another"):
                await asyncio.to_thread(until, lambda: len(returned) == 2)
        await asyncio.sleep(0.05)
        assert len(returned) == 2, "idle, and nothing new was done"
        monkeypatch.setattr(service_module, "_BUSY_SECONDS", 1e9)
        with service.admission.queue.slot("a third"):
            await asyncio.sleep(0.05)
            assert len(returned) == 2, "busy, and the time is not over"
        await asyncio.to_thread(until, lambda: len(returned) == 3)  # idle
        task.cancel()

    asyncio.run(act())
