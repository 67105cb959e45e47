"""WS /v1/audio/stream: raw samples in, JSON events out, the prediction at the end.

Between samples, clients send commands as JSON texts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from phonemo.annotations.prediction import ProfileMark
from phonemo.audio.pcm import SampleDecoder
from phonemo.errors import PhonemoError
from phonemo.files import loads_json
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.sliding import Event
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from phonemo.server.api_errors import ApiError, api_error_of
from phonemo.server.auth import SUBPROTOCOL, AccessPolicy, offered
from phonemo.server.fairness.clients import CLIENT, client_of
from phonemo.server.models.profile_store import check_adaptable
from phonemo.server.routes.responses import prediction_data
from phonemo.server.routes.stream_inbox import StreamInbox
from phonemo.server.routes.stream_query import Query, decoder_of, open_decoder, parse_query
from phonemo.server.service import Service

Samples = npt.NDArray[np.float32]

_KINDS = ("finish", "reset", "profile")
_EXPECTED = (
    'expected {"type": "finish"}, {"type": "reset"} or {"type": "profile", "profile_json": {...}}; '
    "send samples as binary messages"
)


@dataclass(frozen=True)
class Command:
    """A command of the client.

    Attributes:
        kind: finish, reset or profile.
        profile: for profile, the profile as plain data.
        everything: for reset, whether to drop the profile from the start of the stream too.
    """

    kind: str
    profile: dict[str, Any] | None = None
    everything: bool = False


def command_of(text: str, profile_bytes: int) -> Command:
    """Parse a command.

    Args:
        text: JSON.
        profile_bytes: most bytes of a profile.

    Raises:
        ApiError: not a valid command (400), or too large (413).
    """
    if len(text) > profile_bytes + len(_EXPECTED):
        message = f"the text is too large; expected a profile of at most {profile_bytes} bytes"
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
        return Command(kind, everything=_reset_everything(data))
    if set(data) != {"type", "profile_json"} or not isinstance(data["profile_json"], dict):
        expected = (
            '{"type": "profile", "profile_json": {...}} with the content of a profile\'s file'
        )
        raise ApiError(400, "invalid_message", f"profile: expected {expected}")
    return Command(kind, data["profile_json"])


def _reset_everything(data: dict[str, Any]) -> bool:
    everything = data.get("everything", False)
    if not set(data) <= {"type", "everything"} or not isinstance(everything, bool):
        expected = '{"type": "reset"} or {"type": "reset", "everything": true}'
        raise ApiError(400, "invalid_message", f"reset: expected {expected}")
    return everything


#: HTTP status -> WebSocket close code (RFC 6455 and its registry); 1008 (policy) for the rest.
_CLOSE_CODES = {413: 1009, 429: 1013, 500: 1011, 503: 1013, 504: 1013}
_DONE, _RESTART, _BUSY = 1000, 1012, 1013

log = logging.getLogger("phonemo.server")


def streams_router(service: Service, access: AccessPolicy) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.websocket("/v1/audio/stream")
    async def stream(websocket: WebSocket) -> None:
        try:
            await _handle(websocket, service, access)
        except WebSocketDisconnect:
            log.debug("the client of a stream disconnected")

    return router


async def _handle(websocket: WebSocket, service: Service, access: AccessPolicy) -> None:
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered(websocket.headers) else None)
    try:
        await _run_stream(websocket, service, access)
    except (ApiError, PhonemoError) as error:
        api_error = error if isinstance(error, ApiError) else api_error_of(error)
        service.meters.errors.labels(api_error.code).inc()
        described = api_error.to_dict(websocket.scope["request_id"])
        await websocket.send_json({"type": "error", **described})
        await websocket.close(_CLOSE_CODES.get(api_error.status, 1008), api_error.code)


async def _run_stream(websocket: WebSocket, service: Service, access: AccessPolicy) -> None:
    access.check_origin(websocket.headers)
    access.check_key(websocket.headers)
    service.check_ready()
    query = parse_query(websocket.query_params)
    name, recognizer = service.registry.find(query.model)
    if query.adapt:
        check_adaptable(recognizer)
    recognizer = _chosen(service, name, query, None)
    CLIENT.set(client_of(websocket, access))
    inbox = StreamInbox(websocket, service.limits, service.stopping)
    streams = service.admission.streams
    with (
        streams.slot(CLIENT.get(), inbox.close, lambda: inbox.active_at) as place,
        decoder_of(query, service.limits) as decoder,
        inbox.receiving(),
    ):
        live = _Stream(websocket, service, name, recognizer, query, decoder, inbox)
        await live.send_ready()
        await websocket.send_json(await live.run())
    if place.yielded:
        await websocket.close(_BUSY, "stream_limit")
    else:
        await websocket.close(_RESTART if service.stopping.is_set() else _DONE)


def _chosen(
    service: Service, model: str, query: Query, sent: dict[str, Any] | None
) -> EmotionRecognizer:
    """The model with the stream's profile and phoneme options."""
    recognizer = service.registry.adapted(model, query.profile, sent)
    return service.registry.phoneme_options.chosen(recognizer, query.decoding, query.edges)


