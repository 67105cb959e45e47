"""Uvicorn's protocols, for clients that dawdle: over a request's head, or over an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from phonemo.config import ServeLimits

#: Taken from a socket at once. What arrives together is parsed in one go, while nobody else is
#: answered: a quarter of a megabyte, asyncio's choice, can hold 40,000 chunks of one byte.
_READ_BYTES = 2**13
#: More than the answer to a stream of an hour, with its phonemes.
_MOST_UNSENT_BYTES = 2**24


class _Drains:
    """A connection is given up when its client takes nothing in any more.

    The clock runs from the first byte that the system does not take, not from asyncio's 64 KiB on,
    which a client that never reads might never fill.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    drain_seconds: float
    _full: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """It is there."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)  # type: ignore[misc]

    def pause_writing(self) -> None:
        """Something waits to be sent."""
        super().pause_writing()  # type: ignore[misc]
        self._full = self.loop.call_later(self.drain_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """All of it has left."""
        self._let()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by either side."""
        self._let()
        super().connection_lost(exc)  # type: ignore[misc]

    def _let(self) -> None:
        if self._full is not None:
            self._full.cancel()


def websocket_protocol(limits: ServeLimits) -> type[asyncio.Protocol]:
    """WebSocket, with the limits of a stream."""

    class Stream(_Drains, WebSocketsSansIOProtocol):
        drain_seconds = limits.stream_idle_seconds

        def data_received(self, data: bytes) -> None:
            """A client that pings and never reads would have its pongs pile up."""
            super().data_received(data)
            if self.transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
                self.transport.abort()

    return Stream


def http_protocol(limits: ServeLimits) -> type[asyncio.Protocol]:
    """HTTP whose clients have so long to send the head of a request, and to take an answer in."""

    class Patient(_Drains, H11Protocol):
        """Uvicorn closes a connection that is idle after a response, but not one that dawdles."""

        drain_seconds = limits.read_seconds

        def connection_made(self, transport: Any) -> None:
            if hasattr(transport, "max_size"):
                transport.max_size = _READ_BYTES
            super().connection_made(transport)
            self._wait_for_head()
            if len(self.connections) > limits.connections:
                transport.abort()

        def on_response_complete(self) -> None:
            self._patience.cancel()
            self._wait_for_head()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.cancel()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._patience = self.loop.call_later(limits.header_seconds, self._give_up)

        def _give_up(self) -> None:
            upgraded = self.transport.get_protocol() is not self
            if self.conn.their_state is h11.IDLE and not upgraded:
                self.transport.close()

    return Patient
