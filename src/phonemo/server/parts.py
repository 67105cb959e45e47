"""Reading a multipart form: which bodies are taken, and how much of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from phonemo.errors import shown
from phonemo.server.refusals import Refusal, client_closed, not_serving

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
        message = f"{shown(coding)}: bodies are taken as they are, not compressed"
        raise Refusal(415, "unsupported_media_type", message)
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != MULTIPART:
        message = f"{MULTIPART} with a part named file is wanted; curl -F file=@my.wav sends one"
        raise Refusal(415, "unsupported_media_type", message)
    form = await _parsed(request, files, max(largest, _MOST_FIELD_LETTERS))
    try:
        yield form
    finally:
        await form.close()


def check_lengths(form: FormData, apart: Sequence[str] = ()) -> None:
    """Refusal (400) for a text that is longer than a field may be, but for the fields ``apart``."""
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in apart and len(value) > _MOST_FIELD_LETTERS:
            message = f"{shown(name)}: more than {_MOST_FIELD_LETTERS} letters; send a shorter one"
            raise Refusal(400, "invalid_form", message, shown(name))


def check_each_once(given: Iterable[tuple[str, Any]]) -> None:
    """Refusal (400) for a name that is there twice."""
    counts = Counter(name for name, _ in given)
    if twice := [name for name, count in counts.items() if count > 1]:
        name = shown(min(twice))
        raise Refusal(400, "invalid_value", f"{name}: given more than once", name)


def named_upload(part: UploadFile) -> str:
    """The client's name for a file, printable; never a path of ours."""
    return shown(part.filename or "upload")


def check_upload(part: object) -> UploadFile:
    """A part that has to be a file; Refusal (400) where it is a text or absent."""
    if isinstance(part, UploadFile):
        return part
    if part is None:
        raise Refusal(400, "missing_file", "the part named file is missing", "file")
    message = "file is a text, and URLs are not supported; send the recording's bytes"
    raise Refusal(400, "invalid_file", message, "file")


def check_texts(texts: dict[str, Any]) -> None:
    """Refusal (400) for a file in the place of a field."""
    for name, value in texts.items():
        if not isinstance(value, str):
            message = f"{shown(name)}: a file found; a text is expected"
            raise Refusal(400, "invalid_value", message, shown(name))


def invalid(error: ValidationError, known: Sequence[str]) -> Refusal:
    """What is wrong with a field, from pydantic's words for it."""
    fault = error.errors()[0]
    name = shown(str((fault["loc"] or ("?",))[-1]))
    if fault["type"] == "extra_forbidden":
        message = f"{name}: no such field; {', '.join(known)} are known"
        return Refusal(400, "unknown_field", message, name)
    found = shown(str(fault["input"]))
    return Refusal(400, "invalid_value", f"{name}: {found!r} found; {fault['msg']}", name)


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
    except HTTPException as error:
        message = f"{error.detail.rstrip('.')}; send parts named file, each with a filename, and "
        message += f"fields of {_MOST_FIELD_LETTERS} letters"
        raise Refusal(400, "invalid_form", message) from error
    except OSError as error:
        raise not_serving("no_space", f"no room for the upload ({error.strerror})") from error
    except ClientDisconnect as error:
        raise client_closed() from error
    except UnicodeError as error:  # in a character set that the head of the request names
        raise Refusal(400, "invalid_form", "the form's text cannot be read; send UTF-8") from error
