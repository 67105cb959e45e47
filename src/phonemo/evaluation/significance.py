"""Paired comparison of two runs of one protocol: difference of scores and its significance.

The unit is the speaker: utterances of one speaker are correlated, and treating them as independent
would overstate the significance of every difference. Speakers tested in one fold share its
networks, so each difference has a second p, over folds.

The module also reads run folders.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from phonemo.errors import ResultError
from phonemo.evaluation.metrics import Counts, bootstrap_interval, unweighted_accuracy
from phonemo.evaluation.metrics_schema import Metrics
from phonemo.evaluation.permutation import PairedCounts, Signs, draw_swaps, paired_counts
from phonemo.evaluation.prediction_rows import (
    STATISTICS,
    PredictionRow,
    PredictionTable,
    clusters_of,
    fold_of,
    labeled_rows,
    unit_of,
    validate_rows,
)
from phonemo.evaluation.ratings.concordance import Floats
from phonemo.evaluation.ratings.paired_sums import PairedSums, paired_tables
from phonemo.evaluation.ratings.rating_summary import mean_ccc
from phonemo.evaluation.ratings.rating_tables import draw_weights
from phonemo.evaluation.summary import LEVEL, SAMPLES
from phonemo.files import loads_json_lines
from phonemo.labels import LabelSet, label_set

Key = TypeVar("Key", bound=Hashable)
#: Differences this close are equal up to rounding of sums in another order.
_EQUAL_SUMS = 1e-9


@dataclass(frozen=True)
class Difference:
    """One score of both runs, as shares from 0 to 1."""

    first: float
    second: float
    low: float | None
    """Lower end of the 95 % bootstrap interval of second - first; None for a single speaker."""
    high: float | None
    p: float | None
    """Two-sided: share of speaker permutations with a difference at least as large."""
    p_folds: float | None = None
    """The same with whole folds swapped, whose speakers share networks; None for a single fold.

    With n folds it is 2 ** (1 - n) or more.
    """

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class Disagreement:
    """McNemar's test of one seed: utterances that only one run classified correctly."""

    seed: int
    only_first: int
    only_second: int
    p: float
    """Exact, two-sided; treats utterances as independent."""


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
    """Result of ``compare``: the second run relative to the first."""

    scores: dict[str, Difference]
    """By score: wa, ua, macro_f1, weighted_f1; with rated dimensions also ccc and ccc_NAME."""
    disagreements: tuple[Disagreement, ...]
    folds: tuple[FoldPair, ...]
    utterances: int
    clusters: int
    unit: str
    """Unit of resampling: "speaker", "utterance" where no speaker is known, or both."""
    swaps: int
    exact: bool
    """Whether all permutations were used."""

    @property
    def main(self) -> Difference:
        """The difference of UA; without emotions of the mean CCC, or the first that is defined."""
        return next(self.scores[one] for one in ("ua", "ccc", *self.scores) if one in self.scores)


def compare(first: PredictionTable, second: PredictionTable) -> Comparison:
    """Pair the predictions of two runs, utterance by utterance and seed by seed.

    Args:
        first: the reference run.
        second: the other run.

    Raises:
        ResultError: the runs tested different utterances, folds or seeds, or differ in the true
            labels.
    """
    check_paired(first, second)
    clusters = clusters_of(first.rows)
    speakers = paired_counts(first, second, clusters)
    folds = _fold_counts(first, second, clusters) or speakers
    scores = {
        name: _difference(first, second, statistic, speakers, folds)
        for name, statistic in STATISTICS.items()
    }
    return Comparison(
        scores=scores,
        disagreements=tuple(_disagreements(first, second)),
        folds=tuple(_fold_pairs(first, second)),
        utterances=len({row["id"] for row in first.rows}),
        clusters=speakers.units,
        unit=unit_of(clusters),
        swaps=len(speakers.signs),
        exact=speakers.exact,
    )


