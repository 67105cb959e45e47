"""Find the recordings in a file: where each begins and ends, and what belongs to none.

Files are joined with ``cat``, and some begin or end with other bytes. libsndfile reads the first
recording of some, takes the next header for samples in others, and refuses the rest; a piece is one
recording.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from phonemo.audio.containers import HEAD_BYTES, UNKNOWN, Kind, sniff_format
from phonemo.audio.formats.chunks import read_recording, rewrite
from phonemo.audio.formats.mpeg import first_frame, is_mp3, tag_bytes
from phonemo.audio.sources import BufferedSource, Piece, SplicedSource

_MAX_PIECES = 256
_MAX_TAGS = 16
_MAX_OGG_PAGE = 65_307  # bytes, header included: RFC 3533
#: Bytes searched for the first frame of an MP3 or AAC stream.
_JUNK_BYTES = 2**16
#: Bytes in which the size of a SPHERE header is given, and the largest size.
_SPHERE_HEAD, _SPHERE_MAX = 1024, 2**16
#: Fewer bytes than these behind a recording are not counted, nor are zeros.
_FEW_BYTES = 16
_LONGEST_TAG = 2**24
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
#: The first page of an Ogg stream.
_OGG = re.compile(rb"OggS\x00\x02")
#: An ID3v2 tag, or the mark in the header frame of an encoder, and how far into the frame it is.
_MP3, _MARK_OFFSETS = re.compile(rb"ID3[\x02-\x04]\x00|Xing|Info"), (36, 21, 13)
_UNKNOWN_AU = 0xFFFF_FFFF


@dataclass(frozen=True)
class Survey:
    """The recordings found in a file."""

    pieces: tuple[Piece, ...]
    """Each is a file for a decoder."""
    truncated: bool = False
    """Whether one declares more bytes than are present."""
    unused: int = 0
    """Bytes that belong to no recording and are neither tags nor zeros."""


@dataclass(frozen=True)
class Detected:
    """Where a recording begins, and what it is."""

    kind: Kind
    start: int
    junk: int = 0
    """Bytes before it that are no tag."""


def detect(source: BufferedSource) -> Detected:
    """Detect the format, behind tags and, for MP3 and AAC, behind other bytes."""
    start = _skip_tags(source, 0)
    kind = sniff_format(source.read_at(start, HEAD_BYTES))
    if kind.audio or kind.name != UNKNOWN:
        return Detected(kind, start)
    found = first_frame(source.read_at(start, _JUNK_BYTES))
    if found is None:
        return Detected(kind, start)
    junk = source.read_at(start, found).strip(b"\0")
    kind = sniff_format(source.read_at(start + found, HEAD_BYTES))
    return Detected(kind, start + found, len(junk))


def survey(source: BufferedSource, detected: Detected) -> Survey:
    """Find the recordings in a file of a detected format."""
    find = _FINDERS.get(detected.kind.name, _whole)
    return find(source, detected.start)


def _skip_tags(source: BufferedSource, at: int) -> int:
    for _ in range(_MAX_TAGS):
        size = tag_bytes(source.read_at(at, 32))
        if not size:
            break
        at += size
    return at


def _part(source: BufferedSource, start: int, end: int) -> Piece:
    whole = start == 0 and end == source.size
    return source if whole else SplicedSource(source, ((start, end),))


def _whole(source: BufferedSource, start: int) -> Survey:
    return Survey((_part(source, start, source.size),))


def _chunked(source: BufferedSource, start: int) -> Survey:
    """WAV, AIFF, W64 and CAF: by their chunks."""
    pieces: list[Piece] = []
    truncated, at = False, start
    while len(pieces) < _MAX_PIECES and (found := read_recording(source, at)):
        pieces.append(source if found.right else rewrite(source, found))
        truncated, at = truncated or found.truncated, found.after
        if at >= source.size:
            break
    if not pieces:
        return _whole(source, start)  # the decoder says why
    return Survey(tuple(pieces), truncated, _unused(source, at))


def _sized(measure: Callable[[BufferedSource, int], tuple[int, int] | None]) -> _Finder:
    """A finder for headers with a length: ``measure`` gives the header's and the samples' bytes."""

    def find(source: BufferedSource, start: int) -> Survey:
        pieces: list[Piece] = []
        truncated, at = False, start
        while len(pieces) < _MAX_PIECES and (found := measure(source, at)):
            header, size = found
            end = at + header + size
            pieces.append(_part(source, at, min(end, source.size)))
            truncated, at = truncated or end > source.size, end
        if not pieces:
            return _whole(source, start)
        return Survey(tuple(pieces), truncated, _unused(source, at))

    return find


def _measure_au(source: BufferedSource, at: int) -> tuple[int, int] | None:
    head = source.read_at(at, 12)
    if head[:4] not in (b".snd", b"dns.") or len(head) < 12:
        return None
    order: Literal["big", "little"] = "big" if head[:1] == b"." else "little"
    header, size = int.from_bytes(head[4:8], order), int.from_bytes(head[8:], order)
    rest = max(0, source.size - at - header)
    return header, rest if size in (0, _UNKNOWN_AU) else size


def _measure_sphere(source: BufferedSource, at: int) -> tuple[int, int] | None:
    fields = sphere_fields(source, at)
    if fields is None:
        return None
    header = int(fields.get("header_bytes", "0"))
    parts = ("sample_count", "channel_count", "sample_n_bytes")
    count, channels, width = (int(fields.get(part, "0")) for part in parts)
    rest = max(0, source.size - at - header)
    return header, count * max(1, channels) * max(1, width) or rest


def sphere_fields(source: BufferedSource, at: int) -> dict[str, str] | None:
    """Return the fields of a NIST SPHERE header, with ``header_bytes``; None if there is none."""
    lines = source.read_at(at, _SPHERE_HEAD).split(b"\n")
    if lines[0].strip() != b"NIST_1A" or len(lines) < 3 or not lines[1].strip().isdigit():
        return None
    fields = {"header_bytes": str(min(int(lines[1].strip()[:9]), _SPHERE_MAX))}
    for line in lines[2:]:
        words = line.decode("latin-1").split(maxsplit=2)
        if words[:1] == ["end_head"]:
            break
        is_number = len(words) == 3 and words[1] == "-i"
        if is_number and not (words[2].strip().isdigit() and len(words[2].strip()) < 16):
            continue
        if len(words) == 3:
            fields[words[0]] = words[2].strip()
    return fields


def _scanned(
    pattern: re.Pattern[bytes], start_of: Callable[[BufferedSource, int], int | None]
) -> _Finder:
    """A finder for formats without a length, by what files begin with.

    ``start_of`` gives where the file begins that holds a match of the pattern; None if none does.
    """

    def find(source: BufferedSource, start: int) -> Survey:
        begins = [start]
        for at in source.scan(pattern, start + 1):
            begin = start_of(source, at)
            if begin is not None and begin > begins[-1] and len(begins) < _MAX_PIECES:
                begins.append(begin)
        ends = [*begins[1:], source.size]
        return Survey(tuple(_part(source, *span) for span in zip(begins, ends, strict=True)))

    return find


def _ogg(source: BufferedSource, start: int) -> Survey:
    found = _scanned(_OGG, _ogg_start)(source, start)
    return Survey(found.pieces, any(_ogg_is_truncated(piece) for piece in found.pieces))


def _ogg_start(source: BufferedSource, at: int) -> int | None:
    """Where a stream begins after another one, and not beside it, as a video's sound does."""
    before = source.read_at(max(0, at - _MAX_OGG_PAGE), min(at, _MAX_OGG_PAGE))
    page = before[max(0, before.rfind(b"OggS")) :]
    return at if len(page) < 6 or not page[5] & 2 else None


