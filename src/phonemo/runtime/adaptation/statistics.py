"""Unsupervised adaptation: source statistics and the map from a source to the training sources.

A linear emotion head takes one vector per utterance, standardized by the training sources. Another
microphone or speaker shifts and scales all vectors; a few unlabeled recordings show by how much.
``estimate`` measures this, ``shrink_towards`` shrinks it towards the training sources where
recordings are few, and ``affine`` is the map applied to a vector before the head. Everything is
stateless numpy in float64, shared by training and the runtime.
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

#: With fewer vectors class shares are not estimated: the statistics are plain moments.
LEAST_POOL = 5
#: Minimum deviation as a share of the training sources': a scale stays below 1 / 0.05.
LEAST_DEVIATION = 0.05
#: Divides the head's logits when class shares are estimated.
_TEMPERATURE = 2.0
#: Prior vectors, as a share of the pool, spread evenly over the classes.
_PRIOR = 0.5


@dataclass(frozen=True, eq=False)
class Statistics:
    """The vectors of one source, summarized per feature.

    Attributes:
        count: number of vectors.
        mean: (feature,).
        deviation: (feature,), above 0.
    """

    count: float
    mean: Floats
    deviation: Floats


class Affine(NamedTuple):
    """The map v * scale + shift of a vector; scale and shift are (feature,)."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True, eq=False)
class Reference:
    """A model's statistics of its training sources, with its emotion head.

    "Standardized" means minus ``centre``, divided by ``spread``.

    Attributes:
        centre: (feature,), the mean of the training vectors.
        spread: (feature,), their deviation, above 0.
        class_means: (emotion, feature), standardized; zeros for an emotion without an example.
        weight: (emotion, feature) of the head, which takes standardized vectors.
        bias: (emotion,).
        k_mean: number of pool vectors that weigh as much as the training sources' mean.
        k_spread: the same for the deviation.
        em_iterations: EM steps for the class shares; 0 takes plain moments.
        radius: distance of a standardized vector beyond which the head's logits are flattened.
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
        """The statistics of the training sources."""
        return Statistics(np.inf, self.centre, self.spread)

    def logits(self, vectors: npt.ArrayLike, mapped: Affine | None = None) -> Floats:
        """The head's logits (..., emotion) for vectors (..., feature) under a profile's map."""
        rows: Floats = np.asarray(vectors, dtype=np.float64)
        if mapped is not None:
            rows = rows * mapped.scale + mapped.shift
        standardized = (rows - self.centre) / self.spread
        return flattened(standardized @ self.weight.T + self.bias, standardized, self.radius)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the vector space and the head, in float32.

        Exports in fp32 and int8 and the model folder that they come from share it; the shrinkage
        parameters are not part of it.
        """
        arrays = (self.centre, self.spread, self.class_means, self.weight, self.bias)
        sha256 = hashlib.sha256()
        for array in arrays:
            sha256.update(f"{array.shape}".encode())
            sha256.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return sha256.hexdigest()


def moments(vectors: npt.ArrayLike, reference: Reference) -> Statistics:
    """The plain mean and deviation of a pool, independent of the order of its vectors.

    Args:
        vectors: (vector, feature), one or more.
        reference: bounds the deviation, and gives that of a single vector.

    Raises:
        UsageError: no vector, or one that is not finite or of another width.
    """
    rows = _sorted_rows(vectors, reference)
    mean = rows.mean(axis=0)
    if len(rows) == 1:
        return Statistics(1, mean, reference.spread)
    return Statistics(len(rows), mean, _bound_deviation(rows.std(axis=0, ddof=1), reference))


def shrink_towards(
    statistics: Statistics, reference: Reference, towards: Statistics | None = None
) -> Statistics:
    """Shrink a pool towards the training sources, or towards a wider source that it is part of.

    The mean is (n mean + k mean0) / (n + k) with k = ``k_mean``. Variances are shrunk in the same
    way, with n - 1 for n and ``k_spread`` for k; the distance of the means adds nothing to them, as
    adaptation removes it. One vector thus moves the mean by 1 / (1 + k) of its distance and leaves
    the deviation unchanged.

    Args:
        statistics: of the pool, not shrunk yet.
        reference: k_mean, k_spread and the training sources.
        towards: statistics of the wider source; None is the training sources.
    """
    wider = reference.statistics if towards is None else towards
    count, known = statistics.count, max(0.0, statistics.count - 1)
    mean = _weighted_mean(statistics.mean, wider.mean, count, reference.k_mean)
    variance = _weighted_mean(
        statistics.deviation**2, wider.deviation**2, known, reference.k_spread
    )
    return Statistics(count, mean, np.sqrt(variance))


