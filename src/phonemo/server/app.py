"""The ASGI app: the routes of a service behind the limits middleware."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.api_errors import ApiError
from phonemo.server.auth import AccessPolicy
from phonemo.server.decoders.decoder_pool import PROGRAM
from phonemo.server.middleware import LimitsMiddleware, refused
from phonemo.server.models.model_registry import open_models
from phonemo.server.refusals.nearest_address import unknown_address, wrong_method
from phonemo.server.routes.info import about_router
from phonemo.server.routes.profile_routes import profiles_router
from phonemo.server.routes.recognize import emotions_router
from phonemo.server.routes.reference_routes import (
    not_found_page,
    reference_router,
    wants_html,
)
from phonemo.server.routes.stream import streams_router
from phonemo.server.service import Service
from phonemo.server.settings import ServeConfig
from phonemo.version import __version__

WEB = Path(__file__).parents[1] / "web"
_DESCRIPTION = """Emotions, and the phonemes that carry them, from recordings and live streams.

Live streams: `WS /v1/audio/stream?rate=16000` takes mono 16-bit PCM in binary messages, ends with
the text `{"type": "finish"}` and sends JSON events: `ready`, `window` and `segment` while it runs,
then `final` or `error`. `profile=NAME`, or the first text
`{"type": "profile", "profile_json": {...}}`, applies a profile; with `adapt=true` the stream's
windows adapt later ones, and the text `{"type": "reset"}` resets that profile."""
_NOT_FOUND, _WRONG_METHOD = 404, 405
_METHODS = ("GET", "POST", "PUT")
_CODES = {_NOT_FOUND: "not_found", _WRONG_METHOD: "method_not_allowed", 400: "invalid_form"}

log = logging.getLogger("phonemo.server")


class PhonemoApp(FastAPI):
    """FastAPI inside the limits middleware, which also sees the responses to unhandled errors."""

    service: Service
    outside: ASGIApp
    """The limits middleware inside optional CORS, so that other origins can read refusals too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        await self.outside(scope, receive, send)

    async def inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a connection that the limits middleware has passed on."""
        await super().__call__(scope, receive, send)


def create_app(
    config: ServeConfig | None = None,
    models: Mapping[str, EmotionRecognizer] | None = None,
    failed: Callable[[BaseException], None] | None = None,
    program: Sequence[str] = PROGRAM,
) -> PhonemoApp:
    """Create the server as an ASGI app.

    Args:
        config: server config; default values without one.
        models: name -> opened model; without, the app opens those of the config when it starts.
        failed: called when the models cannot be opened; without it, /health/ready stays 503.
        program: Python arguments that start a decoder; tests replace it.
    """
    config = config or ServeConfig()
    service = Service(config, program)
    access = AccessPolicy(config.access, config.host)
    open_all = partial(open_models, config) if models is None else lambda: models
    app = PhonemoApp(
        title="phonemo",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # its scripts would be loaded from a third-party host; see reference_routes
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy, a redirect leads from https to http
        openapi_url=None,  # served there too, behind a key if the config says so
        lifespan=partial(_lifespan, open_all, failed),
        exception_handlers={
            ApiError: _on_api_error,
            HTTPException: _on_http_exception,
            Exception: _on_unhandled_error,
        },
    )
    app.service = service
    app.outside = _with_cors(
        LimitsMiddleware(app.inside, config.limits, access, service.meters), config
    )
    app.include_router(emotions_router(service, access))
    app.include_router(profiles_router(service, access))
    app.include_router(streams_router(service, access))
    app.include_router(about_router(service, access, config))
    app.include_router(reference_router(service, access, app))
    if config.page:
        _add_page(app)
    return app


@asynccontextmanager
async def _lifespan(
    open_all: Callable[[], Mapping[str, EmotionRecognizer]],
    failed: Callable[[BaseException], None] | None,
    app: PhonemoApp,
) -> AsyncIterator[None]:
    starting = asyncio.create_task(app.service.start(open_all))
    starting.add_done_callback(partial(_log_failure, failed))
    returning = asyncio.create_task(app.service.return_memory())
    try:
        yield
    finally:
        for task in (starting, returning):
            task.cancel()
        await asyncio.gather(starting, returning, return_exceptions=True)
        await asyncio.to_thread(app.service.close)


def _log_failure(
    failed: Callable[[BaseException], None] | None, starting: asyncio.Task[None]
) -> None:
    error = None if starting.cancelled() else starting.exception()
    if error is None:
        return
    if failed is None:
        raise error
    failed(error)


def _with_cors(app: ASGIApp, config: ServeConfig) -> ASGIApp:
    origins = list(config.access.cors_origins)
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After", "Server-Timing", "X-Request-Id"],
    )


def _add_page(app: PhonemoApp) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/web", _Files(directory=WEB), name="web")


class _Files(StaticFiles):
    """Files of the page, revalidated on every load, so that an update takes effect at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-cache")
        return response


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    service: Service = request.app.service
    service.meters.errors.labels(error.code).inc()
    return refused(error, request.scope)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Convert FastAPI's own errors: an unknown path, a wrong method, an invalid form."""
    assert isinstance(error, HTTPException)
    message = _message_of(request, error)
    code = _CODES.get(error.status_code, "invalid_request")
    app: PhonemoApp = request.app
    app.service.meters.errors.labels(code).inc()
    if error.status_code == _NOT_FOUND and app.service.config.page and wants_html(request):
        return not_found_page(request, message, request.scope["request_id"])
    headers = dict(error.headers or {})
    if methods := _methods_of(request, error):
        headers["Allow"] = ", ".join(methods)
    return refused(ApiError(error.status_code, code, message, headers=headers), request.scope)


def _message_of(request: Request, error: HTTPException) -> str:
    if error.status_code == _NOT_FOUND:
        app: PhonemoApp = request.app
        addresses = list(app.openapi()["paths"])
        return unknown_address(request.scope["path"], addresses, app.service.config.page)
    if error.status_code == _WRONG_METHOD:
        return wrong_method(request.method, " or ".join(_methods_of(request, error)))
    return str(error.detail)


def _methods_of(request: Request, error: HTTPException) -> list[str]:
    """The methods that are possible instead; Starlette names those of the first route only."""
    first = [name for name in (error.headers or {}).get("Allow", "").split(", ") if name]
    if not first or error.status_code != _WRONG_METHOD:
        return []
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    found = [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]
    return found or first


async def _on_unhandled_error(request: Request, error: Exception) -> Response:
    """Respond to a bug: the traceback goes to the log, no detail to the client."""
    log.error("request %s failed", request.scope["request_id"])
    message = "the server failed; its log says why, with the request_id"
    return refused(ApiError(500, "internal_error", message), request.scope)
