"""What every request passes: caps while its body is read, headers of its response, its counters.

What /metrics tells Prometheus; labels come from closed lists, so that they stay few.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
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
    """The server's counters; one set for each app, so that two in one process stay apart."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        made: dict[str, Any] = {"namespace": "phonemo", "registry": registry}
        Gauge("info", "The version that answers.", ["version"], **made).labels(__version__).set(1)
        self.requests = Counter("requests", "Responses.", ["route", "method", "status"], **made)
        self.seconds = Histogram(
            "request_seconds", "From a request's head to the end of its response.", ["route"],
            buckets=_SECONDS, **made,
        )  # fmt: skip
        self.stages = Histogram(
            "stage_seconds", "Of one recording, by stage.", ["stage"], buckets=_SECONDS, **made
        )
        self.audio = Counter("audio_seconds", "Length of the recordings that were heard.", **made)
        self.errors = Counter("errors", "Requests and streams without an answer.", ["code"], **made)
        self.in_flight = Gauge("in_flight", "Recordings that wait or are worked on.", **made)
        self.batches = Histogram(
            "batch_clips", "Recordings heard together.", buckets=(1, 2, 4, 8, 16), **made
        )
        self.replaced = Counter("decoders_replaced", "Decoders that were lost.", ["reason"], **made)
        self.streams = Gauge("streams", "Live streams that are open.", **made)

    def started(self, clips: int, waited: Sequence[float]) -> None:
        """A thread took so many recordings, which had waited so many seconds."""
        self.batches.observe(clips)
        for one in waited:
            self.stages.labels("queue").observe(one)

    def text(self) -> bytes:
        """Everything, in Prometheus' format."""
        return generate_latest(self.registry)


_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
#: On every response.
HEADERS = {
    "Content-Security-Policy": _CONTENT,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: A response that comes before the body was read: so long, and so much of it, is still taken in,
#: so that a client which sends first and reads then finds the response and not a reset.
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 2**26
_PATIENCE_SECONDS = 5.0

log = logging.getLogger("phonemo.server")


class LimitsMiddleware:
    """Around the whole app, its own last resort for errors included."""

    def __init__(
        self, app: ASGIApp, limits: ServeLimits, access: AccessPolicy, meters: Meters
    ) -> None:
        self._app = app
        self._limits, self._access, self._meters = limits, access, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
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
        await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        scope = _plain(scope)
        exchange = _RequestContext(scope, receive, send, self._limits)
        try:
            self._check(Headers(scope=scope))
            await self._app(scope, exchange.receive, exchange.send)
        except ApiError as refusal:
            await self._refuse(refusal, exchange)
        except asyncio.CancelledError:  # the server stops, and waits no longer
            if exchange.status:
                return  # the response is on its way, or cut off with the connection
            await self._refuse(service_unavailable("stopping", "the server stops"), exchange)
        finally:
            self._count(scope, exchange.status, perf_counter() - began)

    async def _refuse(self, refusal: ApiError, exchange: _RequestContext) -> None:
        self._meters.errors.labels(refusal.code).inc()
        await refused(refusal)(exchange.scope, exchange.receive, exchange.send)

    def _check(self, headers: Headers) -> None:
        self._access.check_host(headers)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise _too_large(self._limits)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
        self._meters.requests.labels(route, method, str(status)).inc()
        self._meters.seconds.labels(route).observe(seconds)


def _plain(scope: Scope) -> Scope:
    """HEAD as GET, for uvicorn leaves the body out; no Range, for nothing here is so large."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    headers = [one for one in scope["headers"] if one[0] != b"range"]
    return {**scope, "method": method, "headers": headers}


def refused(refusal: ApiError) -> JSONResponse:
    """The response that an error is."""
    return JSONResponse(refusal.to_dict(), refusal.status, refusal.headers)


class _RequestContext:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: ServeLimits) -> None:
        self.status = 0
        """Of the response; 0 where there was none."""
        self.scope = scope
        self._receive, self._send, self._limits = receive, send, limits
        self._began = asyncio.get_running_loop().time()
        self._taken = 0
        headers = Headers(scope=scope)
        self._whole = (
            "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        )
        self._id = secrets.token_hex(8)

    async def receive(self) -> Message:
        """More of the request, within its limits; Refusal (413, 408) past them."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._began + self._read_deadline()):
                message = await self._receive()
        except TimeoutError as error:
            raise ApiError(
                408, "read_timeout", "the request arrives too slowly; send it faster, or less"
            ) from error
        self._took(message)
        if self._taken > self._limits.body_bytes:
            raise _too_large(self._limits)
        return message

    async def send(self, message: Message) -> None:
        """The response, with its headers; the connection of one that came early is closed."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not last or self._whole:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._drain_body()
        await self._send({"type": "http.response.body", "body": b""})

    def _read_deadline(self) -> float:
        """How long after its head the next part of the request may come."""
        earned = self._taken / self._limits.slowest_bytes_per_second
        return min(self._limits.read_seconds, _PATIENCE_SECONDS + earned)

    def _took(self, message: Message) -> None:
        self._taken += len(message.get("body", b""))
        self._whole = message["type"] == "http.disconnect" or not message.get("more_body", False)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers["X-Request-Id"] = self._id
        if not self._whole:
            headers["Connection"] = "close"

    async def _drain_body(self) -> None:
        most = self._taken + _LINGER_BYTES
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._whole and self._taken < most:
                    self._took(await self._receive())
        except (TimeoutError, asyncio.CancelledError):  # or the server stops
            log.debug("%s: the rest of a refused request is not waited for", self._id)


def _too_large(limits: ServeLimits) -> ApiError:
    most = f"at most {limits.body_bytes} bytes are taken"
    return ApiError(413, "body_too_large", f"the request is too large; {most}", "file")
