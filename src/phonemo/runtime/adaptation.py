"""Adaptation without labels: statistics of a source, and the map from it to the training sources.

A linear emotion head reads one vector for each utterance, standardised by the training sources.
Another microphone or person moves and stretches all its vectors; a few unlabelled recordings show
how far. ``estimate`` measures that, ``shrunk`` draws it towards the training sources where
recordings are few, and ``affine`` is the map that is applied to a vector before the head. All is
numpy in float64, without state: training and the runtime use the same functions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from phonemo.errors import UsageError

Floats = npt.NDArray[np.float64]

#: Of fewer vectors the classes' shares are not estimated: the statistics are plain moments.
LEAST_POOL = 5
#: A deviation is at least this share of the training sources': a scale stays below 1 / 0.05.
LEAST_DEVIATION = 0.05
#: Vectors that every class is given in advance when shares are estimated.
_PRIOR = 1.0
#: Least share of a feature's variance that is taken to lie within the classes.
_LEAST_WITHIN = 0.2


@dataclass(frozen=True, eq=False)
class Statistics:
    """The vectors of one source in three numbers a feature.

    Attributes:
        count: how many vectors they are of.
        mean: (feature,).
        deviation: (feature,), above 0.
    """

    count: float
    mean: Floats
    deviation: Floats


class Affine(NamedTuple):
    """The map v * scale + shift of a vector, each (feature,)."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model knows of the sources that it was trained on.

    "Standardised" means minus ``centre``, over ``spread``.

    Attributes:
        centre: (feature,), the mean of the training vectors.
        spread: (feature,), their deviation, above 0.
        class_means: (emotion, feature), standardised; zeros for an emotion without an example.
        weight: (emotion, feature) of the head, which reads standardised vectors.
        bias: (emotion,).
        k_mean: how many vectors of a pool weigh as much as the training sources' mean.
        k_spread: the same for the deviation.
        em_iterations: steps of ``estimate``; 0 leaves it at plain moments.
    """

    centre: Floats
    spread: Floats
    class_means: Floats
    weight: Floats
    bias: Floats
    k_mean: float
    k_spread: float
    em_iterations: int = 10

    @property
    def statistics(self) -> Statistics:
        """The training sources themselves."""
        return Statistics(np.inf, self.centre, self.spread)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the vectors' space and the head, in float32.

        Exports in fp32 and int8 and the model folder that they come from have the same one; how
        much a pool is trusted is no part of it.
        """
        arrays = (self.centre, self.spread, self.class_means, self.weight, self.bias)
        found = hashlib.sha256()
        for array in arrays:
            found.update(f"{array.shape}".encode())
            found.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return found.hexdigest()


def moments(vectors: npt.ArrayLike, reference: Reference) -> Statistics:
    """The plain mean and deviation of a pool, whatever the order of its vectors.

    Args:
        vectors: (vector, feature), one or more.
        reference: bounds the deviation, and is the deviation of a single vector.

    Raises:
        UsageError: no vector, or one that is not finite or of another width.
    """
    rows = _ordered(vectors, reference)
    mean = rows.mean(axis=0)
    if len(rows) == 1:
        return Statistics(1, mean, reference.spread)
    return Statistics(len(rows), mean, _bounded(rows.std(axis=0, ddof=1), reference))


def shrunk(
    statistics: Statistics, reference: Reference, towards: Statistics | None = None
) -> Statistics:
    """A pool drawn towards the training sources, or towards a wider source that it is part of.

    The mean is (n mean + k mean0) / (n + k) with k = ``k_mean``. Variances are drawn in the same
    way, with n - 1 for n and ``k_spread`` for k; how far the means lie apart adds nothing to
    them, as that is what adaptation takes away. So one vector moves the mean by 1 / (1 + k) of
    its distance and leaves the deviation.

    Args:
        statistics: of the pool, not shrunk yet.
        reference: holds k_mean and k_spread, and the training sources.
        towards: the statistics of the wider source; None is the training sources.
    """
    wider = reference.statistics if towards is None else towards
    count, known = statistics.count, max(0.0, statistics.count - 1)
    mean = _between(statistics.mean, wider.mean, count, reference.k_mean)
    variance = _between(statistics.deviation**2, wider.deviation**2, known, reference.k_spread)
    return Statistics(count, mean, np.sqrt(variance))


def affine(statistics: Statistics, reference: Reference) -> Affine:
    """The map that gives a source the mean and deviation of the training sources.

    Args:
        statistics: of the source, shrunk.
        reference: the training sources.
    """
    scale = reference.spread / statistics.deviation
    return Affine(scale, reference.centre - statistics.mean * scale)


