"""Walk the chunks of WAV, AIFF, W64 and CAF, and write their headers again where they are wrong.

A pipe and a killed recorder leave a length of zero or of all ones; some writers forget the padding
of an odd chunk, and others append a second file. A recording found here has a right header.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from phonemo.audio.sources import BufferedSource, SplicedSource

_MAX_CHUNKS = 1024  # a hostile file could hold millions of empty chunks
_MAX_ESSENTIAL_BYTES = 2**20


@dataclass(frozen=True)
class _ChunkLayout:
    """How a container writes its chunks."""

    order: Literal["big", "little"]
    first: int
    """Offset of the first chunk."""
    data: bytes
    """Name of the chunk with the samples."""
    essential: tuple[bytes, ...]
    """The other chunks that a decoder needs."""
    again: re.Pattern[bytes]
    """How a file of the kind begins."""
    total_at: int | None = 4
    """Offset of the file's length, which is as wide as that of a chunk."""
    size_bytes: int = 4
    counts_header: bool = False
    """Whether a chunk's size includes its name and size."""
    align: int = 2
    preamble: int = 0
    """Bytes of the samples' chunk before the first sample."""


_GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_WAV = _ChunkLayout(
    *("little", 12, b"data", (b"fmt ", b"fact")),
    again=re.compile(rb"(RIFF|RIFX|RF64)[\s\S]{4}WAVE(fmt |ds64|JUNK|LIST|bext)"),
)
_AIFF = _ChunkLayout(
    *("big", 12, b"SSND", (b"FVER", b"COMM")),
    again=re.compile(rb"FORM[\s\S]{4}AIF[FC](COMM|COMT|FVER|NAME)"),
    preamble=8,
)
_CAF = _ChunkLayout(
    *("big", 8, b"data", (b"desc", b"kuki", b"pakt")),
    again=re.compile(rb"caff\x00\x01\x00\x00desc"),
    total_at=None,
    size_bytes=8,
    align=1,
    preamble=4,
)
_W64 = _ChunkLayout(
    *("little", 40, b"data" + _GUID, (b"fmt " + _GUID, b"fact" + _GUID)),
    again=re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"),
    total_at=16,
    size_bytes=8,
    counts_header=True,
    align=8,
)
#: The first four bytes of a file -> its layout.
_LAYOUTS = {
    b"RIFF": _WAV,
    b"RF64": _WAV,
    b"RIFX": replace(_WAV, order="big"),
    b"FORM": _AIFF,
    b"caff": _CAF,
    b"riff": _W64,
}
#: Chunks without samples, which may be cut off at the end of a file.
_NOTES = frozenset(
    name.ljust(4)
    for name in b"LIST id3 ID3 bext iXML smpl cue fact PEAK JUNK junk FLLR _PMX acid afsp axml "
    b"chna PAD NAME ANNO AUTH (c) MARK INST COMT APPL CHAN uuid info strg free edct inst".split()
)
#: How files begin that are joined to these, and are no chunks.
_OTHER_FILES = (b"OggS", b"fLaC", b".snd", b"dns.", b"caff", b"FORM", b"riff", b"ftyp")
#: How chunks of text begin behind samples of unknown length, and bytes in which they are found.
_NOTE, _MOST_NOTES = re.compile(rb"LIST|id3 |ID3 |bext|iXML|ANNO|NAME|AUTH"), 2**16
#: Lengths that writers put where they do not know it, besides 0: ffmpeg, arecord and sox.
_UNKNOWN_SIZES = (
    range(0xFFFF_FF00, 2**32),
    range(0x7FFF_F000, 2**31 + 1),
    range(0x7F00_0000, 0x7F00_0010),
)
_UNKNOWN_LONG = 2**62
#: AIFF-C compression -> bytes per sample; others are whole bytes of the sample size.
_COMPANDED = (b"ulaw", b"ULAW", b"alaw", b"ALAW")
_PLAIN = (
    b"NONE",
    b"sowt",
    b"twos",
    b"raw ",
    b"in24",
    b"in32",
    b"23ni",
    b"42ni",
    b"fl32",
    b"FL32",
    b"fl64",
    b"FL64",
)


