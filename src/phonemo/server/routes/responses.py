"""Responses: descriptions and examples for OpenAPI, and predictions as JSON or as text."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from phonemo.annotations import writers
from phonemo.annotations.dimensions import dimension_names
from phonemo.annotations.prediction import Prediction
from phonemo.server.api_errors import type_of
from phonemo.server.pipeline import ServedPrediction
from phonemo.server.routes.answer_schemas import EmotionAnswer, ErrorAnswer, ProfileAnswer
from phonemo.server.routes.request_form import FormatName, RecognizeRequest

_EXAMPLE = {
    "model": "phonemo-small",
    "label": "anger",
    "unsure": False,
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
            "unsure": False,
            "scores": {"anger": 0.91, "happiness": 0.06, "neutral": 0.03},
            "dimensions": {"arousal": 0.78, "valence": 0.29, "derived": True},
        }
    ],
    "dimensions": {"arousal": 0.78, "valence": 0.29, "derived": True},
}
_TEXTS = {
    "text/csv": "file,start,end,speaker,label,anger,neutral,phonemes,warnings,error\n"
    "my.wav,0.000,1.425,,anger,0.910000,0.090000,d a s,,\n",
    "application/x-subrip": "1\n00:00:00,000 --> 00:00:01,425\n[anger 0.91]\n",
    "text/vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.425\n[anger 0.91]\n",
    "text/plain": "SPEAKER my 1 0.000 1.425 <NA> <NA> anger 0.910 <NA>\n",
}


def _errors(status: int, *errors: tuple[str, str]) -> dict[str, Any]:
    """Return the OpenAPI response of a status, with an example for each error code."""
    kind = type_of(status)
    examples = {
        code: {"value": {"error": {"message": text, "type": kind, "param": None, "code": code}}}
        for code, text in errors
    }
    return {
        "description": ", ".join(code for code, _ in errors),
        "model": ErrorAnswer,
        "content": {"application/json": {"examples": examples}},
    }


_LATER = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before a retry."}
}
_STARTING = _errors(503, ("starting", "the models are being loaded; try again in a second"))
NOT_READY: dict[int | str, dict[str, Any]] = {503: {**_STARTING, "headers": _LATER}}
_BUSY = {
    **_errors(
        503,
        ("busy", "the server is busy: no answer within 60 s; try again in 12 s"),
        ("starting", "the models are being loaded; try again in a second"),
        ("stopping", "the server stops; send it to another one"),
        ("no_space", "no room for the upload (No space left on device)"),
        ("no_decoder", "no decoder can be started; try again later"),
    ),
    "headers": _LATER,
}
EMOTIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The prediction, in the requested format.",
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
        ("invalid_value", "top_k: got '0'; Input should be greater than or equal to 1"),
        ("unknown_field", "lables: no such field; expected one of file, model, labels"),
        ("missing_file", "expected a part named file, got audio; rename the part"),
        ("invalid_file", "file: expected a file, got a text; curl needs an @: -F file=@my.wav"),
        ("invalid_form", "expected one recording in a part named file, got several files"),
        ("invalid_label", "unknown label 'happyness'; did you mean 'happiness'?"),
        (
            "invalid_http",
            "expected Content-Length or Transfer-Encoding, got both; send one of them",
        ),
        ("profile_not_found", "no such profile; GET /v1/profiles lists them: office"),
    ),
    401: _errors(
        401, ("invalid_api_key", "an API key is required; send Authorization: Bearer KEY")
    ),
    403: _errors(403, ("wrong_origin", "this origin is not allowed; the operator can add it")),
    404: _errors(404, ("model_not_found", "no such model; GET /v1/models lists them")),
    408: _errors(
        408, ("read_timeout", "the request arrives too slowly; send it faster, or send less")
    ),
    413: _errors(
        413,
        ("body_too_large", "expected a request of at most 26214400 bytes (limits.body_bytes)"),
        ("audio_too_long", "my.wav: expected at most 600 s (limits.audio_seconds); split it"),
        ("audio_too_large", "my.wav: expected at most 268435456 decoded bytes; split it"),
    ),
    415: _errors(
        415,
        ("unsupported_media_type", "expected multipart/form-data, or the recording as the body"),
        ("unsupported_audio", "my.wav: expected audio, got a playlist (m3u8)"),
    ),
    421: _errors(421, ("wrong_host", "the Host header names another host")),
    422: _errors(
        422,
        ("empty_audio", "my.wav: no samples could be decoded"),
        ("too_short", "my.wav: expected at least 400 samples, got 120"),
        ("invalid_audio", "my.wav: damaged; encode it again"),
        ("unsupported_audio", "my.wav: cannot be decoded; convert it to WAV or FLAC"),
        ("invalid_channel", "my.wav: expected a channel from 1 to 2, got 3"),
        ("invalid_profile", "profile_json: not JSON; phonemo adapt writes a profile"),
        ("profile_mismatch", "the profile is of model 1a2b, this is model 3c4d"),
        ("profile_unsupported", "this model does not support profiles"),
    ),
    429: {
        **_errors(429, ("queue_full", "18 recordings wait already; try again later")),
        "headers": _LATER,
    },
    431: _errors(431, ("head_too_large", "the head of the request is too large")),
    500: _errors(
        500,
        ("internal_error", "the server failed; its log says why, with the request_id"),
        ("model_error", "the model failed on this recording"),
    ),
    503: _BUSY,
    504: _errors(
        504,
        (
            "deadline_exceeded",
            "no answer within 300 s, which the recording is too long for; send a shorter one",
        ),
        ("decoder_timeout", "my.wav: decoding takes too long; convert it to WAV or FLAC"),
    ),
}
PROFILE: dict[int | str, dict[str, Any]] = {
    **EMOTIONS,
    200: {"description": "The profile, and what it was made from.", "model": ProfileAnswer},
    400: _errors(
        400, ("invalid_form", "expected at most 64 recordings (limits.profile_files), got more")
    ),
    422: _errors(
        422,
        ("no_speech", "no speech to make a profile of: 2 recordings without speech"),
        ("profile_unsupported", "this model does not support profiles"),
        ("too_short", "my.wav: expected at least 400 samples, got 120"),
    ),
}
PROFILES: dict[int | str, dict[str, Any]] = {code: EMOTIONS[code] for code in (401, 421, 503)}


#: Text format -> media type.
MEDIA: dict[str, str] = {
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "rttm": "text/plain",
    "textgrid": "text/plain",
}


def response_of(
    model: str, request: RecognizeRequest, served: ServedPrediction, timings: dict[str, float]
) -> Response:
    """Return the response to a request.

    Args:
        model: name of the model.
        request: the request.
        served: its prediction.
        timings: seconds by stage, for verbose_json.
    """
    response_format, prediction = request.fields.response_format, served.prediction
    if response_format in MEDIA:
        shown = prediction if request.fields.dimensions else prediction.without_dimensions()
        return _text_response(response_format, request.file, shown)
    verbose = response_format == "verbose_json"
    data = prediction_data(model, prediction, spans=verbose or request.fields.phonemes)
    if verbose:
        rounded = {name: round(seconds, 5) for name, seconds in timings.items()}
        data = {**data, "file": request.file, "timings": rounded}
    return JSONResponse(data)


def prediction_data(model: str, prediction: Prediction, spans: bool = True) -> dict[str, Any]:
    """Return a prediction with the name of its model, as plain data."""
    return {"model": model, **prediction.to_dict(spans)}


def _text_response(name: FormatName, file: str, prediction: Prediction) -> PlainTextResponse:
    if name == "csv":
        labels = tuple(prediction.scores)
        profile = prediction.profile is not None
        channel = bool(prediction.channels) or prediction.channel is not None
        dimensions = dimension_names([prediction.dimensions])
        columns = (profile, channel, False, dimensions)
        head = writers.csv_head(labels, *columns)
        text = head + writers.csv_rows(file, prediction, labels, *columns)
    else:
        text = writers.BY_FILE[name][1](file, prediction)
    return PlainTextResponse(text, media_type=MEDIA[name])
