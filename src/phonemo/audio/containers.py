"""Detect a file's format from its first bytes, and whether the file is truncated.

libsndfile opens many formats that phonemo does not use, guesses some, and silently shortens a
damaged WAV or Ogg file. Therefore the first bytes are checked before libsndfile reads them, and
the length declared by the container is compared with the bytes present.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, Protocol

_MAX_CHUNKS = 1024  # a hostile file could hold millions of empty chunks
_MAX_OGG_PAGE = 65_307  # bytes, header included: RFC 3533
_UNSIZED = 0xFFFF_FFFF

#: Bytes that ``sniff_format`` needs, and the name that it gives to an unknown format.
HEAD_BYTES, UNKNOWN = 4096, "something that is not audio"

_FOREIGN = (
    (b"#EXTM3U", "a playlist (m3u8)"),
    (b"ffconcat", "a playlist (ffconcat)"),
    (b"[playlist]", "a playlist (pls)"),
    (b"v=0", "a session description (sdp)"),
    (b"<", "XML or HTML"),
    (b"{", "JSON"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM container"),
    (b"NIST_1A", "a NIST SPHERE file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
)


class SizedStream(Protocol):
    """A byte stream with a known size."""

    size: int

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte offset."""

    def read(self, count: int) -> bytes:
        """Read at most ``count`` bytes."""


@dataclass(frozen=True)
class Kind:
    """The format detected from a file's first bytes."""

    name: str
    audio: bool


def sniff_format(head: bytes) -> Kind:
    """Detect the format of a file from its first ``HEAD_BYTES`` bytes."""
    audio = _audio_kind(head)
    if audio:
        return Kind(audio, audio=True)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in _FOREIGN:
        if text.startswith(magic):
            return Kind(name, audio=False)
    if head[4:8] == b"ftyp":
        return Kind("an MP4 or M4A container", audio=False)
    return Kind("text" if _is_text(head) else UNKNOWN, audio=False)


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


def _audio_kind(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return "WAV" if head[8:12] == b"WAVE" else None
    if head[:4] == b"FORM":
        return "AIFF" if head[8:12] in (b"AIFF", b"AIFC") else None
    if head[:4] in (b"fLaC", b"OggS"):
        return "FLAC" if head[:1] == b"f" else "Ogg"
    return "MP3" if head[:3] == b"ID3" or _is_mpeg_frame(head) else None


def _is_mpeg_frame(head: bytes) -> bool:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bitrate != 15 and rate != 3  # the reserved values


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8-sig", errors="replace").rstrip(
        "\ufffd"
    )  # the last character may be cut
    printable = all(letter.isprintable() or letter.isspace() for letter in text)
    return bool(text) and printable and "\ufffd" not in text


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
