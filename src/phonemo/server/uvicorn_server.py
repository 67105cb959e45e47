"""From a config to a server that runs until a signal, and stops without losing an answer.

Uvicorn's protocols, for clients that dawdle: over a request's head, or over an answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from phonemo.errors import ModelError, PhonemoError, UsageError, safe_name
from phonemo.server.app import PhonemoApp, create_app
from phonemo.server.service import State
from phonemo.server.settings import ServeConfig, ServeLimits

#: Taken from a socket at once. What arrives together is parsed in one go, while nobody else is
#: answered: a quarter of a megabyte, asyncio's choice, can hold 40,000 chunks of one byte.
_READ_BYTES = 2**13
#: More than the answer to a stream of an hour, with its phonemes.
_MOST_UNSENT_BYTES = 2**24


class _WriteTimeoutMixin:
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

    class StreamProtocol(_WriteTimeoutMixin, WebSocketsSansIOProtocol):
        drain_seconds = limits.stream_idle_seconds

        def data_received(self, data: bytes) -> None:
            """A client that pings and never reads would have its pongs pile up."""
            super().data_received(data)
            if self.transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
                self.transport.abort()

    return StreamProtocol


def http_protocol(limits: ServeLimits) -> type[asyncio.Protocol]:
    """HTTP whose clients have so long to send the head of a request, and to take an answer in."""

    class TimeoutProtocol(_WriteTimeoutMixin, H11Protocol):
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

    return TimeoutProtocol


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS = 0.05
_BACKLOG = 2048
_PING_SECONDS = 20.0
_MOST_FILES = 2**16
#: For models, decoders, uploads and what Python has open.
_OWN_FILES = 128


def run(config: ServeConfig, tell: Callable[[str], None], access_log: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; what is in flight is then finished.

    Args:
        config: of the server.
        tell: takes the line that says where it serves, once it is warm.
        access_log: whether every request is a line on standard error.

    Raises:
        UsageError: the address cannot be listened on.
        PhonemoError: a model cannot be opened.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings are for clients
    config = _within(config, _files())
    listening = _bind(config)
    app = create_app(config, failed=lambda error: server.give_up(error))
    server = _Server(_settings(app, config, access_log), app, lambda: tell(_address(listening)))
    with listening:
        server.run(sockets=[listening])
    if isinstance(server.failure, PhonemoError):
        raise server.failure
    if server.failure is not None:
        raise ModelError(f"the models cannot be warmed up: {server.failure}") from server.failure


class _Server(uvicorn.Server):
    """Uvicorn that lets work finish before it closes its door, and then leaves with status 0."""

    def __init__(self, settings: uvicorn.Config, app: PhonemoApp, warm: Callable[[], None]) -> None:
        super().__init__(settings)
        self.failure: BaseException | None = None
        self._service, self._warm = app.service, warm
        self._told = False
        self._draining: asyncio.Task[None] | None = None

    def give_up(self, error: BaseException) -> None:
        """Stop, because there is nothing to serve."""
        self.failure = error
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours instead of uvicorn's, which would end the process by the signal after all."""
        loop = asyncio.get_running_loop()
        before = {one: signal.getsignal(one) for one in _SIGNALS}

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop)

        for one in _SIGNALS:
            signal.signal(one, stop)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    async def on_tick(self, counter: int) -> bool:
        """Say once that it is warm."""
        if not self._told and self._service.state is State.READY:
            self._told = True
            self._warm()
        return await super().on_tick(counter)

    def _stop(self) -> None:
        if self._service.stopping.is_set():  # a second signal: at once
            self.config.timeout_graceful_shutdown = 0
            self.should_exit = True
            return
        self._service.stop()
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._service.config.grace_seconds
        while not self._service.admission.is_idle and loop.time() < until:
            await asyncio.sleep(_POLL_SECONDS)
        self.should_exit = True  # what is left is cancelled a second later


def _files() -> int | None:
    """How many files this process may have open, as many as the system lets it; None: unknown."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return None if soft == resource.RLIM_INFINITY else soft


def _within(config: ServeConfig, files: int | None) -> ServeConfig:
    """With no more connections than there are files for, beside those of its own."""
    if files is None:
        return config
    most = min(config.limits.connections, max(1, files - _OWN_FILES))
    return config.model_copy(
        update={"limits": config.limits.model_copy(update={"connections": most})}
    )


def _settings(app: PhonemoApp, config: ServeConfig, access_log: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",  # what else is installed must not change what a limit means
        http=http_protocol(config.limits),
        ws=websocket_protocol(config.limits),
        ws_max_size=2 * config.limits.stream_message_bytes,  # the route tells those in between why
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="on",
        log_level="info" if access_log else "error",  # it warns of what clients do wrong
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=math.ceil(config.limits.header_seconds),
    )


def _bind(config: ServeConfig) -> socket.socket:
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # or Nagle waits
        if sys.platform != "win32":  # there it would let two listen at once
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no host name"
        where = f"{safe_name(config.host)} port {config.port}"
        raise UsageError(f"{where}: {reason}; name another --port or --host") from error
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
