"""Logistic regression with a Gaussian prior centered on a start model's head.

With few speakers, the start model carries more information than they add, so weights are
penalized for their distance from the start's, not from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import load_trained

Indices = npt.NDArray[np.int64]

#: Added to the smallest bias for an emotion that neither prior nor data have.
_NEVER = -30.0
#: Fewest emotions in common with the start.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Linear:
    """Weight (emotion, feature), for standardized vectors, and bias (emotion,)."""

    weight: Floats
    bias: Floats

    def logits(self, standardised: Floats) -> Floats:
        """Map (utterance, feature) to (utterance, emotion)."""
        logits: Floats = standardised @ self.weight.T + self.bias
        return logits


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
    """Read a model folder's prior for a model of these emotions.

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
    prior = prior_from(reference, start.labels, labels)
    if prior.known.sum() < _FEWEST:
        raise LabelError(
            f"{folder}: expected two emotions or more of {labels}, got a model of {start.labels}; "
            "set train.prior=none"
        )
    return prior


def prior_from(reference: Reference, theirs: LabelSet, labels: LabelSet) -> Prior:
    """Select the rows of a reference's head that belong to ``labels``, by name."""
    width = len(reference.centre)
    weight, means = np.zeros((len(labels), width)), np.zeros((len(labels), width))
    bias, known = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)
    for row, name in enumerate(labels.names):
        if name in theirs.names:
            source_row = theirs.names.index(name)
            weight[row], bias[row] = reference.weight[source_row], reference.bias[source_row]
            means[row], known[row] = reference.class_means[source_row], True
    return Prior(Linear(weight, bias), known, means, reference)


def fit_towards(
    standardised: Floats, truth: Indices, prior: Prior, strength: float, inverse_penalty: float
) -> Linear:
    """Minimize the summed cross-entropy plus the penalty of the prior.

    For an emotion that the start has, the penalty is strength / 2 times the squared distance of
    weight and bias from the start's. For one that it lacks, and for all where ``strength`` is 0,
    it is ||weight||^2 / (2 C), as in scikit-learn's LogisticRegression.

    Args:
        standardised: (utterance, feature).
        truth: class indices (utterance,).
        prior: the start.
        strength: 0 or more; infinity keeps the start's weights.
        inverse_penalty: C.

    Returns:
        The head. An emotion without an example keeps the start's weights; one that the start
        lacks too is never predicted.
    """
    known = prior.known if strength > 0 else np.zeros_like(prior.known)
    center = Linear(prior.head.weight * known[:, None], prior.head.bias * known)
    has_examples = np.isin(np.arange(len(known)), truth)
    free = has_examples & ~known if np.isinf(strength) else has_examples
    head = center
    if free.any():
        finite = 0.0 if np.isinf(strength) else strength
        costs = np.where(known, finite, 1 / inverse_penalty), np.where(known, finite, 0.0)
        head = _solve(standardised, truth, center, free, has_examples | known, costs)
    impossible = ~(has_examples | known)
    head.bias[impossible] = head.bias[~impossible].min() + _NEVER
    return head


def _solve(
    standardised: Floats,
    truth: Indices,
    centre: Linear,
    free: npt.NDArray[np.bool_],
    possible: npt.NDArray[np.bool_],
    costs: tuple[Floats, Floats],
) -> Linear:
    """Solve by L-BFGS in float64, from the center; only free rows move."""
    vectors, labels = torch.from_numpy(standardised), torch.from_numpy(truth)
    start_weight, start_bias = torch.from_numpy(centre.weight), torch.from_numpy(centre.bias)
    free_rows, impossible = torch.from_numpy(free).double(), torch.from_numpy(~possible)
    weight_costs, bias_costs = (torch.from_numpy(array) for array in costs)
    weight, bias = (
        torch.zeros_like(array).requires_grad_() for array in (start_weight, start_bias)
    )

    def objective() -> Tensor:
        weight_shift, bias_shift = weight * free_rows[:, None], bias * free_rows
        logits = vectors @ (start_weight + weight_shift).T + (start_bias + bias_shift)
        logits = logits.masked_fill(impossible, -torch.inf)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        loss = loss + (weight_costs * weight_shift.square().sum(dim=1)).sum() / 2
        loss = (loss + (bias_costs * bias_shift.square()).sum() / 2) / len(labels)
        return loss

    minimize(objective, [weight, bias], steps=500, slope=1e-7, change=1e-12)
    with torch.no_grad():
        solution = start_weight + weight * free_rows[:, None], start_bias + bias * free_rows
    return Linear(*(array.numpy() for array in solution))


def minimize(
    objective: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    *,
    steps: int,
    slope: float,
    change: float,
) -> None:
    """Minimize a convex objective in place, by L-BFGS with a strong Wolfe line search.

    Args:
        objective: computes the loss from the parameters.
        parameters: leaf tensors that require gradients.
        steps: the most iterations.
        slope: stop where no gradient is larger.
        change: stop where an iteration changes loss and parameters less.
    """
    solver = torch.optim.LBFGS(
        parameters,
        max_iter=steps,
        history_size=20,
        tolerance_grad=slope,
        tolerance_change=change,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    solver.step(closure)
