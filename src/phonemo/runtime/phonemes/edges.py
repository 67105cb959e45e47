"""Phoneme boundaries refined from the waveform.

The network has 50 frames a second, each over 65 ms, so a boundary from its posteriors is right to
within a frame or so. Within 20 ms of it the spectrum usually changes fastest where one phoneme
gives way to the next; the boundary is moved there. That is the classical refinement of an aligner
(Hosom 2009). Nothing is trained, but the constants were chosen with a look at hand-made times: the
best of 15 combinations of spectral distance, reach and penalty on all of EmoDB's hand-made times
(medians of the 15: 7.6 to 11.8 ms; without refinement 13.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE

Floats = npt.NDArray[np.float64]

#: How far a boundary is moved at most.
REACH_SECONDS = 0.020
#: What the same change of the spectrum counts less at that distance, in mean changes around it.
DISTANCE_PENALTY = 0.5
_HOP, _WINDOW = RATE // 200, RATE // 50
_BANDS = 24
#: The change is measured between spectra this many hops before and after.
_APART = 2
#: Hops on either side over which the mean change is computed.
_AROUND = 8
#: What a phoneme keeps at least, if it is as long; exports refuse intervals without length.
_LEAST_SECONDS = 0.001
#: Two phonemes closer than this touch.
_TOUCH_SECONDS = 1e-6


def refine_spans(spans: Sequence[PhonemeSpan], samples: npt.ArrayLike) -> tuple[PhonemeSpan, ...]:
    """Move boundaries by at most ``REACH_SECONDS`` to where the spectrum changes fastest.

    Phonemes that touch still touch, no boundary reaches the middle of a phoneme beside it, so none
    loses all of its length, and none leaves the recording.

    Args:
        spans: in order, in seconds from the first sample.
        samples: the recording, (sample,) at 16 kHz.
    """
    wave = np.asarray(samples, dtype=np.float64)
    if not spans or len(wave) < _WINDOW:
        return tuple(spans)
    change = spectral_change(wave)
    last = len(wave) / RATE
    starts = [_moved(span.start, _room(span), change, last) for span in spans]
    ends = [_moved(span.end, _room(span), change, last) for span in spans]
    for number, (left, right) in enumerate(pairwise(spans)):
        if right.start - left.end < _TOUCH_SECONDS:
            room = min(_room(left), _room(right))
            ends[number] = starts[number + 1] = _moved(left.end, room, change, last)
        else:
            middle = (left.end + right.start) / 2  # a pause stays one
            ends[number] = min(ends[number], middle)
            starts[number + 1] = max(starts[number + 1], middle)
    return tuple(
        replace(span, start=start, end=end)
        for span, start, end in zip(spans, starts, ends, strict=True)
    )


def spectral_change(wave: Floats) -> Floats:
    """How much the spectrum differs 10 ms before and after each point.

    Args:
        wave: (sample,), at least 20 ms.

    Returns:
        Root mean square difference of log band energies, (hop,), one for each 5 ms, the first
        10 ms after the recording's start.
    """
    hops = (len(wave) - _WINDOW) // _HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP][:hops]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2  # (hop, bin)
    energies = np.log(power @ _bands().T + 1e-6 * power.mean() + 1e-10)  # (hop, band)
    change = np.zeros(hops)
    if hops > 2 * _APART:
        differences = energies[2 * _APART :] - energies[: -2 * _APART]
        change[_APART:-_APART] = np.sqrt((differences**2).mean(axis=1))
    return change


def _room(span: PhonemeSpan) -> float:
    return min(REACH_SECONDS, max(0.0, span.end - span.start - _LEAST_SECONDS) / 2)


def _moved(seconds: float, room: float, change: Floats, last: float) -> float:
    """The point of fastest change near a boundary, a nearer one preferred."""
    hop = _HOP / RATE
    offsets = np.arange(-_AROUND, _AROUND + 1)
    positions = (seconds - _WINDOW / 2 / RATE) / hop + offsets
    around = np.interp(positions, np.arange(len(change)), change)
    gain = around / (around.mean() + 1e-9)
    gain -= DISTANCE_PENALTY * (offsets * hop / REACH_SECONDS) ** 2
    gain[np.abs(offsets * hop) > room + 1e-9] = -np.inf
    shift = float(offsets[int(gain.argmax())]) * hop
    return min(max(seconds + shift, 0.0), last)


@cache
def _bands() -> Floats:
    """Triangular bands on the mel scale, (band, bin)."""
    edges = 700 * (
        10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), _BANDS + 2) / 2595) - 1
    )
    bins = np.arange(_WINDOW // 2 + 1) * RATE / _WINDOW
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bands: Floats = np.clip(np.minimum(rising, falling), 0, None)
    return bands