def estimate(vectors: npt.ArrayLike, reference: Reference) -> Statistics:
    """The statistics that a source would have with evenly many vectors of every class.

    A pool that is mostly of one class (calls are mostly neutral) has the mean of that class, and
    to centre it would tell the class apart no more. Here the classes' shares in the pool and the
    source's shift and stretch are estimated together, by EM: the posteriors of each vector under
    the present map with the present shares as priors, then the shares, the mean of what the
    expected class mean leaves of each vector, and the deviation within the classes. Only class
    means and the head are used; nothing is learnt by gradients. EM finds the optimum that is
    nearest, so it starts twice, from the pool's moments and from the training sources, and the
    end that leaves less deviation within the classes is taken.

    It departs from ``moments`` by no more than a mixture of the class means, and is ``moments``
    for fewer than ``LEAST_POOL`` vectors.

    Args:
        vectors: (vector, feature), in any order.
        reference: the training sources and the head.

    Raises:
        UsageError: no vector, or one that is not finite or of another width.
    """
    rows = _ordered(vectors, reference)
    found = moments(rows, reference)
    if len(rows) < LEAST_POOL or reference.em_iterations == 0:
        return found
    starts = (found, replace(reference.statistics, count=found.count))
    ends = [_maximised(rows, start, reference) for start in starts]
    return min(ends, key=lambda end: float(np.log(end.deviation).sum()))


def _maximised(rows: Floats, start: Statistics, reference: Reference) -> Statistics:
    """EM from one start."""
    found = start
    standardised = (rows - reference.centre) / reference.spread
    shares = np.full(len(reference.bias), 1 / len(reference.bias))
    for _ in range(reference.em_iterations):
        posteriors = _posteriors(rows, shrunk(found, reference), shares, reference)
        shares = posteriors.sum(axis=0) + _PRIOR
        shares /= shares.sum()
        found = _without_classes(standardised, posteriors, found, reference)
    return found


def _posteriors(rows: Floats, source: Statistics, shares: Floats, reference: Reference) -> Floats:
    """The class of each vector, (vector, emotion), with the pool's shares as priors."""
    scale, shift = affine(source, reference)
    standardised = (rows * scale + shift - reference.centre) / reference.spread
    logits = standardised @ reference.weight.T + reference.bias + np.log(shares)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = odds / odds.sum(axis=1, keepdims=True)
    return found


def _without_classes(
    standardised: Floats, posteriors: Floats, before: Statistics, reference: Reference
) -> Statistics:
    """Mean and deviation of a source when what its classes add is taken away."""
    means = reference.class_means
    stretch = before.deviation / reference.spread
    mean = standardised.mean(axis=0) - stretch * (posteriors.mean(axis=0) @ means)
    # the square of what a class's own place leaves, expected over the classes
    left = standardised - mean
    squares = (left**2).sum(axis=0)
    crossed = (left * (posteriors @ means)).sum(axis=0)
    between = posteriors.sum(axis=0) @ means**2
    square = squares - 2 * stretch * crossed + stretch**2 * between
    within = np.maximum(1 - (means**2).mean(axis=0), _LEAST_WITHIN)
    deviation = np.sqrt(np.maximum(square, 0) / (len(standardised) - 1) / within)
    return Statistics(
        before.count,
        reference.centre + reference.spread * mean,
        _bounded(reference.spread * deviation, reference),
    )


def _ordered(vectors: npt.ArrayLike, reference: Reference) -> Floats:
    """The vectors in float64 in an order of their own, so that sums do not hang on the caller's."""
    rows: npt.NDArray[Any] = np.asarray(vectors, dtype=np.float64)
    width = len(reference.centre)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != width:
        raise UsageError(
            f"vectors of shape {rows.shape} found, (vector, {width}) with one or more are expected"
        )
    if not np.isfinite(rows).all():
        raise UsageError("a vector is not finite; leave its recording out of the pool")
    return rows[sorted(range(len(rows)), key=lambda number: rows[number].tobytes())]


def _bounded(deviation: Floats, reference: Reference) -> Floats:
    return np.maximum(deviation, LEAST_DEVIATION * reference.spread)


def _between(own: Floats, wider: Floats, count: float, k: float) -> Floats:
    """The mean of both, weighted by count and k; the wider one where neither weighs anything."""
    share = 1.0 if np.isinf(count) else count / (count + k) if count + k > 0 else 0.0
    return share * own + (1 - share) * wider
