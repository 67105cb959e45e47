"""POST /v1/audio/emotions: a recording in, its emotion out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer

from phonemo.errors import PhonemoError
from phonemo.labels import LabelSet
from phonemo.server.access import Access
from phonemo.server.answers import response_of
from phonemo.server.forms import Asked, form_schema, read_form
from phonemo.server.racing import racing
from phonemo.server.refusals import Refusal, client_closed, refusal_of
from phonemo.server.schemas import EMOTIONS
from phonemo.server.service import Heard, Service

Value = TypeVar("Value")
_TOO_MANY = 429
_LONG_SECONDS = 60.0


def emotions_router(service: Service, access: Access) -> APIRouter:
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
        began = perf_counter()
        service.check_ready()
        access.check_origin(request.headers)
        access.check_key(request.headers)
        try:
            return await _taken_in(service, request, began)
        except Refusal as refusal:
            if refusal.status == _TOO_MANY:
                await service.pace.wait()
            raise

    return router


async def _taken_in(service: Service, request: Request, began: float) -> Response:
    """A slow client takes a place when its request is whole; a full house is told before that."""
    if service.is_full:
        raise service.too_many()
    async with AsyncExitStack() as stack:
        with service.upload():
            asked = await stack.enter_async_context(read_form(request))
        with service.place():
            return await _answered(service, request, asked, began)


async def _answered(service: Service, request: Request, asked: Asked, began: float) -> Response:
    uploaded = perf_counter()
    wanted = asked.fields.wanted
    name, listener = service.model(asked.fields.model)
    if wanted.labels:
        _check_labels(listener.labels, wanted.labels)
    hearing = service.hear(asked.upload, asked.file, listener, wanted)
    heard = await _unless_gone(request, _in_time(service, hearing))
    total = {"upload": uploaded - began, **heard.timings, "total": perf_counter() - began}
    if heard.prediction.seconds > _LONG_SECONDS:  # takes time that others wait for
        return await asyncio.to_thread(response_of, name, asked, heard, total)
    return response_of(name, asked, heard, total)


def _check_labels(known: Sequence[str], labels: Sequence[str]) -> None:
    """A wrong label is told before the work."""
    try:
        LabelSet(tuple(known)).restrict(labels)
    except PhonemoError as error:
        raise refusal_of(error) from error


async def _in_time(service: Service, hearing: Coroutine[Any, Any, Heard]) -> Heard:
    seconds = service.limits.deadline_seconds
    try:
        async with asyncio.timeout(seconds):
            return await hearing
    except TimeoutError as error:
        message = f"no answer within {seconds:g} s; send a shorter recording, or try again later"
        raise Refusal(504, "deadline_exceeded", message) from error
    except PhonemoError as error:
        raise refusal_of(error) from error


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """The value, or an end of the work where its client leaves meanwhile."""
    async with racing(work, _gone(request)) as (working, gone):
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise client_closed()
        found: Value = working.result()
        return found


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