@dataclass(frozen=True)
class ChunkedRecording:
    """The samples of one file among those in a stream."""

    head: bytes
    """What precedes the first chunk."""
    chunks: tuple[tuple[bytes, bytes], ...]
    """The essential chunks: name and content."""
    start: int
    """Offset of the content of the samples' chunk."""
    end: int
    """Where it really ends."""
    after: int
    """Where the next file begins, or bytes that are no chunk."""
    truncated: bool
    """Whether the chunk declares more bytes than are present."""
    right: bool
    """Whether its header is right as it is."""


def read_recording(source: BufferedSource, start: int) -> ChunkedRecording | None:
    """Read the chunks of the file that begins at ``start``; None if none has samples."""
    layout = _LAYOUTS.get(source.read_at(start, 4))
    return None if layout is None else _Walk(source, start, layout).recording()


def rewrite(source: BufferedSource, recording: ChunkedRecording) -> SplicedSource:
    """Return a recording as a file of its own, with a header that gives its real length."""
    layout = _LAYOUTS[recording.head[:4]]
    size = recording.end - recording.start
    chunks = b"".join(
        _chunk(layout, name, _with_length(name, body, size - layout.preamble))
        for name, body in recording.chunks
    )
    total = len(recording.head) + len(chunks) + len(layout.data) + layout.size_bytes + size
    if layout is _WAV and total >= 2**32:
        head = _rf64_head(recording, total, size)
        opening = head + chunks + layout.data + b"\xff" * 4
    else:
        opening = _head(layout, recording.head, total) + chunks + _title(layout, layout.data, size)
    return SplicedSource(source, (opening, (recording.start, recording.end)))


class _Walk:
    """A walk over the chunks of one file."""

    def __init__(self, source: BufferedSource, start: int, layout: _ChunkLayout) -> None:
        self._source, self._start, self._layout = source, start, layout
        self._title_bytes = len(layout.data) + layout.size_bytes
        self._essential: list[tuple[bytes, bytes]] = []
        self._long_size: int | None = None
        self._padded = True

    def recording(self) -> ChunkedRecording | None:
        at = self._start + self._layout.first
        for _ in range(_MAX_CHUNKS):
            chunk = self._chunk_at(at)
            if chunk is None:
                return None
            name, start, size = chunk
            if name == self._layout.data:
                return self._measure(start, size)
            if name == b"ds64":
                self._long_size = int.from_bytes(self._source.read_at(start + 8, 8), "little")
            if name in self._layout.essential and size <= _MAX_ESSENTIAL_BYTES:
                self._essential.append((name, self._source.read_at(start, size)))
            at = self._next(start + size)
        return None

    def _chunk_at(self, at: int) -> tuple[bytes, int, int] | None:
        """A chunk's name, where its content begins, and its declared size."""
        title = self._source.read_at(at, self._title_bytes)
        if len(title) < self._title_bytes:
            return None
        name_bytes = len(self._layout.data)
        size = int.from_bytes(title[name_bytes:], self._layout.order)
        if self._layout.counts_header:
            size = max(0, size - len(title))
        return title[:name_bytes], at + len(title), size

    def _next(self, end: int) -> int:
        """Where the next chunk begins; some writers omit the padding after an odd size."""
        padded = end + -(end - self._start) % self._layout.align
        if padded == end or self._layout.align != 2 or padded >= self._source.size:
            return padded
        if self._is_known(padded) or not self._is_known(end):
            return padded
        self._padded = False
        return end

    def _is_known(self, at: int) -> bool:
        name = self._source.read_at(at, 4)
        return name in _NOTES or name in (self._layout.data, *self._layout.essential)

    def _measure(self, start: int, declared: int) -> ChunkedRecording:
        size = self._source.size
        if declared == 0xFFFF_FFFF and self._long_size:
            declared = self._long_size
        unsized = self._is_unsized(start, declared)
        end = self._find_end(start) if unsized else start + declared
        after = end if end > size else self._skip_notes(end if unsized else self._next(end))
        cut = end > size and self._layout is _CAF  # which libsndfile refuses
        right = self._padded and not (unsized or cut or self._start) and after >= size
        return ChunkedRecording(
            head=self._source.read_at(self._start, self._layout.first),
            chunks=tuple(self._essential),
            start=start,
            end=min(end, size),
            after=min(after, size),
            truncated=end > size,
            right=right,
        )

    def _is_unsized(self, start: int, declared: int) -> bool:
        if declared >= _UNKNOWN_LONG:  # of W64, CAF or RF64
            return True
        if declared == 0xFFFF_FFFF and self._layout.size_bytes == 4:
            return True
        if start + declared > self._source.size and self._layout.size_bytes == 4:
            return any(declared in sizes for sizes in _UNKNOWN_SIZES)
        first = start + self._layout.preamble
        empty = declared <= self._layout.preamble and first < self._source.size
        return empty and self._skip_notes(start + declared) < self._source.size

    def _find_end(self, start: int) -> int:
        """The end of samples of unknown length: of the file, or where another file begins."""
        end = next(self._source.scan(self._layout.again, start), self._source.size)
        return self._without_notes(start, end)

    def _without_notes(self, start: int, end: int) -> int:
        """Where the texts begin that some writers append to samples: chunks up to the end."""
        if self._layout.size_bytes != 4:
            return end
        first = max(start, end - _MOST_NOTES)
        tail = self._source.read_at(first, end - first)
        for found in _NOTE.finditer(tail):
            at = first + found.start()
            if (at - start) % 2 == 0 and self._ends_at(at, end):
                return at
        return end

    def _ends_at(self, at: int, end: int) -> bool:
        """Whether the chunks from ``at`` on follow each other up to ``end``."""
        while at < end:
            chunk = self._chunk_at(at)
            if chunk is None or chunk[0] not in _NOTES or not chunk[2]:
                return False
            at = chunk[1] + chunk[2]
            at += at % 2 and at < end
        return at == end

    def _skip_notes(self, at: int) -> int:
        """The end of the chunks from ``at`` on."""
        for _ in range(_MAX_CHUNKS):
            chunk = self._chunk_at(at)
            if chunk is None or not _is_name(chunk[0][:4]) or chunk[0][:4] in _OTHER_FILES:
                return at
            name, start, size = chunk
            is_file = self._layout.again.match(self._source.read_at(at, 64))
            if is_file or (start + size > self._source.size and name[:4] not in _NOTES):
                return at
            at = min(self._next(start + size), self._source.size)
        return at


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name) and name[:1] != b" "


