"""Whether an MP4, Matroska or ASF file ends before its structure does, and why an MP4 has no index.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from phonemo.audio.sources import Piece

_MAX_BOXES = 100_000
_TAIL_BYTES = 2**22
_CLUSTER = b"\x1f\x43\xb6\x75"
_SEGMENT = b"\x18\x53\x80\x67"
#: The file properties of ASF, and the bytes in which they are found.
_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEAD_BYTES = 2**16


def is_cut(source: Piece, demuxer: str) -> bool:
    """Whether the last box or element declares more bytes than are present."""
    check = _CHECKS.get(demuxer)
    return check is not None and check(source)


def lacks_index(source: Piece) -> bool:
    """Whether an MP4 has samples but not the box that says where they are."""
    return all(name != b"moov" for name, _, _ in _mp4_boxes(source, 0))


def next_file(source: Piece, start: int) -> int:
    """Where the MP4 that begins at ``start`` ends: at another one, or where no box begins."""
    for name, at, end in _mp4_boxes(source, start):
        if at > start and (name == b"ftyp" or not _is_name(name)):
            return at
        if end > source.size:
            break
    return source.size


def _mp4_boxes(source: Piece, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box's name, where it begins, and where it ends."""
    for _ in range(_MAX_BOXES):
        source.seek(at)
        head = source.read(16)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        end = at + size if size else source.size  # 0: to the end of the file
        yield head[4:8], at, end
        if end <= at + 7:
            return
        at = end


def _mp4_is_cut(source: Piece) -> bool:
    return any(_is_name(name) and end > source.size for name, _, end in _mp4_boxes(source, 0))


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name)


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
        return first == 0  # without any sound
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


def _asf_is_cut(source: Piece) -> bool:
    """Compare the file's size with that in its properties; 0 is unknown."""
    source.seek(0)
    head = source.read(_ASF_HEAD_BYTES)
    at = head.find(_PROPERTIES)
    return at >= 0 and int.from_bytes(head[at + 40 : at + 48], "little") > source.size


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


#: FFmpeg's demuxer -> whether a file of its format is cut.
_CHECKS: dict[str, Callable[[Piece], bool]] = {
    "mov": _mp4_is_cut,
    "matroska": _matroska_is_cut,
    "asf": _asf_is_cut,
}
