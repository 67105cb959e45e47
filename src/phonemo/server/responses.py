"""The shapes of the answers, for OpenAPI: what they hold, and an example of each.

What was heard as a response: JSON, or one of the text formats.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict

from phonemo.annotations import writers
from phonemo.annotations.prediction import Prediction
from phonemo.server.api_errors import type_of
from phonemo.server.pipeline import ServedPrediction
from phonemo.server.request_form import FormatName, RecognizeRequest


class _Shape(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Fault(_Shape):
    """What is wrong."""

    message: str
    """One line: what was found, what is wanted, what to do next."""
    type: str
    param: str | None = None
    """The field that is meant."""
    code: str
    """Stable, for programs."""


class ErrorAnswer(_Shape):
    """The body of every response that is an error."""

    error: Fault


class ProfileName(_Shape):
    """Names the profile that was applied; absent where there was none."""

    hash: str
    """The beginning of the SHA-256 of its content."""
    count: int
    """How many vectors it is of: recordings, and windows of long ones."""


class SegmentData(_Shape):
    """A stretch of the recording and the emotion heard in it; times in seconds."""

    start: float
    end: float
    label: str
    scores: dict[str, float]


class SpanData(_Shape):
    """A phoneme that was heard."""

    symbol: str
    """IPA, of the model's inventory."""
    start: float
    end: float
    confidence: float
    share: float | None = None
    """What it adds to the score of the emotion that was heard, -1 to 1; with `phonemes`."""


class EmotionAnswer(_Shape):
    """The emotion heard in a recording."""

    model_config = ConfigDict(extra="allow")

    model: str
    label: str
    """The emotion with the highest score."""
    scores: dict[str, float]
    """Probability of every emotion."""
    seconds: float
    """Length of the recording."""
    phonemes: list[str] | None
    warnings: list[str]
    """truncated, silent, clipped, dc_offset, windowed, no_speech, unsure."""
    speech_ratio: float | None
    """Share of the recording in which somebody speaks."""
    profile: ProfileName | None = None
    segments: list[SegmentData]
    spans: list[SpanData] | None = None
    """The phonemes in time; with `phonemes`, or in verbose_json."""
    file: str | None = None
    """In verbose_json."""
    timings: dict[str, float] | None = None
    """Seconds of work by stage; in verbose_json."""


class Status(_Shape):
    """Of the server."""

    status: Literal["ok"]


class Version(_Shape):
    """What answers."""

    phonemo: str
    onnxruntime: str


class ModelCard(_Shape):
    """A model that is served."""

    id: str
    object: Literal["model"]
    labels: list[str]
    phonemes: bool | None = None
    """Whether it hears phonemes; null where that is not known."""
    precision: str | None = None
    licence: str | None = None
    """Of the weights."""
    whole_seconds: float
    """The longest recording that is heard whole."""
    window_seconds: float
    """The windows in which a longer one is heard."""


class ModelList(_Shape):
    """The models, the default one first."""

    object: Literal["list"]
    data: list[ModelCard]


class ProfileData(_Shape):
    """The content of a profile's file. One of a person is a coarse voice print: personal data."""

    format: Literal[1]
    model: str
    """Digest of the model that it is of."""
    count: int
    """How many vectors it is of."""
    seconds: float
    """Of speech in them."""
    mean: list[float]
    deviation: list[float]


class LeftOut(_Shape):
    """A recording that adds nothing to a profile."""

    file: str
    code: str
    """no_speech, or the code of the error that it would be."""
    message: str


class ProfileAnswer(_Shape):
    """A profile that was made, and of what."""

    model: str
    hash: str
    """What an answer names it by."""
    recordings: int
    """That it is of."""
    silent: int
    """Recordings without speech, which are left out."""
    failed: int
    """Recordings that cannot be used, which are left out."""
    left_out: list[LeftOut]
    profile: ProfileData


class ProfileCard(_Shape):
    """A profile that the server offers."""

    name: str
    hash: str
    count: int
    models: list[str]
    """The models that it can be applied to."""


class ProfileLimits(_Shape):
    """What a profile, and the making of one, may take."""

    profile_bytes: int
    profile_files: int
    profile_seconds: float


class ProfileList(_Shape):
    """The profiles that are offered, and the models that take any."""

    object: Literal["list"]
    data: list[ProfileCard]
    models: list[str]
    limits: ProfileLimits


class Limits(_Shape):
    """What a request may take."""

    body_bytes: int
    audio_seconds: float
    stream_seconds: float
    stream_message_bytes: int
    key_required: bool


_EXAMPLE = {
    "model": "phonemo-small",
    "label": "anger",
    "scores": {"anger": 0.91, "happiness": 0.06, "neutral": 0.03},
    "seconds": 1.425,
    "phonemes": ["d", "a", "s"],
    "warnings": [],
    "speech_ratio": 0.93,
    "segments": [
        {
            "start": 0.0,
            "end": 1.425,
            "label": "anger",
            "scores": {"anger": 0.91, "happiness": 0.06, "neutral": 0.03},
        }
    ],
}
_TEXTS = {
    "text/csv": "file,start,end,speaker,label,anger,neutral,phonemes,warnings,error\n"
    "my.wav,0.000,1.425,,anger,0.910000,0.090000,d a s,,\n",
    "application/x-subrip": "1\n00:00:00,000 --> 00:00:01,425\n[anger 0.91]\n",
    "text/vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.425\n[anger 0.91]\n",
    "text/plain": "SPEAKER my 1 0.000 1.425 <NA> <NA> anger 0.910 <NA>\n",
}


