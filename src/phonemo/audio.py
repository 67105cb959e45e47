"""Any audio to a Waveform (mono float32 at 16 kHz): the only decoder, with its limits.

wav, flac, mp3, ogg (vorbis and opus) and aiff, of any rate from 4 to 384 kHz and up to 64
channels, from a path, bytes, a binary stream or an array. Channels are mixed by their mean; soxr
resamples at its quality HQ, block by block, so that memory is bounded by the limits and not by
what a header claims.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from phonemo.decoding import BYTES_PER_SAMPLE, Audio, AudioLimits, Block, open_audio
from phonemo.errors import AudioError, UsageError
from phonemo.sources import Source, shown

__all__ = [
    "FRAME_SAMPLES",
    "RATE",
    "WARNINGS",
    "AudioLimits",
    "Source",
    "Waveform",
    "audio_seconds",
    "load_waveform",
    "shown",
]

RATE = 16_000
"""Samples a second of every Waveform."""
FRAME_SAMPLES = 400
"""The shortest usable clip: one frame of the network's CNN encoder."""

WARNINGS = {
    "truncated": "The file ends early or is damaged; what could be decoded is used.",
    "silent": "Nothing is louder than -80 dB of full scale, a constant offset aside.",
    "clipped": "At least 1 in 1,000 samples is at full scale.",
    "dc_offset": "The mean is off zero by at least 1 % of full scale.",
}
"""What each name in ``Waveform.warnings`` means."""

SILENT_PEAK = 1e-4
FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3
DC_OFFSET = 1e-2
MAX_LEVEL = 2.0**31  # 32-bit integers stored as floats; beyond, their squares leave float32

_DEFAULT_LIMITS = AudioLimits()


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono audio at 16 kHz.

    Raises:
        UsageError: for samples that are not one axis of float32.
    """

    samples: npt.NDArray[np.float32]
    """Float32, (sample,), full scale is 1, read-only."""
    warnings: tuple[str, ...] = ()
    """Names from ``WARNINGS``."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            found = f"{self.samples.dtype} of shape {self.samples.shape}"
            raise UsageError(f"samples: {found} found; float32 of (sample,) is wanted")
        view = self.samples.view()  # the caller's own array stays writeable
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / RATE


def load_waveform(
    source: Source,
    *,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    limits: AudioLimits = _DEFAULT_LIMITS,
) -> Waveform:
    """Decode audio, or the slice of it from ``start`` to ``end`` seconds.

    Args:
        source: a path, the bytes of a file, a binary stream (read from where it stands; left
            anywhere) or an array of (sample,) or (channel, sample).
        rate: sample rate in hertz, for arrays alone.
        start: first second of the slice; rounded to a sample at 16 kHz.
        end: end of the slice in seconds; past the end of the audio it means the end.
        limits: enforced on headers first and again while decoding.

    A slice equals the same samples of the whole: exactly for lossless audio at 16 kHz, within 2e-6
    of full scale where it was resampled, and within what the decoder needs to settle (under 1e-3)
    for lossy codecs. Where the container can seek, no more than two seconds before the slice and
    half a second after it are decoded.

    libmpg123 writes its complaints about damaged MP3 files to the process's stderr.

    Raises:
        AudioError: with ``code`` missing_file, unsupported_audio (not audio, or a URL, a folder, a
            device, a rate or channel count out of range), empty_audio, too_short (less than 400
            samples at 16 kHz, or nothing after ``start``), audio_too_long, audio_too_large,
            invalid_audio (NaN, infinite or absurd samples, an array of the wrong kind).
        UsageError: for ``start`` and ``end`` that make no slice, or a rate missing or in vain.
    """
    _check_times(start, end)
    with open_audio(source, rate, limits) as audio:
        span = _span(audio, start or 0.0, end)
        _refuse_early(audio, span, limits)
        level = _Level()
        pieces = list(_decode(audio, span, limits, level))
        samples = np.concatenate(pieces)[span.drop_samples :][: span.samples]
        _check_samples(audio, samples, span)
        return Waveform(samples, _warnings(audio, samples, level))


def audio_seconds(path: str | os.PathLike[str]) -> float:
    """Duration in seconds as the header has it, for reports; decodes only where it does not say.

    Raises:
        AudioError: as :func:`load_waveform`.
    """
    with open_audio(path, None, _DEFAULT_LIMITS) as audio:
        if audio.frames is not None:
            return audio.frames / audio.rate
    return load_waveform(path).seconds


@dataclass(frozen=True)
class _Span:
    """A slice in the audio's own frames and in samples at 16 kHz.

    Decoding begins on a whole second before the slice, where both rates meet, and ends after it,
    so that the resampler's filter sees the same neighbours as in the whole.
    """

    first_frame: int
    last_frame: int | None
    start_frame: int
    end_frame: int | None
    drop_samples: int
    samples: int | None


@dataclass
class _Level:
    """Frames of the slice, and how many are at full scale in any channel, before the mix."""

    frames: int = 0
    at_full_scale: int = 0

    def hear(self, block: Block) -> None:
        self.frames += len(block)
        self.at_full_scale += int((np.abs(block) >= FULL_SCALE).any(axis=1).sum())


