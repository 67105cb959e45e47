"""Linear heads on vectors of several sources, with class-balanced statistics of each source.

The mean of a source with unbalanced or missing classes would depend on those classes. The
statistics here are those of a source with equally many vectors of every class;
``phonemo.runtime.adaptation.statistics.estimate`` estimates the same without labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from phonemo.errors import ProtocolError
from phonemo.runtime.adaptation.statistics import (
    LEAST_DEVIATION,
    Reference,
    Statistics,
    shrink_towards,
)
from phonemo.train.heads.classifiers import Problem, fit_discriminant, fit_softmax
from phonemo.train.transfer.corpora import Indices, Rows

Floats = npt.NDArray[np.float64]

#: Quantile of a source's distances from the other sources.
_WITHIN = 0.95
#: Iterations in which classes that sources lack are imputed from the others.
_ROUNDS = 40


@dataclass(frozen=True, eq=False)
class Places:
    """Statistics of the training sources.

    Attributes:
        centre: (feature,), the mean of the sources' means.
        spread: (feature,), the root of the mean of their variances.
        class_means: (emotion, feature), standardized by source; zeros without an example.
        sources: each source's statistics, by name.
    """

    centre: Floats
    spread: Floats
    class_means: Floats
    sources: Mapping[str, Statistics]


@dataclass(frozen=True, eq=False)
class _Moments:
    """One source's counts (emotion,), means and variances (emotion, feature) by class."""

    counts: Indices
    means: Floats
    variances: Floats


def places_of(rows: Rows, classes: int) -> Places:
    """Compute class-balanced statistics of every source.

    Args:
        rows: the training data.
        classes: number of emotions.
    """
    moments = {
        str(name): _moments(rows.where(rows.source == name), classes)
        for name in np.unique(rows.source)
    }
    known_classes = np.sum([source.counts for source in moments.values()], axis=0) > 0  # (emotion,)
    floor = LEAST_DEVIATION * _typical_deviation(moments)
    sources = {name: _balance_own(source, floor) for name, source in moments.items()}
    class_means = _class_means(moments, sources, known_classes)
    lacking = {
        name for name, source in moments.items() if (known_classes & (source.counts == 0)).any()
    }
    for _ in range(_ROUNDS if lacking else 0):
        for name in lacking:
            sources[name] = _balance_imputed(
                moments[name], sources[name], class_means, known_classes, floor
            )
        class_means = _class_means(moments, sources, known_classes)
    means = np.stack([source.mean for source in sources.values()])
    variances = np.stack([source.deviation**2 for source in sources.values()])
    return Places(means.mean(axis=0), np.sqrt(variances.mean(axis=0)), class_means, sources)


def radius_of(rows: Rows, places: Places) -> float:
    """Estimate how far from the training sources a new source's vectors are.

    Each source in turn is standardized by the statistics of the others, and the ``_WITHIN``
    quantile of its vectors' distances is taken. The radius is the median over the sources, which is
    robust to an outlying source. With a single source, its speakers are used as sources; with a
    single speaker, the radius is infinite.

    Args:
        rows: the training data.
        places: the sources' statistics.
    """
    if len(places.sources) == 1:
        rows = replace(rows, source=rows.speaker)
        places = places_of(rows, len(places.class_means))
    if len(places.sources) == 1:
        return np.inf
    means = _means_of_others({name: statistics.mean for name, statistics in places.sources.items()})
    variances = _means_of_others(
        {name: statistics.deviation**2 for name, statistics in places.sources.items()}
    )
    distances = []
    for name in places.sources:
        squares = np.square(rows.vectors[rows.source == name] - means[name])
        distances.append(np.sqrt(np.quantile((squares / variances[name]).mean(axis=1), _WITHIN)))
    return float(np.median(distances))


def speaker_statistics(rows: Rows, places: Places, reference: Reference) -> dict[str, Statistics]:
    """Compute class-balanced statistics by speaker, shrunk towards the speaker's source.

    Args:
        rows: the training data.
        places: the sources' statistics.
        reference: k_mean and k_spread set the shrinkage.
    """
    statistics = {}
    for speaker in np.unique(rows.speaker):
        own = rows.where(rows.speaker == speaker)
        source = places.sources[str(own.source[0])]
        deviations = own.vectors - source.deviation * places.class_means[own.truth]
        own_statistics = _add_class_spread(deviations, places, reference)
        statistics[str(speaker)] = shrink_towards(own_statistics, reference, source)
    return statistics


