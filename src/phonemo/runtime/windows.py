"""Long recordings: cut into windows, and what was heard in them made one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE, Waveform
from phonemo.prediction import PhonemeSpan, Prediction

Samples = npt.NDArray[np.float32]

#: The longest stretch heard at once: attention grows with the square of the length. (Evaluation
#: hears each utterance whole, as the field does.)
WINDOW_SECONDS = 30.0


@dataclass(frozen=True)
class Heard:
    """What was heard in one window."""

    scores: npt.NDArray[np.float64]
    """Probability of every emotion, (emotion,)."""
    spans: tuple[PhonemeSpan, ...] | None
    """Phonemes in time from the window's start; None for a network without a phoneme head."""


def cut(samples: Samples, window_seconds: float = WINDOW_SECONDS) -> list[Samples]:
    """As few windows of at most this length as hold every sample once, as equal as can be.

    Args:
        samples: (sample,).
        window_seconds: the longest stretch.
    """
    count = -(-len(samples) // max(1, int(window_seconds * RATE)))
    return np.array_split(samples, max(1, count))


def merge(waveform: Waveform, labels: Sequence[str], heard: Sequence[Heard]) -> Prediction:
    """One answer from all windows of a recording: the mean of the scores, the phonemes joined.

    Args:
        waveform: the whole recording.
        labels: the emotions, in the order of the scores.
        heard: what was heard in each window that ``cut`` made of it, in time.
    """
    shares = np.mean([one.scores for one in heard], axis=0)  # (emotion,)
    return Prediction(
        label=labels[int(np.argmax(shares))],
        scores={name: float(share) for name, share in zip(labels, shares, strict=True)},
        seconds=waveform.seconds,
        spans=_joined(waveform, heard),
        warnings=(*waveform.warnings, *(("windowed",) if len(heard) > 1 else ())),
    )


def _joined(waveform: Waveform, heard: Sequence[Heard]) -> tuple[PhonemeSpan, ...] | None:
    """Every window's phonemes, in the time of the whole recording."""
    if any(one.spans is None for one in heard):
        return None
    sizes = [len(one) for one in np.array_split(waveform.samples, len(heard))]
    starts = np.cumsum([0, *sizes[:-1]]) / RATE
    return tuple(
        replace(span, start=span.start + start, end=span.end + start)
        for one, start in zip(heard, starts.tolist(), strict=True)
        for span in one.spans or ()
    )
