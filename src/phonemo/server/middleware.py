"""ASGI middleware around every request: body limits, response headers and metrics.

Metric labels come from closed sets, so that their number stays small.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phonemo.server.api_errors import ApiError, service_unavailable
from phonemo.server.auth import AccessPolicy
from phonemo.server.settings import ServeLimits
from phonemo.version import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """Prometheus metrics of one app; each app has its own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        common: dict[str, Any] = {"namespace": "phonemo", "registry": registry}
        Gauge("info", "Version of the server.", ["version"], **common).labels(__version__).set(1)
        self.requests = Counter("requests", "Responses.", ["route", "method", "status"], **common)
        self.seconds = Histogram(
            "request_seconds", "From the head of a request to the end of its response.", ["route"],
            buckets=_SECONDS, **common,
        )  # fmt: skip
        self.stages = Histogram(
            "stage_seconds", "Time of one recording by stage.", ["stage"],
            buckets=_SECONDS, **common,
        )  # fmt: skip
        self.audio = Counter("audio_seconds", "Length of the recognized recordings.", **common)
        self.errors = Counter("errors", "Requests and streams that failed.", ["code"], **common)
        self.in_flight = Gauge("in_flight", "Recordings that wait or are processed.", **common)
        self.batches = Histogram(
            "batch_clips", "Recordings in a batch.", buckets=(1, 2, 4, 8, 16), **common
        )
        self.replaced = Counter(
            "decoders_replaced", "Decoder processes that were replaced.", ["reason"], **common
        )
        self.streams = Gauge("streams", "Open live streams.", **common)
        self.uploads = Gauge("uploads", "Requests that are being received.", **common)
        self.yielded = Counter(
            "yielded", "Places that one client yielded to another.", ["place"], **common
        )
        self.audio_bytes = Gauge(
            "waiting_audio_bytes", "Decoded audio of long recordings.", **common
        )
        self.backlog = Gauge(
            "backlog_audio_seconds", "Audio of all recordings that is not processed yet.", **common
        )
        self.rate = Gauge(
            "work_seconds_per_audio_second", "Measured speed of one worker; lower is faster.",
            **common,
        )  # fmt: skip

    def started(self, clips: int, waited: Sequence[float]) -> None:
        """Count a batch of clips and the seconds that each waited."""
        self.batches.observe(clips)
        for seconds in waited:
            self.stages.labels("queue").observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
