"""Summary of the predictions of all folds and seeds, from which all tables are made.

``summarize`` computes it and ``Results`` is its schema: it becomes "results" in metrics.json, from
which RESULTS.md, the README's table and the terminal's summary are made. It includes calibration
before and after scaling, and selective classification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError
from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import aurc, risk_coverage, undo_temperature
from phonemo.evaluation.metrics import Counts, summarize_errors
from phonemo.evaluation.metrics_schema import (
    BoundaryScore,
    CalibrationScore,
    Chance,
    Confusion,
    FoldScore,
    GroupScore,
    IntervalNote,
    PhonemeScore,
    Results,
    RiskPoint,
    Score,
    SelectiveScore,
)
from phonemo.evaluation.prediction_rows import (
    STATISTICS,
    PredictionTable,
    clusters_of,
    fold_of,
    labeled_rows,
    natural_order,
    unit_of,
    validate_rows,
)
from phonemo.evaluation.ratings.rating_summary import dimension_results, vote_score
from phonemo.labels import LabelSet


def calibration_of(tested: PredictionTable, labels: LabelSet) -> CalibrationScore:
    """Calibration of the given scores, over the rows of all seeds."""
    scores = metrics.calibration(score_matrix(tested, labels), tested.truth)
    return CalibrationScore.model_validate(asdict(scores))


def uncalibrated_of(tested: PredictionTable, labels: LabelSet) -> CalibrationScore | None:
    """Calibration without temperature scaling; None where no row was scaled."""
    temperatures = [float(row.get("temperature", 1.0)) for row in tested.rows]
    if not any("temperature" in row for row in tested.rows):
        return None
    before = undo_temperature(score_matrix(tested, labels), temperatures)
    return CalibrationScore.model_validate(asdict(metrics.calibration(before, tested.truth)))


def selective_of(tested: PredictionTable, labels: LabelSet) -> SelectiveScore:
    """The risk-coverage curve, and coverage and risk at the models' own thresholds."""
    scores = score_matrix(tested, labels)
    scores /= scores.sum(axis=1, keepdims=True)  # they were rounded
    points = risk_coverage(scores, tested.truth)
    wrong = tested.predicted != tested.truth
    given = np.array([not row.get("unsure", False) for row in tested.rows])
    has_threshold = any("unsure" in row for row in tested.rows)
    return SelectiveScore(
        area=aurc(scores, tested.truth),
        curve=tuple(RiskPoint(**asdict(point)) for point in points),
        coverage=float(given.mean()) if has_threshold else None,
        risk=float(wrong[given].mean()) if has_threshold and given.any() else None,
    )


def score_matrix(tested: PredictionTable, labels: LabelSet) -> npt.NDArray[np.float64]:
    """The rows' scores as an array (row, emotion)."""
    return np.array([[row["scores"][name] for name in labels.names] for row in tested.rows])


def full_scores(row: Mapping[str, Any]) -> Mapping[str, float]:
    """A row's scores for all emotions of its network."""
    scores: Mapping[str, float] = row.get("all_scores", row["scores"])
    return scores


SAMPLES = 1000
"""Bootstrap resamples behind each interval."""
LEVEL = 0.95
UNKNOWN = "unknown"
"""Key for utterances whose speaker or gender is unknown."""


def results_of(rows: Sequence[Mapping[str, Any]], labels: LabelSet) -> Results:
    """Score prediction rows of several folds and seeds.

    The order of the rows does not matter. Intervals are bootstrapped over the rows of all seeds,
    clustered by speaker.

    Raises:
        ResultError: no rows, a missing key, an utterance tested twice within a seed, scores that
            do not fit the labels, or a label that is not the one with the highest score.
        LabelError: a truth or label outside the label set.
    """
    if not rows:
        raise ResultError("expected at least one prediction, got none; test an utterance")
    rated = {
        "dimensions": dimension_results(rows),
        "votes": vote_score(rows, labels.names),
    }
    labeled = labeled_rows(rows)
    if not labeled:
        return _rated_results(rows, labels, rated)
    return _emotion_results(validate_rows(labeled, labels), labels, rated, rows)


