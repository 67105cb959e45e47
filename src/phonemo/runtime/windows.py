"""Long recordings: cut into windows, and what was heard in them made one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE, Waveform
from phonemo.prediction import Prediction

Samples = npt.NDArray[np.float32]

#: The longest stretch heard at once: attention grows with the square of the length. (Evaluation
#: hears each utterance whole, as the field does.)
WINDOW_SECONDS = 30.0


@dataclass(frozen=True)
class Heard:
    """What was heard in one window."""

    scores: npt.NDArray[np.float64]
    """Probability of every emotion, (emotion,)."""
    phonemes: tuple[str, ...] | None
    """None for a network without a phoneme head."""


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
        heard: what was heard in each window, in time.
    """
    shares = np.mean([one.scores for one in heard], axis=0)  # (emotion,)
    phonemes = None
    if all(one.phonemes is not None for one in heard):
        phonemes = tuple(symbol for one in heard for symbol in one.phonemes or ())
    return Prediction(
        label=labels[int(np.argmax(shares))],
        scores={name: float(share) for name, share in zip(labels, shares, strict=True)},
        seconds=waveform.seconds,
        phonemes=phonemes,
        warnings=(*waveform.warnings, *(("windowed",) if len(heard) > 1 else ())),
    )
