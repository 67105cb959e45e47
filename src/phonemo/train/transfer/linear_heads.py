"""Where the training sources lie: statistics of labelled vectors that do not hang on the labels.

A source with more of one class than another, or without one, would have that class' place as part
of its mean. Its statistics here are those that it would have with evenly many vectors of every
class; ``phonemo.runtime.adaptation.statistics.estimate`` looks for the same without labels.

A linear head on vectors of several sources, and the reference that it is adapted by.
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
from phonemo.train.transfer.classifiers import Problem, fit_discriminant, fit_softmax
from phonemo.train.transfer.corpora import Indices, Rows

Floats = npt.NDArray[np.float64]

#: Share of a source's vectors that lie within its distance from the other sources.
_WITHIN = 0.95
#: Rounds in which the classes that sources lack are filled in from the others.
_ROUNDS = 40


@dataclass(frozen=True, eq=False)
class Places:
    """The training sources.

    Attributes:
        centre: (feature,), the mean of the sources' means.
        spread: (feature,), the root of the mean of their variances.
        class_means: (emotion, feature), standardised by source; zeros for one without an example.
        sources: by name, the statistics of each.
    """

    centre: Floats
    spread: Floats
    class_means: Floats
    sources: Mapping[str, Statistics]


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of one source by class: counts (emotion,), means and variances (emotion, feature)."""

    counts: Indices
    means: Floats
    variances: Floats


def places_of(rows: Rows, classes: int) -> Places:
    """Statistics of every source of labelled rows.

    Args:
        rows: what is learnt from.
        classes: how many emotions there are.
    """
    found = {
        str(name): _moments(rows.where(rows.source == name), classes)
        for name in np.unique(rows.source)
    }
    known = np.sum([one.counts for one in found.values()], axis=0) > 0  # (emotion,)
    floor = LEAST_DEVIATION * _typical(found)
    sources = {name: _own(one, floor) for name, one in found.items()}
    class_means = _class_means(found, sources, known)
    lacking = {name for name, one in found.items() if (known & (one.counts == 0)).any()}
    for _ in range(_ROUNDS if lacking else 0):
        for name in lacking:
            sources[name] = _filled(found[name], sources[name], class_means, known, floor)
        class_means = _class_means(found, sources, known)
    means = np.stack([one.mean for one in sources.values()])
    variances = np.stack([one.deviation**2 for one in sources.values()])
    return Places(means.mean(axis=0), np.sqrt(variances.mean(axis=0)), class_means, sources)


def radius_of(rows: Rows, places: Places) -> float:
    """How far from the training sources a new source's vectors commonly are.

    Each source in turn is taken for a new one: standardised by the statistics of the others, so
    many of its vectors (``_WITHIN``) are within some distance. The radius is the median of these
    over the sources, so that one that is like no other does not decide. With one source alone its
    speakers stand for sources; infinity where there is one speaker.

    Args:
        rows: those that ``places`` are of.
        places: of the sources.
    """
    if len(places.sources) == 1:
        rows = replace(rows, source=rows.speaker)
        places = places_of(rows, len(places.class_means))
    if len(places.sources) == 1:
        return np.inf
    means = _of_others({name: one.mean for name, one in places.sources.items()})
    variances = _of_others({name: one.deviation**2 for name, one in places.sources.items()})
    found = []
    for name in places.sources:
        squares = np.square(rows.vectors[rows.source == name] - means[name])
        found.append(np.sqrt(np.quantile((squares / variances[name]).mean(axis=1), _WITHIN)))
    return float(np.median(found))


def speaker_statistics(rows: Rows, places: Places, reference: Reference) -> dict[str, Statistics]:
    """By speaker, statistics with the classes taken away, drawn towards the speaker's source.

    Args:
        rows: those that ``places`` are of.
        places: of the sources.
        reference: how much a speaker's recordings are trusted: k_mean and k_spread.
    """
    found = {}
    for speaker in np.unique(rows.speaker):
        own = rows.where(rows.speaker == speaker)
        source = places.sources[str(own.source[0])]
        away = own.vectors - source.deviation * places.class_means[own.truth]
        plain = _with_classes(away, places, reference)
        found[str(speaker)] = shrink_towards(plain, reference, source)
    return found


