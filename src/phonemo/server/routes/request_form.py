"""The form of POST /v1/audio/emotions.

It is parsed by hand for exact error messages, so its OpenAPI schema is built here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal, get_args

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from phonemo.audio import Channels, parse_channels
from phonemo.errors import UsageError
from phonemo.runtime.phonemes.decoder import Edges
from phonemo.runtime.windows import PredictOptions
from phonemo.server.api_errors import ApiError
from phonemo.server.formats import DESCRIPTION
from phonemo.server.pipeline import RecognizeOptions
from phonemo.server.routes.form_parts import (
    body_schema,
    check_each_once,
    check_lengths,
    check_texts,
    check_upload,
    invalid,
    named_upload,
    read_parts,
)

FormatName = Literal["json", "verbose_json", "csv", "srt", "vtt", "rttm", "textgrid"]
#: Schema of a part that is a recording.
AUDIO: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": DESCRIPTION,
}
_PROFILE = "profile_json"
_SEVERAL_FILES = (
    "expected one recording in a part named file, got several files; send a request for each, or "
    "use phonemo batch for a folder"
)


def _check_channels(text: str) -> str:
    try:
        parse_channels(text)
    except UsageError as error:
        expected = str(error).removeprefix("channels: ").partition(", got ")[0]
        raise ValueError(expected) from error
    return text


_ChannelsText = Annotated[
    str,
    AfterValidator(_check_channels),
    Field(json_schema_extra={"pattern": "^(mix|split|[1-9][0-9]?)$"}, examples=["split"]),
]


class Fields(BaseModel):
    """Form fields other than the file."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str | None = None
    """A name from GET /v1/models; default: the first one."""
    response_format: FormatName = "json"
    """verbose_json adds phoneme times and timings; csv, srt, vtt, rttm and textgrid (for Praat) are
    text with a line, cue or interval for each segment."""
    timeline: bool = False
    """Return emotions over time for short recordings too; long ones always have them."""
    phonemes: bool = False
    """Return the contribution of each phoneme to the emotion's score, its `share`."""
    decoding: Annotated[str | None, Field(examples=["english"])] = None
    """How phonemes are decoded: one of the model's `decodings` in GET /v1/models. `english` is for
    English speech. Emotion scores do not depend on it."""
    edges: Annotated[str | None, Field(json_schema_extra={"enum": [*get_args(Edges)]})] = None
    """Boundaries of phonemes from the network's frames (default), or refined from the waveform."""
    top_k: Annotated[int | None, Field(ge=1, le=1000, examples=[3])] = None
    """Return only this many of the highest scores."""
    labels: Annotated[str | None, Field(examples=["anger,happiness,neutral,sadness"])] = None
    """Restrict the result to these emotions."""
    channels: _ChannelsText = "mix"
    """`mix` averages the channels, a number from 1 on takes one of them (of a stereo file, 1 is
    left), and `split` recognizes each one with sound separately: `channels` of the result has the
    prediction of each, as for the two sides of a call."""
    summary: bool = False
    """Return what each party's (channel's) speech is like over the whole recording: share of time
    by emotion, strongest moments, trend, speech and silence; in json and verbose_json."""
    dimensions: bool = False
    """Show arousal and valence in csv and textgrid, too; json always has them."""
    profile: str | None = None
    """Apply a profile on the server: a name from GET /v1/profiles."""
    profile_json: str | None = None
    """Apply this profile: the content of a file from `phonemo adapt`, or the result of
    POST /v1/audio/profiles. It is not stored."""

    @property
    def options(self) -> RecognizeOptions:
        """Return the options for the pipeline."""
        labels = [] if self.labels is None else [name.strip() for name in self.labels.split(",")]
        predict = PredictOptions(self.phonemes, self.timeline or self.summary)
        channels: Channels = parse_channels(self.channels)
        return RecognizeOptions(predict, labels, self.top_k, channels, self.summary)


@dataclass(frozen=True)
class RecognizeRequest:
    """A parsed request."""

    upload: BinaryIO
    file: str
    """The client's file name, made printable; it is never used as a path."""
    fields: Fields


def form_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of the form."""
    return body_schema(Fields, AUDIO)


@asynccontextmanager
async def read_form(
    request: Request, profile_bytes: int, options: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[RecognizeRequest]:
    """Parse the form; its parts are closed at the end of the context.

    Args:
        request: a request whose body has not been read.
        profile_bytes: most bytes of a profile.
        options: fields in the address, by name.

    Raises:
        ApiError: not a multipart form (415), or one that does not match the schema (400).
    """
    async with read_parts(request, files=2, largest=profile_bytes, too_many=_SEVERAL_FILES) as form:
        _check_files(form)
        check_each_once([*options, *form.multi_items()])
        check_lengths(form, apart=[_PROFILE])
        upload = check_upload(form.get("file"), form)
        texts: dict[str, Any] = dict(options)
        texts |= {name: value for name, value in form.items() if name != "file"}
        if isinstance(sent := texts.get(_PROFILE), UploadFile):
            texts[_PROFILE] = await _read_profile(sent, profile_bytes)
        yield RecognizeRequest(upload.file, named_upload(upload), validate_fields(texts))


def _check_files(form: FormData) -> None:
    """Raise ApiError (400) for two files; a profile, which curl may send as a file, is allowed."""
    files = [
        name
        for name, value in form.multi_items()
        if isinstance(value, UploadFile) and name != _PROFILE
    ]
    if len(files) > 1:
        raise ApiError(400, "invalid_form", _SEVERAL_FILES)


async def _read_profile(sent: UploadFile, max_bytes: int) -> str:
    """Read a profile that was sent as a file."""
    data = await sent.read(max_bytes + 1)
    if len(data) > max_bytes:
        message = f"{_PROFILE}: expected at most {max_bytes} bytes, got more"
        raise ApiError(400, "invalid_form", message, _PROFILE)
    return data.decode("utf-8", "replace")  # a valid profile has no replaced characters


def validate_fields(texts: dict[str, Any]) -> Fields:
    """Return the checked fields; raise ApiError (400) for an unknown or invalid one."""
    check_texts(texts)
    try:
        fields = Fields.model_validate(texts)
    except ValidationError as error:
        raise invalid(error, ["file", *Fields.model_fields]) from error
    if fields.summary and fields.response_format not in ("json", "verbose_json"):
        message = "summary: expected json or verbose_json as response_format, got "
        message += f"{fields.response_format}; send the summary in a request of its own"
        raise ApiError(400, "invalid_value", message, "summary")
    return fields
