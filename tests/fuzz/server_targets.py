"""The server without sockets, processes and threads: its whole app, and a connection of ours."""

from __future__ import annotations

import asyncio
import atexit
import json
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, BinaryIO

import numpy as np

from phonemo.annotations.prediction import Prediction
from phonemo.audio import AudioLimits, Channels, Waveform, load_channels, load_waveform
from phonemo.errors import safe_text
from phonemo.loader import load_model
from phonemo.runtime.adaptation.adaptable import waveform_vectors
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples
from phonemo.server.app import PhonemoApp, create_app
from phonemo.server.settings import ServeConfig
from tests.fuzz.judging import CUT, check_message, check_scores, cut
from tests.tiny_bundle import ADAPTABLE

_HOST = (b"host", b"localhost:8000")
_LIMITS = {"stream_idle_seconds": 0.01, "stream_message_bytes": 150_000, "stream_seconds": 30}
_AUDIO = AudioLimits(max_seconds=20.0, max_decoded_bytes=2**23)
_MOST_SAMPLES = 70_000
#: What uvicorn's parser lets through: names, and values without control characters.
_NAME, _VALUE = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+"), re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TOLD = {"ready", "window", "segment", "final", "error"}


class Quick(EmotionRecognizer):
    """A model that says the same of everything."""

    @property
    def labels(self) -> Sequence[str]:
        """Two."""
        return ("anger", "neutral")

    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        return self._recognize_clips([samples], options)[0]

    def _recognize_clips(
        self, clips: Sequence[Samples], options: PredictOptions
    ) -> list[ClipScores]:
        return [ClipScores(np.array([0.75, 0.25]), ()) for _ in clips]


class Here:
    """Decodes and hears where it is called, instead of in processes and threads."""

    async def decode(self, upload: BinaryIO, name: str) -> Waveform:
        """As Decoders."""
        return load_waveform(upload.read(), limits=_AUDIO)

    async def decode_channels(
        self, upload: BinaryIO, name: str, channels: Channels, admit: Any
    ) -> tuple[Waveform, ...]:
        """As Decoders."""
        return load_channels(upload.read(), channels, limits=_AUDIO)

    async def recognize(
        self,
        listener: EmotionRecognizer,
        clip: Waveform,
        options: PredictOptions,
        progress: Any = None,
    ) -> Prediction:
        """As Hearers."""
        return listener.predict_waveform(clip, options)

    async def vectors(self, recognizer: EmotionRecognizer, clip: Waveform) -> Any:
        """As Hearers."""
        return waveform_vectors(recognizer, clip)

    async def run(self, call: Callable[[], Any]) -> Any:
        """As Hearers."""
        return call()


@cache
def _app() -> PhonemoApp:
    """The app, warm."""
    app = create_app(ServeConfig.model_validate({"workers": 1, "limits": _LIMITS}), {})
    service: Any = app.service
    service.registry.models = {"quick": Quick(), "tiny": load_model(ADAPTABLE, threads=1)}
    service._warm = True
    service.pipeline.decoders = service.pipeline.batcher = Here()
    return app


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


