"""Requests that the HTTP parser itself refuses: a head that is too large, or invalid HTTP.

Uvicorn answers both with a text and closes at once. What the client still sends then resets the
connection, and it never reads the answer.
"""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from phonemo.server.api_errors import ApiError

#: Most bytes of a request's head, as uvicorn has it by default.
HEAD_BYTES = 2**16
_TOO_LARGE = 431
#: How long, and how many bytes, of a refused request are still read.
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 2**22


class RefusingProtocol(H11Protocol):
    """Answers in JSON, then reads on for a moment, so that the client gets the answer."""

    _left: int | None = None
    """Bytes that are still read and dropped; None while the connection is in use."""

    def data_received(self, data: bytes) -> None:
        """Drop what follows a refused head."""
        if self._left is None:
            super().data_received(data)
            return
        self._left -= len(data)
        if self._left < 0:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer a request while the parser's error is handled: with 431, or with 400."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # the response has begun
            return
        for event in _events(_error_of(sys.exception())):
            self.transport.write(self.conn.send(event) or b"")
        self._left = _LINGER_BYTES
        self._end_cycle()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _end_cycle(self) -> None:
        """Let the app see a disconnected client, where it already processes the request."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()


def _error_of(fault: BaseException | None) -> ApiError:
    if isinstance(fault, h11.RemoteProtocolError) and fault.error_status_hint == _TOO_LARGE:
        message = f"the head of the request is too large; expected at most {HEAD_BYTES} bytes of "
        message += "address and headers; send long values in a form"
        return ApiError(_TOO_LARGE, "head_too_large", message)
    return ApiError(400, "invalid_http", "the request is not valid HTTP/1.1; send it again")


def _events(error: ApiError) -> tuple[Any, ...]:
    request_id = secrets.token_hex(8)
    body = json.dumps(error.to_dict(request_id)).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", request_id),
        ("connection", "close"),
    ]
    response = h11.Response(status_code=error.status, headers=headers, reason=b"")
    return response, h11.Data(data=body), h11.EndOfMessage()
