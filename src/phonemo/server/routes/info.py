"""Health, version, models, limits and metrics of the server."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.session import onnxruntime
from phonemo.server.api_errors import ApiError
from phonemo.server.auth import AccessPolicy
from phonemo.server.formats import accepted_formats, reads_media
from phonemo.server.middleware import CONTENT_TYPE
from phonemo.server.routes.answer_schemas import Limits, ModelCard, ModelList, Status, Version
from phonemo.server.routes.responses import NOT_READY
from phonemo.server.service import Service
from phonemo.server.settings import ServeConfig
from phonemo.version import __version__


def about_router(service: Service, access: AccessPolicy, config: ServeConfig) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    keys = [Depends(HTTPBearer(auto_error=False))] if access.about_needs_key else []

    @router.get("/healthz", include_in_schema=False)
    @router.get("/health", include_in_schema=False)
    @router.get("/health/live", tags=["health"], summary="Is the process alive?")
    async def live() -> Status:
        return Status(status="ok")

    @router.get(
        "/health/ready", tags=["health"], summary="Is the server ready for requests?",
        responses=NOT_READY,
    )  # fmt: skip
    async def ready() -> Status:
        service.check_ready()
        return Status(status="ok")

    @router.get(
        "/version", tags=["about"], summary="Version of the server", dependencies=keys,
    )  # fmt: skip
    async def version(request: Request) -> Version:
        access.check_about(request.headers)
        return Version(phonemo=__version__, onnxruntime=onnxruntime().__version__)

    @router.get(
        "/v1/models", tags=["about"], summary="The served models", dependencies=keys,
    )  # fmt: skip
    async def models(request: Request) -> ModelList:
        access.check_about(request.headers)
        cards = [_card(name, recognizer) for name, recognizer in service.registry.models.items()]
        return ModelList(object="list", data=cards)

    @router.get("/v1/limits", tags=["about"], summary="Limits of a request")
    async def limits() -> Limits:
        return _limits(service, access)

    @router.get("/metrics", tags=["about"], include_in_schema=False)
    async def metrics(request: Request) -> Response:
        access.check_about(request.headers)
        if not config.access.metrics:
            raise ApiError(404, "not_found", "the metrics of this server are off (access.metrics)")
        return Response(service.meters.text(), media_type=CONTENT_TYPE)

    return router


def _card(name: str, recognizer: EmotionRecognizer) -> ModelCard:
    details: dict[str, Any] = {}
    if isinstance(recognizer, OnnxRecognizer):
        card = recognizer.card
        details = {
            "phonemes": card.inventory is not None,
            "precision": card.precision,
            "licence": card.licence,
        }
    return ModelCard(
        id=name,
        object="model",
        labels=list(recognizer.labels),
        decodings=list(recognizer.phoneme_decoder.decodings),
        device=recognizer.device,
        whole_seconds=recognizer.whole_seconds,
        window_seconds=recognizer.window_seconds,
        **details,
    )


def _limits(service: Service, access: AccessPolicy) -> Limits:
    limits = service.limits
    return Limits(
        body_bytes=limits.body_bytes,
        audio_seconds=limits.audio_seconds,
        stream_seconds=limits.stream_seconds,
        stream_message_bytes=limits.stream_message_bytes,
        key_required=access.wants_key,
        formats=accepted_formats(),
        media=reads_media(),
    )
