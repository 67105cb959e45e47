"""Compare the length that a container declares with the bytes that are present.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import os
from typing import Literal, Protocol

_MAX_CHUNKS = 1024  # a hostile file could hold millions of empty chunks
_MAX_OGG_PAGE = 65_307  # bytes, header included: RFC 3533
_UNSIZED = 0xFFFF_FFFF


class SizedStream(Protocol):
    """A byte stream with a known size."""

    size: int

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte offset."""

    def read(self, count: int) -> bytes:
        """Read at most ``count`` bytes."""


def is_truncated(stream: SizedStream) -> bool:
    """Whether a WAV, AIFF or Ogg file declares more bytes than are present.

    A WAV of unknown length (0xFFFFFFFF, as written to a pipe) counts as truncated, because its true
    length is not recorded. For FLAC and MP3 compare the number of decoded frames instead.
    """
    stream.seek(0)
    magic = stream.read(4)
    if magic in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        return _chunks_are_truncated(stream, "big" if magic in (b"RIFX", b"FORM") else "little")
    return magic == b"OggS" and _ogg_is_truncated(stream)


def _chunks_are_truncated(stream: SizedStream, order: Literal["big", "little"]) -> bool:
    position, long_size = 12, None
    for _ in range(_MAX_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            return False
        size = int.from_bytes(header[4:], order)
        if header[:4] == b"ds64":
            long_size = int.from_bytes(stream.read(16)[8:], "little")
        if header[:4] in (b"data", b"SSND"):
            size = long_size if size == _UNSIZED and long_size is not None else size
            return position + 8 + size > stream.size
        position += 8 + size + size % 2
    return False


def _ogg_is_truncated(stream: SizedStream) -> bool:
    # The last page must be whole and marked as the end of its stream.
    stream.seek(max(0, stream.size - _MAX_OGG_PAGE))
    tail = stream.read(_MAX_OGG_PAGE)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or not page.startswith(b"OggS"):
        return True
    lacing = page[27 : 27 + page[26]]
    ends_stream = bool(page[5] & 4)
    return not ends_stream or len(page) < 27 + page[26] + sum(lacing)
