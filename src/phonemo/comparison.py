"""Two runs of one protocol, paired: how far apart they are, and whether chance could do that.

The unit is the speaker: utterances of one speaker are alike, and taking them as independent makes
every difference look surer than it is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError
from phonemo.metrics import Counts, bootstrap_interval, unweighted_accuracy
from phonemo.scoring import LEVEL, SAMPLES
from phonemo.tested import STATISTICS, Tested, clusters_of, fold_of, unit_of

SWAPS = 10_000
"""Most ways of swapping speakers that are tried; all of them where there are fewer."""
_Signs = npt.NDArray[np.bool_]
#: Two differences this near are equal: sums of floats in another order.
_EQUAL = 1e-12


@dataclass(frozen=True)
class Difference:
    """One score of both runs, as shares from 0 to 1."""

    first: float
    second: float
    low: float | None
    """Lower end of the 95 % bootstrap interval of second - first; None for a single speaker."""
    high: float | None
    p: float | None
    """Share of swaps of whole speakers between the runs that lie as far apart; two-sided."""

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class Disagreement:
    """McNemar's test of one seed: utterances that only one run answered rightly."""

    seed: int
    only_first: int
    only_second: int
    p: float
    """Exact, two-sided; takes utterances as independent."""


@dataclass(frozen=True)
class FoldPair:
    """UA of both runs on one test part."""

    fold: str
    seed: int
    utterances: int
    first: float
    second: float


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found; the second run is held against the first."""

    scores: dict[str, Difference]
    """By score: wa, ua, macro_f1, weighted_f1."""
    disagreements: tuple[Disagreement, ...]
    folds: tuple[FoldPair, ...]
    utterances: int
    clusters: int
    unit: str
    """What is drawn and swapped: "speaker", or "utterance" where no speaker is known, or both."""
    swaps: int
    exact: bool
    """Whether all ways of swapping were tried."""


def compare(first: Tested, second: Tested) -> Comparison:
    """Pair the answers of two runs, utterance by utterance and seed by seed.

    Args:
        first: the run to compare with.
        second: the other one.

    Raises:
        ResultError: the runs tested different utterances, folds or seeds, or do not agree on
            what is true.
    """
    check_paired(first, second)
    clusters = clusters_of(first)
    tables = [_by_cluster(run, clusters) for run in (first, second)]
    count = len(set(clusters))
    signs, exact = _swaps(count)
    scores = {
        name: _difference(first, second, statistic, tables, signs)
        for name, statistic in STATISTICS.items()
    }
    return Comparison(
        scores=scores,
        disagreements=tuple(_disagreements(first, second)),
        folds=tuple(_fold_pairs(first, second)),
        utterances=len({row["id"] for row in first.rows}),
        clusters=count,
        unit=unit_of(clusters),
        swaps=len(signs),
        exact=exact,
    )


def check_paired(first: Tested, second: Tested) -> None:
    """Refuse runs whose rows do not pair; ResultError says where they part."""
    if first.seeds != second.seeds:
        raise ResultError(
            f"the runs have different seeds: {_listed(first.seeds)} and {_listed(second.seeds)}; "
            "train both with the same ones"
        )
    ours, theirs = (
        {(row["seed"], row["id"]): fold_of(row) for row in run.rows} for run in (first, second)
    )
    apart = sorted(ours.keys() ^ theirs.keys())
    if apart:
        raise ResultError(
            f"{len(apart)} answers are in one run only, as {apart[0][1]!r} (seed {apart[0][0]}); "
            "finish both runs, on one manifest and one protocol"
        )
    moved = sorted(key for key, fold in ours.items() if theirs[key] != fold)
    if moved:
        name = moved[0]
        raise ResultError(
            f"{name[1]!r} is tested in fold {ours[name]} and in fold {theirs[name]}: "
            "the runs have different folds and cannot be paired"
        )
    if not np.array_equal(first.truth, second.truth):
        place = int(np.flatnonzero(first.truth != second.truth)[0])
        raise ResultError(
            f"the runs do not agree on the truth of {first.rows[place]['id']!r}: "
            f"{first.rows[place]['truth']} and {second.rows[place]['truth']}"
        )


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided (1947): p of counts so uneven under a fair coin.

    Args:
        only_first: utterances that only the first run answered rightly.
        only_second: those that only the second did.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    ways = term = 1  # binomial coefficients, one from the other
    for count in range(fewer):
        term = term * (total - count) // (count + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << total))


def holm(values: Sequence[float]) -> list[float]:
    """P of several comparisons, adjusted so that any false one is as rare (Holm 1979).

    Args:
        values: p of each comparison, in any order.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def _by_cluster(run: Tested, clusters: Sequence[str]) -> Counts:
    """Count each speaker's answers: (cluster, seed, emotion, emotion)."""
    owner = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)[1]
    shape = (int(owner.max()) + 1, len(run.seeds), run.classes, run.classes)
    cell = np.ravel_multi_index((owner, run.seed, run.truth, run.predicted), shape)
    counts: Counts = np.bincount(cell, minlength=math.prod(shape)).astype(np.int64)
    return counts.reshape(shape)