class _Stream:
    """An open stream; its profile, sent or adapted, is dropped at its end."""

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        model: str,
        recognizer: EmotionRecognizer,
        query: Query,
        decoder: SampleDecoder,
        inbox: StreamInbox,
    ) -> None:
        self._websocket, self._service, self._model = websocket, service, model
        self._query, self._decoder, self._inbox = query, decoder, inbox
        self._use(recognizer)
        self._samples, self._has_samples = 0, False
        self._began = asyncio.get_running_loop().time()

    async def send_ready(self) -> None:
        """Send the ready event."""
        seconds = self._model_recognizer.window_seconds
        window = {"window_seconds": seconds, "hop_seconds": seconds / 2}
        ready = {"type": "ready", "model": self._model, "rate": self._decoder.rate, **window}
        ready |= {"adapt": True} if self._query.adapt else {}
        await self._websocket.send_json(ready | _profile_of(self._recognizer.applied))

    async def run(self) -> dict[str, Any]:
        """Recognize until the client finishes or stops sending, or the server stops.

        Returns:
            The last event.
        """
        while (message := await self._receive()) is not None:
            if isinstance(message, Command):
                await self._execute(message)
            else:
                self._has_samples = True
                await self._push(partial(self._decoder.push, message))
            if self._is_over():
                break
        await self._push(self._decoder.finish)
        events, prediction = await self._run(self._recognizer.finish)
        await self._send_events(events)
        final = {"type": "final", "prediction": prediction_data(self._model, prediction)}
        return final | (await self._run(self._adapted_profile) if self._query.adapt else {})

    def _use(self, recognizer: EmotionRecognizer) -> None:
        shares, adapt = self._query.phonemes, self._query.adapt
        self._model_recognizer = recognizer
        rate = self._decoder.rate
        self._recognizer = StreamingRecognizer(recognizer, rate, shares=shares, adapt=adapt)

    async def _execute(self, command: Command) -> None:
        """Apply or reset a profile, then send the current one."""
        if command.kind == "reset":
            if not self._query.adapt:
                raise _invalid("reset: this stream does not adapt; open it with adapt=true")
            self._recognizer.reset_profile(everything=command.everything)
        else:
            if self._has_samples:
                raise _invalid("profile: send it before the first samples")
            self._use(_chosen(self._service, self._model, self._query, command.profile))
        applied = _profile_of(self._recognizer.applied) or {"profile": None}
        await self._websocket.send_json({"type": "profile", **applied})

    def _adapted_profile(self) -> dict[str, Any]:
        """Return the profile of the stream, for the client to save."""
        profile = self._recognizer.profile
        return {"profile_json": None if profile is None else profile.to_dict()}

    def _is_over(self) -> bool:
        """Whether the stream reached its limit, in audio or in real time."""
        elapsed = asyncio.get_running_loop().time() - self._began
        limit = self._service.limits.stream_seconds
        return max(elapsed, self._samples / self._decoder.rate) >= limit

    async def _receive(self) -> bytes | Command | None:
        """Return the next samples or command; None at the end of the stream."""
        message = await self._inbox.next()
        if not isinstance(message, str):
            return message
        command = command_of(message, self._service.limits.profile_bytes)
        return None if command.kind == "finish" else command

    async def _push(self, decode: Callable[[], Samples]) -> None:
        """Decode, and recognize second by second, so that other work has its turns between."""
        await open_decoder(self._decoder)
        events, rest = await self._run(partial(self._push_second, decode))
        await self._send_events(events)
        for start in range(0, len(rest), self._decoder.rate):
            piece = rest[start : start + self._decoder.rate]
            await self._send_events(await self._run(partial(self._recognizer.push, piece)))

    def _push_second(self, decode: Callable[[], Samples]) -> tuple[list[Event], Samples]:
        """Decode and recognize the first second; return its events and the other samples."""
        samples, rate = decode(), self._decoder.rate
        self._samples += len(samples)
        return self._recognizer.push(samples[:rate]), samples[rate:]

    async def _run(self, call: Any) -> Any:
        return await self._service.pipeline.batcher.run(call)

    async def _send_events(self, events: list[Event]) -> None:
        for event in events:
            data = {"segment": event.segment.to_dict(), "speech_ratio": event.speech_ratio}
            await self._websocket.send_json(
                {"type": event.kind, **data, **_profile_of(event.profile)}
            )


def _profile_of(mark: ProfileMark | None) -> dict[str, Any]:
    """Return the profile field of an event, empty without a profile."""
    return {} if mark is None else {"profile": mark.to_dict()}


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_message", message)
