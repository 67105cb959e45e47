"""Concordance (CCC), Pearson's correlation and RMSE, computed from sums.

Sums of a subset are the sums of its speakers' sums, so that a bootstrap or a permutation over
speakers is a matrix product. ``moments`` has in its last axis: number, sums of prediction, truth,
their squares, and their product, about the middle of the scale 0..1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOMENTS = 6
_CENTER = 0.5
#: Variances below this are rounding errors of the sums of a constant.
_LEAST = 1e-12


def moments_of(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Sums of each pair alone, (..., 6), for values (...) from 0 to 1; zeros where one is NaN."""
    x, y = (np.asarray(values, dtype=np.float64) - _CENTER for values in (predicted, truth))
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    return np.stack([known.astype(np.float64), x, y, x * x, y * y, x * y], axis=-1)


def ccc(moments: Floats) -> Floats:
    """Concordance correlation (Lin 1989), (...): -1 to 1; NaN where the truth does not vary."""
    mean, mean_truth, variance, variance_truth, covariance = _central(moments)
    distance = variance + variance_truth + (mean - mean_truth) ** 2
    defined = (moments[..., 0] >= 2) & (variance_truth > _LEAST)
    # rounding of sums of nearly constant values can pass the bounds
    return np.clip(_divide(2 * covariance, distance, defined), -1.0, 1.0)


def pearson(moments: Floats) -> Floats:
    """Pearson's correlation, (...): NaN where truth or prediction do not vary."""
    _, _, variance, variance_truth, covariance = _central(moments)
    defined = (moments[..., 0] >= 2) & (np.minimum(variance, variance_truth) > _LEAST)
    scale = np.sqrt(variance * variance_truth)
    return np.clip(_divide(covariance, scale, defined), -1.0, 1.0)


def rmse(moments: Floats) -> Floats:
    """Root mean squared error, (...): NaN without any pair."""
    squares = np.maximum(moments[..., 3] + moments[..., 4] - 2 * moments[..., 5], 0.0)
    return np.sqrt(_divide(squares, moments[..., 0], moments[..., 0] > 0))


def _central(moments: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Means, variances and covariance (divided by the number, as CCC is defined)."""
    number = np.maximum(moments[..., 0], 1.0)
    mean, mean_truth, square, square_truth, product = (
        moments[..., index] / number for index in range(1, MOMENTS)
    )
    return (
        mean,
        mean_truth,
        np.maximum(square - mean**2, 0.0),
        np.maximum(square_truth - mean_truth**2, 0.0),
        product - mean * mean_truth,
    )


def _divide(value: Floats, by: Floats, defined: npt.NDArray[np.bool_]) -> Floats:
    result: Floats = np.where(defined, value / np.where(defined, by, 1.0), np.nan)
    return result