def _add_class_spread(vectors: Floats, places: Places, reference: Reference) -> Statistics:
    """Statistics of vectors without class means; the deviation adds that of balanced classes."""
    mean = vectors.mean(axis=0)
    if len(vectors) == 1:
        return Statistics(1, mean, reference.spread)
    within = np.maximum(1 - (places.class_means**2).mean(axis=0), LEAST_DEVIATION)
    deviation = vectors.std(axis=0, ddof=1) / np.sqrt(within)
    return Statistics(len(vectors), mean, np.maximum(deviation, LEAST_DEVIATION * reference.spread))


def _moments(rows: Rows, classes: int) -> _Moments:
    counts = np.bincount(rows.truth, minlength=classes)
    means = np.zeros((classes, rows.vectors.shape[1]))
    variances = np.zeros_like(means)
    for emotion in np.flatnonzero(counts):
        own = rows.vectors[rows.truth == emotion].astype(np.float64)
        means[emotion], variances[emotion] = own.mean(axis=0), own.var(axis=0)
    return _Moments(counts.astype(np.int64), means, variances)


def _typical_deviation(sources: Mapping[str, _Moments]) -> Floats:
    """Return the deviation within classes, (feature,), as a scale for the smallest allowed one."""
    variances = np.concatenate(
        [moments.variances[moments.counts > 0] for moments in sources.values()]
    )
    deviation: Floats = np.sqrt(variances.mean(axis=0))
    # a constant feature has no scale: 1 leaves it at 0 after centering
    return np.where(deviation > 0, deviation, 1.0)


def _balance_own(moments: _Moments, floor: Floats) -> Statistics:
    """Balance the classes that the source has."""
    own = moments.counts > 0
    return _balanced_statistics(moments, moments.means[own], floor)


def _balance_imputed(
    moments: _Moments,
    before: Statistics,
    class_means: Floats,
    known: npt.NDArray[np.bool_],
    floor: Floats,
) -> Statistics:
    """Balance all known classes; missing ones are imputed from the other sources."""
    own = moments.counts > 0
    imputed = before.mean + before.deviation * class_means[known & ~own]
    return _balanced_statistics(moments, np.concatenate((moments.means[own], imputed)), floor)


