"""A head that is drawn towards another one: a logistic regression with a Gaussian prior.

With few speakers, what a start model knows of emotions is worth more than what they add. So the
weights are penalised for their distance from the start's, not from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.errors import LabelError, ModelError
from phonemo.evaluation.calibration import Floats
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.linear_head import reference_of
from phonemo.train.model_folder import load_trained

Indices = npt.NDArray[np.int64]

#: The solver ends before, where the slope is this small.
_MOST_STEPS = 500
_LEAST_SLOPE = 1e-7
_LEAST_CHANGE = 1e-12
#: Bias of an emotion that is neither known nor learnt, below the least other one.
_NEVER = -30.0
#: Fewer emotions in common are no choice.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Linear:
    """weight (emotion, feature), of standardised vectors, and bias (emotion,)."""

    weight: Floats
    bias: Floats

    def logits(self, standardised: Floats) -> Floats:
        """(utterance, feature) to (utterance, emotion)."""
        found: Floats = standardised @ self.weight.T + self.bias
        return found


@dataclass(frozen=True, eq=False)
class Prior:
    """A start model's head, its emotions in the order of the model that is made from it.

    Attributes:
        head: zeros for an emotion that the start lacks.
        known: (emotion,), which it has.
        class_means: (emotion, feature), standardised; zeros likewise.
        reference: of the start: its training sources, and how much a pool is trusted.
    """

    head: Linear
    known: npt.NDArray[np.bool_]
    class_means: Floats
    reference: Reference


def prior_of(folder: str | Path, labels: LabelSet) -> Prior:
    """The prior that a model folder gives a model of these emotions.

    Raises:
        CheckpointError: the folder cannot be opened.
        ModelError: its head is not linear, or has no reference.
        LabelError: fewer than two emotions in common.
    """
    start = load_trained(folder)
    reference = reference_of(start.model)
    if reference is None:
        raise ModelError(
            f"{folder}: expected a linear head that takes profiles, got another; set "
            "train.prior=none, or start from a model that phonemo adapt takes"
        )
    found = prior_from(reference, start.labels, labels)
    if found.known.sum() < _FEWEST:
        raise LabelError(
            f"{folder}: expected two emotions or more of {labels}, got a model of {start.labels}; "
            "set train.prior=none"
        )
    return found


def prior_from(reference: Reference, theirs: LabelSet, labels: LabelSet) -> Prior:
    """The rows of a reference's head that belong to ``labels``, found by their names."""
    width = len(reference.centre)
    weight, means = np.zeros((len(labels), width)), np.zeros((len(labels), width))
    bias, known = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)
    for row, name in enumerate(labels.names):
        if name in theirs.names:
            place = theirs.names.index(name)
            weight[row], bias[row] = reference.weight[place], reference.bias[place]
            means[row], known[row] = reference.class_means[place], True
    return Prior(Linear(weight, bias), known, means, reference)


def fit_towards(
    standardised: Floats, truth: Indices, prior: Prior, strength: float, inverse_penalty: float
) -> Linear:
    """Minimise the summed cross-entropy and what the weights' distance from the prior costs.

    That is strength / 2 times the squared distance of weight and bias from the start's, for an
    emotion that the start has. An emotion that it lacks costs ||weight||^2 / (2 C), its bias
    nothing, and so does every one where ``strength`` is 0: scikit-learn's LogisticRegression.

    Args:
        standardised: (utterance, feature).
        truth: class indices (utterance,).
        prior: the start.
        strength: 0 or more; infinity keeps the start's weights as they are.
        inverse_penalty: C.

    Returns:
        The head. An emotion without an example keeps the start's weights; one that the start
        lacks too is never the answer.
    """
    known = prior.known if strength > 0 else np.zeros_like(prior.known)
    centre = Linear(prior.head.weight * known[:, None], prior.head.bias * known)
    there = np.isin(np.arange(len(known)), truth)
    free = there & ~known if np.isinf(strength) else there
    found = centre
    if free.any():
        finite = 0.0 if np.isinf(strength) else strength
        costs = np.where(known, finite, 1 / inverse_penalty), np.where(known, finite, 0.0)
        found = _solved(standardised, truth, centre, free, there | known, costs)
    never = ~(there | known)
    found.bias[never] = found.bias[~never].min() + _NEVER
    return found


def _solved(
    standardised: Floats,
    truth: Indices,
    centre: Linear,
    free: npt.NDArray[np.bool_],
    possible: npt.NDArray[np.bool_],
    costs: tuple[Floats, Floats],
) -> Linear:
    """By L-BFGS in float64, from the centre; only the rows that are free move."""
    vectors, labels = torch.from_numpy(standardised), torch.from_numpy(truth)
    start, low = torch.from_numpy(centre.weight), torch.from_numpy(centre.bias)
    moves, barred = torch.from_numpy(free).double(), torch.from_numpy(~possible)
    of_weight, of_bias = (torch.from_numpy(one) for one in costs)
    weight, bias = (torch.zeros_like(one).requires_grad_() for one in (start, low))
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_MOST_STEPS,
        history_size=20,
        tolerance_grad=_LEAST_SLOPE,
        tolerance_change=_LEAST_CHANGE,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        away, up = weight * moves[:, None], bias * moves
        logits = vectors @ (start + away).T + (low + up)
        logits = logits.masked_fill(barred, -torch.inf)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        loss = loss + (of_weight * away.square().sum(dim=1)).sum() / 2
        loss = (loss + (of_bias * up.square()).sum() / 2) / len(labels)
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        found = start + weight * moves[:, None], low + bias * moves
    return Linear(*(one.numpy() for one in found))