def _check_times(start: float | None, end: float | None) -> None:
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{name}={value}; seconds from 0 on are wanted")
    if end is not None and (start or 0.0) >= end:
        raise UsageError(f"start={start or 0.0} is not before end={end}; a slice is wanted")


def _span(audio: Audio, start: float, end: float | None) -> _Span:
    lead = max(0, math.floor(start) - 1)
    first_sample = round(start * RATE)
    return _Span(
        first_frame=lead * audio.rate,
        last_frame=None if end is None else math.ceil((end + 0.5) * audio.rate),
        start_frame=round(start * audio.rate),
        end_frame=None if end is None else round(end * audio.rate),
        drop_samples=first_sample - lead * RATE,
        samples=None if end is None else round(end * RATE) - first_sample,
    )


def _refuse_early(audio: Audio, span: _Span, limits: AudioLimits) -> None:
    if audio.frames is None:
        return
    if audio.frames == 0:
        raise AudioError("empty_audio", f"{audio.name}: no samples; audio is wanted")
    if span.start_frame >= audio.frames:
        raise _nothing_after_start(audio, span)
    end = audio.frames if span.end_frame is None else min(span.end_frame, audio.frames)
    _check_limits(audio, end - span.start_frame, end - span.first_frame, limits)


def _check_limits(audio: Audio, slice_frames: int, frames: int, limits: AudioLimits) -> None:
    if slice_frames > limits.max_seconds * audio.rate:
        found = f"{slice_frames / audio.rate:.1f} s or more found"
        most = f"at most {limits.max_seconds:g} s are taken; cut it or raise max_seconds"
        raise AudioError("audio_too_long", f"{audio.name}: {found}; {most}")
    size = frames * audio.channels * BYTES_PER_SAMPLE
    if size > limits.max_decoded_bytes:
        most = f"at most {limits.max_decoded_bytes} are taken; cut it or raise max_decoded_bytes"
        raise AudioError("audio_too_large", f"{audio.name}: {size} decoded bytes found; {most}")


def _decode(audio: Audio, span: _Span, limits: AudioLimits, level: _Level) -> Iterator[Block]:
    """Mono float32 at 16 kHz from ``span.first_frame`` on, in pieces of (sample,)."""
    stream = None if audio.rate == RATE else soxr.ResampleStream(audio.rate, RATE, 1)
    position = first = audio.seek(span.first_frame)
    for block in audio.blocks():
        inside = _part(block, position, span.start_frame, span.end_frame)
        wanted = _part(block, position, span.first_frame, span.last_frame)
        position += len(block)
        level.hear(inside)
        _check_limits(audio, level.frames, position - first, limits)
        mono = _mixed(audio, wanted)
        yield mono if stream is None else stream.resample_chunk(mono)
        if span.last_frame is not None and position >= span.last_frame:
            break
    end = np.zeros(0, dtype=np.float32)
    yield end if stream is None else stream.resample_chunk(end, last=True)


def _part(block: Block, position: int, first: int, last: int | None) -> Block:
    """The frames of a block that lie in [first, last), where the block begins at ``position``."""
    stop = None if last is None else max(0, last - position)
    return block[max(0, first - position) : stop]


def _mixed(audio: Audio, block: Block) -> Block:
    with np.errstate(over="ignore", invalid="ignore"):
        mono: Block = block.mean(axis=1, dtype=np.float32)  # (sample,)
    peak = np.abs(mono).max(initial=0.0)
    if not peak <= MAX_LEVEL:  # NaN too
        found = "a sample that is not a number" if np.isnan(peak) else f"a sample of {peak:g}"
        wanted = "numbers with a full scale of 1 are wanted; write the file anew"
        raise AudioError("invalid_audio", f"{audio.name}: {found} found; {wanted}")
    return mono


def _check_samples(audio: Audio, samples: Block, span: _Span) -> None:
    if not samples.size and span.start_frame:
        raise _nothing_after_start(audio, span)
    if not samples.size:
        raise AudioError("empty_audio", f"{audio.name}: no samples could be decoded from it")
    if len(samples) < FRAME_SAMPLES:
        found = f"{len(samples)} samples at 16 kHz found"
        wanted = f"at least {FRAME_SAMPLES} ({FRAME_SAMPLES / RATE:g} s) are wanted"
        raise AudioError("too_short", f"{audio.name}: {found}; {wanted}")


def _nothing_after_start(audio: Audio, span: _Span) -> AudioError:
    start = span.start_frame / audio.rate
    return AudioError("too_short", f"{audio.name}: ends before start={start:g} s; start earlier")


def _warnings(audio: Audio, samples: Block, level: _Level) -> tuple[str, ...]:
    mean = float(samples.mean(dtype=np.float64))
    swing = max(float(samples.max()) - mean, mean - float(samples.min()))
    found = {
        "truncated": audio.truncated(),
        "silent": swing < SILENT_PEAK,
        "clipped": level.at_full_scale >= CLIPPED_SHARE * level.frames,
        "dc_offset": abs(mean) >= DC_OFFSET,
    }
    return tuple(name for name in WARNINGS if found[name])
