"""The form of POST /v1/audio/emotions: what may be asked, and reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from phonemo.server.refusals import Refusal, client_closed, not_serving
from phonemo.server.service import Wanted
from phonemo.sources import shown

FormatName = Literal["json", "verbose_json", "csv", "srt", "vtt", "rttm", "textgrid"]

MOST_FIELDS = 16
_MOST_FIELD_BYTES = 4096
_FORM = f"a part named file with a filename, and fields of {_MOST_FIELD_BYTES} bytes, are wanted"
_MULTIPART = "multipart/form-data"


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
    schema = Fields.model_json_schema()
    schema["properties"] = {name: _without_null(one) for name, one in schema["properties"].items()}
    audio = {
        "type": "string",
        "format": "binary",
        "contentMediaType": "application/octet-stream",
        "description": "A recording: wav, flac, mp3, ogg (vorbis, opus) or aiff.",
    }
    schema["properties"] = {"file": audio, **schema["properties"]}
    schema["required"] = ["file"]
    return {"content": {_MULTIPART: {"schema": schema}}, "required": True}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A form has no null: a field that is not meant is left out."""
    kinds = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
    rest = {key: one for key, one in field.items() if key != "anyOf" and one is not None}
    return {**rest, **kinds[0]} if kinds else rest


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[Asked]:
    """The form; what it holds is gone after it.

    Raises:
        Refusal: another kind of body (415), or a form that is not as described (400).
    """
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        message = f"{shown(coding)}: bodies are taken as they are, not compressed"
        raise Refusal(415, "unsupported_media_type", message)
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != _MULTIPART:
        message = f"{_MULTIPART} with a part named file is wanted; curl -F file=@my.wav sends one"
        raise Refusal(415, "unsupported_media_type", message)
    form = await _parsed(request)
    try:
        check_each_once(form)
        upload = form.get("file")
        texts = {name: value for name, value in form.items() if name != "file"}
        yield Asked(*_audio(upload), _fields(texts))
    finally:
        await form.close()


async def _parsed(request: Request) -> FormData:
    """The parts; a large file goes to a temporary one, for which there has to be room."""
    try:
        return await request.form(
            max_files=1, max_fields=MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES
        )
    except HTTPException as error:
        raise Refusal(400, "invalid_form", f"{error.detail.rstrip('.')}; {_FORM}") from error
    except OSError as error:
        raise not_serving("no_space", f"no room for the upload ({error.strerror})") from error
    except ClientDisconnect as error:
        raise client_closed() from error
    except UnicodeError as error:  # in a character set that the head of the request names
        raise Refusal(400, "invalid_form", "the form's text cannot be read; send UTF-8") from error


def _audio(upload: object) -> tuple[BinaryIO, str]:
    if isinstance(upload, UploadFile):
        return upload.file, shown(upload.filename or "upload")
    if upload is None:
        raise Refusal(400, "missing_file", "the part named file is missing", "file")
    message = "file is a text, and URLs are not supported; send the recording's bytes"
    raise Refusal(400, "invalid_file", message, "file")


def _fields(texts: dict[str, Any]) -> Fields:
    for name, value in texts.items():
        if not isinstance(value, str):
            message = f"{shown(name)}: a file found; only the part named file is one"
            raise Refusal(400, "invalid_value", message, shown(name))
    try:
        return Fields.model_validate(texts)
    except ValidationError as error:
        raise invalid(error, ["file", *Fields.model_fields]) from error


def check_each_once(given: ImmutableMultiDict[str, Any]) -> None:
    """Refusal (400) for a name that is there twice."""
    counts = Counter(name for name, _ in given.multi_items())
    if twice := [name for name, count in counts.items() if count > 1]:
        name = shown(min(twice))
        raise Refusal(400, "invalid_value", f"{name}: given more than once", name)


def invalid(error: ValidationError, known: Sequence[str]) -> Refusal:
    """What is wrong with a field, from pydantic's words for it."""
    fault = error.errors()[0]
    name = shown(str((fault["loc"] or ("?",))[-1]))
    if fault["type"] == "extra_forbidden":
        message = f"{name}: no such field; {', '.join(known)} are known"
        return Refusal(400, "unknown_field", message, name)
    found = shown(str(fault["input"]))
    return Refusal(400, "invalid_value", f"{name}: {found!r} found; {fault['msg']}", name)
