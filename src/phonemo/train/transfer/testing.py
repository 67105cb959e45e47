"""A head on a source that it has not learnt from: one recording at a time, and adapted.

Pools of unlabelled recordings of one source, drawn at random and the same again.

Answers as counts by speaker: all that scores and their intervals are made of.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.evaluation import metrics
from phonemo.runtime.adaptation.statistics import Reference, Statistics, adapt_logits, logits_of
from phonemo.train.transfer.corpora import Indices, Names, Rows
from phonemo.train.transfer.study_config import CONDITION, TransferConfig


@dataclass(frozen=True)
class Condition:
    """How a source is tested.

    Attributes:
        name: "single", "speaker", "pool-20", "pool-all", "even-20" (as many of each emotion) or
            "80-per-cent-20" (80 % of one emotion in a pool of 20).
    """

    name: str

    @property
    def adapts(self) -> bool:
        """Whether unlabelled recordings are used."""
        return self.name != "single"

    @property
    def pool(self) -> int | None:
        """How many of them; None where all are taken, or none."""
        last = self.name.rpartition("-")[2]
        return int(last) if last.isdecimal() else None

    @property
    def share(self) -> float | None:
        """The share of one emotion, 0 for even shares of all; None where chance decides."""
        if self.name.startswith("even-"):
            return 0.0
        found = CONDITION.match(self.name)
        return int(found[3]) / 100 if found is not None and found[3] else None

    @property
    def is_random(self) -> bool:
        """Whether it depends on what is drawn."""
        return self.pool is not None


def conditions_of(config: TransferConfig) -> tuple[Condition, ...]:
    """All that a study tests, in the order of its tables."""
    names = ["single", *(f"pool-{size}" for size in config.pools), "speaker"]
    if config.one_sided is not None:
        for size in config.one_sided.pools:
            names.append(f"even-{size}")
            names += [f"{round(100 * one)}-per-cent-{size}" for one in config.one_sided.shares]
    return tuple(Condition(name) for name in names)


def draw(
    condition: Condition, corpus: str, truth: Indices, emotion: int, classes: int, seed: int, n: int
) -> Indices | None:
    """Places of the recordings of a pool, each once.

    Args:
        condition: one with a pool of some size.
        corpus: whose.
        truth: class indices (utterance,); read only where a pool has shares of emotions.
        emotion: the class whose share is given.
        classes: how many emotions there are.
        seed: of the study's.
        n: which draw.

    Returns:
        (recording,), all of them where the corpus has no more; None where it has too few of an
        emotion for the shares.
    """
    assert condition.pool is not None
    random = np.random.default_rng(
        [seed, n, condition.pool, zlib.crc32(f"{corpus} {condition.share}".encode())]
    )
    if condition.share is None:
        count = min(condition.pool, len(truth))
        return np.sort(random.choice(len(truth), count, replace=False))
    there = [number for number in range(classes) if (truth == number).any()]
    wanted = _class_counts(condition, emotion, there, random)
    if any((truth == number).sum() < count for number, count in wanted.items()):
        return None
    parts = [
        random.choice(np.flatnonzero(truth == number), count, replace=False)
        for number, count in wanted.items()
    ]
    return np.sort(np.concatenate(parts))


def _class_counts(
    condition: Condition, emotion: int, there: list[int], random: np.random.Generator
) -> dict[int, int]:
    """By class, how many recordings; what does not divide falls to classes by chance."""
    assert condition.pool is not None
    wanted: dict[int, int] = {}
    others = list(there)
    if condition.share:
        wanted[emotion] = round(condition.share * condition.pool)
        others = [number for number in there if number != emotion]
    left = condition.pool - sum(wanted.values())
    each, more = divmod(left, max(1, len(others)))
    luckier = random.permutation(len(others))[:more]
    for place, number in enumerate(others):
        wanted[number] = each + int(place in luckier)
    return wanted


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """The rows of one source, and how pools of it are drawn.

    Attributes:
        rows: all of it.
        name: of the source.
        emotion: the class that one-sided pools are mostly of.
        classes: how many emotions there are.
        seed: of the draws.
        draws: how many there are of each.
    """

    rows: Rows
    name: str
    emotion: int
    classes: int
    seed: int
    draws: int


def test_logits(reference: Reference, source: Source, condition: Condition) -> Iterator[Floats]:
    """Logits (utterance, emotion) of all of a source, for every draw; none where it has no pool.

    Recordings that are in a pool are tested too: their labels are not used.
    """
    vectors = source.rows.vectors
    if not condition.adapts:
        yield logits_of(reference, vectors, None)
    elif condition.name == "speaker":
        yield by_speaker(reference, source.rows, adapt_logits(reference, vectors))
    elif not condition.is_random:
        yield logits_of(reference, vectors, adapt_logits(reference, vectors))
    else:
        for pool in _pools(source, condition):
            yield logits_of(reference, vectors, adapt_logits(reference, vectors[pool]))


def by_speaker(reference: Reference, rows: Rows, towards: Statistics | None) -> Floats:
    """Logits with each speaker's own statistics, from all of the speaker's recordings.

    Args:
        reference: the head.
        rows: of any speakers.
        towards: of the source that the speakers are part of; None is the training sources.
    """
    found = np.empty((len(rows), len(reference.bias)))
    for speaker in np.unique(rows.speaker):
        own = rows.speaker == speaker
        vectors = rows.vectors[own]
        found[own] = logits_of(reference, vectors, adapt_logits(reference, vectors, towards))
    return found


def _pools(source: Source, condition: Condition) -> Iterator[Indices]:
    for number in range(source.draws):
        pool = draw(
            condition,
            source.name,
            source.rows.truth,
            source.emotion,
            source.classes,
            source.seed,
            number,
        )
        if pool is not None:
            yield pool


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