def _title(layout: _ChunkLayout, name: bytes, size: int) -> bytes:
    counted = size + (len(name) + layout.size_bytes if layout.counts_header else 0)
    return name + counted.to_bytes(layout.size_bytes, layout.order)


def _chunk(layout: _ChunkLayout, name: bytes, body: bytes) -> bytes:
    return _title(layout, name, len(body)) + body + bytes(-len(body) % layout.align)


def _head(layout: _ChunkLayout, head: bytes, total: int) -> bytes:
    if layout.total_at is None:
        return head
    at, width = layout.total_at, layout.size_bytes
    counted = total if layout.counts_header else total - 8
    limited: int = min(counted, (1 << 8 * width) - 1)
    return head[:at] + limited.to_bytes(width, layout.order) + head[at + width :]


def _rf64_head(recording: ChunkedRecording, total: int, size: int) -> bytes:
    form = dict(recording.chunks).get(b"fmt ", b"")
    frame_bytes = max(1, int.from_bytes(form[12:14], "little"))
    sizes = (total + 36 - 8, size, size // frame_bytes)
    body = b"".join(value.to_bytes(8, "little") for value in sizes) + bytes(4)
    return b"RF64\xff\xff\xff\xffWAVE" + _chunk(_WAV, b"ds64", body)


def _with_length(name: bytes, body: bytes, size: int) -> bytes:
    """AIFF's COMM with the number of frames in ``size`` bytes; any other chunk unchanged."""
    if name != b"COMM" or len(body) < 18:
        return body
    channels, bits = int.from_bytes(body[:2], "big"), int.from_bytes(body[6:8], "big")
    kind = body[18:22] or b"NONE"
    if kind not in _PLAIN + _COMPANDED or not channels or not bits:
        return body
    width = 1 if kind in _COMPANDED else -(-bits // 8)
    frames = min(size // (channels * width), 2**32 - 1)
    return body[:2] + frames.to_bytes(4, "big") + body[6:]