def affine(statistics: Statistics, reference: Reference) -> Affine:
    """The map that gives a source the training sources' mean and deviation.

    Args:
        statistics: of the source, shrunk.
        reference: the training sources.
    """
    scale = reference.spread / statistics.deviation
    return Affine(scale, reference.centre - statistics.mean * scale)


def estimate(vectors: npt.ArrayLike, reference: Reference) -> Statistics:
    """The statistics that a source would have with equally many vectors of every class.

    A pool that is mostly one class (calls are mostly neutral) has the mean of that class, and
    centering on it would remove the class. So the class shares in the pool are estimated first:
    the head's posteriors of every vector under the training statistics, then EM over the shares
    only (Saerens et al. 2002), with posteriors at ``_TEMPERATURE`` and an even prior of ``_PRIOR``
    of the pool, since a head is overconfident on a source it was not trained on. The contribution
    of the uneven shares is then subtracted from the mean. No gradients are involved.

    The result differs from ``moments`` by a mixture of the class means, and equals ``moments``
    below ``LEAST_POOL`` vectors. (EM over means, deviations and shares together converged to wrong
    classes on real pools: LOG.md, 2026-11-29.)

    Args:
        vectors: (vector, feature), in any order.
        reference: the training sources and the head.

    Raises:
        UsageError: no vector, or one that is not finite or of another width.
    """
    rows = _sorted_rows(vectors, reference)
    plain = moments(rows, reference)
    if len(rows) < LEAST_POOL or reference.em_iterations == 0:
        return plain
    excess = _class_shares(rows, reference) - 1 / len(reference.bias)
    return replace(plain, mean=plain.mean - plain.deviation * (excess @ reference.class_means))


def _class_shares(rows: Floats, reference: Reference) -> Floats:
    """The share of each class in a pool, (emotion,)."""
    # no radius: vectors of a distant source still separate its classes
    logits = replace(reference, radius=np.inf).logits(rows) / _TEMPERATURE
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    even = 1 / len(reference.bias)
    shares = np.full(len(reference.bias), even)
    for _ in range(reference.em_iterations):
        posteriors = odds * shares
        posteriors /= posteriors.sum(axis=1, keepdims=True)
        shares = (posteriors.mean(axis=0) + _PRIOR * even) / (1 + _PRIOR)
    return shares


def _sorted_rows(vectors: npt.ArrayLike, reference: Reference) -> Floats:
    """The vectors in float64 in a canonical order, so that sums do not depend on the caller's."""
    rows: npt.NDArray[Any] = np.asarray(vectors, dtype=np.float64)
    width = len(reference.centre)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != width:
        raise UsageError(f"expected vectors (vector, {width}), one or more, got shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise UsageError("expected finite vectors, got NaN or infinity; leave the recording out")
    return rows[sorted(range(len(rows)), key=lambda number: rows[number].tobytes())]


def _bound_deviation(deviation: Floats, reference: Reference) -> Floats:
    return np.maximum(deviation, LEAST_DEVIATION * reference.spread)


def _weighted_mean(pool: Floats, wider: Floats, count: float, k: float) -> Floats:
    """The mean of both, weighted by count and k; the wider one where both weights are 0."""
    share = 1.0 if np.isinf(count) else count / (count + k) if count + k > 0 else 0.0
    return share * pool + (1 - share) * wider


def logits_of(reference: Reference, vectors: npt.ArrayLike, source: Statistics | None) -> Floats:
    """Logits (utterance, emotion) of vectors (utterance, feature), adapted to their source.

    Args:
        reference: the head.
        vectors: the network's output.
        source: shrunk statistics of the source; None without adaptation.
    """
    return reference.logits(vectors, None if source is None else affine(source, reference))


def adapt_logits(
    reference: Reference, pool: npt.ArrayLike, towards: Statistics | None = None
) -> Statistics:
    """The shrunk statistics of a source from unlabeled vectors (recording, feature)."""
    return shrink_towards(estimate(pool, reference), reference, towards)