def _errors(status: int, *told: tuple[str, str]) -> dict[str, Any]:
    """One status and the codes that it stands for, each with an example."""
    kind = type_of(status)
    examples = {
        code: {"value": {"error": {"message": text, "type": kind, "param": None, "code": code}}}
        for code, text in told
    }
    return {
        "description": ", ".join(code for code, _ in told),
        "model": ErrorAnswer,
        "content": {"application/json": {"examples": examples}},
    }


_LATER = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until another try."}
}
_STARTING = _errors(503, ("starting", "the models are being loaded; try again in a second"))
NOT_READY: dict[int | str, dict[str, Any]] = {503: {**_STARTING, "headers": _LATER}}
EMOTIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was heard, in the format that was asked for.",
        "model": EmotionAnswer,
        "content": {
            "application/json": {"example": _EXAMPLE},
            **{
                kind: {"schema": {"type": "string"}, "example": text}
                for kind, text in _TEXTS.items()
            },
        },
    },
    400: _errors(
        400,
        ("invalid_value", "top_k: '0' found; it should be 1 or more"),
        ("profile_not_found", "no such profile; GET /v1/profiles lists them: office"),
    ),
    401: _errors(401, ("invalid_api_key", "an API key is wanted: Authorization: Bearer KEY")),
    404: _errors(404, ("model_not_found", "no such model; GET /v1/models lists them")),
    408: _errors(408, ("read_timeout", "the request did not arrive within 60 s")),
    403: _errors(403, ("wrong_origin", "pages of this origin may not ask")),
    413: _errors(
        413,
        ("body_too_large", "the request is too large; at most 26214400 bytes are taken"),
        ("audio_too_long", "my.wav: 7200.0 s found; at most 600 s are taken"),
        ("audio_too_large", "my.wav: more decoded bytes than allowed"),
    ),
    415: _errors(415, ("unsupported_audio", "my.wav: a playlist (m3u8) found; wav is wanted")),
    421: _errors(421, ("wrong_host", "the Host header names another machine")),
    422: _errors(
        422,
        ("too_short", "my.wav: 120 samples found; 400 are wanted"),
        ("invalid_profile", "profile_json: not JSON; phonemo adapt writes a profile"),
        ("profile_mismatch", "the profile is of model 1a2b, this is model 3c4d"),
        ("profile_unsupported", "this model takes no profile"),
    ),
    429: {
        **_errors(429, ("queue_full", "18 recordings are waiting already; try again later")),
        "headers": _LATER,
    },
    500: _errors(500, ("internal_error", "the server failed; its log says why")),
    503: NOT_READY[503],
    504: _errors(504, ("deadline_exceeded", "no answer within 60 s; send a shorter recording")),
}
PROFILE: dict[int | str, dict[str, Any]] = {
    **EMOTIONS,
    200: {"description": "The profile, and what it is of.", "model": ProfileAnswer},
    400: _errors(400, ("invalid_form", "Too many files. Maximum number of files is 64")),
    422: _errors(
        422,
        ("no_speech", "no speech to make a profile of: 2 recordings without speech"),
        ("profile_unsupported", "this model takes no profile"),
        ("too_short", "my.wav: 120 samples found; 400 are wanted"),
    ),
}
PROFILES: dict[int | str, dict[str, Any]] = {code: EMOTIONS[code] for code in (401, 421, 503)}


#: Response format -> media type, of those that are text.
MEDIA: dict[str, str] = {
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "rttm": "text/plain",
    "textgrid": "text/plain",
}


def response_of(
    model: str, asked: RecognizeRequest, heard: ServedPrediction, timings: dict[str, float]
) -> Response:
    """The response to a request.

    Args:
        model: the name of the one that heard.
        asked: the request.
        heard: its answer.
        timings: seconds by stage, for verbose_json.
    """
    wanted, found = asked.fields.response_format, heard.prediction
    if wanted in MEDIA:
        return _text(wanted, asked.file, found)
    verbose = wanted == "verbose_json"
    data = prediction_data(model, found, spans=verbose or asked.fields.phonemes)
    if verbose:
        rounded = {name: round(seconds, 5) for name, seconds in timings.items()}
        data = {**data, "file": asked.file, "timings": rounded}
    return JSONResponse(data)


def prediction_data(model: str, found: Prediction, spans: bool = True) -> dict[str, Any]:
    """What was heard, and by whom; a live stream's answer as it is."""
    return {"model": model, **found.to_dict(spans)}


def _text(wanted: FormatName, file: str, found: Prediction) -> PlainTextResponse:
    if wanted == "csv":
        labels = tuple(found.scores)
        profile = found.profile is not None
        head = writers.csv_head(labels, profile)
        text = head + writers.csv_rows(file, found, labels, profile)
    else:
        text = writers.BY_FILE[wanted][1](file, found)
    return PlainTextResponse(text, media_type=MEDIA[wanted])