#: Headers of every response.
HEADERS = {
    "Content-Security-Policy": _CONTENT,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: How long, and how many bytes, of a body are still read after an early response, so that a client
#: that sends its whole request before it reads gets the response and not a connection reset.
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 2**26
#: For so long a 429 waits for the rest of a body of so many bytes, so that its client can keep its
#: connection: a new one costs both sides more than the refusal.
_SMALL_SECONDS, _SMALL_BYTES = 0.05, 2**18
_INITIAL_READ_SECONDS = 5.0
_UNAUTHORIZED, _TOO_MANY_REQUESTS = 401, 429
#: An upload may become so much faster than it was so far.
_SPEED_UP = 2.0
#: Key of a scope: the context of the request, for the rate at which it arrives.
ARRIVAL = "phonemo.arrival"

log = logging.getLogger("phonemo.server")


class LimitsMiddleware:
    """Middleware around the whole app, including its handler for unhandled errors."""

    def __init__(
        self, app: ASGIApp, limits: ServeLimits, access: AccessPolicy, meters: Meters
    ) -> None:
        self._app = app
        self._limits, self._access, self._meters = limits, access, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a connection, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._stream(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._access.check_host(Headers(scope=scope))
        except ApiError:
            await send({"type": "websocket.close", "code": 1008})
            return
        scope["request_id"] = secrets.token_hex(8)
        await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        scope = _normalize(scope)
        scope["request_id"] = secrets.token_hex(8)
        scope[ARRIVAL] = context = _RequestContext(scope, receive, send, self._limits)
        try:
            self._check(Headers(scope=scope))
            await self._app(scope, context.receive, context.send)
        except ApiError as error:
            await self._refuse(error, context)
        except asyncio.CancelledError:  # the server stops and does not wait any longer
            if context.status:
                return  # the response has begun, or ends with the connection
            await self._refuse(service_unavailable("stopping", "the server stops"), context)
        finally:
            self._count(scope, context.status, perf_counter() - began)

    async def _refuse(self, error: ApiError, context: _RequestContext) -> None:
        self._meters.errors.labels(error.code).inc()
        await refused(error, context.scope)(context.scope, context.receive, context.send)

    def _check(self, headers: Headers) -> None:
        self._access.check_host(headers)
        if "transfer-encoding" in headers and "content-length" in headers:
            message = "expected Content-Length or Transfer-Encoding, got both; send one of them"
            raise ApiError(400, "invalid_http", message)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise _too_large(self._limits)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT") else "other"
        self._meters.requests.labels(route, method, str(status)).inc()
        self._meters.seconds.labels(route).observe(seconds)


def _normalize(scope: Scope) -> Scope:
    """Turn HEAD into GET, whose body uvicorn drops; remove Range, which nothing here needs."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": method, "headers": headers}


def refused(error: ApiError, scope: Scope) -> JSONResponse:
    """Return the response to an error of the request with this scope."""
    return JSONResponse(error.to_dict(scope.get("request_id")), error.status, error.headers)


class _RequestContext:
    """One request and its response, within the limits."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: ServeLimits) -> None:
        self.status = 0
        """Status of the response; 0 before it."""
        self.scope = scope
        self._receive, self._send, self._limits = receive, send, limits
        self._began = asyncio.get_running_loop().time()
        self._received = 0
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self._length = int(length) if length.isdigit() else 0
        self._complete = "transfer-encoding" not in headers and length == "0"
        self._expects_go_ahead = "expect" in headers
        self._id: str = scope["request_id"]

    @property
    def bytes_per_second(self) -> float:
        """At which the body has arrived so far."""
        return self._received / max(self._elapsed(), 0.1)

    async def receive(self) -> Message:
        """Receive more of the request; raise ApiError (413, 408) past its limits."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._began + self._read_deadline()):
                message = await self._receive()
        except TimeoutError as error:
            raise _too_slow(self._limits) from error
        self._update(message)
        if self._received > self._limits.body_bytes:
            raise _too_large(self._limits)
        if self._will_be_late():
            raise _too_slow(self._limits)
        return message

    async def send(self, message: Message) -> None:
        """Send the response with its headers; close the connection after an early response."""
        if message["type"] == "http.response.start":
            if message["status"] == _TOO_MANY_REQUESTS:
                await self._take_small_rest()
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not last or self._complete:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._drain_body()
        await self._send({"type": "http.response.body", "body": b""})

    def _read_deadline(self) -> float:
        """Return the seconds after the head by which the next part of the body must arrive."""
        earned = self._received / self._limits.slowest_bytes_per_second
        return min(self._limits.read_seconds, _INITIAL_READ_SECONDS + earned)

    def _will_be_late(self) -> bool:
        """Whether the rest cannot arrive in time, even if the client becomes faster."""
        if self._elapsed() < _INITIAL_READ_SECONDS or not self._length:
            return False
        seconds = max(0.0, self._limits.read_seconds - self._elapsed())
        possible = _SPEED_UP * self.bytes_per_second * seconds
        return self._length - self._received > possible

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def _update(self, message: Message) -> None:
        self._received += len(message.get("body", b""))
        self._complete = message["type"] == "http.disconnect" or not message.get("more_body", False)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers["X-Request-Id"] = self._id
        if self.status != _UNAUTHORIZED:  # how long a key is checked is nobody's business
            elapsed = asyncio.get_running_loop().time() - self._began
            headers.setdefault("Server-Timing", f"total;dur={1000 * elapsed:.1f}")
        if not self._complete:
            headers["Connection"] = "close"

    async def _take_small_rest(self) -> None:
        """Receive the rest of a small body that is on its way; its connection is then kept."""
        if self._complete or not 0 < self._length <= _SMALL_BYTES or self._expects_go_ahead:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_SMALL_SECONDS):
                while not self._complete:
                    self._update(await self._receive())

    async def _drain_body(self) -> None:
        limit = self._received + _LINGER_BYTES
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._complete and self._received < limit:
                    self._update(await self._receive())
        except (TimeoutError, asyncio.CancelledError):  # or the server stops
            log.debug("%s: the rest of a refused request was not received", self._id)


def _too_slow(limits: ServeLimits) -> ApiError:
    message = "the request arrives too slowly; send it faster, or send less; all of it must arrive "
    message += f"within {limits.read_seconds:g} s"
    return ApiError(408, "read_timeout", message)


def _too_large(limits: ServeLimits) -> ApiError:
    message = f"expected a request of at most {limits.body_bytes} bytes (limits.body_bytes), got "
    message += "more; send a shorter or compressed recording, such as FLAC or Opus"
    return ApiError(413, "body_too_large", message, "file")
