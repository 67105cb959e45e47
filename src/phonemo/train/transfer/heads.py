"""A linear head on vectors of several sources, and the reference that it is adapted by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from phonemo.errors import ProtocolError
from phonemo.runtime.adaptation import Reference
from phonemo.train.transfer.discriminant import fit_discriminant
from phonemo.train.transfer.places import Places, places_of, radius_of, speaker_statistics
from phonemo.train.transfer.rows import Rows
from phonemo.train.transfer.softmax import Problem, fit_softmax

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
