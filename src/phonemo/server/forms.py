"""The form of POST /v1/audio/emotions: what may be asked, and reading it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from phonemo.server.parts import (
    body_schema,
    check_each_once,
    check_lengths,
    check_texts,
    check_upload,
    invalid,
    named_upload,
    read_parts,
)
from phonemo.server.refusals import Refusal
from phonemo.server.service import Wanted

FormatName = Literal["json", "verbose_json", "csv", "srt", "vtt", "rttm", "textgrid"]
#: The schema of a part that is a recording.
AUDIO: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": "A recording: wav, flac, mp3, ogg (vorbis, opus) or aiff.",
}
_PROFILE = "profile_json"


class Fields(BaseModel):
    """The fields beside the file."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str | None = None
    """A name of GET /v1/models; without one, its first."""
    response_format: FormatName = "json"
    """verbose_json has the times of the phonemes and of the work too; csv, srt, vtt, rttm and
    textgrid (for Praat) are text with a line, cue or interval for each segment."""
    timeline: bool = False
    """Emotions in time for a short recording too; a long one always has them."""
    phonemes: bool = False
    """What each phoneme adds to the emotion: its `share`."""
    top_k: Annotated[int | None, Field(ge=1, le=1000, examples=[3])] = None
    """Give the highest scores only, so many."""
    labels: Annotated[str | None, Field(examples=["anger,happiness,neutral,sadness"])] = None
    """Choose among these emotions only."""
    profile: str | None = None
    """Apply a profile that the server offers: a name of GET /v1/profiles."""
    profile_json: str | None = None
    """Apply this profile: the content of a file of `phonemo adapt`, or what
    POST /v1/audio/profiles gave. It is not stored."""

    @property
    def wanted(self) -> Wanted:
        """The same for the service."""
        names = [one.strip() for one in self.labels.split(",")] if self.labels is not None else []
        return Wanted(self.phonemes, self.timeline, names, self.top_k)


@dataclass(frozen=True)
class Asked:
    """A request that was read."""

    upload: BinaryIO
    file: str
    """The client's name for it, printable; never a path of ours."""
    fields: Fields


def form_schema() -> dict[str, Any]:
    """The request's body for OpenAPI."""
    return body_schema(Fields, AUDIO)


@asynccontextmanager
async def read_form(request: Request, profile_bytes: int) -> AsyncIterator[Asked]:
    """The form; what it holds is gone after it.

    Args:
        request: its body is not read yet.
        profile_bytes: the most that a profile may have.

    Raises:
        Refusal: another kind of body (415), or a form that is not as described (400).
    """
    async with read_parts(request, files=2, largest=profile_bytes) as form:
        _check_files(form)
        check_each_once(form.multi_items())
        check_lengths(form, apart=[_PROFILE])
        upload = check_upload(form.get("file"))
        texts = {name: value for name, value in form.items() if name != "file"}
        if isinstance(sent := texts.get(_PROFILE), UploadFile):
            texts[_PROFILE] = await _text(sent, profile_bytes)
        yield Asked(upload.file, named_upload(upload), _fields(texts))


def _check_files(form: FormData) -> None:
    """Refusal (400) for two files, where a profile, which curl may send as one, does not count."""
    files = [
        name
        for name, value in form.multi_items()
        if isinstance(value, UploadFile) and name != _PROFILE
    ]
    if len(files) > 1:
        message = f"{len(files)} files found; one part named file is expected"
        raise Refusal(400, "invalid_form", message)


async def _text(sent: UploadFile, most: int) -> str:
    """A profile that came as a file."""
    data = await sent.read(most + 1)
    if len(data) > most:
        message = f"{_PROFILE}: more than {most} bytes; no profile is that large"
        raise Refusal(400, "invalid_form", message, _PROFILE)
    return data.decode("utf-8", "replace")  # what that replaces is in no profile


def _fields(texts: dict[str, Any]) -> Fields:
    check_texts(texts)
    try:
        return Fields.model_validate(texts)
    except ValidationError as error:
        raise invalid(error, ["file", *Fields.model_fields]) from error
