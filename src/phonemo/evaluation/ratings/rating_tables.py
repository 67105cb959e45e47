"""Prediction rows as sums by speaker, seed and fold, and the scores over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonemo.corpora.manifest import DIMENSIONS
from phonemo.evaluation.prediction_rows import natural_order
from phonemo.evaluation.ratings.concordance import MOMENTS, Floats, moments_of
from phonemo.evaluation.ratings.rating_schema import RatingScore

Row = Mapping[str, Any]
#: From sums (..., column) to a score (...).
Statistic = Callable[[Floats], Floats]

SAMPLES, LEVEL = 1000, 0.95


@dataclass(frozen=True, eq=False)
class SumTable:
    """Sums of some columns over the rows of each cluster, fold and seed."""

    clusters: tuple[str, ...]
    by_cluster: Floats
    """(cluster, seed, ..., column)."""
    by_fold: Floats
    """(fold, seed, ..., column)."""

    def score(self, statistic: Statistic) -> RatingScore | None:
        """The statistic with its bootstrap interval over clusters; None where it is undefined."""
        per_seed = statistic(self.by_cluster.sum(axis=0))
        if not np.isfinite(per_seed).all():
            return None
        folds = _mean_over_seeds(statistic(self.by_fold))
        folds = folds[np.isfinite(folds)]
        low, high = self._interval(statistic)
        return RatingScore(
            mean=float(per_seed.mean()),
            low=low,
            high=high,
            per_seed=tuple(map(float, per_seed)),
            fold_mean=float(folds.mean()) if len(folds) else None,
            fold_sd=float(folds.std(ddof=1)) if len(folds) > 1 else None,
        )

    def _interval(self, statistic: Statistic) -> tuple[float | None, float | None]:
        values = _mean_over_seeds(statistic(self.resampled(draw_weights(len(self.clusters)))))
        values = values[np.isfinite(values)]  # a resample may have constant ratings
        if len(self.clusters) < 2 or not len(values):
            return None, None
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def resampled(self, weights: Floats) -> Floats:
        """Sums over the clusters, weighted by (sample, cluster): (sample, seed, ..., column)."""
        sums: Floats = np.tensordot(weights, self.by_cluster, axes=1)
        return sums


def draw_weights(clusters: int) -> Floats:
    """How often each cluster is drawn in each resample, (sample, cluster); seeded."""
    draws = np.random.default_rng(0).integers(clusters, size=(SAMPLES, clusters))
    weights = np.zeros((SAMPLES, clusters))
    np.add.at(weights, (np.arange(SAMPLES)[:, None], draws), 1.0)
    return weights


def table_of(rows: Sequence[Row], values: Floats) -> SumTable:
    """Sum values (row, ..., column) by speaker, fold and seed; unknown speakers are utterances."""
    speakers = [
        f"utterance {row['id']}" if row.get("speaker") is None else f"speaker {row['speaker']}"
        for row in rows
    ]
    folds = sorted({str(row["fold"]) for row in rows}, key=natural_order)
    seeds = sorted({int(row["seed"]) for row in rows})
    clusters = sorted(set(speakers))
    seed = np.array([seeds.index(int(row["seed"])) for row in rows])
    places = {name: index for index, name in enumerate(clusters)}
    cluster = np.array([places[name] for name in speakers])
    fold = np.array([folds.index(str(row["fold"])) for row in rows])
    by_cluster = np.zeros((len(clusters), len(seeds), *values.shape[1:]))
    by_fold = np.zeros((len(folds), len(seeds), *values.shape[1:]))
    np.add.at(by_cluster, (cluster, seed), values)
    np.add.at(by_fold, (fold, seed), values)
    return SumTable(tuple(clusters), by_cluster, by_fold)


def rated_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows with predicted dimensions and a rating of at least one of them, in a fixed order."""
    rated = [row for row in rows if row.get("dimensions") and row.get("rated")]
    return sorted(rated, key=lambda row: (row["seed"], natural_order(str(row["fold"])), row["id"]))


def rated_names(rows: Sequence[Row]) -> list[str]:
    """The dimensions that some row has both predicted and rated."""
    return [
        name
        for name in DIMENSIONS
        if any(name in row["rated"] and name in row["dimensions"] for row in rows)
    ]


def dimension_sums(rows: Sequence[Row], names: Sequence[str]) -> Floats:
    """Moments of rated rows, (row, dimension, 6); zeros where a rating is missing."""
    predicted, truth = (
        np.array([[row[key].get(name, np.nan) for name in names] for row in rows], dtype=np.float64)
        for key in ("dimensions", "rated")
    )
    return moments_of(predicted, truth) if len(names) else np.zeros((len(rows), 0, MOMENTS))


def _mean_over_seeds(values: Floats) -> Floats:
    """Mean over the last axis, without seeds where the score is undefined."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    counts = known.sum(axis=-1)
    result: Floats = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return result