def _difference(
    first: Tested,
    second: Tested,
    statistic: Callable[[Counts], float],
    tables: Sequence[Counts],
    signs: _Signs,
) -> Difference:
    def apart(rows: Counts) -> float:
        return second.mean(statistic, rows) - first.mean(statistic, rows)

    everything = np.arange(len(first.rows))
    ours, theirs = (run.mean(statistic, everything) for run in (first, second))
    if signs.shape[1] < 2:
        return Difference(ours, theirs, None, None, None)
    interval = bootstrap_interval(clusters_of(first), apart, samples=SAMPLES, level=LEVEL)
    p = _swapped_share(statistic, tables, signs, abs(theirs - ours))
    return Difference(ours, theirs, interval.low, interval.high, p)


def _swapped_share(
    statistic: Callable[[Counts], float], tables: Sequence[Counts], signs: _Signs, found: float
) -> float:
    """The share of the swaps that lie at least as far apart as what was found."""
    ours, theirs = tables
    mixed = _summed(~signs, ours) + _summed(signs, theirs)
    rest = _summed(signs, ours) + _summed(~signs, theirs)

    def score(table: Counts) -> float:
        return float(np.mean([statistic(one) for one in table if one.any()]))

    far = [
        abs(score(other) - score(one)) >= found - _EQUAL
        for one, other in zip(mixed, rest, strict=True)
    ]
    return float(np.mean(far))


def _summed(weights: _Signs, tables: Counts) -> Counts:
    """Which clusters count (swap, cluster), and their counts (cluster, ...), to (swap, ...)."""
    total = np.tensordot(weights.astype(np.float64), tables.astype(np.float64), axes=1)
    return np.rint(total).astype(np.int64)


def _swaps(clusters: int) -> tuple[_Signs, bool]:
    """Which speakers are swapped, (swap, cluster); the first swaps none. All ways, if few."""
    if 2**clusters <= SWAPS:
        return np.array(list(itertools.product((False, True), repeat=clusters))), True
    signs = np.random.default_rng(0).integers(2, size=(SWAPS, clusters)).astype(bool)
    signs[0] = False  # what was found is one of the ways (Phipson and Smyth 2010)
    return signs, False


def _disagreements(first: Tested, second: Tested) -> Iterator[Disagreement]:
    ours, theirs = (run.predicted == run.truth for run in (first, second))
    for number, seed in enumerate(first.seeds):
        chosen = first.seed == number
        only_first = int(np.count_nonzero(ours & ~theirs & chosen))
        only_second = int(np.count_nonzero(theirs & ~ours & chosen))
        yield Disagreement(seed, only_first, only_second, mcnemar(only_first, only_second))


def _fold_pairs(first: Tested, second: Tested) -> Iterator[FoldPair]:
    trainings = [(int(row["seed"]), fold_of(row)) for row in first.rows]
    for seed, fold in dict.fromkeys(trainings):
        chosen = first.where(trainings, (seed, fold))
        ours, theirs = (run.mean(unweighted_accuracy, chosen) for run in (first, second))
        yield FoldPair(fold, seed, len(chosen), ours, theirs)


def _listed(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)
