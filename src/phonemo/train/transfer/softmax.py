"""A weighted multinomial logistic regression: L-BFGS, with classes that a row cannot have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats32 = npt.NDArray[np.float32]

#: The solver ends before, where the slope is this small.
_MOST_STEPS = 300
_LEAST_SLOPE = 1e-5
_LEAST_CHANGE = 1e-9
#: Logit of a class that a row's corpus does not have, and bias of one that no row has.
NEVER = -30.0


@dataclass(frozen=True, eq=False)
class Problem:
    """What a regression is fitted on.

    Attributes:
        vectors: (row, feature), standardised.
        truth: class indices (row,).
        weights: (row,), of any sum; a row counts as its share of it.
        allowed: (row, class), the classes that a row's corpus has; None allows all.
        count: how many utterances stand behind the rows, for the strength of the penalty.
    """

    vectors: Floats32
    truth: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.bool_] | None
    count: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """weight (class, feature) and bias (class,)."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def fit_softmax(problem: Problem, classes: int, inverse_penalty: float) -> Fitted:
    """Minimise the mean cross-entropy plus ||weight||^2 / (2 C n).

    That is scikit-learn's LogisticRegression with C = ``inverse_penalty`` and weights that sum to
    ``count``, but for classes that are not allowed. A class without a row has no weights and is
    never the answer.

    Args:
        problem: the rows.
        classes: how many emotions there are.
        inverse_penalty: C.
    """
    weight = torch.zeros(classes, problem.vectors.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    loss = _objective(problem, inverse_penalty)
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
        found: Tensor = loss(weight, bias)
        found.backward()
        return found

    solver.step(closure)
    return _known_only(weight, bias, problem.truth)


def _objective(problem: Problem, inverse_penalty: float) -> Any:
    vectors, truth = torch.from_numpy(problem.vectors), torch.from_numpy(problem.truth)
    shares = torch.from_numpy((problem.weights / problem.weights.sum()).astype(np.float32))
    barred = None if problem.allowed is None else torch.from_numpy(~problem.allowed)
    strength = 1 / (2 * inverse_penalty * problem.count)

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        logits = vectors @ weight.T + bias  # (row, class)
        if barred is not None:
            logits = logits.masked_fill(barred, NEVER)
        each = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
        found: Tensor = (shares * each).sum() + strength * weight.square().sum()
        return found

    return loss


def _known_only(weight: Tensor, bias: Tensor, truth: npt.NDArray[np.int64]) -> Fitted:
    """As arrays; the bias has a mean of 0 over the classes that were learnt from."""
    found = Fitted(weight.detach().double().numpy(), bias.detach().double().numpy())
    known = np.isin(np.arange(len(found.bias)), truth)
    found.bias[known] -= found.bias[known].mean()
    found.weight[~known] = 0.0
    found.bias[~known] = NEVER
    return found
