"""Find the recordings in a file: where each begins and ends, and what belongs to none.

Files are joined with ``cat``, and some begin or end with other bytes. libsndfile reads the first
recording of some, takes the next header for samples in others, and refuses the rest; a piece is one
recording.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from phonemo.audio.containers import HEAD_BYTES, UNKNOWN, Kind, sniff_format
from phonemo.audio.formats.boxes import next_file
from phonemo.audio.formats.chunks import read_recording, rewrite
from phonemo.audio.formats.mpeg import counted, first_frame, is_mp3, tag_bytes
from phonemo.audio.sources import BufferedSource, Piece, SplicedSource

_MAX_PIECES = 256
_MAX_TAGS = 16
_MAX_OGG_PAGE = 65_307  # bytes, header included: RFC 3533
#: Bytes searched for the beginning of a recording.
_JUNK_BYTES = 2**16
#: Bytes in which the fields of a SPHERE header are.
_SPHERE_HEAD = 1024
#: Fewer bytes than these behind a recording are not counted, nor are zeros.
_FEW_BYTES = 16
_LONGEST_ZEROS = 2**24
#: How files of the usual formats begin, none of which a recording of another format contains.
_WAVE = rb"RIFF[\s\S]{4}WAVEfmt "
_OTHER = _WAVE + rb"|fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02\x00{8}"
_FILE, _PLAIN = re.compile(_OTHER), re.compile(_OTHER + rb"|ID3[\x02-\x04]\x00")
#: What each match of these holds.
_FEW = (b"WAVEfmt ", b"fLaC", b"OggS\x00\x02", b"ID3")
#: The first page of an Ogg stream, which may hold FLAC, or another file.
_OGG = re.compile(rb"OggS\x00\x02|ID3[\x02-\x04]\x00|" + _WAVE)
_TAG = re.compile(rb"ID3[\x02-\x04]\x00")
#: A tag, or the mark in the header frame of an encoder, and how far into the frame it is.
_MP3 = re.compile(rb"ID3[\x02-\x04]\x00|Xing|Info|" + _OTHER)
_MARK_OFFSETS = (36, 21, 13)
_ASF = re.compile(
    rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c|ID3[\x02-\x04]\x00|" + _OTHER
)
_MATROSKA = re.compile(
    rb"\x1a\x45\xdf\xa3[\s\S]{1,44}?\x42\x82[\s\S]{1,4}(?:webm|matroska)|RIFF[\s\S]{4}WAVEfmt "
)
_AMR = re.compile(rb"#!AMR(?:-WB)?\n|ID3[\x02-\x04]\x00|" + _OTHER)
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
    """Bytes before it that are neither tags nor zeros."""


@dataclass(frozen=True)
class _Found:
    """Recordings of one format, one after the other."""

    pieces: tuple[Piece, ...]
    after: int
    """Where they end."""
    truncated: bool = False


def detect(source: BufferedSource, start: int = 0) -> Detected:
    """Detect the format, behind tags and, for the usual ones, behind other bytes."""
    start = _skip_tags(source, start)
    kind = sniff_format(source.read_at(start, HEAD_BYTES))
    if kind.audio or kind.name != UNKNOWN:
        return Detected(kind, start)
    junk = _first_stream(source.read_at(start, _JUNK_BYTES))
    if junk is None:
        return Detected(kind, start)
    begin = _skip_tags(source, start + junk)
    kind = sniff_format(source.read_at(begin, HEAD_BYTES))
    return Detected(kind, begin, len(source.read_at(start, junk).strip(b"\0")))


def _first_stream(data: bytes) -> int | None:
    """Where a tag, a file of a usual format, or MP3 or AAC begins; None without any."""
    file = _FILE.search(data)
    if file is not None:
        return file.start()
    frame, tag = first_frame(data), _TAG.search(data)
    if tag and (frame is None or tag.start() < frame) and tag_bytes(data[tag.start() :]):
        return tag.start()
    return frame


def survey(source: BufferedSource, detected: Detected) -> Survey:
    """Find the recordings in a file from where the first was detected."""
    pieces: list[Piece] = []
    truncated, unused = False, detected.junk
    while detected.kind.audio and len(pieces) < _MAX_PIECES:
        found = _FINDERS.get(detected.kind.name, _whole)(source, detected.start)
        pieces += found.pieces
        truncated = truncated or found.truncated
        left = _unused(source, found.after)
        if not left:
            return Survey(tuple(pieces), truncated, unused)
        detected = detect(source, found.after)
        unused += detected.junk
    return Survey(tuple(pieces), truncated, unused - detected.junk + left)


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


def _whole(source: BufferedSource, start: int) -> _Found:
    return _Found((_part(source, start, source.size),), source.size)


def _chunked(source: BufferedSource, start: int) -> _Found:
    """WAV, AIFF, W64 and CAF: by their chunks."""
    recording = read_recording(source, start)
    if recording is None:
        return _whole(source, start)  # the decoder says why
    piece = source if recording.right else rewrite(source, recording)
    return _Found((piece,), recording.after, recording.truncated)


def _au(source: BufferedSource, start: int) -> _Found:
    head = source.read_at(start, 12)
    order: Literal["big", "little"] = "big" if head[:1] == b"." else "little"
    header, size = int.from_bytes(head[4:8], order), int.from_bytes(head[8:], order)
    if size not in (0, _UNKNOWN_AU):
        return _measured(source, start, header + size)
    if size or start:
        return _whole(source, start)
    unknown = head[:8] + _UNKNOWN_AU.to_bytes(4, order)
    piece = SplicedSource(source, (unknown, (min(12, source.size), source.size)))
    return _Found((piece,), source.size)


def _sphere(source: BufferedSource, start: int) -> _Found:
    fields = sphere_fields(source, start)
    if fields is None:
        return _whole(source, start)
    parts = ("sample_count", "channel_count", "sample_n_bytes")
    count, channels, width = (_number(fields.get(part)) for part in parts)
    size = count * max(1, channels) * max(1, width)
    if not size:
        return _whole(source, start)
    return _measured(source, start, _number(fields["header_bytes"]) + size)


def _measured(source: BufferedSource, start: int, size: int) -> _Found:
    end = start + size
    piece = _part(source, start, min(end, source.size))
    return _Found((piece,), min(end, source.size), end > source.size)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def sphere_fields(source: BufferedSource, at: int) -> dict[str, str] | None:
    """Return the fields of a NIST SPHERE header, with ``header_bytes``; None if there is none."""
    lines = source.read_at(at, _SPHERE_HEAD).split(b"\n")
    if lines[0].strip() != b"NIST_1A" or len(lines) < 3 or not lines[1].strip().isdigit():
        return None
    fields = {"header_bytes": lines[1].strip()[:9].decode()}
    for line in lines[2:]:
        words = line.decode("latin-1").split(maxsplit=2)
        if words[:1] == ["end_head"]:
            break
        if len(words) == 3:
            fields[words[0]] = words[2].strip()
    return fields


def _scanned(
    pattern: re.Pattern[bytes],
    words: tuple[bytes, ...],
    start_of: Callable[[BufferedSource, int], int | None],
) -> _Finder:
    """A finder for formats without a length, by what files begin with.

    Each match of the pattern contains one of ``words``. ``start_of`` gives where the file begins
    that holds it; None if none does.
    """

    def find(source: BufferedSource, start: int) -> _Found:
        identity = source.identity()
        known = {} if identity is None else _known_ends(identity)
        end = known.get(start) or search(source, start)
        if source.fault is None:
            known[start] = end
        return _Found((_part(source, start, end),), end)

    def search(source: BufferedSource, start: int) -> int:
        first = _skip_tags(source, start)  # marks in its tag and its first frame are its own
        for at in source.scan(pattern, first + 1, words):
            begin = start_of(source, at)
            if begin is not None and begin > first:
                return begin
        return source.size

    return find


@lru_cache(maxsize=64)
def _known_ends(identity: tuple[int, ...]) -> dict[int, int]:
    """Where recordings of a file end that begin at an offset, so that slices of it search once."""
    return {}


def _ogg(source: BufferedSource, start: int) -> _Found:
    words = (b"OggS\x00\x02", b"WAVEfmt ", b"ID3")
    found = _scanned(_OGG, words, _ogg_start)(source, start)
    return replace(found, truncated=any(_ogg_is_truncated(piece) for piece in found.pieces))


def _ogg_start(source: BufferedSource, at: int) -> int | None:
    """Where a stream begins after another one, and not beside it, as a video's sound does."""
    if source.read_at(at, 4) != b"OggS":
        return _at(source, at)
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


