"""WS /v1/audio/stream: 16-bit PCM in, events out, and at the end the answer.

The texts that a client of a live stream sends between its samples.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from phonemo.annotations.prediction import ProfileMark
from phonemo.errors import PhonemoError
from phonemo.files import loads_json
from phonemo.runtime.recognizer import EmotionRecognizer, StreamingRecognizer
from phonemo.runtime.sliding import Event
from phonemo.server.api_errors import ApiError, api_error_of
from phonemo.server.auth import SUBPROTOCOL, AccessPolicy, offered
from phonemo.server.profile_store import check_adaptable
from phonemo.server.request_form import MOST_FIELDS, check_each_once, invalid
from phonemo.server.request_handling import race_tasks
from phonemo.server.responses import prediction_data
from phonemo.server.service import Service

_KINDS = ("finish", "reset", "profile")
_EXPECTED = (
    '{"type": "finish"}, {"type": "reset"} and {"type": "profile", "profile_json": {...}} are the '
    "texts that are read; samples come as bytes"
)


@dataclass(frozen=True)
class Command:
    """One text.

    Attributes:
        kind: finish, reset or profile.
        profile: of kind profile, the profile as plain data.
        everything: of kind reset, whether the profile of the stream's start is forgotten too.
    """

    kind: str
    profile: dict[str, Any] | None = None
    everything: bool = False


def command_of(text: str, profile_bytes: int) -> Command:
    """A text as a command.

    Args:
        text: JSON.
        profile_bytes: the most that a profile may have.

    Raises:
        Refusal: it is none (400), or too large (413).
    """
    if len(text) > profile_bytes + len(_EXPECTED):
        message = f"the text is too large; a profile of {profile_bytes} bytes is the largest"
        raise ApiError(413, "message_too_large", message)
    try:
        data = loads_json(text)
    except ValueError:
        data = None
    kind = data.get("type") if isinstance(data, dict) else None
    if kind not in _KINDS:
        raise ApiError(400, "invalid_message", _EXPECTED)
    if kind == "finish":
        return Command(kind)
    if kind == "reset":
        return Command(kind, everything=_everything(data))
    if set(data) != {"type", "profile_json"} or not isinstance(data["profile_json"], dict):
        expected = (
            '{"type": "profile", "profile_json": {...}} with the content of a profile\'s file'
        )
        raise ApiError(400, "invalid_message", f"profile: {expected} is expected")
    return Command(kind, data["profile_json"])


def _everything(data: dict[str, Any]) -> bool:
    found = data.get("everything", False)
    if not set(data) <= {"type", "everything"} or not isinstance(found, bool):
        expected = '{"type": "reset"}, or {"type": "reset", "everything": true}, is expected'
        raise ApiError(400, "invalid_message", f"reset: {expected}")
    return found


#: Refusal's status -> the close code of RFC 6455 and its registry; 1008 (policy) for the rest.
_CLOSE_CODES = {413: 1009, 429: 1013, 500: 1011, 503: 1013, 504: 1013}
_DONE, _RESTART = 1000, 1012

log = logging.getLogger("phonemo.server")


class Query(BaseModel):
    """What a stream's address says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: int = 16_000
    """Samples per second of what is sent."""
    phonemes: bool = False
    model: str | None = None
    profile: str | None = None
    """One that the operator offers."""
    adapt: bool = False
    """Whether the stream's own windows adapt those that follow."""


def streams_router(service: Service, access: AccessPolicy) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.websocket("/v1/audio/stream")
    async def stream(websocket: WebSocket) -> None:
        try:
            await _answered(websocket, service, access)
        except WebSocketDisconnect:
            log.debug("a stream's client went away")

    return router


async def _answered(websocket: WebSocket, service: Service, access: AccessPolicy) -> None:
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered(websocket.headers) else None)
    try:
        await _served(websocket, service, access)
    except (ApiError, PhonemoError) as error:
        refusal = error if isinstance(error, ApiError) else api_error_of(error)
        service.meters.errors.labels(refusal.code).inc()
        await websocket.send_json({"type": "error", **refusal.to_dict()})
        await websocket.close(_CLOSE_CODES.get(refusal.status, 1008), refusal.code)


async def _served(websocket: WebSocket, service: Service, access: AccessPolicy) -> None:
    access.check_origin(websocket.headers)
    access.check_key(websocket.headers)
    service.check_ready()
    query = _query(websocket)
    name, listener = service.registry.find(query.model)
    if query.adapt:
        check_adaptable(listener)
    listener = service.registry.adapted(name, query.profile, None)
    with service.admission.streams.slot():
        live = _Live(websocket, service, name, listener, query)
        await live.greet()
        await websocket.send_json(await live.run())
        await websocket.close(_RESTART if service.stopping.is_set() else _DONE)


