"""The app: routes over a service, behind a gate."""

from __future__ import annotations

import asyncio
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
from starlette.types import ASGIApp, Receive, Scope, Send

from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.api_errors import ApiError
from phonemo.server.auth import AccessPolicy
from phonemo.server.decoders.decoder_pool import PROGRAM
from phonemo.server.middleware import LimitsMiddleware, refused
from phonemo.server.model_registry import open_models
from phonemo.server.routes.info import about_router
from phonemo.server.routes.profile_routes import profiles_router
from phonemo.server.routes.recognize import emotions_router
from phonemo.server.routes.stream import streams_router
from phonemo.server.service import Service
from phonemo.server.settings import ServeConfig
from phonemo.version import __version__

WEB = Path(__file__).parent / "web"
_DESCRIPTION = """Emotions, and the phonemes that carry them, from recordings and live streams.

Live streams: `WS /v1/audio/stream?rate=16000` takes mono 16-bit PCM in binary messages, ends with
the text `{"type": "finish"}` and answers in JSON: `ready`, `window` and `segment` while it runs,
then `final` or `error`. `profile=NAME`, or the first text
`{"type": "profile", "profile_json": {...}}`, applies a profile; with `adapt=true` the stream's
own windows adapt those that follow, and the text `{"type": "reset"}` forgets them."""
_CODES = {404: "not_found", 405: "method_not_allowed", 400: "invalid_form"}


class PhonemoApp(FastAPI):
    """FastAPI behind the gate, through which its own last resort for errors goes too."""

    service: Service
    outside: ASGIApp
    """The gate, and around it CORS where that is wanted, so that refusals can be read too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.outside(scope, receive, send)

    async def inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the gate lets through."""
        await super().__call__(scope, receive, send)


def create_app(
    config: ServeConfig | None = None,
    models: Mapping[str, EmotionRecognizer] | None = None,
    failed: Callable[[BaseException], None] | None = None,
    program: Sequence[str] = PROGRAM,
) -> PhonemoApp:
    """The server as an ASGI app.

    Args:
        config: of the server; the defaults without.
        models: name -> opened model; without, those of the config are opened when the app starts.
        failed: called where the models cannot be opened; without, /health/ready stays 503.
        program: what decodes, for tests.
    """
    config = config or ServeConfig()
    service = Service(config, program)
    access = AccessPolicy(config.access, config.host)
    opened = partial(open_models, config) if models is None else lambda: models
    app = PhonemoApp(
        title="phonemo",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        lifespan=partial(_lifespan, opened, failed),
        exception_handlers={
            ApiError: _refused,
            HTTPException: _not_routed,
            Exception: _broken,
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
    if config.page:
        _add_page(app)
    return app


@asynccontextmanager
async def _lifespan(
    opened: Callable[[], Mapping[str, EmotionRecognizer]],
    failed: Callable[[BaseException], None] | None,
    app: PhonemoApp,
) -> AsyncIterator[None]:
    starting = asyncio.create_task(app.service.start(opened))
    starting.add_done_callback(partial(_log_failure, failed))
    try:
        yield
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
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
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


def _add_page(app: PhonemoApp) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/web", _Files(directory=WEB), name="web")


class _Files(StaticFiles):
    """The page's files, which a browser asks for anew, so that an update is seen."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-cache")
        return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    service: Service = request.app.service
    service.meters.errors.labels(error.code).inc()
    return refused(error)


async def _not_routed(request: Request, error: Exception) -> Response:
    """What FastAPI itself refuses: an unknown path, a wrong method, a form that is none."""
    assert isinstance(error, HTTPException)
    message = {
        404: "no such address; GET /openapi.json describes those that are there",
        405: f"{request.method} is not for this address",
    }.get(error.status_code, str(error.detail))
    code = _CODES.get(error.status_code, "invalid_request")
    request.app.service.meters.errors.labels(code).inc()
    return refused(ApiError(error.status_code, code, message, headers=dict(error.headers or {})))


async def _broken(request: Request, error: Exception) -> Response:
    """A fault of ours; its traceback goes to the log, and nothing of it to the client."""
    return refused(ApiError(500, "internal_error", "the server failed; its log says why"))
