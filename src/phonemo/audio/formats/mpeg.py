"""Frames of MP3, AAC (ADTS) and AAC in LATM, and the tags around them.

These streams have no header of their own: a few bits mark each frame, and samples of other formats
hold the same bits by chance. Therefore a frame counts only if another one follows at its end.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

#: Frames in a row that prove a stream at its start, and after other bytes.
_SURE_FRAMES, _VERY_SURE_FRAMES = 3, 5
#: Kilobits per second by bit rate index: MPEG-1 layers 1, 2 and 3, MPEG-2 layers 1, and 2 or 3.
_KILOBITS = (
    (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
#: How a frame of either kind begins, and the bytes in which a chain of them fits.
_CANDIDATE, _CHAIN_BYTES = re.compile(rb"\xff[\xe2-\xff][\x00-\xef]"), 2**14
#: Bytes in which frames are counted at once, and those at the end that need not be a frame.
_BLOCK_BYTES, _LAST_BYTES = 2**18, 4096
#: Longest frame of a free bit rate.
_LONGEST_FREE = 4608

Reader = Callable[[int, int], bytes]


def tag_bytes(head: bytes) -> int:
    """Length of the ID3v2 or APEv2 tag that ``head`` begins with; 0 if there is none."""
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        return 32 + int.from_bytes(head[12:16], "little")
    return 0


def is_mp3(head: bytes) -> bool:
    """Whether MPEG audio begins here."""
    return _is_chain(head, _mpeg_frame, _SURE_FRAMES) or _is_free_rate(head)


def is_adts(head: bytes) -> bool:
    """Whether AAC in ADTS begins here."""
    return _is_chain(head, _adts_frame, _SURE_FRAMES)


def is_latm(head: bytes) -> bool:
    """Whether AAC in LATM begins here."""
    return _is_chain(head, _latm_frame, _SURE_FRAMES)


def first_frame(data: bytes) -> int | None:
    """Offset of the first MPEG or ADTS frame after bytes of another kind; None without any."""
    for found in _CANDIDATE.finditer(data):
        rest = data[found.start() : found.start() + _CHAIN_BYTES]
        for frame in (_mpeg_frame, _adts_frame):
            if _is_chain(rest, frame, _VERY_SURE_FRAMES, cut=False):
                return found.start()
    return None


def counted(data: Reader, start: int, end: int) -> bytes | None:
    """Return a frame that counts those from ``start`` to ``end``, to be put before them.

    Without one decoders estimate the length of an MP3 from its first frame, which is wrong if the
    bit rate varies. None if that is not so, or if the frames do not follow each other to the end.

    Args:
        data: reads a number of bytes at an offset.
        start: offset of the first frame.
        end: offset of the end of the last.
    """
    head = data(start, 4)
    if _mpeg_frame(head)[0] == 0 or head[1] & 6 != 2:  # only layer 3 has such frames
        return None
    if any(mark in data(start, 200) for mark in (b"Xing", b"Info", b"VBRI")):
        return None
    frames = _count(data, start, end)
    if frames is None:
        return None
    head = bytes((0xFF, head[1] | 1, 0x90 | head[2] & 0x0C, head[3]))
    side = (17 if head[1] & 8 else 9) if head[3] >> 6 == 3 else (32 if head[1] & 8 else 17)
    size = _mpeg_frame(head)[0]
    body = head + bytes(side) + b"Xing" + struct.pack(">III", 3, frames, size + end - start)
    return body.ljust(size, b"\0")


def _count(data: Reader, start: int, end: int) -> int | None:
    """Frames that follow each other up to tags at the end.

    None if other bytes are between them, or if the bit rate is constant: no count is needed.
    """
    count, at, first = 0, start, b""
    rates = set[int]()
    while at < end:
        block = data(at, min(_BLOCK_BYTES, end - at))
        place = 0
        while True:
            size, kind = _mpeg_frame(block[place : place + 4])
            first = first or kind
            if not size or kind != first or place + size > len(block):
                break
            rates.add(block[place + 2] >> 4)
            place, count = place + size, count + 1
        if not place and end - at > _LAST_BYTES and not tag_bytes(block):
            return None
        at += place or end - at
    return count if len(rates) > 1 else None


def _mpeg_frame(head: bytes) -> tuple[int, bytes]:
    """The length of the frame and the bits that all frames of a stream share; 0 if none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0, b""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:  # the reserved values
        return 0, b""
    table = _KILOBITS[layer - 1] if version == 3 else _KILOBITS[3 if layer == 1 else 4]
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 3 else 576
    slot = 4 if layer == 1 else 1
    slots = samples * 125 * table[bitrate - 1] // (hertz * slot) + (head[2] >> 1 & 1)
    return slots * slot, bytes((head[1], head[2] & 0x0C))


def _adts_frame(head: bytes) -> tuple[int, bytes]:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0, b""
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (size, bytes((head[1], head[2] & 0xFC))) if size > 7 else (0, b"")


def _latm_frame(head: bytes) -> tuple[int, bytes]:
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return 0, b""
    return ((head[1] & 0x1F) << 8 | head[2]) + 3, b""


def _is_chain(
    head: bytes, frame: Callable[[bytes], tuple[int, bytes]], count: int, cut: bool = True
) -> bool:
    """Whether ``count`` alike frames follow each other, or all that fit before a ``cut``."""
    at, first = 0, b""
    for number in range(count):
        size, kind = frame(head[at : at + 8])
        first = first or kind
        if not size or kind != first:
            return cut and number > 0 and at + 8 > len(head)
        at += size
    return True


def _is_free_rate(head: bytes) -> bool:
    """Whether three MPEG frames of a free bit rate follow each other at equal distances."""
    if len(head) < 4 or head[0] != 0xFF or _mpeg_frame(_with_rate(head))[0] == 0 or head[2] >> 4:
        return False
    mark = head[:2]
    at = head.find(mark, 24, _LONGEST_FREE)
    while at > 0:
        near = (2 * at - 1, 2 * at, 2 * at + 1)
        if any(head[place : place + 2] == mark for place in near):
            return True
        at = head.find(mark, at + 1, _LONGEST_FREE)
    return False


def _with_rate(head: bytes) -> bytes:
    return head[:2] + bytes((head[2] | 0x10,)) + head[3:4]