class _Live:
    """One open stream; a profile that is sent, or grows with it, ends with it."""

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        model: str,
        listener: EmotionRecognizer,
        query: Query,
    ) -> None:
        self._websocket, self._service, self._model = websocket, service, model
        self._query, self._rate = query, query.rate
        self._use(listener)
        self._odd = b""  # half a sample, where a message ends in the middle of one
        self._samples = 0
        self._began = asyncio.get_running_loop().time()

    async def greet(self) -> None:
        """Say what is understood."""
        seconds = self._listener.window_seconds
        window = {"window_seconds": seconds, "hop_seconds": seconds / 2}
        ready = {"type": "ready", "model": self._model, "rate": self._rate, **window}
        ready |= {"adapt": True} if self._query.adapt else {}
        await self._websocket.send_json(ready | _profile_of(self._recognizer.applied))

    async def run(self) -> dict[str, Any]:
        """Recognize until the client has finished, falls silent or the server stops.

        Returns:
            The last event.
        """
        while (message := await self._next()) is not None:
            if isinstance(message, Command):
                await self._obey(message)
            else:
                samples = self._decoded(message)
                await self._send_events(await self._run(partial(self._push, samples)))
                self._samples += len(samples)
            if self._is_over():
                break
        events, found = await self._run(self._recognizer.finish)
        await self._send_events(events)
        final = {"type": "final", "prediction": prediction_data(self._model, found)}
        return final | (await self._run(self._grown) if self._query.adapt else {})

    def _use(self, listener: EmotionRecognizer) -> None:
        shares, adapt = self._query.phonemes, self._query.adapt
        self._listener = listener
        self._recognizer = StreamingRecognizer(listener, self._rate, shares=shares, adapt=adapt)

    async def _obey(self, command: Command) -> None:
        """Apply a profile that was sent, or reset the one that grows; then name what applies."""
        if command.kind == "reset":
            if not self._query.adapt:
                raise _invalid("reset: no profile grows in this stream; open it with adapt=true")
            self._recognizer.reset_profile(everything=command.everything)
        else:
            if self._samples or self._odd:
                raise _invalid("profile: a profile is sent before the first samples")
            self._use(
                self._service.registry.adapted(self._model, self._query.profile, command.profile)
            )
        told = _profile_of(self._recognizer.applied) or {"profile": None}
        await self._websocket.send_json({"type": "profile", **told})

    def _grown(self) -> dict[str, Any]:
        """The profile of the stream, for its client to keep."""
        profile = self._recognizer.profile
        return {"profile_json": None if profile is None else profile.to_dict()}

    def _is_over(self) -> bool:
        """By its audio, or by the clock where little of that comes."""
        clock = asyncio.get_running_loop().time() - self._began
        longest = self._service.limits.stream_seconds
        return max(clock, self._samples / self._rate) >= longest

    async def _next(self) -> bytes | Command | None:
        """The next message: samples, or a command; None where there will be none."""
        if self._service.stopping.is_set():
            return None
        async with race_tasks(self._websocket.receive(), self._service.stopping.wait()) as tasks:
            done, _ = await asyncio.wait(
                tasks,
                timeout=self._service.limits.stream_idle_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return self._content(tasks[0].result()) if tasks[0] in done else None

    def _content(self, message: Message) -> bytes | Command | None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        pcm = message.get("bytes")
        if pcm is None:
            text = message.get("text") or ""
            command = command_of(text, self._service.limits.profile_bytes)
            return None if command.kind == "finish" else command
        if len(pcm) > self._service.limits.stream_message_bytes:
            raise _too_large(self._service)
        found: bytes = pcm
        return found

    def _decoded(self, pcm: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
        pcm = self._odd + pcm
        even = len(pcm) // 2 * 2
        self._odd = pcm[even:]
        return np.frombuffer(pcm[:even], "<i2")

    def _push(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> list[Event]:
        return self._recognizer.push(samples.astype(np.int16))

    async def _run(self, call: Any) -> Any:
        return await self._service.pipeline.batcher.run(call)

    async def _send_events(self, events: list[Event]) -> None:
        for one in events:
            told = {"segment": one.segment.to_dict(), "speech_ratio": one.speech_ratio}
            await self._websocket.send_json({"type": one.kind, **told, **_profile_of(one.profile)})


def _query(websocket: WebSocket) -> Query:
    asked = websocket.query_params
    if (count := len(asked.multi_items())) > MOST_FIELDS:
        raise ApiError(
            400, "invalid_value", f"{count} fields found; at most {MOST_FIELDS} are read"
        )
    check_each_once(asked.multi_items())
    try:
        return Query.model_validate(dict(asked))
    except ValidationError as error:
        raise invalid(error, list(Query.model_fields)) from error


def _profile_of(mark: ProfileMark | None) -> dict[str, Any]:
    """The name of a profile in an event, where there is one."""
    return {} if mark is None else {"profile": mark.to_dict()}


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_message", message)


def _too_large(service: Service) -> ApiError:
    most = f"at most {service.limits.stream_message_bytes} bytes are taken at once"
    return ApiError(413, "message_too_large", f"the message is too large; {most}")
