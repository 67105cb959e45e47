"""Whether an MP4 or a Matroska file ends before its structure does, and why an MP4 has no index.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from phonemo.audio.sources import Piece

_MAX_BOXES = 100_000
_TAIL_BYTES = 2**22
_CLUSTER = b"\x1f\x43\xb6\x75"
_SEGMENT = b"\x18\x53\x80\x67"
_EBML = b"\x1a\x45\xdf\xa3"


def is_cut(source: Piece, demuxer: str) -> bool:
    """Whether the last box or element declares more bytes than are present."""
    if demuxer == "mov":
        return _mp4_boxes(source)[1]
    return demuxer == "matroska" and _matroska_is_cut(source)


def lacks_index(source: Piece) -> bool:
    """Whether an MP4 has samples but not the box that says where they are."""
    names, _ = _mp4_boxes(source)
    return b"moov" not in names


def _mp4_boxes(source: Piece) -> tuple[set[bytes], bool]:
    """The names of the boxes, and whether one is cut."""
    names: set[bytes] = set()
    at = 0
    for _ in range(_MAX_BOXES):
        source.seek(at)
        head = source.read(16)
        if len(head) < 8:
            return names, bool(head.strip(b"\0"))
        names.add(head[4:8])
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size == 0:  # to the end of the file
            return names, False
        if size < 8:
            return names, True
        at += size
        if at >= source.size:
            return names, at > source.size
    return names, False


def _matroska_is_cut(source: Piece) -> bool:
    """Walk the elements of the last cluster, or of the segment if there is none."""
    source.seek(0)
    head = source.read(4096)
    segment = head.find(_SEGMENT)
    if segment < 0:
        return True
    size, width = _vint(head[segment + 4 : segment + 12])
    if size is not None and segment + 4 + width + size > source.size:
        return True
    first = max(0, source.size - _TAIL_BYTES)
    source.seek(first)
    tail = source.read(_TAIL_BYTES)
    cluster = tail.rfind(_CLUSTER)
    if cluster < 0:
        return False
    size, width = _vint(tail[cluster + 4 : cluster + 12])
    if size is not None and cluster + 4 + width + size > len(tail):
        return True
    return _ends_inside(tail, cluster + 4 + width + (size or 0))


def _ends_inside(data: bytes, at: int) -> bool:
    """Whether the last element, of those that begin at ``at``, lacks bytes."""
    while at < len(data):
        name_width = _width(data[at])
        size, width = _vint(data[at + name_width : at + name_width + 8])
        if not name_width or not width:
            return True
        at += name_width + width + (size or 0)
    return at > len(data)


def _width(first: int) -> int:
    return 9 - first.bit_length() if first else 0


def _vint(data: bytes) -> tuple[int | None, int]:
    """The value of an EBML integer and its width in bytes; the value is None if it is unknown."""
    width = _width(data[0]) if data else 0
    if not width or len(data) < width:
        return None, 0
    mask = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width], "big") & mask
    return (None if value == mask else value), width
