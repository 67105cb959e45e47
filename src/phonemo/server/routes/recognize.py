"""POST /v1/audio/emotions: recognize the emotion of a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer

from phonemo.errors import PhonemoError
from phonemo.labels import LabelSet
from phonemo.server.api_errors import api_error_of
from phonemo.server.auth import AccessPolicy
from phonemo.server.request_handling import handle_upload, run_with_deadline
from phonemo.server.routes.request_form import RecognizeRequest, form_schema, read_form
from phonemo.server.routes.responses import EMOTIONS, response_of
from phonemo.server.service import Service

#: Longer predictions are formatted in a thread, because that blocks the event loop noticeably.
_LONG_SECONDS = 60.0


def emotions_router(service: Service, access: AccessPolicy) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post(
        "/v1/audio/emotions",
        responses=EMOTIONS,
        openapi_extra={"requestBody": form_schema()},
        response_class=Response,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if access.wants_key else [],
        summary="Recognize the emotion of a recording",
        tags=["audio"],
    )
    async def emotions(request: Request) -> Response:
        """Recognize the emotion of a recording, overall and over time."""
        read = partial(read_form, profile_bytes=service.limits.profile_bytes)
        respond = partial(_respond, service, request, perf_counter())
        return await handle_upload(service, access, request, read, respond)

    return router


async def _respond(
    service: Service, request: Request, began: float, parsed: RecognizeRequest
) -> Response:
    uploaded = perf_counter()
    options = parsed.fields.options
    name, recognizer = service.registry.find(parsed.fields.model)
    if options.labels:
        _check_labels(recognizer.labels, options.labels)
    recognizer = service.registry.adapted(name, parsed.fields.profile, parsed.fields.profile_json)
    recognition = service.pipeline.recognize(parsed.upload, parsed.file, recognizer, options)
    served = await run_with_deadline(service, request, recognition)
    total = {"upload": uploaded - began, **served.timings, "total": perf_counter() - began}
    if served.prediction.seconds > _LONG_SECONDS:
        return await asyncio.to_thread(response_of, name, parsed, served, total)
    return response_of(name, parsed, served, total)


def _check_labels(known: Sequence[str], labels: Sequence[str]) -> None:
    """Raise ApiError for an unknown label before the recording is decoded."""
    try:
        LabelSet(tuple(known)).restrict(labels)
    except PhonemoError as error:
        raise api_error_of(error) from error
