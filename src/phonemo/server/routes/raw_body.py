"""A recording as the whole body of a request; the options are in its address.

    curl --data-binary @my.wav -H 'Content-Type: audio/wav' 'http://HOST/v1/audio/emotions?top_k=1'
    curl -T my.wav http://HOST/v1/audio/emotions

Its first bytes say what it is; the Content-Type only says that it is no form.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile

from phonemo.errors import safe_name
from phonemo.server.api_errors import ApiError
from phonemo.server.routes.form_parts import (
    MOST_FIELDS,
    MULTIPART,
    check_coding,
    check_each_once,
    media_type_of,
    named_upload,
    receiving,
)
from phonemo.server.routes.request_form import RecognizeRequest, read_form, validate_fields

#: Media types of recordings, beside audio/*; without a type too, as curl -T sends it.
RAW_TYPES = ("", "application/octet-stream", "application/ogg", "video/mp4", "video/webm")
#: Samples without a header, whose rate and encoding no byte says.
_HEADERLESS = ("audio/l16", "audio/l24", "audio/pcm", "audio/raw", "audio/x-raw")
_URL_ENCODED = "application/x-www-form-urlencoded"
_SPOOL_BYTES, _BLOCK_BYTES, _HEAD_BYTES = 2**20, 2**17, 512
_LONGEST_OPTION = 4096
_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+://[!-~]+\s*$")
_PATH = re.compile(rb"@?[^\x00-\x1f]{1,250}\.[A-Za-z0-9]{2,5}\s*")


@asynccontextmanager
async def read_request(request: Request, profile_bytes: int) -> AsyncIterator[RecognizeRequest]:
    """Read a recording and its options, from a form or from the body and the address.

    Args:
        request: a request whose body has not been read.
        profile_bytes: most bytes of a profile.

    Raises:
        ApiError: a body of another type (415), or invalid options (400).
    """
    kind, options = media_type_of(request), _options_of(request)
    if kind == MULTIPART:
        async with read_form(request, profile_bytes, options) as parsed:
            yield parsed
        return
    check_coding(request)
    _check_type(kind)
    fields = validate_fields(dict(options))
    async with _received(request, kind) as upload:
        yield RecognizeRequest(upload.file, named_upload(upload), fields)


def _options_of(request: Request) -> Sequence[tuple[str, str]]:
    """Return the query parameters; raise ApiError (400) for too many or too long ones."""
    options = request.query_params.multi_items()
    if len(options) > MOST_FIELDS:
        message = f"expected at most {MOST_FIELDS} parameters, got {len(options)}"
        raise ApiError(400, "invalid_value", message)
    check_each_once(options)
    for name, value in options:
        if name == "profile_json":
            message = "profile_json: send it in a form, since proxies log addresses"
            raise ApiError(400, "invalid_value", message, name)
        if len(value) > _LONGEST_OPTION:
            message = f"{safe_name(name)}: expected at most {_LONGEST_OPTION} characters"
            raise ApiError(400, "invalid_value", message, safe_name(name))
    return options


def _check_type(kind: str) -> None:
    if kind in _HEADERLESS:
        message = f"{kind}: samples without a header; send WAV, or stream them to /v1/audio/stream"
        raise ApiError(415, "unsupported_media_type", message)
    if kind.startswith("audio/") or kind in RAW_TYPES:
        return
    message = f"expected {MULTIPART}, as curl -F file=@my.wav sends it, or the recording as the "
    message += "body with a type such as audio/wav, got "
    message += "no audio" if kind == _URL_ENCODED else safe_name(kind)
    if kind == _URL_ENCODED:
        message += f" ({kind}); with --data-binary, curl needs -H 'Content-Type: audio/wav'"
    raise ApiError(415, "unsupported_media_type", message)


@asynccontextmanager
async def _received(request: Request, kind: str) -> AsyncIterator[UploadFile]:
    """Receive the body into memory or, if it is large, a temporary file."""
    spool = cast(BinaryIO, SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115
    upload = UploadFile(file=spool, size=0, filename=_file_name(request))
    try:
        with receiving("expected one recording"):
            await _receive(request, upload)
        await upload.seek(0)
        _check_start(await upload.read(_HEAD_BYTES), kind, upload.size or 0)
        await upload.seek(0)
        yield upload
    finally:
        await upload.close()


async def _receive(request: Request, upload: UploadFile) -> None:
    block = bytearray()
    async for data in request.stream():
        block += data
        if len(block) >= _BLOCK_BYTES:
            await upload.write(bytes(block))
            block.clear()
    await upload.write(bytes(block))


def _check_start(start: bytes, kind: str, size: int) -> None:
    """Raise ApiError for what is certainly a slip of the client: no body, a path, a form."""
    if not start:
        message = "expected a recording as the body, got 0 bytes; curl needs --data-binary @my.wav"
        raise ApiError(422, "empty_audio", message)
    if start.startswith(b"--") and b"content-disposition:" in start.lower():
        got = f"got one with the type {kind}" if kind else "got one without a type"
        message = f"expected {MULTIPART} as the type of a form, {got}; leave out the Content-Type"
        raise ApiError(415, "unsupported_media_type", f"{message} of your own")
    if size <= _HEAD_BYTES and _URL.match(start):
        message = "expected a recording as the body, got a URL; URLs are not supported, send the "
        raise ApiError(415, "unsupported_audio", f"{message}audio itself")
    if size <= _HEAD_BYTES and _PATH.fullmatch(start):
        name = safe_name(start.decode("utf-8", "replace").strip().lstrip("@"))
        message = f"expected a recording as the body, got the text {name!r}; to send a file, curl "
        raise ApiError(415, "unsupported_audio", f"{message}needs an @: --data-binary @{name}")


def _file_name(request: Request) -> str | None:
    """Return the name after the address, as curl -T sends it, or that in Content-Disposition."""
    if name := request.path_params.get("name"):
        return str(name)
    _, options = parse_options_header(request.headers.get("content-disposition", ""))
    return options.get(b"filename", b"").decode("utf-8", "replace") or None
