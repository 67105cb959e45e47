"""What every request passes: caps while it is read, time limits, headers of every response."""

from __future__ import annotations

import socket
import tempfile
import threading
import time

import pytest

from phonemo.server.middleware import HEADERS
from tests.server.asking import (
    KIND,
    PATH,
    ask,
    connected,
    form,
    head,
    part,
    post,
    raw,
    rest,
    stream,
    wav,
)
from tests.server.serving import Held, served, settings, until

MOST = 200_000
READ_SECONDS, HEADER_SECONDS = 0.8, 0.8
LIMITS = {"body_bytes": MOST, "read_seconds": READ_SECONDS, "header_seconds": HEADER_SECONDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where uploads are spooled."""
    found = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(found))
        yield found


@pytest.fixture(scope="module")
def small(folder):
    """A server with small limits and a model that answers at once."""
    with served(settings(limits=LIMITS), {"held": Held()}) as found:
        yield found


def body_of(size):
    """A form with this number of bytes."""
    empty = form(part("file", b"", "a.wav"))
    return form(part("file", bytes(size - len(empty)), "a.wav"))


def chunked(data, size=10_000):
    return [data[at : at + size] for at in range(0, len(data), size)]


def status_of(said):
    return int(said.split(b" ", 2)[1])


# Size ---------------------------------------------------------------------------------------------


def test_a_body_at_the_limit_is_accepted(small):
    assert ask(small.port, PATH, "POST", body_of(MOST), KIND).told == (415, "unsupported_audio")


def test_a_larger_body_with_a_length_is_rejected_before_it_is_read(small):
    with connected(small.port) as client:
        client.sendall(head(small.port, MOST + 1))
        assert client.recv(12) == b"HTTP/1.1 413"  # nothing was sent of the body


def test_a_larger_chunked_body_is_rejected_and_leaves_no_file(small, folder):
    found = ask(small.port, PATH, "POST", chunked(body_of(MOST + 1)), KIND)
    assert found.told == (413, "body_too_large")
    assert ask(small.port, PATH, "POST", chunked(body_of(MOST)), KIND).status == 415
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("length", [MOST + 1, 10 * MOST, 2**63, 10**19])
def test_a_client_that_sends_everything_first_can_read_the_refusal(small, length):
    """The connection is not reset while the client still sends."""
    with connected(small.port) as client:
        client.sendall(head(small.port, length) + bytes(min(length, 5_000_000)))
        client.shutdown(socket.SHUT_WR)
        said = rest(client)
    assert status_of(said) == 413
    assert b"connection: close" in said.lower()
    assert b'"code":"body_too_large"' in said


def test_an_unexpected_body_is_discarded(small):
    for path in ("/health/live", "/nowhere"):
        found = ask(small.port, path, "GET", bytes(1000))
        assert found.status in (200, 404)
        assert found.headers["Connection"] == "close"


def test_a_rejected_request_gets_no_100_continue(small):
    with connected(small.port) as client:
        client.sendall(head(small.port, MOST + 1, "Expect: 100-continue"))
        assert client.recv(12) == b"HTTP/1.1 413"


def test_an_accepted_request_gets_100_continue(small):
    data = form(part("file", wav(0.1), "a.wav"))
    with connected(small.port) as client:
        client.sendall(head(small.port, len(data), "Expect: 100-continue\r\nConnection: close"))
        assert client.recv(1000).startswith(b"HTTP/1.1 100")
        client.sendall(data)
        assert status_of(rest(client)) == 200


# Time ---------------------------------------------------------------------------------------------


def drip(client, data, seconds=0.2):
    """Send a byte at a time until the server replies or closes; return the reply."""
    client.settimeout(seconds)
    for place in range(len(data)):
        try:
            client.sendall(data[place : place + 1])
            said = client.recv(1)
        except TimeoutError:
            continue
        except OSError:
            return b""
        client.settimeout(240)
        while said and not said.endswith(b"}}") and (more := client.recv(2**16)):
            said += more
        return said
    raise AssertionError("it took everything")


def test_a_slow_body_is_closed_at_the_limit(small, folder):
    with connected(small.port) as client:
        client.sendall(head(small.port, 1000))
        said = drip(client, body_of(1000))
    assert status_of(said) == 408
    assert b'"code":"read_timeout"' in said
    assert list(folder.iterdir()) == []
    assert small.service.admission.queue.in_use == 0


def test_a_slow_head_is_closed_at_the_limit(small):
    with connected(small.port) as client:
        assert drip(client, b"GET / HTTP/1.1\r\nX: " + b"x" * 100) == b""


def test_a_silent_connection_is_closed(small):
    with connected(small.port) as client:
        assert rest(client) == b""


def test_a_slow_second_head_is_closed_too(small):
    with connected(small.port) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = client.recv(2**16)
        while not said.endswith(b"}"):  # head and body come apart
            said += client.recv(2**16) or pytest.fail("the connection was closed")
        assert said.startswith(b"HTTP/1.1 200")
        assert drip(client, b"GET / HTTP/1.1\r\nX: " + b"x" * 100) == b""


def test_a_connection_with_timely_requests_stays_open(small):
    """Longer in all than one head may take."""
    with connected(small.port) as client:
        for _ in range(4):
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = b""
            while not said.endswith(b"}"):
                said += client.recv(2**16) or pytest.fail("the connection was closed")
            assert status_of(said) == 200
            time.sleep(HEADER_SECONDS * 0.4)


def test_waiting_for_a_response_does_not_close_the_connection(folder):
    model = Held()
    with served(settings(limits=LIMITS), {"held": model}) as found:
        model.go.clear()
        later = threading.Timer(2 * HEADER_SECONDS, model.go.set)
        later.start()
        assert post(found.port, wav(0.1)).status == 200
        later.join()


def test_an_open_stream_is_not_closed_by_the_head_timeout(small):
    with stream(small.port) as client:
        client.recv(timeout=240)
        time.sleep(1.5 * HEADER_SECONDS)
        client.ping().wait(240)


# What the wire may carry --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_invalid_http_is_rejected(small, lines):
    assert 400 <= status_of(raw(small.port, lines)) < 502


def test_content_length_with_chunks_is_one_request(small):
    """Two ideas of where a request ends are how one is smuggled through a proxy."""
    lines = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    hidden = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\n"
    said = raw(small.port, lines + hidden + b"Host: localhost\r\n\r\n")
    assert said.count(b"HTTP/1.1 ") <= 1
    assert b"phonemo_" not in said


def waits(port, sent):
    """Of others, in seconds, while a client sends this: the longest, and all of them together."""
    flood = threading.Thread(target=raw, args=[port, sent])
    worst, start = 0.0, time.perf_counter()
    flood.start()
    while flood.is_alive():
        began = time.perf_counter()
        assert ask(port, "/health/live").status == 200
        worst = max(worst, time.perf_counter() - began)
    flood.join()
    return worst, time.perf_counter() - start


def test_a_flood_of_tiny_chunks_does_not_block_others(small):
    """What is read at once from a connection is worked through at once: it must be little."""
    flood = head(small.port) + b"1\r\n-\r\n" * 300_000
    floods = (waits(small.port, flood) for _ in range(3))
    assert any(longest < max(0.4, took / 3) for longest, took in floods), "the aim is 0.1 s"


# Headers ------------------------------------------------------------------------------------------


def broken(found):
    """A server whose models cannot be listed."""
    found.service.registry.models = None
    return ask(found.port, "/v1/models")


@pytest.mark.parametrize(
    "found",
    [
        lambda port: ask(port, "/health/live"),
        lambda port: ask(port, "/"),
        lambda port: ask(port, "/web/index.html"),
        lambda port: ask(port, "/web/nothing"),
        lambda port: ask(port, "/nowhere"),
        lambda port: ask(port, "/openapi.json"),
        lambda port: ask(port, "/metrics"),
        lambda port: ask(port, PATH),
        lambda port: ask(port, PATH, "POST", b"x"),
        lambda port: ask(port, "/", headers={"Host": "evil.example"}),
        lambda port: ask(port, PATH, "POST", bytes(MOST + 1)),
        lambda port: post(port, wav(0.1)),
        lambda port: post(port, wav(0.1), response_format="csv"),
    ],
)
def test_every_response_has_the_security_headers(small, found):
    headers = found(small.port).headers
    for name, value in HEADERS.items():
        assert headers.get_all(name) == [value]
    assert len(headers["X-Request-Id"]) == 16
    assert "server" not in headers


def test_a_server_error_has_the_headers_and_no_details(folder):
    with served(settings(limits=LIMITS), {"held": Held()}) as small:
        found = broken(small)
        assert found.told == (500, "internal_error")
        assert "NoneType" not in found.body.decode()
        assert all(name in found.headers for name in (*HEADERS, "X-Request-Id"))
        until(lambda: any("NoneType" in one for one in small.complaints.lines))
        assert ask(small.port, "/health/live").status == 200


def test_request_ids_are_unique_and_never_from_the_client(small):
    given = {"X-Request-Id": "mine\tand <b>yours</b>"}
    found = [ask(small.port, "/health/live", headers=given) for _ in range(5)]
    names = {one.headers["X-Request-Id"] for one in found}
    assert len(names) == 5
    assert all(one.isalnum() for one in names)


def test_only_the_scripts_of_the_page_can_run():
    rules = dict(one.split(" ", 1) for one in HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
