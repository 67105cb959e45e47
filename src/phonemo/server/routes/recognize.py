"""POST /v1/audio/emotions: recognize the emotion of a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer

from phonemo.errors import PhonemoError
from phonemo.labels import LabelSet
from phonemo.server.api_errors import api_error_of
from phonemo.server.auth import AccessPolicy
from phonemo.server.request_handling import handle_upload, run_with_deadline
from phonemo.server.routes.body_description import OPTIONS, body_schemas
from phonemo.server.routes.raw_body import read_request
from phonemo.server.routes.request_form import RecognizeRequest
from phonemo.server.routes.responses import EMOTIONS, response_of
from phonemo.server.routes.server_timing import server_timing
from phonemo.server.service import Service

#: Longer predictions are formatted in a thread, because that blocks the event loop noticeably.
_LONG_SECONDS = 60.0


def emotions_router(service: Service, access: AccessPolicy) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post(
        "/v1/audio/emotions",
        responses=EMOTIONS,
        openapi_extra={"requestBody": body_schemas(), "parameters": OPTIONS},
        response_class=Response,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if access.wants_key else [],
        summary="Recognize the emotion of a recording",
        tags=["audio"],
    )
    async def emotions(request: Request) -> Response:
        """Recognize the emotion of a recording, overall and over time.

        The recording is the part `file` of a form, with the options as its other fields, or the
        whole body of the request, with the options in the address. `PUT` does the same, so that
        `curl -T my.wav` works.
        """
        read = partial(read_request, profile_bytes=service.limits.profile_bytes)
        respond = partial(_respond, service, request, perf_counter())
        return await handle_upload(service, access, request, read, respond)

    router.put("/v1/audio/emotions", include_in_schema=False)(emotions)
    router.put("/v1/audio/emotions/{name}", include_in_schema=False)(emotions)
    return router


async def _respond(
    service: Service, request: Request, began: float, parsed: RecognizeRequest
) -> Response:
    uploaded = perf_counter()
    options = parsed.fields.options
    name, recognizer = service.registry.find(parsed.fields.model)
    if options.labels:
        options = replace(options, labels=_resolve_labels(recognizer.labels, options.labels))
    fields, registry = parsed.fields, service.registry
    recognizer = registry.adapted(name, fields.profile, fields.profile_json)
    recognizer = registry.phoneme_options.chosen(recognizer, fields.decoding, fields.edges)
    recognition = service.pipeline.recognize(parsed.upload, parsed.file, recognizer, options)
    served = await run_with_deadline(service, request, recognition)
    total = {"upload": uploaded - began, **served.timings, "total": perf_counter() - began}
    if served.prediction.seconds > _LONG_SECONDS:
        response = await asyncio.to_thread(response_of, name, parsed, served, total)
    else:
        response = response_of(name, parsed, served, total)
    response.headers["Server-Timing"] = server_timing(total)
    return response


def _resolve_labels(known: Sequence[str], words: Sequence[str]) -> Sequence[str]:
    """Return the labels of the words in any spelling; ApiError before the recording is decoded."""
    labels = LabelSet(tuple(known))
    try:
        return labels.restrict(labels.resolved(words)).names
    except PhonemoError as error:
        raise api_error_of(error) from error