def _with_classes(away: Floats, places: Places, reference: Reference) -> Statistics:
    """Vectors without their classes: their mean, and the deviation that even classes would add."""
    mean = away.mean(axis=0)
    if len(away) == 1:
        return Statistics(1, mean, reference.spread)
    within = np.maximum(1 - (places.class_means**2).mean(axis=0), LEAST_DEVIATION)
    deviation = away.std(axis=0, ddof=1) / np.sqrt(within)
    return Statistics(len(away), mean, np.maximum(deviation, LEAST_DEVIATION * reference.spread))


def _moments(rows: Rows, classes: int) -> _Moments:
    counts = np.bincount(rows.truth, minlength=classes)
    means = np.zeros((classes, rows.vectors.shape[1]))
    variances = np.zeros_like(means)
    for number in np.flatnonzero(counts):
        own = rows.vectors[rows.truth == number].astype(np.float64)
        means[number], variances[number] = own.mean(axis=0), own.var(axis=0)
    return _Moments(counts.astype(np.int64), means, variances)


def _typical(found: Mapping[str, _Moments]) -> Floats:
    """A deviation within the classes, (feature,): what no source may be far below."""
    every = np.concatenate([one.variances[one.counts > 0] for one in found.values()])
    deviation: Floats = np.sqrt(every.mean(axis=0))
    # a feature that never moves has no scale: 1 leaves it at 0 behind its mean
    return np.where(deviation > 0, deviation, 1.0)


def _own(one: _Moments, floor: Floats) -> Statistics:
    """With evenly many of the classes that the source has."""
    own = one.counts > 0
    return _even(one, one.means[own], floor)


def _filled(
    one: _Moments,
    before: Statistics,
    class_means: Floats,
    known: npt.NDArray[np.bool_],
    floor: Floats,
) -> Statistics:
    """With every known class; one that the source lacks lies where it does elsewhere."""
    own = one.counts > 0
    places = before.mean + before.deviation * class_means[known & ~own]
    return _even(one, np.concatenate((one.means[own], places)), floor)


