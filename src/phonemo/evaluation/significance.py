"""Two runs of one protocol, paired: how far apart they are, and whether chance could do that.

The unit is the speaker: utterances of one speaker are alike, and taking them as independent makes
every difference look surer than it is.

Run folders to compare, and the comparison as text and as JSON.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from phonemo.errors import ResultError
from phonemo.evaluation.markdown import per_cent, protocol_text
from phonemo.evaluation.metrics import Counts, bootstrap_interval, unweighted_accuracy
from phonemo.evaluation.predictions import (
    STATISTICS,
    PredictionTable,
    clusters_of,
    fold_of,
    unit_of,
    validate_rows,
)
from phonemo.evaluation.schema import Metrics
from phonemo.evaluation.summary import LEVEL, SAMPLES
from phonemo.files import loads_json_lines
from phonemo.labels import LabelSet

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


def compare(first: PredictionTable, second: PredictionTable) -> Comparison:
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


def check_paired(first: PredictionTable, second: PredictionTable) -> None:
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


def _by_cluster(run: PredictionTable, clusters: Sequence[str]) -> Counts:
    """Count each speaker's answers: (cluster, seed, emotion, emotion)."""
    owner = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)[1]
    shape = (int(owner.max()) + 1, len(run.seeds), run.classes, run.classes)
    cell = np.ravel_multi_index((owner, run.seed, run.truth, run.predicted), shape)
    counts: Counts = np.bincount(cell, minlength=math.prod(shape)).astype(np.int64)
    return counts.reshape(shape)


def _difference(
    first: PredictionTable,
    second: PredictionTable,
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


def _listed(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)


_NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}


@dataclass(frozen=True)
class EvaluatedRun:
    """What a run folder says of its tests."""

    metrics: Metrics
    tested: PredictionTable


def compare_runs(first: Path, second: Path) -> tuple[EvaluatedRun, EvaluatedRun, Comparison]:
    """Open two run folders and pair their answers.

    Raises:
        ResultError: one is no finished run, or they differ in corpus, protocol or labels, so that
            a difference of scores would mean nothing.
    """
    if first.resolve() == second.resolve():
        raise ResultError(f"{first} and {second} are the same run; name two")
    ours, theirs = read_run(first), read_run(second)
    return ours, theirs, compare_read(ours, theirs)


def compare_read(first: EvaluatedRun, second: EvaluatedRun) -> Comparison:
    """Pair the answers of two opened runs; raises as ``compare_runs``."""
    _check_alike(first.metrics, second.metrics)
    return compare(first.tested, second.tested)


def read_run(folder: Path) -> EvaluatedRun:
    """Open a run folder; ResultError names what is missing or malformed."""
    try:
        metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        text = (folder / "predictions.jsonl").read_text(encoding="utf-8")
        rows = loads_json_lines(text)
    except OSError as error:
        raise ResultError(
            f"{folder}: no {Path(error.filename or '').name}; "
            "a run folder of phonemo train is wanted"
        ) from error
    except (ValidationError, ValueError) as error:
        raise ResultError(f"{folder}: not what phonemo train wrote; train it again") from error
    return EvaluatedRun(metrics, validate_rows(rows, LabelSet(metrics.results.labels)))


def comparison_lines(first: Metrics, second: Metrics, found: Comparison) -> Iterator[str]:
    """The comparison for a terminal, second against first."""
    yield f"A  {first.name}: {first.title}"
    yield f"B  {second.name}: {second.title}"
    yield f"{first.corpus}, {protocol_text(first)}, seeds {' '.join(map(str, first.seeds))}"
    if first.leaky:
        yield "LEAKY: train and test share speakers; not a speaker-independent comparison"
    yield f"{found.utterances} utterances, {found.clusters} clusters ({found.unit})"
    if found.unit != "speaker":
        yield "speakers are not all known: utterances stand for themselves, so this is too sure"
    yield f"{'':<13}{'A %':>7}{'B %':>7}{'B - A':>8}   95 % interval       p"
    for name, one in found.scores.items():
        yield f"{_NAMES[name]:<13}{_score_line(one)}"
    ways = f"all {found.swaps} ways" if found.exact else f"{found.swaps} random ways"
    yield f"interval: bootstrap over clusters; p: {ways} of swapping them between A and B"
    yield from _mcnemar_lines(found)
    yield from _fold_lines(found)
    yield verdict(found)


def comparison_data(first: Metrics, second: Metrics, found: Comparison) -> dict[str, Any]:
    """The same as JSON-able data; shares from 0 to 1."""
    data = asdict(found)
    for name, one in found.scores.items():
        data["scores"][name]["difference"] = one.difference
    runs = {
        key: {"name": run.name, "title": run.title, "command": run.command, "config": run.config}
        for key, run in (("first", first), ("second", second))
    }
    shared = {"corpus": first.corpus, "protocol": first.protocol.model_dump(), "seeds": first.seeds}
    return {**runs, **shared, "leaky": first.leaky, **data}


def verdict(found: Comparison) -> str:
    """One sentence about UA."""
    one = found.scores["ua"]
    if one.p is None:
        return "UA: one speaker says nothing about others"
    if one.p >= 0.05:
        return f"UA: no difference is shown (p {p_text(one.p)}); that is not the same as none"
    better = "higher" if one.difference > 0 else "lower"
    return f"UA: B is {better} by {100 * abs(one.difference):.1f} points (p {p_text(one.p)})"


def _check_alike(first: Metrics, second: Metrics) -> None:
    if first.corpus != second.corpus:
        raise ResultError(
            f"the runs tested {first.corpus} and {second.corpus}; one corpus is wanted"
        )
    if first.results.labels != second.results.labels:
        raise ResultError(
            f"the runs have the emotions {', '.join(first.results.labels)} and "
            f"{', '.join(second.results.labels)}; the same are wanted"
        )
    ours, theirs = first.protocol.model_dump(), second.protocol.model_dump()
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise ResultError(
                f"different protocols: protocol.{key} is {ours.get(key)} and {theirs.get(key)}; "
                "train both with the same one"
            )


def _score_line(one: Difference) -> str:
    values = f"{per_cent(one.first):>7}{per_cent(one.second):>7}{100 * one.difference:>+8.1f}"
    if one.low is None or one.high is None or one.p is None:
        return f"{values}   one speaker: none"
    interval = f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"
    return f"{values}   {interval:<16}{p_text(one.p):>8}"


def _mcnemar_lines(found: Comparison) -> Iterator[str]:
    for one in found.disagreements:
        yield (
            f"McNemar, seed {one.seed}: only A is right {one.only_first} times, only B "
            f"{one.only_second} times, p {p_text(one.p)} (takes utterances as independent)"
        )


def _fold_lines(found: Comparison) -> Iterator[str]:
    width = max(4, *(len(one.fold) for one in found.folds))
    yield f"{'fold':<{width}}  seed  utterances  A UA %  B UA %   B - A"
    for one in found.folds:
        apart = 100 * (one.second - one.first)
        yield (
            f"{one.fold:<{width}}{one.seed:>6}{one.utterances:>12}{per_cent(one.first):>8}"
            f"{per_cent(one.second):>8}{apart:>+8.1f}"
        )


def p_text(value: float) -> str:
    """A p-value in few letters, never as 0."""
    if value >= 0.001:
        return f"{value:.3f}"
    return f"{value:.0e}" if value > 0 else "<1e-300"
