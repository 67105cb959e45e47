"""The scores of prediction rows against raters: dimensions and votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonemo.errors import ResultError
from phonemo.evaluation.ratings.concordance import Floats, ccc, moments_of, pearson, rmse
from phonemo.evaluation.ratings.rating_schema import (
    DimensionResults,
    DimensionScore,
    VoteBin,
    VoteScore,
)
from phonemo.evaluation.ratings.rating_tables import (
    SumTable,
    dimension_sums,
    rated_names,
    rated_rows,
    table_of,
)

Row = Mapping[str, Any]
_BINS = 10


def dimension_results(rows: Sequence[Row]) -> DimensionResults | None:
    """Score the rated dimensions of prediction rows; None where no row has any.

    Raises:
        ResultError: a predicted or rated value outside 0..1.
    """
    rated = rated_rows(rows)
    names = rated_names(rated)
    if not names:
        return None
    _check_range(rated)
    sums = dimension_sums(rated, names)
    scores = {
        name: _dimension(rated, table_of(rated, sums[:, index]), sums[:, index])
        for index, name in enumerate(names)
    }
    mean = table_of(rated, sums).score(mean_ccc)
    return DimensionResults(mean_ccc=mean, scores=scores)


def mean_ccc(sums: Floats) -> Floats:
    """The CCC averaged over dimensions, from (..., dimension, 6); NaN if one is undefined."""
    mean: Floats = ccc(sums).mean(axis=-1)
    return mean


def validation_ratings(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Return ``ccc``, averaged over dimensions, and ``rmse`` of a validation part.

    A dimension whose ratings do not vary counts as 0.

    Args:
        predicted: (utterance, dimension).
        truth: the same shape, NaN where unknown.
    """
    sums = moments_of(predicted, truth).sum(axis=0)
    total = rmse(sums.sum(axis=0))
    scores = {"ccc": float(np.nan_to_num(ccc(sums)).mean())}
    return scores | ({"rmse": float(total)} if np.isfinite(total) else {})


def vote_score(rows: Sequence[Row], names: Sequence[str]) -> VoteScore | None:
    """Compare scores with votes, both among the labels ``names``; None where no row has votes."""
    voted = [row for row in rows if any((row.get("votes") or {}).get(name) for name in names)]
    if not voted:
        return None
    votes, scores = (
        _distributions([row[key] for row in voted], names) for key in ("votes", "scores")
    )
    divergences = jensen_shannon(scores, votes)
    pairs = np.stack([divergences, np.ones(len(voted))], axis=1)
    score = table_of(voted, pairs).score(_ratio)
    assert score is not None
    gaps = [_gap(*pair) for pair in zip(scores.T, votes.T, strict=True)]
    return VoteScore(
        utterances=len({row["id"] for row in voted}),
        divergence=score,
        chance=float(
            jensen_shannon(np.broadcast_to(votes.mean(axis=0), votes.shape), votes).mean()
        ),
        ece=float(np.mean(gaps)),
        bins=_bins(scores.ravel(), votes.ravel()),
    )


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """Jensen-Shannon divergence in bits of distributions (row, emotion): (row,), 0 to 1."""
    middle = (first + second) / 2
    return np.clip((_relative(first, middle) + _relative(second, middle)) / 2, 0.0, 1.0)


def _relative(first: Floats, second: Floats) -> Floats:
    """Kullback-Leibler divergence in bits; a probability of 0 contributes nothing."""
    ratio = np.where(first > 0, first, 1.0) / np.where(first > 0, second, 1.0)
    total: Floats = (first * np.log2(ratio)).sum(axis=1)
    return total


def _ratio(sums: Floats) -> Floats:
    number = np.maximum(sums[..., 1], 1.0)
    mean: Floats = np.where(sums[..., 1] > 0, sums[..., 0] / number, np.nan)
    return mean


def _dimension(rows: Sequence[Row], table: SumTable, sums: Floats) -> DimensionScore:
    error = table.score(rmse)
    if error is None:  # a seed without a rating of this dimension
        raise ResultError("expected ratings of each dimension in every seed; finish the run")
    known = sums[:, 0] > 0
    return DimensionScore(
        utterances=len({row["id"] for row, is_known in zip(rows, known, strict=True) if is_known}),
        ccc=table.score(ccc),
        pearson=table.score(pearson),
        rmse=error,
    )


def _check_range(rows: Sequence[Row]) -> None:
    for row in rows:
        for name, value in (*row["dimensions"].items(), *row["rated"].items()):
            if not 0 <= value <= 1:
                raise ResultError(
                    f"prediction {row['id']!r}: expected {name} from 0 to 1, got {value!r}"
                )


def _distributions(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    values = np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)
    normalized: Floats = values / values.sum(axis=1, keepdims=True)
    return normalized


def _gap(predicted: Floats, voted: Floats) -> float:
    """Mean |predicted - voted| over the bins of one emotion, weighted by their size."""
    bins = _bins(predicted, voted)
    gaps = [row.count * abs((row.predicted or 0) - (row.voted or 0)) for row in bins]
    return sum(gaps) / len(predicted)


def _bins(predicted: Floats, voted: Floats) -> tuple[VoteBin, ...]:
    upper = np.arange(1, _BINS + 1) / _BINS
    index = np.minimum(np.searchsorted(upper, predicted, side="left"), _BINS - 1)
    counts = np.bincount(index, minlength=_BINS)
    means = [np.bincount(index, weights=values, minlength=_BINS) for values in (predicted, voted)]
    return tuple(
        VoteBin(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            count=int(count),
            predicted=float(means[0][number] / count) if count else None,
            voted=float(min(means[1][number] / count, 1.0)) if count else None,
        )
        for number, count in enumerate(counts)
    )
