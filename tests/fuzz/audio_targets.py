"""Sound: bytes to a Waveform, whole and in excerpts; what a server's decoder is told."""

from __future__ import annotations

import io

import numpy as np

from phonemo.audio import (
    FRAME_SAMPLES,
    RATE,
    WARNINGS,
    AudioLimits,
    Waveform,
    audio_seconds,
    load_waveform,
)
from phonemo.audio.arrays import RATES
from phonemo.audio.media import open_pipe
from phonemo.audio.resample import MAX_LEVEL
from phonemo.server.decoders.decoder_worker import read_frame, write_frame
from tests.fuzz.judging import told

#: Small ones, so that an execution takes milliseconds; they are enforced by the same lines.
LIMITS = AudioLimits(max_seconds=20.0, max_decoded_bytes=2**23)
_MOST_BYTES = 2**16
_RESAMPLING = 1.01  # a filter's ringing may pass what it was given, but not by much


def audio(data: bytes) -> None:
    """A whole file."""
    found = told(load_waveform, data, limits=LIMITS)
    if found is not None:
        _check(found, LIMITS.max_seconds)


def excerpt(data: bytes) -> None:
    """Two bytes say where it begins and ends, in sixteenths of a second; then the file."""
    start, end = (data[0] / 16, data[1] / 16) if len(data) > 1 else (0.0, 1.0)
    found = told(load_waveform, data[2:], start=start, end=end, limits=LIMITS)
    if found is not None:
        assert start < end
        _check(found, end - start)
    seconds = told(audio_seconds, data[2:])
    assert seconds is None or (np.isfinite(seconds) and seconds >= 0)


def pipe(data: bytes) -> None:
    """A live stream, which arrives in small parts."""
    parts = told(lambda: list(open_pipe(_Slow(data))))
    for rate, samples in parts or ():
        assert rate in RATES
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert len(samples)


class _Slow(io.BytesIO):
    def read1(self, count: int | None = -1) -> bytes:
        return super().read1(min(count or 0, 50))


def _check(found: Waveform, seconds: float) -> None:
    samples = found.samples
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert FRAME_SAMPLES <= len(samples) <= seconds * RATE + 1
    assert not samples.flags.writeable
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= MAX_LEVEL * _RESAMPLING
    assert {warning.partition("=")[0] for warning in found.warnings} <= set(WARNINGS)


def decoder_frame(data: bytes) -> None:
    """A head that is an object and its bytes, None at the end, or the ValueError that is told."""
    try:
        found = read_frame(io.BytesIO(data), _MOST_BYTES)
    except ValueError:
        return
    if found is None:
        return
    head, content = found
    assert isinstance(head, dict)
    copy = io.BytesIO()
    write_frame(copy, head, content)
    copy.seek(0)
    assert read_frame(copy) == found or head != head  # NaN is not itself