def _ogg_is_truncated(piece: Piece) -> bool:
    # The last page must be whole and marked as the end of its stream.
    piece.seek(max(0, piece.size - _MAX_OGG_PAGE))
    tail = piece.read(_MAX_OGG_PAGE)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or not page.startswith(b"OggS"):
        return True
    lacing = page[27 : 27 + page[26]]
    ends_stream = bool(page[5] & 4)
    return not ends_stream or len(page) < 27 + page[26] + sum(lacing)


def _flac_start(source: BufferedSource, at: int) -> int:
    return at


def _mp3_start(source: BufferedSource, at: int) -> int | None:
    """Where a tag begins that frames follow, or the header frame of an encoder."""
    is_tag = source.read_at(at, 3) == b"ID3"
    begins = (at,) if is_tag else tuple(max(0, at - offset) for offset in _MARK_OFFSETS)
    for begin in begins:
        if is_mp3(source.read_at(_skip_tags(source, begin), HEAD_BYTES)):
            return begin
    return None


def _unused(source: BufferedSource, at: int) -> int:
    """Bytes from ``at`` on that are neither a tag at the end nor zeros."""
    left = source.size - at
    if left < _FEW_BYTES or (left == 128 and source.read_at(at, 3) == b"TAG"):
        return 0
    if tag_bytes(source.read_at(at, 32)) >= left:
        return 0
    rest = source.read_at(at, _LONGEST_TAG)
    return left if rest.strip(b"\0") else 0


_Finder = Callable[[BufferedSource, int], Survey]
_FINDERS: dict[str, _Finder] = {
    **dict.fromkeys(("WAV", "AIFF", "CAF", "W64"), _chunked),
    "AU": _sized(_measure_au),
    "NIST SPHERE": _sized(_measure_sphere),
    "FLAC": _scanned(_FLAC, _flac_start),
    "MP3": _scanned(_MP3, _mp3_start),
    "Ogg": _ogg,
}