def _at(source: BufferedSource, at: int) -> int | None:
    """Where a file begins; of a tag, only if MP3 follows."""
    is_tag = source.read_at(at, 3) == b"ID3"
    if is_tag and not is_mp3(source.read_at(_skip_tags(source, at), HEAD_BYTES)):
        return None
    return at


def _mp3(source: BufferedSource, start: int) -> _Found:
    found = _scanned(_MP3, (b"Xing", b"Info", *_FEW), _mp3_start)(source, start)
    count = counted(source.read_at, start, found.after)
    if count is None:
        return found
    piece = SplicedSource(source, (count, (start, found.after)))
    return replace(found, pieces=(piece,))


def _mp3_start(source: BufferedSource, at: int) -> int | None:
    """Where a tag begins that frames follow, the header frame of an encoder, or another format."""
    mark = source.read_at(at, 4)
    if mark in (b"RIFF", b"fLaC", b"OggS"):
        return at
    begins = (at,) if mark[:3] == b"ID3" else tuple(max(0, at - offset) for offset in _MARK_OFFSETS)
    for begin in begins:
        if is_mp3(source.read_at(_skip_tags(source, begin), HEAD_BYTES)):
            return begin
    return None


def _mp4(source: BufferedSource, start: int) -> _Found:
    """MP4: another one begins with a box that names its brand, once to a file."""
    end = next_file(source, start)
    return _Found((_part(source, start, end),), end)


def _unused(source: BufferedSource, at: int) -> int:
    """Bytes from ``at`` on that are neither a tag at the end nor zeros."""
    left = source.size - at
    if left < _FEW_BYTES or (left == 128 and source.read_at(at, 3) == b"TAG"):
        return 0
    if tag_bytes(source.read_at(at, 32)) >= left:
        return 0
    is_zero = not any(source.read_at(at, count).strip(b"\0") for count in (2**12, _LONGEST_ZEROS))
    return 0 if is_zero else left


_Finder = Callable[[BufferedSource, int], _Found]
_FINDERS: dict[str, _Finder] = {
    **dict.fromkeys(("WAV", "AIFF", "CAF", "W64"), _chunked),
    "AU": _au,
    "NIST SPHERE": _sphere,
    "FLAC": _scanned(_PLAIN, _FEW, _at),
    "AAC": _scanned(_PLAIN, _FEW, _at),
    "MP3": _mp3,
    "Ogg": _ogg,
    "AMR": _scanned(_AMR, (b"#!AMR", *_FEW), _at),
    "WMA or ASF": _scanned(_ASF, (b"\xa6\xd9\x00\xaa", *_FEW), _at),
    "WebM or Matroska": _scanned(_MATROSKA, (b"\x1a\x45\xdf\xa3", b"WAVEfmt "), _at),
    "MP4 or M4A": _mp4,
}
