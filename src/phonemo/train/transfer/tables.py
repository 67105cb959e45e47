"""Answers as counts by speaker: all that scores and their intervals are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from phonemo import metrics
from phonemo.train.transfer.rows import Indices, Names

Counts = npt.NDArray[np.int64]


def unweighted(truth: Indices, answers: Indices, classes: int) -> float:
    """UA of class indices (utterance,)."""
    return metrics.unweighted_accuracy(metrics.confusion_matrix(truth, answers, classes))


def counted(truth: Indices, answers: Indices, speakers: Names, classes: int) -> Counts:
    """Counts (speaker, emotion, emotion), rows are the truth; speakers in the order of names."""
    names, owner = np.unique(speakers, return_inverse=True)
    cells = (owner * classes + truth) * classes + answers
    found = np.bincount(cells, minlength=len(names) * classes * classes)
    return found.astype(np.int64).reshape(len(names), classes, classes)


def mean_ua(tables: Counts) -> float:
    """Mean over runs of the UA of counts (run, emotion, emotion)."""
    support = tables.sum(axis=2)
    present = support > 0
    recalls = np.where(present, np.diagonal(tables, axis1=1, axis2=2), 0) / np.maximum(support, 1)
    return float(np.mean(recalls.sum(axis=1) / present.sum(axis=1)))


def mean_wa(tables: Counts) -> float:
    """Mean over runs of the WA of counts (run, emotion, emotion)."""
    right = np.diagonal(tables, axis1=1, axis2=2).sum(axis=1)
    return float(np.mean(right / tables.sum(axis=(1, 2))))


def mean_recalls(tables: Counts) -> list[float | None]:
    """By class the mean over runs; None for one that was not tested."""
    support = tables.sum(axis=2)
    found = np.diagonal(tables, axis1=1, axis2=2) / np.maximum(support, 1)
    there = support.min(axis=0) > 0
    return [float(one) if has else None for one, has in zip(found.mean(axis=0), there, strict=True)]


def ua_by_run(tables: Counts) -> list[float]:
    """The UA of each of counts (run, emotion, emotion)."""
    return [mean_ua(one[None]) for one in tables]


def interval(
    parts: Sequence[Counts], samples: int = 1000
) -> tuple[float, float] | tuple[None, None]:
    """The 95 % interval of the mean UA over corpora, bootstrapped over speakers in each.

    Args:
        parts: for each corpus, counts (run, speaker, emotion, emotion).
        samples: of the bootstrap.

    Returns:
        Low and high; None where a corpus has a single speaker.
    """
    if any(one.shape[1] < 2 for one in parts):
        return None, None
    sizes = [one.shape[1] for one in parts]
    owner = np.repeat(np.arange(len(parts)), sizes)
    first = np.cumsum([0, *sizes[:-1]])
    names = [f"{number:06d}" for number in range(len(owner))]

    def statistic(chosen: Counts) -> float:
        means = [
            mean_ua(one[:, chosen[owner[chosen] == number] - first[number]].sum(axis=1))
            for number, one in enumerate(parts)
        ]
        return float(np.mean(means))

    found = metrics.bootstrap_interval(
        names, statistic, samples=samples, strata=[str(one) for one in owner]
    )
    return found.low, found.high