def _of_others(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """By name, the mean of all the others, (feature,)."""
    total: Floats = np.zeros_like(next(iter(values.values())))
    for one in values.values():
        total = total + one
    return {name: (total - one) / (len(values) - 1) for name, one in values.items()}


def _even(one: _Moments, means: Floats, floor: Floats) -> Statistics:
    """Of classes at these means (class, feature), each as wide as those that the source has."""
    within = one.variances[one.counts > 0].mean(axis=0)
    deviation = np.sqrt(means.var(axis=0) + within)
    return Statistics(int(one.counts.sum()), means.mean(axis=0), np.maximum(deviation, floor))


def _class_means(
    found: Mapping[str, _Moments],
    sources: Mapping[str, Statistics],
    known: npt.NDArray[np.bool_],
) -> Floats:
    """The mean over the sources that have a class, standardised by each."""
    owned = np.stack([one.counts > 0 for one in found.values()])  # (source, emotion)
    where = np.stack(
        [(one.means - sources[name].mean) / sources[name].deviation for name, one in found.items()]
    )  # (source, emotion, feature)
    totals = (where * owned[:, :, None]).sum(axis=0)
    means: Floats = totals / np.maximum(owned.sum(axis=0), 1)[:, None]
    means[known] -= means[known].mean(axis=0)
    return means


Standardise = Literal["none", "source", "speaker", "source-speaker", "mixture", "all"]
Fit = Literal["logistic", "discriminant"]
Balance = Literal["corpus", "size"]
Floats32 = npt.NDArray[np.float32]

#: By what each training vector is standardised; with several it appears once for each.
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
    """How a head is fitted.

    Attributes:
        fit: a logistic regression, or Fisher's discriminant.
        standardise: a key of ``VIEWS``.
        balance: whether a corpus weighs as every other one, or by its size.
        inverse_penalty: C of the logistic regression.
        ridge: share of the identity in the discriminant's covariance.
        mask: whether a vector's loss sees only the classes that its corpus has.
        k_mean: vectors of a pool that weigh as much as the training sources' mean.
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
        """Without what changes no weight, so that heads that differ in nothing else are one."""
        if "speaker" in VIEWS[self.standardise]:
            return replace(self, em_iterations=0)
        return replace(self, em_iterations=0, k_mean=0.0, k_spread=0.0)


def fit_head(rows: Rows, classes: int, options: HeadOptions) -> Reference:
    """Fit a head: corpora and classes weigh the same, each vector standardised as asked.

    Args:
        rows: what is learnt from.
        classes: how many emotions there are; one without a row is never the answer.
        options: how.

    Returns:
        The head with the training sources' statistics, in their own space.

    Raises:
        ProtocolError: fewer than two emotions are there to learn.
    """
    if len(np.unique(rows.truth)) < 2:
        raise ProtocolError(
            f"expected two emotions or more to learn from, got {len(np.unique(rows.truth))}; add "
            "a corpus, or merge labels with labels.merge"
        )
    places = places_of(rows, classes)
    empty = np.zeros((classes, rows.vectors.shape[1]))
    bare = Reference(
        *(places.centre, places.spread, places.class_means, empty, empty[:, 0]),
        *(options.k_mean, options.k_spread, options.em_iterations),
    )
    views = [_view(name, rows, places, bare) for name in VIEWS[options.standardise]]
    allowed = _allowed(rows, classes) if options.mask else None
    problem = Problem(
        np.concatenate(views),
        np.tile(rows.truth, len(views)),
        np.tile(balanced(rows, options.balance), len(views)),
        None if allowed is None else np.tile(allowed, (len(views), 1)),
        len(rows),
    )
    if options.fit == "discriminant":
        found = fit_discriminant(problem, places.class_means, options.ridge)
    else:
        found = fit_softmax(problem, classes, options.inverse_penalty)
    radius = radius_of(rows, places)
    return replace(bare, weight=found.weight, bias=found.bias, radius=radius)


def adjusted(reference: Reference, options: HeadOptions) -> Reference:
    """The same head with other constants of adaptation."""
    return replace(
        reference,
        k_mean=options.k_mean,
        k_spread=options.k_spread,
        em_iterations=options.em_iterations,
    )


def balanced(rows: Rows, by: Balance = "corpus") -> npt.NDArray[np.float64]:
    """Weights (utterance,) by which every class of a corpus has the same sum.

    Args:
        rows: what is learnt from.
        by: whether all corpora have the same sum too, or each one by its utterances.
    """
    _, corpora = np.unique(rows.corpus, return_inverse=True)
    cells = corpora * (int(rows.truth.max()) + 1) + rows.truth
    found: npt.NDArray[np.float64] = 1 / np.bincount(cells)[cells]
    return found * np.bincount(corpora)[corpora] if by == "size" else found


def _view(name: str, rows: Rows, places: Places, reference: Reference) -> Floats32:
    """The vectors (utterance, feature), standardised."""
    if name == "training":
        centred = (rows.vectors - places.centre) / places.spread
        return centred.astype(np.float32)
    by_name, keys = places.sources, rows.source
    if name == "speaker":
        by_name, keys = speaker_statistics(rows, places, reference), rows.speaker
    found = np.empty_like(rows.vectors, dtype=np.float32)
    for key in np.unique(keys):
        one, own = by_name[str(key)], keys == key
        found[own] = (rows.vectors[own] - one.mean) / one.deviation
    return found


def _allowed(rows: Rows, classes: int) -> npt.NDArray[np.bool_]:
    """(utterance, emotion): the classes that the utterance's corpus has."""
    found = np.zeros((len(rows), classes), dtype=bool)
    for corpus in np.unique(rows.corpus):
        own = rows.corpus == corpus
        found[np.ix_(own, np.unique(rows.truth[own]))] = True
    return found
