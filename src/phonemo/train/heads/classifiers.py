"""Classifiers: weighted logistic regression with class masks, and Fisher's linear discriminant.

A logistic regression uses any direction that separates the training utterances, and many of those
encode speaker and studio. The discriminant divides by the covariance within classes, so directions
in which speakers of one class differ have little weight, even if they help in training. Its
covariance is shrunk towards a multiple of the identity (Friedman 1989, "Regularized discriminant
analysis"), since there are more features than speakers. It has a closed form and needs no seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.train.heads.head_prior import minimize

Floats32 = npt.NDArray[np.float32]

#: Logit of a class that a row's corpus lacks, and bias of one that no row has.
NEVER = -30.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Training data of a classifier.

    Attributes:
        vectors: (row, feature), standardized.
        truth: class indices (row,).
        weights: (row,), normalized to sum to 1.
        allowed: (row, class), the classes that a row's corpus has; None allows all.
        count: number of utterances behind the rows, which scales the penalty.
    """

    vectors: Floats32
    truth: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.bool_] | None
    count: int


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """Weight (class, feature) and bias (class,)."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def fit_softmax(problem: Problem, classes: int, inverse_penalty: float) -> FittedClassifier:
    """Minimize the mean cross-entropy plus ||weight||^2 / (2 C n).

    This equals scikit-learn's LogisticRegression with C = ``inverse_penalty`` and weights that sum
    to ``count``, except for the class mask. A class without a row has zero weights and is never
    predicted.

    Args:
        problem: the rows.
        classes: number of emotions.
        inverse_penalty: C.
    """
    weight = torch.zeros(classes, problem.vectors.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    loss = _objective(problem, inverse_penalty)
    minimize(lambda: loss(weight, bias), [weight, bias], steps=300, slope=1e-5, change=1e-9)
    return _fitted(weight, bias, problem.truth)


def _objective(problem: Problem, inverse_penalty: float) -> Callable[[Tensor, Tensor], Tensor]:
    vectors, truth = torch.from_numpy(problem.vectors), torch.from_numpy(problem.truth)
    shares = torch.from_numpy((problem.weights / problem.weights.sum()).astype(np.float32))
    forbidden = None if problem.allowed is None else torch.from_numpy(~problem.allowed)
    strength = 1 / (2 * inverse_penalty * problem.count)

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        logits = vectors @ weight.T + bias  # (row, class)
        if forbidden is not None:
            logits = logits.masked_fill(forbidden, NEVER)
        losses = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
        total: Tensor = (shares * losses).sum() + strength * weight.square().sum()
        return total

    return loss


def _fitted(weight: Tensor, bias: Tensor, truth: npt.NDArray[np.int64]) -> FittedClassifier:
    """Convert to arrays; the bias has a mean of 0 over the classes with rows."""
    fitted = FittedClassifier(weight.detach().double().numpy(), bias.detach().double().numpy())
    known = np.isin(np.arange(len(fitted.bias)), truth)
    fitted.bias[known] -= fitted.bias[known].mean()
    fitted.weight[~known] = 0.0
    fitted.bias[~known] = NEVER
    return fitted


Floats = npt.NDArray[np.float64]

#: Scale of the discriminant's logits: they assume Gaussian features like the training corpora's and
#: are several times overconfident on other corpora. A temperature does the rest.
SCALE = 0.2


def fit_discriminant(problem: Problem, class_means: Floats, ridge: float) -> FittedClassifier:
    """Fit Fisher's discriminant with equal priors and one covariance.

    Args:
        problem: standardized rows; ``allowed`` is not used.
        class_means: (class, feature), of standardized vectors.
        ridge: weight of the identity in the covariance, above 0 to 1.
    """
    known = np.isin(np.arange(len(class_means)), problem.truth)
    covariance = _within_covariance(problem, class_means)
    mean_variance = np.trace(covariance) / len(covariance)
    covariance = (1 - ridge) * covariance + ridge * mean_variance * np.eye(len(covariance))
    center = class_means[known].mean(axis=0)
    weight = np.zeros_like(class_means)
    weight[known] = np.linalg.solve(covariance, (class_means[known] - center).T).T
    bias = np.full(len(class_means), NEVER)
    bias[known] = -0.5 * (weight[known] * (class_means[known] + center)).sum(axis=1)
    bias[known] -= bias[known].mean()
    return FittedClassifier(SCALE * weight, np.where(known, SCALE * bias, NEVER))


def _within_covariance(problem: Problem, class_means: Floats) -> Floats:
    """Return the weighted covariance of rows around their class means, (feature, feature)."""
    deviations = problem.vectors - class_means[problem.truth].astype(np.float32)
    deviations *= np.sqrt(problem.weights / problem.weights.sum())[:, None].astype(np.float32)
    covariance: Floats = (deviations.T @ deviations).astype(np.float64)
    return covariance
