"""The protocols of a connection: timeouts for slow clients, bounded reads and joined writes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from phonemo.server.connections.places import ConnectionPlaces
from phonemo.server.connections.request_heads import RefusingProtocol
from phonemo.server.settings import ServeLimits

#: Most bytes read from a socket at once. They are parsed without yielding to other connections, and
#: 256 KiB, the default of asyncio, can hold 40,000 chunks of one byte.
_READ_BYTES = 2**13
#: The same within a body that has a length, and so no chunks: as much as uvicorn holds unread.
_BODY_READ_BYTES = 2**16
#: More than the result of a stream of one hour, with its phonemes.
_MAX_UNSENT_BYTES = 2**24


class _WriteTimeoutMixin:
    """Aborts a connection whose client stops reading.

    The timer starts with the first byte that the socket does not accept, not at the high-water mark
    of asyncio (64 KiB), which a client that never reads might never reach.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    drain_seconds: float
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start with an empty write buffer."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)  # type: ignore[misc]

    def pause_writing(self) -> None:
        """Start the timer when data waits to be sent."""
        super().pause_writing()  # type: ignore[misc]
        self._write_timer = self.loop.call_later(self.drain_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer when all data has been sent."""
        self._cancel_timer()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer when the connection is closed."""
        self._cancel_timer()
        super().connection_lost(exc)  # type: ignore[misc]

    def _cancel_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()


def websocket_protocol(limits: ServeLimits, places: ConnectionPlaces) -> type[asyncio.Protocol]:
    """Return the WebSocket protocol with the limits of a stream."""

    class StreamProtocol(_WriteTimeoutMixin, WebSocketsSansIOProtocol):
        drain_seconds = limits.stream_idle_seconds

        def data_received(self, data: bytes) -> None:
            """Abort a client that sends pings but never reads the pongs, which would pile up."""
            super().data_received(data)
            if self.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            places.close(self.transport)
            super().connection_lost(exc)

    return StreamProtocol


class _BoundedReadProtocol(RefusingProtocol):
    """Limits how much is read from a socket at once; more within a body of known length.

    What may follow that body, such as another request with many chunks, is not read with it.
    """

    _rest = 0
    """Bytes of the body that are not read yet; up to _READ_BYTES more than there are."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit_reads(_READ_BYTES)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        super().data_received(data)
        self._rest = self._rest - len(data) if self.cycle is cycle else self._body_bytes()
        self._limit_reads(min(max(_READ_BYTES, self._rest), _BODY_READ_BYTES))

    def _limit_reads(self, most: int) -> None:
        if hasattr(self.transport, "max_size"):
            self.transport.max_size = most

    def _body_bytes(self) -> int:
        """Length of the body that has begun to arrive; 0 if it has chunks, or is complete."""
        fields = dict(self.headers or ())
        if self.conn.their_state is not h11.SEND_BODY or b"transfer-encoding" in fields:
            return 0
        return int(fields.get(b"content-length", 0))


class _JoinedHead:
    """The transport of one response, whose head is sent with the first part of its body.

    Uvicorn writes both apart: two system calls, and a client that wakes up twice.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle, self._transport = cycle, cycle.transport
        self._head: bytes | None = None
        """Held until the body begins; empty since then."""

    def write(self, data: bytes) -> None:
        """Hold the head of the response; send it with what follows it."""
        if self._head is None and self._cycle.response_started:
            self._head = data
        else:  # the body, or 100 Continue
            self._send(data)

    def close(self) -> None:
        """Send what is held, then close the connection."""
        if self._head:
            self._send(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)


class _JoinedWriteProtocol(_BoundedReadProtocol):
    """Sends the head of each response together with the first part of its body."""

    def handle_events(self) -> None:
        """Handle what was received; a request that begins gets its transport before it runs."""
        cycle = self.cycle
        super().handle_events()
        if self.cycle is not cycle:
            self.cycle.transport = cast(asyncio.Transport, _JoinedHead(self.cycle))


def http_protocol(limits: ServeLimits, places: ConnectionPlaces) -> type[asyncio.Protocol]:
    """Return the HTTP protocol with timeouts for request heads and for responses."""

    class TimeoutProtocol(_WriteTimeoutMixin, _JoinedWriteProtocol):
        """Uvicorn closes connections that idle after a response, but not slow ones."""

        drain_seconds = limits.read_seconds

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start_head_timer()
            places.open(transport, self._waits_for_head)

        def on_response_complete(self) -> None:
            self._head_timer.cancel()
            self._start_head_timer()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_timer.cancel()
            places.close(self.transport)
            super().connection_lost(exc)

        def _start_head_timer(self) -> None:
            self._head_timer = self.loop.call_later(limits.header_seconds, self._close_without_head)

        def _close_without_head(self) -> None:
            if self._waits_for_head():
                self.transport.close()

        def _waits_for_head(self) -> bool:
            upgraded = self.transport.get_protocol() is not self
            return self.conn.their_state is h11.IDLE and not upgraded

    return TimeoutProtocol
