"""Whether a stream of raw samples is what it was declared to be.

A wrong declaration is refused instead of recognized: noise has an emotion, too. A container's first
bytes are found at once; another encoding is found by its coding cost in the first two seconds of
signal.
"""

from __future__ import annotations

import string

import numpy as np

from phonemo.audio.pcm.coding_cost import FRAME_BYTES, Frames, coding_cost, frames_of
from phonemo.audio.pcm.encodings import ENCODINGS, UNSUPPORTED, Encoding
from phonemo.errors import AudioError

HEAD_BYTES = 4096
_MARGIN = 0.5
"""Bits per byte by which another encoding must be cheaper."""
_HUGE = 2.0**31
_CLIPPED_SHARE = 0.15
_SECONDS = (0.5, 1.0, 2.0)
"""Seconds of signal after which the cost is computed."""
_LEAST_FRAMES = 6

CONTAINER_ADVICE = {
    "WebM": "open the stream with encoding=webm, or send raw samples",
    "Ogg": "open the stream with encoding=ogg, or send raw samples",
    "MP4": "open the stream with encoding=mp4, or send raw samples",
    "WAV": "leave out the header: send the samples after it",
}
"""What to do with a container, by its name; for others as for an encoded file."""
_OTHER_ADVICE = "send raw samples, or send the file to /v1/audio/emotions"
_TEXT = frozenset(string.printable.encode())


def container_of(head: bytes, least: int = 16) -> str | None:
    """The name of the container or text that begins with these bytes; None for raw samples.

    Args:
        head: the first bytes.
        least: different bytes that a text has.
    """
    for name, offset, magics in _MAGICS:
        if head.startswith(magics, offset):
            return name
    if len(head) >= 10 and head[:3] == b"ID3" and head[3] <= 4 and not any(_high_bits(head[6:10])):
        return "MP3"
    if _is_mpeg(head):
        return "MP3 or AAC"
    return "text" if _is_text(head, least) else None


_MAGICS: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("WebM", 0, (b"\x1aE\xdf\xa3",)),
    ("Ogg", 0, (b"OggS\0",)),
    ("WAV", 8, (b"WAVE",)),
    ("FLAC", 0, (b"fLaC",)),
    ("MP4", 4, (b"ftyp",)),
    ("AIFF", 8, (b"AIFF", b"AIFC")),
    ("AU", 0, (b".snd\0\0\0",)),
    ("CAF", 0, (b"caff\0\1",)),
    ("AMR", 0, (b"#!AMR",)),
)


def _high_bits(size: bytes) -> list[int]:
    return [byte & 0x80 for byte in size]


#: kbit/s of MPEG-1 and of MPEG-2 layer III by index, and the rates of MPEG-1 in hertz.
_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MPEG_RATES = (44_100, 48_000, 32_000)


def _is_mpeg(head: bytes) -> bool:
    """Whether three frames of MP3 or AAC (ADTS) follow each other; one header may be chance."""
    position = 0
    for _ in range(3):
        size = _mpeg_frame_size(head[position : position + 7])
        if not size:
            return False
        position += size
    return True