def _emotion_results(
    tested: PredictionTable,
    labels: LabelSet,
    rated: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> Results:
    scores: dict[str, Any] = {
        name: _score(tested, statistic) for name, statistic in STATISTICS.items()
    }
    return Results(
        **_counts(rows),
        labels=labels.names,
        **scores,
        recalls=_recalls(tested, labels),
        folds=_fold_scores(tested),
        confusion=_confusion(tested, labels),
        per_speaker=_groups(tested, "speaker"),
        per_gender=_groups(tested, "gender"),
        per_corpus=_groups(tested, "corpus") if _has(tested, "corpus") else None,
        per_style=_groups(tested, "style") if _has(tested, "style") else None,
        chance=Chance(**asdict(metrics.chance_levels(tested.truth, tested.classes))),
        calibration=calibration_of(tested, labels),
        uncalibrated=uncalibrated_of(tested, labels),
        selective=selective_of(tested, labels),
        phonemes=_phonemes(tested.rows),
        boundaries=_boundaries(tested.rows),
        interval=_interval_note(rows),
        **rated,
    )


def _rated_results(
    rows: Sequence[Mapping[str, Any]], labels: LabelSet, rated: Mapping[str, Any]
) -> Results:
    """Results without a true emotion.

    Raises:
        ResultError: the rows have no ratings either.
    """
    if rated["dimensions"] is None and rated["votes"] is None:
        raise ResultError("expected predictions with a truth or ratings, got neither")
    names = ("wa", "ua", "macro_f1", "weighted_f1", "confusion", "chance", "calibration")
    absent: dict[str, Any] = dict.fromkeys(names)
    return Results(
        **_counts(rows),
        labels=labels.names,
        **absent,
        recalls={},
        folds=(),
        per_speaker={},
        per_gender={},
        phonemes=_phonemes(rows),
        boundaries=_boundaries(rows),
        interval=_interval_note(rows),
        **rated,
    )


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ids_by_seed: dict[int, set[str]] = {}
    for row in rows:
        ids_by_seed.setdefault(int(row["seed"]), set()).add(row["id"])
    return {
        "utterances": len({row["id"] for row in rows}),
        "speakers_count": len({row["speaker"] for row in rows} - {None}),
        "seeds_agree": len({frozenset(ids) for ids in ids_by_seed.values()}) == 1,
    }


def summarize(rows: Sequence[Mapping[str, Any]], labels: LabelSet) -> dict[str, Any]:
    """Return ``results_of`` as JSON-able data; arguments and errors are the same."""
    return results_of(rows, labels).model_dump(mode="json")


def _score(tested: PredictionTable, statistic: Callable[[Counts], float]) -> Score:
    everything = np.arange(len(tested.rows))
    folds = [fold_of(row) for row in tested.rows]
    means = [tested.mean(statistic, tested.where(folds, fold)) for fold in sorted(set(folds))]
    low, high = _interval(tested, statistic)
    return Score(
        mean=tested.mean(statistic, everything),
        low=low,
        high=high,
        per_seed=tuple(statistic(table) for table in tested.confusions(everything)),
        fold_mean=float(np.mean(means)),
        fold_sd=float(np.std(means, ddof=1)) if len(means) > 1 else None,
    )


def _interval(
    tested: PredictionTable, statistic: Callable[[Counts], float]
) -> tuple[float | None, float | None]:
    clusters = clusters_of(tested.rows)
    if len(set(clusters)) < 2:
        return None, None
    interval = metrics.bootstrap_interval(
        clusters, lambda rows: tested.mean(statistic, rows), samples=SAMPLES, level=LEVEL
    )
    return interval.low, interval.high


def _interval_note(rows: Sequence[Mapping[str, Any]]) -> IntervalNote:
    clusters = clusters_of(rows)
    return IntervalNote(
        level=LEVEL, samples=SAMPLES, unit=unit_of(clusters), clusters=len(set(clusters))
    )


def _recalls(tested: PredictionTable, labels: LabelSet) -> dict[str, float | None]:
    tables = tested.confusions(np.arange(len(tested.rows)))
    by_seed = [metrics.class_scores(table) for table in tables]
    recalls = [[scores[n].recall for scores in by_seed] for n in range(len(labels))]
    return dict(zip(labels.names, map(_mean_of_known, recalls), strict=True))


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _fold_scores(tested: PredictionTable) -> tuple[FoldScore, ...]:
    trainings = [(int(row["seed"]), fold_of(row)) for row in tested.rows]
    scores = []
    for seed, fold in dict.fromkeys(trainings):
        chosen = tested.where(trainings, (seed, fold))
        values = {name: tested.mean(STATISTICS[name], chosen) for name in ("wa", "ua", "macro_f1")}
        scores.append(FoldScore(fold=fold, seed=seed, utterances=len(chosen), **values))
    return tuple(scores)


def _confusion(tested: PredictionTable, labels: LabelSet) -> Confusion:
    counts = metrics.confusion_matrix(tested.truth, tested.predicted, tested.classes)
    return Confusion(labels=labels.names, counts=counts.tolist())


def _groups(tested: PredictionTable, key: str) -> dict[str, GroupScore]:
    values = [row.get(key) for row in tested.rows]
    names = [UNKNOWN if value is None else str(value) for value in values]
    groups = {}
    for name in sorted(set(names), key=natural_order):
        chosen = tested.where(names, name)
        groups[name] = GroupScore(
            utterances=len({tested.rows[index]["id"] for index in chosen}),
            wa=tested.mean(metrics.weighted_accuracy, chosen),
            ua=tested.mean(metrics.unweighted_accuracy, chosen),
        )
    return groups


def _has(tested: PredictionTable, key: str) -> bool:
    """Whether any row has this key: corpus in a merged manifest, style in IEMOCAP."""
    return any(row.get(key) is not None for row in tested.rows)


def _phonemes(rows: Sequence[Mapping[str, Any]]) -> PhonemeScore | None:
    pairs = [(row.get("reference"), row.get("phonemes")) for row in rows]
    known = [
        (reference, hypothesis)
        for reference, hypothesis in pairs
        if reference is not None and hypothesis is not None
    ]
    if not any(reference for reference, _ in known):
        return None
    errors = metrics.phoneme_errors(
        [reference for reference, _ in known], [hypothesis for _, hypothesis in known]
    )
    return PhonemeScore(per=errors.rate, utterances=len(known), **asdict(errors))


def _boundaries(tested: Sequence[Mapping[str, Any]]) -> BoundaryScore | None:
    errors: dict[int, list[float]] = {}
    rows = [row for row in tested if row.get("boundary_errors_ms")]
    for row in rows:
        seconds = [error / 1000 for error in row["boundary_errors_ms"]]
        errors.setdefault(int(row["seed"]), []).extend(seconds)
    if not errors:
        return None
    seeds = [summarize_errors(error) for error in errors.values()]
    medians = tuple(1000 * error.median_seconds for error in seeds)
    return BoundaryScore(
        median_ms=float(np.mean(medians)),
        per_seed_median_ms=medians,
        within_20_ms=float(np.mean([error.within_20_ms for error in seeds])),
        within_40_ms=float(np.mean([error.within_40_ms for error in seeds])),
        boundaries=sum(error.boundaries for error in seeds),
        utterances=len(rows),
    )
