"""Convert blocks of audio to 16 kHz mono: slicing, mixing, resampling and limits.

Internal to :mod:`phonemo.audio`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from phonemo.audio.decode import BYTES_PER_SAMPLE, Audio, AudioLimits, Block
from phonemo.audio.levels import LevelMeter
from phonemo.audio.mixing import ChannelMixer
from phonemo.errors import AudioError, UsageError

RATE = 16_000
"""Samples per second of every Waveform."""
FRAME_SAMPLES = 400
"""The shortest usable clip: one frame of the network's CNN encoder."""
#: Later than the end of any recording; larger times would overflow frame counts.
_FAR_SECONDS = 1e9
MAX_LEVEL = 2.0**31  # 32-bit integers stored as floats; beyond, their squares leave float32


@dataclass(frozen=True)
class AudioSlice:
    """A slice in the audio's own frames and in samples at 16 kHz.

    Decoding begins at a whole second before the slice, where frames of both rates coincide, and
    ends after it, so that the resampling filter has the same context as in the full recording.
    """

    start: float = 0.0
    """In seconds."""
    end: float | None = None
    """In seconds; None is the end of the audio."""

    @classmethod
    def of(cls, start: float | None, end: float | None) -> AudioSlice:
        """Validate ``start`` and ``end``; UsageError if they do not form a slice."""
        for name, value in (("start", start), ("end", end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"expected {name} as finite seconds from 0 on, got {value}")
        if end is not None and (start or 0.0) >= end:
            raise UsageError(f"expected start before end, got start={start or 0.0} and end={end}")
        first = min(start or 0.0, _FAR_SECONDS)
        return cls(first, end if end is None or end < _FAR_SECONDS else None)

    @property
    def lead(self) -> int:
        """The second at which decoding begins."""
        return max(0, math.floor(self.start) - 1)

    @property
    def drop_samples(self) -> int:
        """Decoded samples before the slice."""
        return round(self.start * RATE) - self.lead * RATE

    @property
    def samples(self) -> int | None:
        """Length of the slice; None if it extends to the end."""
        return None if self.end is None else round(self.end * RATE) - round(self.start * RATE)

    def first_frame(self, rate: int) -> int:
        """Frame at which decoding begins, at the audio's rate."""
        return self.lead * rate

    def last_frame(self, rate: int) -> int | None:
        """Frame at which decoding may end."""
        return None if self.end is None else math.ceil((self.end + 0.5) * rate)

    def start_frame(self, rate: int) -> int:
        """Frame at which the slice begins."""
        return round(self.start * rate)

    def end_frame(self, rate: int) -> int | None:
        """Frame at which the slice ends."""
        return None if self.end is None else round(self.end * rate)


def check_header_limits(audio: Audio, span: AudioSlice, limits: AudioLimits) -> None:
    """Raise AudioError if the header alone violates a limit."""
    if audio.frames is None:
        return
    if audio.frames == 0:
        raise AudioError("empty_audio", f"{audio.name}: expected audio, got no samples")
    start, stop = span.start_frame(audio.rate), span.end_frame(audio.rate)
    if start >= audio.frames:
        raise _start_beyond_end(audio, span)
    end = audio.frames if stop is None else min(stop, audio.frames)
    _check_limits(audio, end - start, end - span.first_frame(audio.rate), limits)


def decode(
    audio: Audio, span: AudioSlice, limits: AudioLimits, level: LevelMeter, mixer: ChannelMixer
) -> Iterator[Block]:
    """Yield mono float32 at 16 kHz, from the span's lead on, in pieces of (sample,)."""
    stream = None if audio.rate == RATE else soxr.ResampleStream(audio.rate, RATE, 1)
    for mono in _mono_blocks(audio, span, limits, level, mixer):
        _check_level(audio, mono)
        yield mono if stream is None else stream.resample_chunk(mono)
    end = np.zeros(0, dtype=np.float32)
    yield end if stream is None else stream.resample_chunk(end, last=True)


def _mono_blocks(
    audio: Audio, span: AudioSlice, limits: AudioLimits, level: LevelMeter, mixer: ChannelMixer
) -> Iterator[Block]:
    """Yield mono blocks at the audio's own rate, (frame,)."""
    start, stop = span.start_frame(audio.rate), span.end_frame(audio.rate)
    first, last = span.first_frame(audio.rate), span.last_frame(audio.rate)
    position = origin = audio.seek(first)
    for block in audio.blocks():
        inside, needed = _crop(block, position, start, stop), _crop(block, position, first, last)
        position += len(block)
        level.update_raw(mixer.used(inside))
        _check_limits(audio, level.frames, position - origin, limits)
        yield from mixer.push(needed)
        if last is not None and position >= last:
            break
    yield from mixer.finish()


def check_min_length(audio: Audio, found: int, span: AudioSlice) -> None:
    """Raise AudioError if ``found`` samples are too few to process."""
    if not found and span.start:
        raise _start_beyond_end(audio, span)
    if not found:
        raise AudioError("empty_audio", f"{audio.name}: no samples could be decoded")
    if found < FRAME_SAMPLES:
        expected = f"at least {FRAME_SAMPLES} samples at 16 kHz ({FRAME_SAMPLES / RATE:g} s)"
        raise AudioError("too_short", f"{audio.name}: expected {expected}, got {found}")


def _check_limits(audio: Audio, slice_frames: int, frames: int, limits: AudioLimits) -> None:
    if slice_frames > limits.max_seconds * audio.rate:
        expected = f"expected at most {limits.max_seconds:g} s"
        message = f"{expected}, got {slice_frames / audio.rate:.1f} s or more"
        advice = "split it or raise max_seconds"
        raise AudioError("audio_too_long", f"{audio.name}: {message}; {advice}")
    size = frames * audio.channels * BYTES_PER_SAMPLE
    if size > limits.max_decoded_bytes:
        expected = f"expected at most {limits.max_decoded_bytes} decoded bytes"
        advice = "split it or raise max_decoded_bytes"
        raise AudioError("audio_too_large", f"{audio.name}: {expected}, got {size}; {advice}")


def _crop(block: Block, position: int, first: int, last: int | None) -> Block:
    """The frames in [first, last) of a block that begins at ``position``."""
    stop = None if last is None else max(0, last - position)
    return block[max(0, first - position) : stop]


def _check_level(audio: Audio, mono: Block) -> None:
    peak = np.abs(mono).max(initial=0.0)
    if not peak <= MAX_LEVEL:  # NaN too
        expected = "expected samples with a full scale of 1"
        actual = "NaN (not a number)" if np.isnan(peak) else f"{peak:g}"
        message = f"{audio.name}: {expected}, got {actual}; write the file again"
        raise AudioError("invalid_audio", message)


def _start_beyond_end(audio: Audio, span: AudioSlice) -> AudioError:
    message = f"start={span.start:g} s is beyond the end of the recording; start earlier"
    return AudioError("too_short", f"{audio.name}: {message}")
