"""Blocks of any audio to mono at 16 kHz: slices, the mix, the resampler, the limits.

A part of :mod:`phonemo.audio`, which is the way in for everybody else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from phonemo.audio.decode import BYTES_PER_SAMPLE, Audio, AudioLimits, Block
from phonemo.audio.levels import LevelMeter
from phonemo.errors import AudioError, UsageError

RATE = 16_000
"""Samples a second of every Waveform."""
FRAME_SAMPLES = 400
"""The shortest usable clip: one frame of the network's CNN encoder."""
#: Past the end of every recording; times beyond would leave the numbers that frames are counted in.
_FAR_SECONDS = 1e9
MAX_LEVEL = 2.0**31  # 32-bit integers stored as floats; beyond, their squares leave float32


@dataclass(frozen=True)
class AudioSlice:
    """A slice in the audio's own frames and in samples at 16 kHz.

    Decoding begins on a whole second before the slice, where both rates meet, and ends after it,
    so that the resampler's filter sees the same neighbours as in the whole.
    """

    start: float = 0.0
    """In seconds."""
    end: float | None = None
    """In seconds; None is the end of the audio."""

    @classmethod
    def of(cls, start: float | None, end: float | None) -> AudioSlice:
        """A slice as somebody asks for it; UsageError where it is none."""
        for name, value in (("start", start), ("end", end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name}={value}; seconds from 0 on are wanted")
        if end is not None and (start or 0.0) >= end:
            raise UsageError(f"start={start or 0.0} is not before end={end}; a slice is wanted")
        begins = min(start or 0.0, _FAR_SECONDS)
        return cls(begins, end if end is None or end < _FAR_SECONDS else None)

    @property
    def lead(self) -> int:
        """The second where decoding begins."""
        return max(0, math.floor(self.start) - 1)

    @property
    def drop_samples(self) -> int:
        """Decoded samples before the slice."""
        return round(self.start * RATE) - self.lead * RATE

    @property
    def samples(self) -> int | None:
        """The slice's length; None where it goes on to the end."""
        return None if self.end is None else round(self.end * RATE) - round(self.start * RATE)

    def first_frame(self, rate: int) -> int:
        """Where decoding begins, in the audio's own frames."""
        return self.lead * rate

    def last_frame(self, rate: int) -> int | None:
        """Where decoding may end."""
        return None if self.end is None else math.ceil((self.end + 0.5) * rate)

    def start_frame(self, rate: int) -> int:
        """Where the slice begins."""
        return round(self.start * rate)

    def end_frame(self, rate: int) -> int | None:
        """Where the slice ends."""
        return None if self.end is None else round(self.end * rate)


def check_header_limits(audio: Audio, span: AudioSlice, limits: AudioLimits) -> None:
    """Raise AudioError for what the header alone makes impossible."""
    if audio.frames is None:
        return
    if audio.frames == 0:
        raise AudioError("empty_audio", f"{audio.name}: no samples; audio is wanted")
    start, stop = span.start_frame(audio.rate), span.end_frame(audio.rate)
    if start >= audio.frames:
        raise _nothing_after_start(audio, span)
    end = audio.frames if stop is None else min(stop, audio.frames)
    _check_limits(audio, end - start, end - span.first_frame(audio.rate), limits)


def decode(
    audio: Audio, span: AudioSlice, limits: AudioLimits, level: LevelMeter
) -> Iterator[Block]:
    """Mono float32 at 16 kHz from the span's lead on, in pieces of (sample,)."""
    stream = None if audio.rate == RATE else soxr.ResampleStream(audio.rate, RATE, 1)
    start, stop = span.start_frame(audio.rate), span.end_frame(audio.rate)
    first, last = span.first_frame(audio.rate), span.last_frame(audio.rate)
    position = begun = audio.seek(first)
    for block in audio.blocks():
        inside, wanted = _part(block, position, start, stop), _part(block, position, first, last)
        position += len(block)
        level.update_raw(inside)
        _check_limits(audio, level.frames, position - begun, limits)
        mono = _mixed(audio, wanted)
        yield mono if stream is None else stream.resample_chunk(mono)
        if last is not None and position >= last:
            break
    end = np.zeros(0, dtype=np.float32)
    yield end if stream is None else stream.resample_chunk(end, last=True)


def check_min_length(audio: Audio, found: int, span: AudioSlice) -> None:
    """Raise AudioError where a slice of ``found`` samples cannot be heard."""
    if not found and span.start:
        raise _nothing_after_start(audio, span)
    if not found:
        raise AudioError("empty_audio", f"{audio.name}: no samples could be decoded from it")
    if found < FRAME_SAMPLES:
        told = f"{found} samples at 16 kHz found"
        wanted = f"at least {FRAME_SAMPLES} ({FRAME_SAMPLES / RATE:g} s) are wanted"
        raise AudioError("too_short", f"{audio.name}: {told}; {wanted}")


def _check_limits(audio: Audio, slice_frames: int, frames: int, limits: AudioLimits) -> None:
    if slice_frames > limits.max_seconds * audio.rate:
        found = f"{slice_frames / audio.rate:.1f} s or more found"
        most = f"at most {limits.max_seconds:g} s are taken; cut it or raise max_seconds"
        raise AudioError("audio_too_long", f"{audio.name}: {found}; {most}")
    size = frames * audio.channels * BYTES_PER_SAMPLE
    if size > limits.max_decoded_bytes:
        most = f"at most {limits.max_decoded_bytes} are taken; cut it or raise max_decoded_bytes"
        raise AudioError("audio_too_large", f"{audio.name}: {size} decoded bytes found; {most}")


def _part(block: Block, position: int, first: int, last: int | None) -> Block:
    """The frames of a block that lie in [first, last), where the block begins at ``position``."""
    stop = None if last is None else max(0, last - position)
    return block[max(0, first - position) : stop]


def _mixed(audio: Audio, block: Block) -> Block:
    with np.errstate(over="ignore", invalid="ignore"):
        # in float64, so that any number of the same channels is the one channel
        mono: Block = block.mean(axis=1, dtype=np.float64).astype(np.float32)  # (sample,)
    peak = np.abs(mono).max(initial=0.0)
    if not peak <= MAX_LEVEL:  # NaN too
        found = "a sample that is not a number" if np.isnan(peak) else f"a sample of {peak:g}"
        wanted = "numbers with a full scale of 1 are wanted; write the file anew"
        raise AudioError("invalid_audio", f"{audio.name}: {found} found; {wanted}")
    return mono


def _nothing_after_start(audio: Audio, span: AudioSlice) -> AudioError:
    return AudioError(
        "too_short", f"{audio.name}: ends before start={span.start:g} s; start earlier"
    )
