"""Steps shared by the upload routes: access, admission, deadline and client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request, Response

from phonemo.errors import PhonemoError
from phonemo.runtime.heap import clear_frames
from phonemo.server.api_errors import ApiError, api_error_of, client_closed
from phonemo.server.auth import AccessPolicy
from phonemo.server.fairness.clients import CLIENT, client_of
from phonemo.server.fairness.deadlines import deadline
from phonemo.server.middleware import ARRIVAL
from phonemo.server.service import Service

Form = TypeVar("Form")
Value = TypeVar("Value")
_TOO_MANY_REQUESTS = 429


async def handle_upload(
    service: Service,
    access: AccessPolicy,
    request: Request,
    read: Callable[[Request], AbstractAsyncContextManager[Form]],
    respond: Callable[[Form], Awaitable[Response]],
) -> Response:
    """Check a request, receive it when there is room, and respond to it.

    Args:
        service: the service, for its readiness and its limits.
        access: the access policy.
        request: a request whose body has not been read.
        read: receives and parses the body.
        respond: makes the response to the parsed body.

    Raises:
        ApiError: not ready (503), not allowed (401, 403), no room (429), or what ``read`` and
            ``respond`` raise.
    """
    service.check_ready()
    access.check_origin(request.headers)
    access.check_key(request.headers)
    CLIENT.set(client_of(request, access))
    try:
        return await _admit(service, request, read, respond)
    except ApiError as error:
        if error.status == _TOO_MANY_REQUESTS:
            await service.admission.throttle.wait()
        raise


async def run_with_deadline(
    service: Service, request: Request, work: Coroutine[Any, Any, Value]
) -> Value:
    """Await work, and cancel it at the deadline or when the client disconnects.

    Raises:
        ApiError: past the deadline (503, 504), client disconnected (499), or what the work raises.
    """
    try:
        return await _until_disconnect(request, _before_deadline(service, work))
    except BaseException as error:
        clear_frames(error)
        raise


@asynccontextmanager
async def race_tasks(
    *works: Coroutine[Any, Any, Any],
) -> AsyncIterator[tuple[asyncio.Task[Any], ...]]:
    """Run coroutines as concurrent tasks; those unfinished at the end are cancelled and awaited."""
    tasks = tuple(asyncio.ensure_future(work) for work in works)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _admit(
    service: Service,
    request: Request,
    read: Callable[[Request], AbstractAsyncContextManager[Form]],
    respond: Callable[[Form], Awaitable[Response]],
) -> Response:
    """A slow client takes a queue slot once its request is complete; a full queue refuses first."""
    admission, client = service.admission, CLIENT.get()
    admission.queue.check_free(client)
    async with AsyncExitStack() as stack:
        with admission.uploads.task_slot(client, lambda: _rate_of(request)):
            form = await stack.enter_async_context(read(request))
        with admission.queue.task_slot(client):
            return await respond(form)


def _rate_of(request: Request) -> float:
    """Bytes per second at which a body arrives; the slowest upload of a client yields first."""
    arrival = request.scope.get(ARRIVAL)
    return 0.0 if arrival is None else float(arrival.bytes_per_second)


async def _before_deadline(service: Service, work: Coroutine[Any, Any, Value]) -> Value:
    limits = service.limits
    try:
        async with deadline(limits.deadline_seconds, limits.deadline_per_audio_second) as until:
            return await work
    except TimeoutError as error:
        raise service.pipeline.missed_deadline(until) from error
    except PhonemoError as error:
        raise api_error_of(error) from error


async def _until_disconnect(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    async with race_tasks(work, _wait_for_disconnect(request)) as (working, disconnect):
        await asyncio.wait({working, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise client_closed()
        value: Value = working.result()
        return value


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
