"""Run the app in uvicorn until a signal, with a graceful stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import uvicorn

from phonemo.errors import ModelError, PhonemoError, UsageError, safe_name
from phonemo.runtime.heap import map_large_blocks
from phonemo.server.app import PhonemoApp, create_app
from phonemo.server.connections.places import ConnectionPlaces
from phonemo.server.connections.protocols import http_protocol, websocket_protocol
from phonemo.server.connections.request_heads import HEAD_BYTES
from phonemo.server.service import State
from phonemo.server.settings import ServeConfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_SECONDS = 0.05
_BACKLOG = 2048
_PING_SECONDS = 20.0
_MAX_FILES = 2**16
#: Reserved for models, decoders, uploads and the interpreter.
_RESERVED_FILES = 128


def run(
    config: ServeConfig,
    tell: Callable[[str], None],
    access_log: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress.

    Args:
        config: server config.
        tell: called with the address once the server is warm.
        access_log: whether to log every request on standard error.
        progress: called several times a second while the server warms up, with the seconds so far
            and what it waits for.

    Raises:
        UsageError: the address cannot be bound.
        PhonemoError: a model cannot be opened.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns about bad requests
    map_large_blocks()
    config = _limit_connections(config, _raise_file_limit())
    listening = _bind(config)
    app = create_app(config, failed=lambda error: server.give_up(error))
    server = _Server(_settings(app, config, access_log), app, lambda: tell(_address(listening)))
    server.progress = progress
    with listening:
        server.run(sockets=[listening])
    if isinstance(server.failure, PhonemoError):
        raise server.failure
    if server.failure is not None:
        raise ModelError(f"the models cannot be warmed up: {server.failure}") from server.failure


class _Server(uvicorn.Server):
    """Uvicorn server that finishes requests before it shuts down, and exits with status 0."""

    def __init__(self, settings: uvicorn.Config, app: PhonemoApp, warm: Callable[[], None]) -> None:
        super().__init__(settings)
        self.failure: BaseException | None = None
        self._service, self._warm = app.service, warm
        self.progress: Callable[[float, str], None] | None = None
        self._began = monotonic()
        self._announced = False
        self._draining: asyncio.Task[None] | None = None

    def give_up(self, error: BaseException) -> None:
        """Stop because the models cannot be opened."""
        self.failure = error
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replace uvicorn's handlers, which re-raise the signal after the shutdown."""
        loop = asyncio.get_running_loop()
        previous = {number: signal.getsignal(number) for number in _SIGNALS}

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop)

        for number in _SIGNALS:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Report the progress of the start, then announce once that the server is warm."""
        if self.progress is not None and self._service.state is State.STARTING:
            self.progress(monotonic() - self._began, self._service.waits_for)
        if not self._announced and self._service.state is State.READY:
            self._announced = True
            _freeze()
            self._warm()
        return await super().on_tick(counter)

    def _stop(self) -> None:
        if self._service.stopping.is_set():  # a second signal stops at once
            self.config.timeout_graceful_shutdown = 0
            self.should_exit = True
            return
        self._service.stop()
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._service.config.grace_seconds
        while not self._service.admission.is_idle and loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        self.should_exit = True  # the remaining requests are cancelled a second later


def _freeze() -> None:
    """Take what lives as long as the server out of garbage collection.

    Each walk through modules and models would stop all work for 50 ms and more.
    """
    gc.collect()
    gc.freeze()


def _raise_file_limit() -> int | None:
    """Raise the limit on open files as far as allowed, and return it; None if unknown."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return None if soft == resource.RLIM_INFINITY else soft


def _limit_connections(config: ServeConfig, files: int | None) -> ServeConfig:
    """Limit the connections to the number of files that may be open."""
    if files is None:
        return config
    limit = min(config.limits.connections, max(1, files - _RESERVED_FILES))
    return config.model_copy(
        update={"limits": config.limits.model_copy(update={"connections": limit})}
    )


def _settings(app: PhonemoApp, config: ServeConfig, access_log: bool) -> uvicorn.Config:
    places = ConnectionPlaces(config.limits.connections)
    return uvicorn.Config(
        app,
        loop="asyncio",  # installed uvloop must not change the meaning of the limits
        http=http_protocol(config.limits, places),
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws=websocket_protocol(config.limits, places),
        ws_max_size=2 * config.limits.stream_message_bytes,  # the route refuses smaller ones
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=None,  # a pong waits behind samples; without any, the stream idles
        ws_per_message_deflate=False,
        lifespan="on",
        log_level="info" if access_log else "error",  # it warns about clients' mistakes
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
        # with IPPROTO_TCP, asyncio disables Nagle's algorithm
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":  # there it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no host name"
        where = f"{safe_name(config.host)} port {config.port}"
        raise UsageError(f"{where}: {reason}; choose another --port or --host") from error
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
