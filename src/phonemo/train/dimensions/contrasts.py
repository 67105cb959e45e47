"""Contrasts that show whether arousal and valence are right where no ratings exist.

A contrast is two groups of recordings, one of which should have the higher value. Its AUC is the
probability that a recording of the higher group has a higher value than one of the lower group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

AROUSED = ("anger", "fear", "happiness", "surprise")
CALM = ("sadness", "calm", "neutral")


@dataclass(frozen=True, eq=False)
class Recordings:
    """What is known of the tested recordings.

    Attributes:
        emotion: the corpus' own emotion (utterance,), before any merge.
        strong: 1 for a strong, 0 for a normal intensity, -1 where it is unknown (utterance,).
        speaker: (utterance,).
    """

    emotion: npt.NDArray[np.str_]
    strong: npt.NDArray[np.int64]
    speaker: npt.NDArray[np.str_]


@dataclass(frozen=True)
class ContrastAuc:
    """An AUC with its 95 % bootstrap interval over speakers."""

    auc: float
    low: float
    high: float
    pairs: int


def contrasts_of(known: Recordings, values: Floats, samples: int = 1000) -> dict[str, ContrastAuc]:
    """Measure every contrast that a corpus has.

    Args:
        known: the recordings.
        values: arousal and valence, (utterance, 2).
        samples: bootstrap samples of an interval; 0 leaves its ends at the AUC.
    """
    arousal, valence = values[:, 0], values[:, 1]
    emotion = known.emotion
    results = {
        "arousal": _across(
            np.isin(emotion, AROUSED), np.isin(emotion, CALM), arousal, known.speaker, samples
        ),
        "valence": _across(
            emotion == "happiness", emotion == "anger", valence, known.speaker, samples
        ),
        "intensity": _within(known, arousal, samples),
    }
    return {name: result for name, result in results.items() if result is not None}


def _across(
    higher: Mask, lower: Mask, values: Floats, speaker: npt.NDArray[np.str_], samples: int
) -> ContrastAuc | None:
    """Compare all recordings of one group with all of the other."""
    if not (higher.any() and lower.any()):
        return None
    names, owner = np.unique(speaker, return_inverse=True)
    wins = np.zeros((len(names), len(names)))
    for index in range(len(names)):
        others = np.sort(values[lower & (owner == index)])
        won = np.searchsorted(others, values[higher], "left")
        tied = np.searchsorted(others, values[higher], "right") - won
        wins[:, index] = np.bincount(owner[higher], won + tied / 2, len(names))
    counts = np.outer(
        np.bincount(owner[higher], minlength=len(names)),
        np.bincount(owner[lower], minlength=len(names)),
    )

    def auc(drawn: Floats) -> float:
        return float((drawn @ wins @ drawn) / (drawn @ counts @ drawn))

    return _with_interval(auc, len(names), int(counts.sum()), samples)


def _within(known: Recordings, values: Floats, samples: int) -> ContrastAuc | None:
    """Compare strong with normal recordings of one emotion by one speaker; mean over both."""
    names, owner = np.unique(known.speaker, return_inverse=True)
    means, pairs = np.full(len(names), np.nan), 0
    for index in range(len(names)):
        aucs = []
        for emotion in np.unique(known.emotion):
            own = (owner == index) & (known.emotion == emotion)
            strong, normal = values[own & (known.strong == 1)], values[own & (known.strong == 0)]
            if len(strong) and len(normal):
                aucs.append(_auc(strong, normal))
                pairs += len(strong) * len(normal)
        if aucs:
            means[index] = np.mean(aucs)
    kept = means[np.isfinite(means)]
    if not len(kept):
        return None
    return _with_interval(
        lambda drawn: float(drawn @ kept / drawn.sum()), len(kept), pairs, samples
    )


def _auc(higher: Floats, lower: Floats) -> float:
    difference = higher[:, None] - lower
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _with_interval(
    auc: Callable[[Floats], float], speakers: int, pairs: int, samples: int
) -> ContrastAuc:
    """Resample speakers, whose weights (speaker,) are how often each is drawn."""
    estimate = auc(np.ones(speakers))
    if samples == 0 or speakers < 2:
        return ContrastAuc(estimate, estimate, estimate, pairs)
    random = np.random.default_rng(0)
    draws = random.multinomial(speakers, np.full(speakers, 1 / speakers), samples).astype(float)
    with np.errstate(invalid="ignore"):
        values = np.array([auc(drawn) for drawn in draws])
    low, high = np.nanquantile(values, [0.025, 0.975])
    return ContrastAuc(estimate, float(low), float(high), pairs)
