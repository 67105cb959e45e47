"""Audio fingerprints: 32 bits per frame that survive gain, re-encoding, resampling and trimming.

The bits are the signs of differences of band energies over frequency and time (Haitsma and Kalker,
A Highly Robust Audio Fingerprinting System, ISMIR 2002), here of log energies between 300 and
3400 Hz, which telephone speech and 8 kHz audio retain. Polarity and gain have no effect.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

RATE = 16_000
HOP_SAMPLES = 256
_WINDOW_SAMPLES = 2048
#: Frames between the two whose energies are compared.
_STEP_FRAMES = 3
_BANDS = 33
_HERTZ = (300.0, 3400.0)
#: Frames this far below the loudest one are not compared: their bits are noise.
_QUIET_DB = 35.0
#: The word of frames that are not compared.
QUIET = np.uint32(0)
_CHUNK_FRAMES = 2048


def fingerprint(samples: NDArray[np.float32]) -> Words:
    """Return a word per 16 ms frame, (frame,); ``QUIET`` for frames without sound.

    Args:
        samples: (sample,) at 16 kHz; empty words if shorter than 0.2 s.
    """
    count = (len(samples) - _WINDOW_SAMPLES) // HOP_SAMPLES + 1
    if count <= _STEP_FRAMES:
        return np.empty(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::HOP_SAMPLES]
    chunks = range(0, count, _CHUNK_FRAMES)
    energies = np.concatenate([_band_energies(frames[n : n + _CHUNK_FRAMES]) for n in chunks])
    slopes = np.diff(np.log(energies + np.finfo(np.float32).tiny), axis=1)  # (frame, bit)
    bits = slopes[_STEP_FRAMES:] > slopes[:-_STEP_FRAMES]
    words = np.packbits(bits, axis=1).view(np.uint32).ravel()
    level = energies.sum(axis=1)
    loud = level > level.max() * 10 ** (-_QUIET_DB / 10)
    return np.where(loud[_STEP_FRAMES:] & loud[:-_STEP_FRAMES], words, QUIET)


def _band_energies(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Energies of (frame, band)."""
    window, first_bins, stop = _analysis()
    power = np.abs(np.fft.rfft(frames * window, axis=1)[:, :stop]) ** 2
    return np.add.reduceat(power, first_bins, axis=1).astype(np.float32)


@cache
def _analysis() -> tuple[NDArray[np.float32], NDArray[np.intp], int]:
    """The window, the first bin of each band, and the bin after the last band."""
    edges = np.geomspace(*_HERTZ, _BANDS + 1) * _WINDOW_SAMPLES / RATE
    bins = np.round(edges).astype(np.intp)
    return np.hanning(_WINDOW_SAMPLES).astype(np.float32), bins[:-1], int(bins[-1])
