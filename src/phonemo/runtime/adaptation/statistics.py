"""Adaptation without labels: statistics of a source, and the map from it to the training sources.

A linear emotion head reads one vector for each utterance, standardised by the training sources.
Another microphone or person moves and stretches all its vectors; a few unlabelled recordings show
how far. ``estimate`` measures that, ``shrink_towards`` draws it towards the training sources where
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
from phonemo.evaluation.calibration import flattened

Floats = npt.NDArray[np.float64]

#: Of fewer vectors the classes' shares are not estimated: the statistics are plain moments.
LEAST_POOL = 5
#: A deviation is at least this share of the training sources': a scale stays below 1 / 0.05.
LEAST_DEVIATION = 0.05
#: The head's logits are divided by it when shares are estimated.
_TEMPERATURE = 2.0
#: Vectors, as a share of the pool, that are given to all classes evenly in advance.
_PRIOR = 0.5


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
        em_iterations: steps by which classes' shares are estimated; 0 takes plain moments.
        radius: distance of a standardised vector up to which the head is as sure as it says.
    """

    centre: Floats
    spread: Floats
    class_means: Floats
    weight: Floats
    bias: Floats
    k_mean: float
    k_spread: float
    em_iterations: int = 10
    radius: float = np.inf

    @property
    def statistics(self) -> Statistics:
        """The training sources themselves."""
        return Statistics(np.inf, self.centre, self.spread)

    def logits(self, vectors: npt.ArrayLike, mapped: Affine | None = None) -> Floats:
        """What the head says of vectors (..., feature) under a profile's map: (..., emotion)."""
        rows: Floats = np.asarray(vectors, dtype=np.float64)
        if mapped is not None:
            rows = rows * mapped.scale + mapped.shift
        standardised = (rows - self.centre) / self.spread
        return flattened(standardised @ self.weight.T + self.bias, standardised, self.radius)

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


def shrink_towards(
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
    to centre it would tell the class apart no more. So the classes' shares in the pool are
    estimated first: the head's posteriors of every vector under the training statistics, then EM
    over the shares alone (Saerens et al. 2002), with posteriors at ``_TEMPERATURE`` and an even
    prior of ``_PRIOR`` of the pool, since a head that has not met the source is surer than right.
    The mean then loses what the shares that are not even add to it. Nothing is learnt by gradients.

    It departs from ``moments`` by a mixture of the class means, and is ``moments`` for fewer than
    ``LEAST_POOL`` vectors. (Estimating means, deviations and shares together, by EM over
    everything, settled on wrong classes for real pools: LOG.md, 2026-11-29.)

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
    uneven = _shares(rows, reference) - 1 / len(reference.bias)
    return replace(found, mean=found.mean - found.deviation * (uneven @ reference.class_means))


def _shares(rows: Floats, reference: Reference) -> Floats:
    """The share of each class in a pool, (emotion,)."""
    # a source that lies far out has its own place to tell classes apart by: no radius
    logits = replace(reference, radius=np.inf).logits(rows) / _TEMPERATURE
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    even = 1 / len(reference.bias)
    shares = np.full(len(reference.bias), even)
    for _ in range(reference.em_iterations):
        posteriors = odds * shares
        posteriors /= posteriors.sum(axis=1, keepdims=True)
        shares = (posteriors.mean(axis=0) + _PRIOR * even) / (1 + _PRIOR)
    return shares


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


def logits_of(reference: Reference, vectors: npt.ArrayLike, source: Statistics | None) -> Floats:
    """Logits (utterance, emotion) of vectors (utterance, feature), mapped from their source.

    Args:
        reference: the head.
        vectors: as the network gives them.
        source: its statistics, shrunk; None for recordings by themselves.
    """
    return reference.logits(vectors, None if source is None else affine(source, reference))


def adapt_logits(
    reference: Reference, pool: npt.ArrayLike, towards: Statistics | None = None
) -> Statistics:
    """Statistics of a source from unlabelled vectors (recording, feature), shrunk."""
    return shrink_towards(estimate(pool, reference), reference, towards)
