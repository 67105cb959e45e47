"""Tests of a head on a new source: one recording at a time, and adapted.

Pools of a source's unlabeled recordings are drawn at random, reproducibly. Results are confusion
counts by speaker, from which scores and intervals are computed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.evaluation import metrics
from phonemo.runtime.adaptation.statistics import Reference, Statistics, adapt_logits, logits_of
from phonemo.train.transfer.corpora import Indices, Names, Rows
from phonemo.train.transfer.study_config import CONDITION, TransferConfig


@dataclass(frozen=True)
class Condition:
    """A test condition.

    Attributes:
        name: "single", "speaker", "pool-20", "pool-all", "even-20" (equally many of each emotion)
            or "80-per-cent-20" (80 % of one emotion in a pool of 20).
    """

    name: str

    @property
    def adapts(self) -> bool:
        """Whether unlabeled recordings are used."""
        return self.name != "single"

    @property
    def pool(self) -> int | None:
        """Return the pool's size; None if all recordings are used, or none."""
        last = self.name.rpartition("-")[2]
        return int(last) if last.isdecimal() else None

    @property
    def share(self) -> float | None:
        """Return the share of one emotion, 0 for equal shares of all; None if it is random."""
        if self.name.startswith("even-"):
            return 0.0
        match = CONDITION.match(self.name)
        return int(match[3]) / 100 if match is not None and match[3] else None

    @property
    def is_random(self) -> bool:
        """Whether pools are random."""
        return self.pool is not None


def conditions_of(config: TransferConfig) -> tuple[Condition, ...]:
    """List a study's conditions, in the order of its tables."""
    names = ["single", *(f"pool-{size}" for size in config.pools), "speaker"]
    if config.one_sided is not None:
        for size in config.one_sided.pools:
            names.append(f"even-{size}")
            names += [f"{round(100 * share)}-per-cent-{size}" for share in config.one_sided.shares]
    return tuple(Condition(name) for name in names)


def draw(
    condition: Condition, corpus: str, truth: Indices, emotion: int, classes: int, seed: int, n: int
) -> Indices | None:
    """Draw a pool's recordings, without replacement.

    Args:
        condition: a condition with a pool size.
        corpus: the corpus' name.
        truth: class indices (utterance,); used only if the pool has shares of emotions.
        emotion: the class whose share is given.
        classes: number of emotions.
        seed: one of the study's seeds.
        n: index of the draw.

    Returns:
        Indices (recording,), all of them if the corpus is smaller than the pool; None if it has
        too few of an emotion for the shares.
    """
    assert condition.pool is not None
    random = np.random.default_rng(
        [seed, n, condition.pool, zlib.crc32(f"{corpus} {condition.share}".encode())]
    )
    if condition.share is None:
        count = min(condition.pool, len(truth))
        return np.sort(random.choice(len(truth), count, replace=False))
    present = [label for label in range(classes) if (truth == label).any()]
    counts = _class_counts(condition, emotion, present, random)
    if any((truth == label).sum() < count for label, count in counts.items()):
        return None
    parts = [
        random.choice(np.flatnonzero(truth == label), count, replace=False)
        for label, count in counts.items()
    ]
    return np.sort(np.concatenate(parts))


def _class_counts(
    condition: Condition, emotion: int, present: list[int], random: np.random.Generator
) -> dict[int, int]:
    """Return the number of recordings by class; the remainder goes to random classes."""
    assert condition.pool is not None
    counts: dict[int, int] = {}
    others = list(present)
    if condition.share:
        counts[emotion] = round(condition.share * condition.pool)
        others = [label for label in present if label != emotion]
    remaining = condition.pool - sum(counts.values())
    each, rest = divmod(remaining, max(1, len(others)))
    luckier = random.permutation(len(others))[:rest]
    for index, label in enumerate(others):
        counts[label] = each + int(index in luckier)
    return counts


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """One source's rows, and how its pools are drawn.

    Attributes:
        rows: all rows.
        name: the source's name.
        emotion: the majority class of one-sided pools.
        classes: number of emotions.
        seed: seed of the draws.
        draws: number of draws per condition.
    """

    rows: Rows
    name: str
    emotion: int
    classes: int
    seed: int
    draws: int


