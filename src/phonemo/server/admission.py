"""The way of a request with recordings: who may, whether there is room, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from fastapi import Request, Response

from phonemo.errors import PhonemoError
from phonemo.server.api_errors import ApiError, api_error_of, client_closed, racing
from phonemo.server.auth import AccessPolicy
from phonemo.server.service import Service

Read = TypeVar("Read")
Value = TypeVar("Value")
_TOO_MANY = 429


async def admitted(
    service: Service,
    access: AccessPolicy,
    request: Request,
    read: Callable[[Request], AbstractAsyncContextManager[Read]],
    answered: Callable[[Read], Awaitable[Response]],
) -> Response:
    """The response to a request that may be made and for which there is room.

    Args:
        service: has the places.
        access: who may.
        request: its body is not read yet.
        read: what reads it.
        answered: the response to what was read.

    Raises:
        Refusal: not ready, not allowed, no room, or what ``read`` and ``answered`` raise.
    """
    service.check_ready()
    access.check_origin(request.headers)
    access.check_key(request.headers)
    try:
        return await _taken_in(service, request, read, answered)
    except ApiError as refusal:
        if refusal.status == _TOO_MANY:
            await service.pace.wait()
        raise


async def in_time(service: Service, request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """The value of the work; it ends at the deadline, and where the client leaves.

    Raises:
        Refusal: past the deadline (504), the client left (499), or what the work raises.
    """
    return await _unless_gone(request, _before_deadline(service, work))


async def _taken_in(
    service: Service,
    request: Request,
    read: Callable[[Request], AbstractAsyncContextManager[Read]],
    answered: Callable[[Read], Awaitable[Response]],
) -> Response:
    """A slow client takes a place when its request is whole; a full house is told before that."""
    if service.is_full:
        raise service.queue_full()
    async with AsyncExitStack() as stack:
        with service.upload_slot():
            found = await stack.enter_async_context(read(request))
        with service.queue_slot():
            return await answered(found)


async def _before_deadline(service: Service, work: Coroutine[Any, Any, Value]) -> Value:
    seconds = service.limits.deadline_seconds
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        message = f"no answer within {seconds:g} s; send a shorter recording, or try again later"
        raise ApiError(504, "deadline_exceeded", message) from error
    except PhonemoError as error:
        raise api_error_of(error) from error


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
