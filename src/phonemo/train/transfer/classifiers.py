"""A weighted multinomial logistic regression: L-BFGS, with classes that a row cannot have.

Fisher's linear discriminant with a ridge: class means, and one covariance within the classes.

A logistic regression uses whatever tells the training utterances apart, and much of that is the
speaker and the studio. The discriminant divides by how vectors of one class differ, so a direction
in which speakers of one class lie far apart counts little, whether or not it helps in training. The
covariance is drawn towards a multiple of the identity (Friedman 1989, "Regularized discriminant
analysis"): there are more features than speakers. It is solved at once and has no seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.train.head_prior import minimize

Floats32 = npt.NDArray[np.float32]

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
class FittedClassifier:
    """weight (class, feature) and bias (class,)."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def fit_softmax(problem: Problem, classes: int, inverse_penalty: float) -> FittedClassifier:
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
    minimize(lambda: loss(weight, bias), [weight, bias], steps=300, slope=1e-5, change=1e-9)
    return _known_only(weight, bias, problem.truth)


def _objective(problem: Problem, inverse_penalty: float) -> Callable[[Tensor, Tensor], Tensor]:
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


def _known_only(weight: Tensor, bias: Tensor, truth: npt.NDArray[np.int64]) -> FittedClassifier:
    """As arrays; the bias has a mean of 0 over the classes that were learnt from."""
    found = FittedClassifier(weight.detach().double().numpy(), bias.detach().double().numpy())
    known = np.isin(np.arange(len(found.bias)), truth)
    found.bias[known] -= found.bias[known].mean()
    found.weight[~known] = 0.0
    found.bias[~known] = NEVER
    return found


Floats = npt.NDArray[np.float64]

#: Of the discriminant's own logits: they take features as Gaussian and the training corpora as the
#: world, and are several times too sure of any other corpus. A temperature does the rest.
SCALE = 0.2


def fit_discriminant(problem: Problem, class_means: Floats, ridge: float) -> FittedClassifier:
    """Weights by which the classes are as likely beforehand, and as wide.

    Args:
        problem: standardised rows; ``allowed`` is not read.
        class_means: (class, feature), of standardised vectors.
        ridge: share of the identity in the covariance, above 0 to 1.
    """
    known = np.isin(np.arange(len(class_means)), problem.truth)
    covariance = _within(problem, class_means)
    typical = np.trace(covariance) / len(covariance)
    covariance = (1 - ridge) * covariance + ridge * typical * np.eye(len(covariance))
    middle = class_means[known].mean(axis=0)
    weight = np.zeros_like(class_means)
    weight[known] = np.linalg.solve(covariance, (class_means[known] - middle).T).T
    bias = np.full(len(class_means), NEVER)
    bias[known] = -0.5 * (weight[known] * (class_means[known] + middle)).sum(axis=1)
    bias[known] -= bias[known].mean()
    return FittedClassifier(SCALE * weight, np.where(known, SCALE * bias, NEVER))


def _within(problem: Problem, class_means: Floats) -> Floats:
    """The weighted covariance of rows around the means of their classes, (feature, feature)."""
    away = problem.vectors - class_means[problem.truth].astype(np.float32)
    away *= np.sqrt(problem.weights / problem.weights.sum())[:, None].astype(np.float32)
    found: Floats = (away.T @ away).astype(np.float64)
    return found