def test_logits(reference: Reference, source: Source, condition: Condition) -> Iterator[Floats]:
    """Yield a source's logits (utterance, emotion) for every draw with a pool.

    Recordings of the pool are tested too: their labels are not used.
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
    """Compute logits adapted by speaker, from all of the speaker's recordings.

    Args:
        reference: the head.
        rows: rows of any speakers.
        towards: statistics to shrink to, as of the speakers' source; None is the training sources.
    """
    logits = np.empty((len(rows), len(reference.bias)))
    for speaker in np.unique(rows.speaker):
        own = rows.speaker == speaker
        vectors = rows.vectors[own]
        logits[own] = logits_of(reference, vectors, adapt_logits(reference, vectors, towards))
    return logits


def _pools(source: Source, condition: Condition) -> Iterator[Indices]:
    for index in range(source.draws):
        pool = draw(
            condition,
            source.name,
            source.rows.truth,
            source.emotion,
            source.classes,
            source.seed,
            index,
        )
        if pool is not None:
            yield pool


Counts = npt.NDArray[np.int64]


def unweighted(truth: Indices, answers: Indices, classes: int) -> float:
    """Compute the UA of class indices (utterance,)."""
    return metrics.unweighted_accuracy(metrics.confusion_matrix(truth, answers, classes))


def counted(truth: Indices, answers: Indices, speakers: Names, classes: int) -> Counts:
    """Count predictions (speaker, truth, prediction), with speakers sorted by name."""
    names, owner = np.unique(speakers, return_inverse=True)
    cells = (owner * classes + truth) * classes + answers
    counts = np.bincount(cells, minlength=len(names) * classes * classes)
    return counts.astype(np.int64).reshape(len(names), classes, classes)


def uas(tables: Counts | Floats) -> Floats:
    """Compute the UA of each table of counts (..., emotion, emotion): (...,)."""
    support = tables.sum(axis=-1)
    present = support > 0
    right = np.where(present, np.diagonal(tables, axis1=-2, axis2=-1), 0)
    found: Floats = (right / np.maximum(support, 1)).sum(axis=-1) / present.sum(axis=-1)
    return found


def mean_ua(tables: Counts) -> float:
    """Return the mean UA over runs of counts (run, emotion, emotion)."""
    return float(np.mean(uas(tables)))


def mean_wa(tables: Counts) -> float:
    """Return the mean WA over runs of counts (run, emotion, emotion)."""
    right = np.diagonal(tables, axis1=1, axis2=2).sum(axis=1)
    return float(np.mean(right / tables.sum(axis=(1, 2))))


def mean_recalls(tables: Counts) -> list[float | None]:
    """Return mean recalls over runs by class; None for an untested class."""
    support = tables.sum(axis=2)
    recalls = np.diagonal(tables, axis1=1, axis2=2) / np.maximum(support, 1)
    present = support.min(axis=0) > 0
    return [
        float(recall) if is_present else None
        for recall, is_present in zip(recalls.mean(axis=0), present, strict=True)
    ]


def ua_by_run(tables: Counts) -> list[float]:
    """Return the UA of each run of counts (run, emotion, emotion)."""
    return [mean_ua(table[None]) for table in tables]


def interval(
    parts: Sequence[Counts], samples: int = 1000
) -> tuple[float, float] | tuple[None, None]:
    """Compute the 95 % interval of the mean UA over corpora by a bootstrap over speakers.

    Args:
        parts: counts (run, speaker, emotion, emotion) of each corpus.
        samples: number of bootstrap samples.

    Returns:
        Low and high; None if a corpus has a single speaker.
    """

    def score(number: int, speakers: Indices) -> float:
        return mean_ua(parts[number][:, speakers].sum(axis=1))

    return resampled_interval([part.shape[1] for part in parts], score, samples)


def resampled_interval(
    sizes: Sequence[int], score: Callable[[int, Indices], float], samples: int = 1000
) -> tuple[float, float] | tuple[None, None]:
    """Compute the 95 % interval of a mean over corpora by a bootstrap over speakers.

    Args:
        sizes: number of speakers of each corpus.
        score: called with the number of a corpus, and indices of its speakers, some repeated.
        samples: number of bootstrap samples.

    Returns:
        Low and high; None if a corpus has a single speaker.
    """
    if min(sizes) < 2:
        return None, None
    owner = np.repeat(np.arange(len(sizes)), sizes)
    first = np.cumsum([0, *sizes[:-1]])
    names = [f"{index:06d}" for index in range(len(owner))]

    def statistic(sample: Counts) -> float:
        parts = (sample[owner[sample] == number] - first[number] for number in range(len(sizes)))
        return float(np.mean([score(number, part) for number, part in enumerate(parts)]))

    bootstrap = metrics.bootstrap_interval(
        names, statistic, samples=samples, strata=[str(index) for index in owner]
    )
    return bootstrap.low, bootstrap.high