def check_paired(first: PredictionTable, second: PredictionTable) -> None:
    """Raise ResultError, with the first difference, for runs whose rows do not pair."""
    if first.seeds != second.seeds:
        raise ResultError(
            f"expected the same seeds, got {_join_numbers(first.seeds)} and "
            f"{_join_numbers(second.seeds)}; train both with the same ones"
        )
    first_folds, second_folds = (
        {(row["seed"], row["id"]): fold_of(row) for row in run.rows} for run in (first, second)
    )
    unpaired = sorted(first_folds.keys() ^ second_folds.keys())
    if unpaired:
        raise ResultError(
            f"expected the same utterances, got {len(unpaired)} answers in one run only, such as "
            f"{unpaired[0][1]!r} (seed {unpaired[0][0]}); finish both runs, on one manifest and "
            "one protocol"
        )
    moved = sorted(key for key, fold in first_folds.items() if second_folds[key] != fold)
    if moved:
        name = moved[0]
        raise ResultError(
            f"expected the same folds, got {name[1]!r} in fold {first_folds[name]} and in fold "
            f"{second_folds[name]}; train both runs with one protocol"
        )
    if not np.array_equal(first.truth, second.truth):
        index = int(np.flatnonzero(first.truth != second.truth)[0])
        raise ResultError(
            f"expected the same truth for {first.rows[index]['id']!r}, got "
            f"{first.rows[index]['truth']} and {second.rows[index]['truth']}"
        )


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided (1947): p of such uneven counts under a fair coin.

    Args:
        only_first: utterances that only the first run classified correctly.
        only_second: those that only the second did.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    ways = term = 1  # binomial coefficients, each computed from the previous one
    for count in range(fewer):
        term = term * (total - count) // (count + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << total))


