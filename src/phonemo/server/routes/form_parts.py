"""Multipart forms: reading them within limits, and checks of their parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from phonemo.errors import safe_name
from phonemo.server.api_errors import ApiError, client_closed, service_unavailable

MOST_FIELDS = 16
_URL = re.compile(r"[a-z][a-z0-9+.-]+:|//|\\\\", re.IGNORECASE)
MULTIPART = "multipart/form-data"
_MAX_FIELD_CHARACTERS = 4096


@asynccontextmanager
async def read_parts(
    request: Request, files: int, largest: int, too_many: str
) -> AsyncIterator[FormData]:
    """Parse a form; its parts are closed at the end of the context.

    Args:
        request: a request whose body has not been read.
        files: most parts that are files.
        largest: most bytes of a part that is not a file.
        too_many: the message for more files than that.

    Raises:
        ApiError: not a multipart form (415), or an invalid one (400).
    """
    check_coding(request)
    if (kind := media_type_of(request)) != MULTIPART:
        message = f"expected {MULTIPART} with a part named file, as curl -F file=@my.wav sends it, "
        message += f"got {safe_name(kind) or 'no Content-Type'}"
        raise ApiError(415, "unsupported_media_type", message)
    with receiving(too_many):
        form = await request.form(
            max_files=files,
            max_fields=MOST_FIELDS,
            max_part_size=max(largest, _MAX_FIELD_CHARACTERS),
        )
    try:
        yield form
    finally:
        await form.close()


def media_type_of(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters; empty if absent."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_coding(request: Request) -> None:
    """Raise ApiError (415) for a compressed body."""
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        message = f"{safe_name(coding)}: compressed bodies are not supported; send it uncompressed"
        raise ApiError(415, "unsupported_media_type", message)


@contextmanager
def receiving(too_many: str) -> Iterator[None]:
    """Convert what goes wrong while a body is received; large files are spooled to disk.

    Args:
        too_many: the message for a form with too many files.

    Raises:
        ApiError: an invalid form (400), a full disk (503), or a client that disconnects (499).
    """
    try:
        yield
    except (HTTPException, FormParserError) as error:  # newer starlette converts the second
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        message = too_many if detail.startswith("Too many files") else _invalid_form(detail)
        raise ApiError(400, "invalid_form", message) from error
    except OSError as error:
        message = f"no room for the upload ({error.strerror})"
        raise service_unavailable("no_space", message) from error
    except ClientDisconnect as error:
        raise client_closed() from error
    except UnicodeError as error:  # from the charset in the Content-Type
        raise ApiError(400, "invalid_form", "the form's text cannot be read; send UTF-8") from error


def _invalid_form(detail: str) -> str:
    fields = f"fields of at most {_MAX_FIELD_CHARACTERS} characters"
    return f"{detail.rstrip('.')}; send parts named file, each with a filename, and {fields}"


def check_lengths(form: FormData, apart: Sequence[str] = ()) -> None:
    """Raise ApiError (400) for a text field that is too long, except those in ``apart``."""
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in apart and len(value) > _MAX_FIELD_CHARACTERS:
            message = (
                f"{safe_name(name)}: expected at most {_MAX_FIELD_CHARACTERS} characters, got "
                f"{len(value)}; send a shorter text"
            )
            raise ApiError(400, "invalid_form", message, safe_name(name))


def check_each_once(given: Iterable[tuple[str, Any]]) -> None:
    """Raise ApiError (400) for a name that is given twice."""
    counts = Counter(name for name, _ in given)
    if repeated := [name for name, count in counts.items() if count > 1]:
        name = safe_name(min(repeated))
        raise ApiError(400, "invalid_value", f"{name}: given more than once; send it once", name)


def named_upload(part: UploadFile) -> str:
    """Return the client's file name, made printable; it is never used as a path."""
    return safe_name(part.filename or "upload")


def check_upload(part: object, form: FormData) -> UploadFile:
    """Return a part that must be a file; raise ApiError (400) if it is a text or missing."""
    if isinstance(part, UploadFile):
        return part
    if part is None:
        raise ApiError(400, "missing_file", _missing_file(form), "file")
    message = "file: expected a file, got a text"
    if _URL.match(text := str(part)):
        message += "; URLs are not supported, send the audio itself"
    else:
        name = safe_name(text)
        message += f"; URLs are not supported; to send a file, curl needs an @: -F file=@{name}"
    raise ApiError(400, "invalid_file", message, "file")


def _missing_file(form: FormData) -> str:
    """Say which parts came instead."""
    files = [name for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if files and not files[0].startswith("profile"):
        name = safe_name(files[0])
        return f"expected a part named file, got {name}; rename the part: -F file=@my.wav"
    names = ", ".join(safe_name(name) for name in [*form][:5]) or "no parts"
    if any(isinstance(value, str) and _URL.match(value) for _, value in form.multi_items()):
        return f"expected a part named file, got {names}; URLs are not supported, send the audio"
    return f"expected a part named file, got {names}; send the recording in it"


def check_texts(texts: dict[str, Any]) -> None:
    """Raise ApiError (400) for a file in place of a text field."""
    for name, value in texts.items():
        if not isinstance(value, str):
            message = f"{safe_name(name)}: expected a text, got a file"
            raise ApiError(400, "invalid_value", message, safe_name(name))


def invalid(error: ValidationError, known: Sequence[str]) -> ApiError:
    """Convert a pydantic error about a field to an API error."""
    details = error.errors()[0]
    name = safe_name(str((details["loc"] or ("?",))[-1]))
    if details["type"] == "extra_forbidden":
        message = f"{name}: no such field; expected one of {', '.join(known)}"
        return ApiError(400, "unknown_field", message, name)
    value, expected = safe_name(str(details["input"])), details["msg"]
    message = f"{name}: got {value!r}; {expected.removeprefix('Value error, ')}"
    return ApiError(400, "invalid_value", message, name)


def body_schema(fields: type[BaseModel], file: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI schema of a form.

    Args:
        fields: text fields.
        file: schema of the part named file.
    """
    schema = fields.model_json_schema()
    schema["properties"] = {
        name: _without_null(field) for name, field in schema["properties"].items()
    }
    schema["properties"] = {"file": file, **schema["properties"]}
    schema["required"] = ["file"]
    return {"content": {MULTIPART: {"schema": schema}}, "required": True}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Remove null from a schema: a form has no null, absent fields are left out."""
    types = [schema for schema in field.get("anyOf", ()) if schema != {"type": "null"}]
    rest = {key: value for key, value in field.items() if key != "anyOf" and value is not None}
    return {**rest, **types[0]} if types else rest
