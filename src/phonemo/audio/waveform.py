"""Decode audio to a Waveform (mono float32 at 16 kHz), with limits.

Input is wav, flac, mp3, ogg (vorbis and opus) or aiff, at 4 to 384 kHz and with up to 64 channels,
from a path, bytes, a binary stream or an array. Channels are averaged, or one is taken; soxr
resamples at quality HQ, block by block, so that memory is bounded by the limits and not by the
header.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.audio.channels import check_channel, validate_channel
from phonemo.audio.decode import Audio, AudioLimits, Block, open_audio
from phonemo.audio.levels import LevelMeter
from phonemo.audio.mixing import ChannelMixer
from phonemo.audio.resample import RATE, AudioSlice, check_header_limits, check_min_length, decode
from phonemo.audio.sources import Source
from phonemo.errors import UsageError

_DEFAULT_LIMITS = AudioLimits()


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono audio at 16 kHz.

    Raises:
        UsageError: the samples are not one-dimensional float32.
    """

    samples: npt.NDArray[np.float32]
    """Float32, (sample,), full scale 1, read-only."""
    warnings: tuple[str, ...] = ()
    """Names from ``WARNINGS``."""
    channel: int | None = None
    """The channel it was decoded from, from 1 on; None is the mix of all."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            actual = f"{self.samples.dtype} of shape {self.samples.shape}"
            raise UsageError(f"samples: expected float32 of (sample,), got {actual}")
        view = self.samples.view()  # the caller's array stays writable
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Excerpt:
    """A part of a recording, processed like a whole recording."""

    source: Source
    start: float | None = None
    """In seconds; None is the recording's start."""
    end: float | None = None
    """In seconds; None is the recording's end."""
    channel: int | None = None
    """The channel, from 1 on; None is the mix of all."""


def load_waveform(
    source: Source,
    *,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    channel: int | None = None,
    limits: AudioLimits = _DEFAULT_LIMITS,
) -> Waveform:
    """Decode audio, or the slice of it from ``start`` to ``end`` seconds.

    Args:
        source: a path, the bytes of a file, a binary stream (read from its current position; its
            final position is undefined) or an array of (sample,) or (channel, sample).
        rate: sample rate in hertz, for arrays only.
        start: start of the slice in seconds; rounded to a sample at 16 kHz.
        end: end of the slice in seconds; beyond the end of the audio it means the end.
        channel: the channel to decode, from 1 on (of a stereo file, 1 is left); None is the mix of
            all. If the channels cancel each other in the mix, the loudest one is decoded, with the
            warning "opposite_phase".
        limits: enforced on headers first and again while decoding.

    A slice equals the same samples of the full recording: exactly for lossless audio at 16 kHz,
    within 2e-6 of full scale if resampled, and within 1e-3 (the decoder's settling time) for lossy
    codecs. If the container can seek, at most two seconds before the slice and half a second after
    it are decoded.

    libmpg123 writes warnings about damaged MP3 files to the process's stderr.

    Raises:
        AudioError: with ``code`` missing_file, unsupported_audio (not audio, or a URL, a folder, a
            device, a rate or channel count out of range), empty_audio, too_short (less than 400
            samples at 16 kHz, or nothing after ``start``), audio_too_long, audio_too_large,
            invalid_audio (NaN, infinite or huge samples, an array of the wrong dtype or shape),
            invalid_channel (a channel beyond those of the audio).
        UsageError: invalid ``start`` and ``end``, ``channel`` is not a number from 1 on, or
            ``rate`` missing or not applicable.
    """
    with open_waveform(
        source, rate=rate, start=start, end=end, channel=channel, limits=limits
    ) as reader:
        samples = np.concatenate(list(reader))
        return Waveform(samples, reader.warnings, reader.channel)


class WaveformReader:
    """Audio decoded while it is read, in memory independent of its length."""

    def __init__(
        self, audio: Audio, limits: AudioLimits, span: AudioSlice, channel: int | None = None
    ) -> None:
        self.samples = 0
        """Number of samples read so far."""
        self.channel = channel
        """The decoded channel, from 1 on; None is the mix of all."""
        self._audio, self._limits, self._span = audio, limits, span
        self._level = LevelMeter()
        self._mixer = ChannelMixer(audio, channel)
        check_header_limits(audio, span, limits)

    def __iter__(self) -> Iterator[Block]:
        """Yield the samples, float32 at 16 kHz, in pieces of (sample,); works once.

        Raises:
            AudioError: as :func:`load_waveform`; too_short and empty_audio after the last piece.
        """
        for piece in self._decode_slice():
            self.samples += len(piece)
            self._level.update_mono(piece)
            if len(piece):
                yield piece
        check_min_length(self._audio, self.samples, self._span)

    def _decode_slice(self) -> Iterator[Block]:
        """Decode, and drop the samples before and after the slice."""
        before, after = self._span.drop_samples, self._span.samples
        for piece in decode(self._audio, self._span, self._limits, self._level, self._mixer):
            inside = piece[before:][:after]
            before = max(0, before - len(piece))
            after = None if after is None else after - len(inside)
            yield inside

    @property
    def warnings(self) -> tuple[str, ...]:
        """Names from ``WARNINGS`` for the samples read; complete after the last piece."""
        return (*self._level.warnings(self._audio.truncated()), *self._mixer.warnings)


@contextmanager
def open_waveform(
    source: Source,
    *,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    channel: int | None = None,
    limits: AudioLimits = _DEFAULT_LIMITS,
) -> Iterator[WaveformReader]:
    """Decode audio piece by piece; the pieces join to the result of :func:`load_waveform`.

    Arguments and errors are those of :func:`load_waveform`.
    """
    span = AudioSlice.of(start, end)
    if channel is not None:
        channel = validate_channel(channel)
    with open_audio(source, rate, limits) as audio:
        if channel is not None:
            check_channel(audio.name, channel, audio.channels)
        yield WaveformReader(audio, limits, span, channel)


def channel_count(
    source: Source, rate: int | None = None, limits: AudioLimits = _DEFAULT_LIMITS
) -> int:
    """Number of channels in the header.

    Args:
        source: a path, bytes, a binary stream (read from its current position) or an array.
        rate: samples per second, for an array.
        limits: as for :func:`load_waveform`.

    Raises:
        AudioError: as :func:`load_waveform`.
    """
    with open_audio(source, rate, limits) as audio:
        return audio.channels


def audio_seconds(source: Source, rate: int | None = None) -> float:
    """Duration in seconds from the header, for reports; decodes only if the header has none.

    Args:
        source: a path, bytes or an array, as for :func:`load_waveform`.
        rate: samples per second, for an array.

    Raises:
        AudioError: as :func:`load_waveform`.
    """
    with open_audio(source, rate, _DEFAULT_LIMITS) as audio:
        if audio.frames is not None:
            return audio.frames / audio.rate
    return load_waveform(source, rate=rate).seconds
