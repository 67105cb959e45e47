"""POST /v1/audio/emotions: a recording in, its emotion out."""

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
from phonemo.server.request_form import RecognizeRequest, form_schema, read_form
from phonemo.server.request_handling import handle_upload, run_with_deadline
from phonemo.server.responses import EMOTIONS, response_of
from phonemo.server.service import Service

_LONG_SECONDS = 60.0


def emotions_router(service: Service, access: AccessPolicy) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        "/v1/audio/emotions",
        responses=EMOTIONS,
        openapi_extra={"requestBody": form_schema()},
        response_class=Response,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if access.wants_key else [],
        summary="Hear the emotion of a recording",
        tags=["audio"],
    )
    async def emotions(request: Request) -> Response:
        """The emotion that is heard in a recording, in the whole of it and in time."""
        read = partial(read_form, profile_bytes=service.limits.profile_bytes)
        answered = partial(_answered, service, request, perf_counter())
        return await handle_upload(service, access, request, read, answered)

    return router


async def _answered(
    service: Service, request: Request, began: float, asked: RecognizeRequest
) -> Response:
    uploaded = perf_counter()
    wanted = asked.fields.options
    name, listener = service.registry.find(asked.fields.model)
    if wanted.labels:
        _check_labels(listener.labels, wanted.labels)
    listener = service.registry.adapted(name, asked.fields.profile, asked.fields.profile_json)
    hearing = service.pipeline.recognize(asked.upload, asked.file, listener, wanted)
    heard = await run_with_deadline(service, request, hearing)
    total = {"upload": uploaded - began, **heard.timings, "total": perf_counter() - began}
    if heard.prediction.seconds > _LONG_SECONDS:  # takes time that others wait for
        return await asyncio.to_thread(response_of, name, asked, heard, total)
    return response_of(name, asked, heard, total)


def _check_labels(known: Sequence[str], labels: Sequence[str]) -> None:
    """A wrong label is told before the work."""
    try:
        LabelSet(tuple(known)).restrict(labels)
    except PhonemoError as error:
        raise api_error_of(error) from error
