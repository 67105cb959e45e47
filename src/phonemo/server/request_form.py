"""Reading a multipart form: which bodies are taken, and how much of each part.

The form of POST /v1/audio/emotions: what may be asked, and reading it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from phonemo.errors import safe_name
from phonemo.server.api_errors import ApiError, client_closed, service_unavailable
from phonemo.server.pipeline import RecognizeOptions

MOST_FIELDS = 16
MULTIPART = "multipart/form-data"
_MOST_FIELD_LETTERS = 4096


@asynccontextmanager
async def read_parts(request: Request, files: int, largest: int) -> AsyncIterator[FormData]:
    """The parts of a form; what they hold is gone after it.

    Args:
        request: its body is not read yet.
        files: how many parts may be files.
        largest: bytes of a part that is no file.

    Raises:
        Refusal: another kind of body (415), or a form that is none (400).
    """
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        message = f"{safe_name(coding)}: bodies are taken as they are, not compressed"
        raise ApiError(415, "unsupported_media_type", message)
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != MULTIPART:
        message = f"{MULTIPART} with a part named file is wanted; curl -F file=@my.wav sends one"
        raise ApiError(415, "unsupported_media_type", message)
    form = await _parsed(request, files, max(largest, _MOST_FIELD_LETTERS))
    try:
        yield form
    finally:
        await form.close()


def check_lengths(form: FormData, apart: Sequence[str] = ()) -> None:
    """Refusal (400) for a text that is longer than a field may be, but for the fields ``apart``."""
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in apart and len(value) > _MOST_FIELD_LETTERS:
            message = (
                f"{safe_name(name)}: more than {_MOST_FIELD_LETTERS} letters; send a shorter one"
            )
            raise ApiError(400, "invalid_form", message, safe_name(name))


def check_each_once(given: Iterable[tuple[str, Any]]) -> None:
    """Refusal (400) for a name that is there twice."""
    counts = Counter(name for name, _ in given)
    if twice := [name for name, count in counts.items() if count > 1]:
        name = safe_name(min(twice))
        raise ApiError(400, "invalid_value", f"{name}: given more than once", name)


def named_upload(part: UploadFile) -> str:
    """The client's name for a file, printable; never a path of ours."""
    return safe_name(part.filename or "upload")


def check_upload(part: object) -> UploadFile:
    """A part that has to be a file; Refusal (400) where it is a text or absent."""
    if isinstance(part, UploadFile):
        return part
    if part is None:
        raise ApiError(400, "missing_file", "the part named file is missing", "file")
    message = "file is a text, and URLs are not supported; send the recording's bytes"
    raise ApiError(400, "invalid_file", message, "file")


def check_texts(texts: dict[str, Any]) -> None:
    """Refusal (400) for a file in the place of a field."""
    for name, value in texts.items():
        if not isinstance(value, str):
            message = f"{safe_name(name)}: a file found; a text is expected"
            raise ApiError(400, "invalid_value", message, safe_name(name))


def invalid(error: ValidationError, known: Sequence[str]) -> ApiError:
    """What is wrong with a field, from pydantic's words for it."""
    fault = error.errors()[0]
    name = safe_name(str((fault["loc"] or ("?",))[-1]))
    if fault["type"] == "extra_forbidden":
        message = f"{name}: no such field; {', '.join(known)} are known"
        return ApiError(400, "unknown_field", message, name)
    found = safe_name(str(fault["input"]))
    return ApiError(400, "invalid_value", f"{name}: {found!r} found; {fault['msg']}", name)


def body_schema(fields: type[BaseModel], file: dict[str, Any]) -> dict[str, Any]:
    """The request's body for OpenAPI.

    Args:
        fields: those beside the files.
        file: the schema of the part named file.
    """
    schema = fields.model_json_schema()
    schema["properties"] = {name: _without_null(one) for name, one in schema["properties"].items()}
    schema["properties"] = {"file": file, **schema["properties"]}
    schema["required"] = ["file"]
    return {"content": {MULTIPART: {"schema": schema}}, "required": True}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A form has no null: a field that is not meant is left out."""
    kinds = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
    rest = {key: one for key, one in field.items() if key != "anyOf" and one is not None}
    return {**rest, **kinds[0]} if kinds else rest


async def _parsed(request: Request, files: int, largest: int) -> FormData:
    """The parts; a large file goes to a temporary one, for which there has to be room."""
    try:
        return await request.form(max_files=files, max_fields=MOST_FIELDS, max_part_size=largest)
    except (HTTPException, FormParserError) as error:  # not every version of starlette converts it
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        message = f"{detail.rstrip('.')}; send parts named file, each with a filename, and "
        message += f"fields of {_MOST_FIELD_LETTERS} letters"
        raise ApiError(400, "invalid_form", message) from error
    except OSError as error:
        raise service_unavailable(
            "no_space", f"no room for the upload ({error.strerror})"
        ) from error
    except ClientDisconnect as error:
        raise client_closed() from error
    except UnicodeError as error:  # in a character set that the head of the request names
        raise ApiError(400, "invalid_form", "the form's text cannot be read; send UTF-8") from error


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
    def options(self) -> RecognizeOptions:
        """The same for the service."""
        names = [one.strip() for one in self.labels.split(",")] if self.labels is not None else []
        return RecognizeOptions(self.phonemes, self.timeline, names, self.top_k)


@dataclass(frozen=True)
class RecognizeRequest:
    """A request that was read."""

    upload: BinaryIO
    file: str
    """The client's name for it, printable; never a path of ours."""
    fields: Fields


def form_schema() -> dict[str, Any]:
    """The request's body for OpenAPI."""
    return body_schema(Fields, AUDIO)


@asynccontextmanager
async def read_form(request: Request, profile_bytes: int) -> AsyncIterator[RecognizeRequest]:
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
        yield RecognizeRequest(upload.file, named_upload(upload), _fields(texts))


def _check_files(form: FormData) -> None:
    """Refusal (400) for two files, where a profile, which curl may send as one, does not count."""
    files = [
        name
        for name, value in form.multi_items()
        if isinstance(value, UploadFile) and name != _PROFILE
    ]
    if len(files) > 1:
        message = f"{len(files)} files found; one part named file is expected"
        raise ApiError(400, "invalid_form", message)


async def _text(sent: UploadFile, most: int) -> str:
    """A profile that came as a file."""
    data = await sent.read(most + 1)
    if len(data) > most:
        message = f"{_PROFILE}: more than {most} bytes; no profile is that large"
        raise ApiError(400, "invalid_form", message, _PROFILE)
    return data.decode("utf-8", "replace")  # what that replaces is in no profile


def _fields(texts: dict[str, Any]) -> Fields:
    check_texts(texts)
    try:
        return Fields.model_validate(texts)
    except ValidationError as error:
        raise invalid(error, ["file", *Fields.model_fields]) from error
