"""What the HTTP parser refuses is answered, so that the client can read why."""

from __future__ import annotations

import json

import pytest

from phonemo.server.connections.request_heads import HEAD_BYTES
from tests.server.asking import PATH, ask, connected, raw, rest, wav
from tests.server.serving import until

FILL = b"a" * (3 * HEAD_BYTES)


def answer_to(port, sent):
    """Status line, headers and the error."""
    head, _, body = raw(port, sent).partition(b"\r\n\r\n")
    return head.split(b" ", 2)[1], head.lower(), json.loads(body)["error"]


def lines(port, *more):
    head = [b"POST " + PATH.encode() + b" HTTP/1.1", f"Host: 127.0.0.1:{port}".encode(), *more]
    return b"\r\n".join([*head, b"", b""])


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /version HTTP/1.1\r\nX: " + FILL + b"\r\n\r\n",
        b"GET /" + FILL + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 40_000 + b"\r\n",
    ],
)
def test_a_large_head_is_answered_with_431(port, sent):
    status, head, error = answer_to(port, sent)
    assert (status, error["code"]) == (b"431", "head_too_large")
    assert str(HEAD_BYTES) in error["message"]
    assert error["request_id"].encode() in head
    assert b"connection: close" in head
    assert ask(port, "/health/live").status == 200


def test_a_head_below_the_limit_is_accepted(port):
    assert ask(port, "/version", headers={"X": "a" * (HEAD_BYTES - 2000)}).status == 200


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / FTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_invalid_http_is_answered_in_json(port, sent):
    status, _, error = answer_to(port, sent)
    assert (status, error["code"]) == (b"400", "invalid_http")


def test_two_lengths_are_refused_and_the_connection_is_closed(port):
    """Behind a proxy that uses the other one, a second request could hide in the first."""
    more = (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Type: audio/wav")
    hidden = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
    found = raw(port, lines(port, *more) + b"0\r\n\r\n" + hidden)
    assert found.startswith(b"HTTP/1.1 400")
    assert b'"code":"invalid_http"' in found
    assert found.count(b"HTTP/1.1") == 1


def test_a_broken_chunk_is_answered_and_the_upload_ends(port, server):
    with connected(port) as client:
        more = (b"Transfer-Encoding: chunked", b"Content-Type: audio/wav")
        client.sendall(lines(port, *more) + b"4\r\nRIFF\r\nzz\r\n")
        assert b'"code": "invalid_http"' in rest(client)
    until(lambda: server.service.admission.is_idle)
    # by this server's own count: the log has the lines of other tests' servers too
    assert 'status="500"' not in ask(port, "/metrics").body.decode()
    assert ask(port, PATH, "POST", wav(0.1), {"Content-Type": "audio/wav"}).status == 200


def test_a_client_that_never_stops_is_cut_off(port):
    with connected(port) as client:
        try:
            for _ in range(200):
                client.sendall(b"a" * 2**16)
        except OSError:
            return
    raise AssertionError("12 MB of a head were read")