def holm(values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several comparisons for the family-wise error rate (Holm 1979).

    Args:
        values: p-values in any order.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def adjusted(differences: Mapping[Key, Difference]) -> dict[Key, float]:
    """Adjust the p-values of a family of differences (``holm``); those without one are left out."""
    values = {key: found.p for key, found in differences.items() if found.p is not None}
    return dict(zip(values, holm(list(values.values())), strict=True))


def _difference(
    first: PredictionTable,
    second: PredictionTable,
    statistic: Callable[[Counts], float],
    speakers: PairedCounts,
    folds: PairedCounts,
) -> Difference:
    def difference(rows: Counts) -> float:
        return second.mean(statistic, rows) - first.mean(statistic, rows)

    everything = np.arange(len(first.rows))
    ours, theirs = (run.mean(statistic, everything) for run in (first, second))
    if speakers.units < 2:
        return Difference(ours, theirs, None, None, None)
    interval = bootstrap_interval(clusters_of(first.rows), difference, samples=SAMPLES, level=LEVEL)
    p = speakers.p(statistic, theirs - ours)
    p_folds = p if folds is speakers else folds.p(statistic, theirs - ours)
    return Difference(ours, theirs, interval.low, interval.high, p, p_folds)


def _fold_counts(
    first: PredictionTable, second: PredictionTable, clusters: Sequence[str]
) -> PairedCounts | None:
    """Count by fold; None if every fold is a speaker."""
    names = [fold_of(row) for row in first.rows]
    sizes = {len(set(one)) for one in (names, clusters, list(zip(names, clusters, strict=True)))}
    return None if len(sizes) == 1 else paired_counts(first, second, names)


def _disagreements(first: PredictionTable, second: PredictionTable) -> Iterator[Disagreement]:
    ours, theirs = (run.predicted == run.truth for run in (first, second))
    for number, seed in enumerate(first.seeds):
        chosen = first.seed == number
        only_first = int(np.count_nonzero(ours & ~theirs & chosen))
        only_second = int(np.count_nonzero(theirs & ~ours & chosen))
        yield Disagreement(seed, only_first, only_second, mcnemar(only_first, only_second))


def _fold_pairs(first: PredictionTable, second: PredictionTable) -> Iterator[FoldPair]:
    trainings = [(int(row["seed"]), fold_of(row)) for row in first.rows]
    for seed, fold in dict.fromkeys(trainings):
        chosen = first.where(trainings, (seed, fold))
        ours, theirs = (run.mean(unweighted_accuracy, chosen) for run in (first, second))
        yield FoldPair(fold, seed, len(chosen), ours, theirs)


def _join_numbers(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)


@dataclass(frozen=True)
class EvaluatedRun:
    """The test results in a run folder."""

    metrics: Metrics
    rows: tuple[PredictionRow, ...]

    @property
    def tested(self) -> PredictionTable:
        """The rows with emotions."""
        return validate_rows(labeled_rows(self.rows), self.labels)

    @property
    def labels(self) -> LabelSet:
        """The run's emotions."""
        return label_set(self.metrics.results.labels, {})


def compare_runs(first: Path, second: Path) -> tuple[EvaluatedRun, EvaluatedRun, Comparison]:
    """Read two run folders and pair their predictions.

    Raises:
        ResultError: one is not a finished run, or they differ in corpus, protocol or labels, so
            that a difference of scores would be meaningless.
    """
    if first.resolve() == second.resolve():
        raise ResultError(f"expected two runs, got the same run in {first} and {second}")
    ours, theirs = read_run(first), read_run(second)
    return ours, theirs, compare_read(ours, theirs)


def compare_read(first: EvaluatedRun, second: EvaluatedRun) -> Comparison:
    """Pair the predictions of two runs already read; raises as ``compare_runs``."""
    _check_comparable(first.metrics, second.metrics)
    has_emotions = first.metrics.results.ua is not None
    found = compare(first.tested, second.tested) if has_emotions else None
    return with_dimensions(found, first.rows, second.rows)


def read_run(folder: Path) -> EvaluatedRun:
    """Read a run folder; ResultError names the missing or malformed file."""
    try:
        metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        text = (folder / "predictions.jsonl").read_text(encoding="utf-8")
        rows = loads_json_lines(text)
    except OSError as error:
        raise ResultError(
            f"{folder}: expected a run folder of phonemo train, got no "
            f"{Path(error.filename or '').name}"
        ) from error
    except (ValidationError, ValueError) as error:
        raise ResultError(f"{folder}: expected files of phonemo train; train it again") from error
    run = EvaluatedRun(metrics, tuple(rows))
    if metrics.results.ua is not None:
        validate_rows(labeled_rows(rows), run.labels)
    return run


def with_dimensions(
    found: Comparison | None, first: Sequence[PredictionRow], second: Sequence[PredictionRow]
) -> Comparison:
    """Add the differences of the CCC, tested over the same speakers, where both runs have it.

    Args:
        found: the comparison of the emotions; None where no utterance has one.
        first: the rows of the reference run.
        second: those of the other.

    Raises:
        ResultError: the runs' rated utterances differ, or there is nothing to compare.
    """
    pair = paired_tables(first, second)
    if pair is None:
        if found is None:
            raise ResultError("expected runs with emotions or rated dimensions, got neither")
        return found
    count = len(pair.clusters)
    signs, exact = draw_swaps(count)
    scores = {name: _ccc_difference(pair, columns, signs) for name, columns in pair.scores.items()}
    if found is not None:
        return replace(found, scores=found.scores | scores)
    if not scores:
        raise ResultError("expected ratings that vary, got constant ones; their CCC is undefined")
    unit = unit_of(pair.clusters)
    return Comparison(scores, (), (), pair.utterances, count, unit, len(signs), exact)


def _ccc_difference(pair: PairedSums, columns: Sequence[int], signs: Signs) -> Difference:
    """The difference of the CCC, averaged over the dimensions ``columns``."""
    ours, theirs = (table[:, :, columns] for table in (pair.first, pair.second))

    def score(sums: Floats) -> Floats:
        mean: Floats = np.nan_to_num(mean_ccc(sums)).mean(axis=-1)  # over seeds
        return mean

    before, after = (float(score(table.sum(axis=0))) for table in (ours, theirs))
    if len(pair.clusters) < 2:
        return Difference(before, after, None, None, None)
    weights = draw_weights(len(pair.clusters))
    drawn = [score(np.tensordot(weights, table, axes=1)) for table in (ours, theirs)]
    low, high = np.quantile(drawn[1] - drawn[0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    swapped = signs.astype(np.float64)
    moved = np.tensordot(swapped, theirs - ours, axes=1)
    differences = score(theirs.sum(axis=0) - moved) - score(ours.sum(axis=0) + moved)
    p = float(np.mean(np.abs(differences) >= abs(after - before) - _EQUAL_SUMS))
    return Difference(before, after, float(low), float(high), p)


def _check_comparable(first: Metrics, second: Metrics) -> None:
    if first.corpus != second.corpus:
        raise ResultError(f"expected runs on one corpus, got {first.corpus} and {second.corpus}")
    if first.results.labels != second.results.labels:
        raise ResultError(
            f"expected runs with the same emotions, got {', '.join(first.results.labels)} and "
            f"{', '.join(second.results.labels)}"
        )
    ours, theirs = first.protocol.model_dump(), second.protocol.model_dump()
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise ResultError(
                f"expected the same protocol, got protocol.{key} {ours.get(key)} and "
                f"{theirs.get(key)}; train both with one protocol"
            )