class Connection:
    """One client: what it sends, and what it was sent."""

    def __init__(self, messages: list[dict[str, Any]], then: dict[str, Any] | None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._messages, self._then = messages, then

    async def receive(self) -> dict[str, Any]:
        """The next message; after the last one the client leaves, or is silent for ever."""
        if self._messages:
            return self._messages.pop(0)
        if self._then is None:
            await asyncio.Event().wait()
        return dict(self._then or {})

    async def send(self, message: dict[str, Any]) -> None:
        """Something for the client."""
        self.sent.append(dict(message))

    def meets(self, app: PhonemoApp, scope: dict[str, Any]) -> None:
        """Let the app answer."""
        _loop().run_until_complete(app(scope, self.receive, self.send))


# WebSocket ----------------------------------------------------------------------------------------


def websocket(data: bytes) -> None:
    """Query, headers, then messages: t: text, b: bytes, n: so many samples, d leaves, s is silent.

    Without an end the client leaves.
    """
    query, headers, rest = cut(data, 3)
    found = [_message(one) for one in rest.split(CUT)]
    silent = rest.endswith(CUT + b"s")
    client = Connection([one for one in found if one], None if silent else _left())
    client._messages.insert(0, {"type": "websocket.connect"})
    scope = _scope("websocket", "/v1/audio/stream", headers)
    client.meets(_app(), {**scope, "query_string": query[:2000], "subprotocols": []})
    _check_stream(client.sent)
    assert _app().service.admission.streams.in_use == 0


def _message(text: bytes) -> dict[str, Any] | None:
    kind, body = text[:2], text[2:]
    if kind == b"t:":
        return {"type": "websocket.receive", "text": body.decode("utf-8", "replace")}
    if kind == b"b:":
        return {"type": "websocket.receive", "bytes": body}
    if kind == b"n:":
        count = min(int(body), _MOST_SAMPLES) if body[:6].isdigit() and len(body) < 7 else 100
        return {"type": "websocket.receive", "bytes": _noise()[: 2 * count]}
    return _left() if kind == b"d" else None


def _left() -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": 1005}


@cache
def _noise() -> bytes:
    noise = np.random.default_rng(0).normal(0, 3000, _MOST_SAMPLES)
    return noise.astype("<i2").tobytes()


def _check_stream(sent: list[dict[str, Any]]) -> None:
    kinds = [one["type"].removeprefix("websocket.") for one in sent]
    assert kinds[:1] in (["accept"], ["close"], []), kinds
    assert kinds.count("close") <= 1
    assert "close" not in kinds[:-1]
    told = [_json(one["text"]) for one in sent if "text" in one]
    assert {one["type"] for one in told} <= _TOLD
    for one in told:
        if one["type"] == "error":
            _check_error(one)
        if one["type"] == "final":
            check_scores(one["prediction"]["scores"])
    assert all(one["type"] not in ("final", "error") for one in told[:-1])


# Forms --------------------------------------------------------------------------------------------


def form(data: bytes) -> None:
    """Headers, then the body, in pieces whose size the first byte of the headers gives."""
    headers, body = cut(data, 2)
    size = 1 + (headers[0] if headers else 0) * 16
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    messages = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
    messages[-1]["more_body"] = False
    client = Connection(messages, None)
    scope = _scope("http", "/v1/audio/emotions", headers[1:])
    with warnings.catch_warnings():
        # Starlette leaves the file of a part that is cut off to the garbage collector
        warnings.filterwarnings("ignore", "Unclosed file <tempfile.Spooled", ResourceWarning)
        client.meets(_app(), {**scope, "query_string": b""})
    _check_response(client.sent)
    service = _app().service
    assert service.admission.is_idle


def _check_response(sent: list[dict[str, Any]]) -> None:
    start, *parts = sent
    status = start["status"]
    assert status == 200 or 400 <= status < 500, status
    body = b"".join(one["body"] for one in parts)
    if status != 200:
        _check_error(_json(body))
    elif dict(start["headers"])[b"content-type"] == b"application/json":
        scores = _json(body)["scores"]
        assert scores
        assert all(0 <= one <= 1 for one in scores.values())
    assert not parts[-1].get("more_body", False)


# What both have -----------------------------------------------------------------------------------


def _scope(kind: str, path: str, headers: bytes) -> dict[str, Any]:
    """A connection with those of the headers that a server's parser lets through."""
    given = [line.partition(b":") for line in headers.split(b"\n")]
    named = [(name.strip().lower(), value.strip()) for name, _, value in given]
    good = [one for one in named if _NAME.fullmatch(one[0]) and _VALUE.fullmatch(one[1])]
    version = {"version": "3.0", "spec_version": "2.4"}
    base = {"type": kind, "asgi": version, "http_version": "1.1", "method": "POST", "path": path}
    ours = [] if any(name == b"host" for name, _ in good) else [_HOST]
    scheme = "ws" if kind == "websocket" else "http"
    return {**base, "scheme": scheme, "raw_path": path.encode(), "headers": ours + good}


def _json(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_no_nan)


def _no_nan(found: str) -> None:
    raise AssertionError(f"{found} in JSON")


def _check_error(data: dict[str, Any]) -> None:
    error = data["error"]
    check_message(error["message"])
    assert safe_text(error["message"]) == error["message"], error
    assert error["code"]
