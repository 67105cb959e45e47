"""The text of a table: UTF-8, UTF-16, or what Excel writes in Western Europe."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from phonemo.errors import ManifestError

_SNIFFED_BYTES = 4096
#: First bytes -> what the file is, and the next step.
_NOT_TEXT = {
    b"PK\x03\x04": "an Excel workbook or another zip archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the table as CSV",
    b"PAR1": "a Parquet file; save the table as CSV (batch reads .parquet)",
    b"\x1f\x8b": "a compressed file; unpack it",
    b"version https://git-lfs.": "a Git LFS pointer; run git lfs pull",
}
#: Letters and signs of cp1252 that Western European words contain.
_WESTERN = frozenset("äöüÄÖÜßáéíóúýÁÉÍÓÚàèìòùÀÈÌÒÙâêîôûÂÊÎÔÛãõÃÕñÑçÇåÅæÆøØëïÿœŒ€°§´’‘“”„–—…«»¿¡ºª")
_MOST_NEIGHBORS = 2
_ERRORS = "phonemo.western"


def open_text(name: str, stream: Any) -> io.TextIOWrapper:
    """Decode a binary stream; line ends are kept, a byte order mark is not.

    Bytes outside UTF-8 are read as cp1252 if they are letters of Western European languages, as
    Excel writes them there; reading others raises UnicodeDecodeError.

    Raises:
        ManifestError: the stream is a file of another kind, such as an Excel workbook.
    """
    codecs.register_error(_ERRORS, _western)
    buffered = io.BufferedReader(cast(Any, _Forwarded(stream)), _SNIFFED_BYTES)
    head = buffered.peek(_SNIFFED_BYTES)
    for magic, kind in _NOT_TEXT.items():
        if head.startswith(magic):
            raise ManifestError(f"{name}: expected a text table, got {kind}")
    return io.TextIOWrapper(buffered, _encoding(head), errors=_ERRORS, newline="")


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) >= 4 and not any(head[1:8:2]):  # ASCII characters in the first four
        return "utf-16-le"
    return "utf-16-be" if len(head) >= 4 and not any(head[0:8:2]) else "utf-8-sig"


def _western(error: UnicodeError) -> tuple[str, int]:
    """Decode a byte or two that are not UTF-8; raise ``error`` if they are not Western letters."""
    if not isinstance(error, UnicodeDecodeError) or error.encoding.startswith("utf-16"):
        raise error
    data, end = error.object, error.start
    while end < len(data) and data[end] >= 0x80:
        end += 1
    run = data[error.start : end]
    text = run.decode("cp1252", "replace")
    if len(run) > _MOST_NEIGHBORS or not _WESTERN.issuperset(text):
        raise error
    return text, end


class _Forwarded(io.RawIOBase):
    """Reads a stream; closing this one leaves the stream open."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def utf8_errors(name: str) -> Iterator[None]:
    """Convert UnicodeDecodeError to ManifestError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{name}: expected UTF-8 text; save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from error