def _mpeg_frame_size(header: bytes) -> int:
    """Bytes of the frame with this header; 0 for anything else."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    if header[1] & 0xF6 == 0xF0:  # ADTS
        return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    index, rate = header[2] >> 4, header[2] >> 2 & 3
    if layer != 1 or version == 1 or index in (0, 15) or rate == 3:
        return 0
    old = version == 3
    hertz = _MPEG_RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    kbits = _KBITS[0 if old else 1][index]
    return (144 if old else 72) * kbits * 1000 // hertz + (header[2] >> 1 & 1)


def _is_text(head: bytes, least: int) -> bool:
    """Whether all bytes are printable, as of base64; constant bytes are a silent line."""
    if len(head) < 256 or not set(head[:16]) <= _TEXT:
        return False
    return set(head) <= _TEXT and len(set(head)) >= least


class DeclarationCheck:
    """Compares the first bytes of a stream with its declared encoding.

    Args:
        encoding: the declared encoding.
        rate: samples per second.
        channels: interleaved channels.
    """

    def __init__(self, encoding: Encoding, rate: int, channels: int) -> None:
        self._encoding, self._channels = encoding, channels
        second = rate * channels * encoding.width / FRAME_BYTES
        self._stages = [max(_LEAST_FRAMES, round(second * seconds)) for seconds in _SECONDS]
        self._head = b""
        self._rest = b""
        self._frames: list[Frames] = []
        self._head_is_open = True

    def push(self, data: bytes) -> None:
        """Check the next bytes.

        Raises:
            AudioError: wrong_encoding.
        """
        if self._head_is_open and data:
            self._check_head(data)
        if not self._stages or not data:
            return
        self._rest += data
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        if not whole:
            return
        self._frames.append(frames_of(self._rest[:whole]))
        self._rest = self._rest[whole:]
        while self._stages and sum(map(len, self._frames)) >= self._stages[0]:
            self._check_cost(self._stages.pop(0))

    def finish(self) -> None:
        """Check a stream that ended before the first stage; AudioError (wrong_encoding)."""
        if len(self._stages) == len(_SECONDS) and sum(map(len, self._frames)) >= _LEAST_FRAMES:
            self._check_cost(_LEAST_FRAMES)
        self._stages = []

    def _check_head(self, data: bytes) -> None:
        self._head += data[: HEAD_BYTES - len(self._head)]
        self._head_is_open = len(self._head) < HEAD_BYTES
        # a silent line in A-law has a few printable bytes; wider samples have none alone
        if name := container_of(self._head, 16 if self._encoding.width == 1 else 4):
            advice = CONTAINER_ADVICE.get(name, _OTHER_ADVICE)
            raise _wrong(self._encoding, f"got {name}", advice)

    def _check_cost(self, count: int) -> None:
        frames = _without_clipped(np.concatenate(self._frames)[:count], self._encoding)
        if len(frames) < _LEAST_FRAMES:
            return
        declared = coding_cost(frames, self._encoding, self._channels)
        if declared < _MARGIN:
            return
        alternatives = _alternatives(self._encoding)
        if self._encoding.name == "f32le" and _are_floats(frames):
            alternatives = {key: alternatives[key] for key in alternatives if key[0] == "f"}
        costs = {
            key: coding_cost(frames, encoding, self._channels, offset)
            for key, (encoding, offset) in alternatives.items()
        }
        cheaper = {
            key: cost
            for key, cost in costs.items()
            if cost < declared - (2 * _MARGIN if key == "s32le" else _MARGIN)
        }
        if cheaper:
            floats = [key for key in ("f64le", "f32le") if key in cheaper]  # never by chance
            best = floats[0] if floats else min(cheaper, key=lambda key: cheaper[key])
            raise _wrong(self._encoding, *_finding(self._encoding, best))


def _without_clipped(frames: Frames, encoding: Encoding) -> Frames:
    """Leave out frames of which many samples are at the highest or the lowest value.

    Not in mu-law and A-law, where zero bytes of wider samples are extreme values.
    """
    if encoding.width == 1:
        return frames
    values = encoding.decode(frames.tobytes()).reshape(len(frames), -1)
    highest, lowest = values.max(axis=1, keepdims=True), values.min(axis=1, keepdims=True)
    clipped = ((values == highest) | (values == lowest)).mean(axis=1)
    kept: Frames = frames[clipped <= _CLIPPED_SHARE]
    return kept


def _are_floats(frames: Frames) -> bool:
    """Whether 32-bit floats are possible: other bytes give many that are huge or no numbers."""
    values = np.abs(frames.view("<f4"))
    return float((values <= _HUGE).mean()) > 0.99


def _alternatives(declared: Encoding) -> dict[str, tuple[Encoding, int]]:
    """Other encodings by name, and the declared one beginning at a later byte."""
    others = {
        name: (encoding, 0)
        for name, encoding in (ENCODINGS | UNSUPPORTED).items()
        if name != declared.name
    }
    return others | {
        f"{declared.name}+{offset}": (declared, offset) for offset in range(1, declared.width)
    }


def _finding(declared: Encoding, best: str) -> tuple[str, str]:
    """What was found and what to do, for a message."""
    if best not in ENCODINGS | UNSUPPORTED:
        _, offset = best.split("+")
        part = f"samples that begin at byte {offset}"
        return f"got {part}", "send whole samples from the first byte on"
    title = (ENCODINGS | UNSUPPORTED)[best].title
    if best == "s32le" and declared.name == "s16le":  # silence is every other sample of both
        advice = f"pass channels=2, or convert the samples to {declared.name}"
        return f"got what looks like {title} or two channels", advice
    if best in UNSUPPORTED:
        return f"got what looks like {title}", f"convert the samples to {declared.name}"
    return f"got what looks like {title}", f"pass encoding={best}"


def _wrong(declared: Encoding, actual: str, advice: str) -> AudioError:
    expected = f"stream: expected {declared.title} ({declared.name})"
    return AudioError("wrong_encoding", f"{expected}, {actual}; {advice}")