def _means_of_others(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the mean of all others by name, (feature,)."""
    total: Floats = np.zeros_like(next(iter(values.values())))
    for value in values.values():
        total = total + value
    return {name: (total - value) / (len(values) - 1) for name, value in values.items()}


def _balanced_statistics(moments: _Moments, means: Floats, floor: Floats) -> Statistics:
    """Balance classes of these means (class, feature), with the source's variance."""
    within = moments.variances[moments.counts > 0].mean(axis=0)
    deviation = np.sqrt(means.var(axis=0) + within)
    return Statistics(int(moments.counts.sum()), means.mean(axis=0), np.maximum(deviation, floor))


def _class_means(
    moments: Mapping[str, _Moments],
    sources: Mapping[str, Statistics],
    known: npt.NDArray[np.bool_],
) -> Floats:
    """Average standardized class means over the sources that have the class."""
    owned = np.stack([source.counts > 0 for source in moments.values()])  # (source, emotion)
    standardized = np.stack(
        [
            (source.means - sources[name].mean) / sources[name].deviation
            for name, source in moments.items()
        ]
    )  # (source, emotion, feature)
    totals = (standardized * owned[:, :, None]).sum(axis=0)
    means: Floats = totals / np.maximum(owned.sum(axis=0), 1)[:, None]
    means[known] -= means[known].mean(axis=0)
    return means


Standardise = Literal["none", "source", "speaker", "source-speaker", "mixture", "all"]
Fit = Literal["logistic", "discriminant"]
Balance = Literal["corpus", "size"]
Floats32 = npt.NDArray[np.float32]

#: The statistics that standardize training vectors; with several, vectors are repeated.
VIEWS: dict[Standardise, tuple[str, ...]] = {
    "none": ("training",),
    "source": ("source",),
    "speaker": ("speaker",),
    "source-speaker": ("source", "speaker"),
    "mixture": ("training", "source"),
    "all": ("training", "source", "speaker"),
}


@dataclass(frozen=True)
class HeadOptions:
    """Options for fitting a head.

    Attributes:
        fit: a logistic regression, or Fisher's discriminant.
        standardise: a key of ``VIEWS``.
        balance: whether corpora have equal weights, or weights by size.
        inverse_penalty: C of the logistic regression.
        ridge: weight of the identity in the discriminant's covariance.
        mask: whether a vector's loss is restricted to its corpus' classes.
        k_mean: size of a pool that weighs as much as the training sources' mean.
        k_spread: the same for the deviation.
        em_iterations: steps of ``estimate``.
    """

    fit: Fit
    standardise: Standardise
    balance: Balance
    inverse_penalty: float
    ridge: float
    mask: bool
    k_mean: float
    k_spread: float
    em_iterations: int

    def fitting(self) -> HeadOptions:
        """Reset options that do not affect the weights, so that equal heads are fitted once."""
        if "speaker" in VIEWS[self.standardise]:
            return replace(self, em_iterations=0)
        return replace(self, em_iterations=0, k_mean=0.0, k_spread=0.0)


def fit_head(rows: Rows, classes: int, options: HeadOptions) -> Reference:
    """Fit a head on weighted, standardized vectors.

    Args:
        rows: the training data.
        classes: number of emotions; one without a row is never predicted.
        options: how to fit.

    Returns:
        The head with the training sources' statistics, in the space of the vectors.

    Raises:
        ProtocolError: fewer than two emotions in the data.
    """
    if len(np.unique(rows.truth)) < 2:
        raise ProtocolError(
            f"expected two emotions or more to train on, got {len(np.unique(rows.truth))}; add "
            "a corpus, or merge labels with labels.merge"
        )
    places = places_of(rows, classes)
    empty = np.zeros((classes, rows.vectors.shape[1]))
    unfitted = Reference(
        *(places.centre, places.spread, places.class_means, empty, empty[:, 0]),
        *(options.k_mean, options.k_spread, options.em_iterations),
    )
    views = [_view(name, rows, places, unfitted) for name in VIEWS[options.standardise]]
    allowed = _allowed(rows, classes) if options.mask else None
    problem = Problem(
        np.concatenate(views),
        np.tile(rows.truth, len(views)),
        np.tile(balanced(rows, options.balance), len(views)),
        None if allowed is None else np.tile(allowed, (len(views), 1)),
        len(rows),
    )
    if options.fit == "discriminant":
        classifier = fit_discriminant(problem, places.class_means, options.ridge)
    else:
        classifier = fit_softmax(problem, classes, options.inverse_penalty)
    radius = radius_of(rows, places)
    return replace(unfitted, weight=classifier.weight, bias=classifier.bias, radius=radius)


def adjusted(reference: Reference, options: HeadOptions) -> Reference:
    """Return the same head with other adaptation constants."""
    return replace(
        reference,
        k_mean=options.k_mean,
        k_spread=options.k_spread,
        em_iterations=options.em_iterations,
    )


def balanced(rows: Rows, by: Balance = "corpus") -> npt.NDArray[np.float64]:
    """Return weights (utterance,) with equal sums for every class of a corpus.

    Args:
        rows: the training data.
        by: whether corpora have equal sums too, or sums by their number of utterances.
    """
    _, corpora = np.unique(rows.corpus, return_inverse=True)
    cells = corpora * (int(rows.truth.max()) + 1) + rows.truth
    weights: npt.NDArray[np.float64] = 1 / np.bincount(cells)[cells]
    return weights * np.bincount(corpora)[corpora] if by == "size" else weights


def _view(name: str, rows: Rows, places: Places, reference: Reference) -> Floats32:
    """Standardize the vectors (utterance, feature)."""
    if name == "training":
        centred = (rows.vectors - places.centre) / places.spread
        return centred.astype(np.float32)
    by_name, keys = places.sources, rows.source
    if name == "speaker":
        by_name, keys = speaker_statistics(rows, places, reference), rows.speaker
    standardized = np.empty_like(rows.vectors, dtype=np.float32)
    for key in np.unique(keys):
        statistics, own = by_name[str(key)], keys == key
        standardized[own] = (rows.vectors[own] - statistics.mean) / statistics.deviation
    return standardized


def _allowed(rows: Rows, classes: int) -> npt.NDArray[np.bool_]:
    """Return the classes of each utterance's corpus, (utterance, emotion)."""
    allowed = np.zeros((len(rows), classes), dtype=bool)
    for corpus in np.unique(rows.corpus):
        own = rows.corpus == corpus
        allowed[np.ix_(own, np.unique(rows.truth[own]))] = True
    return allowed
