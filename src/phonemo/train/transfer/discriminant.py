"""Fisher's linear discriminant with a ridge: class means, and one covariance within the classes.

A logistic regression uses whatever tells the training utterances apart, and much of that is the
speaker and the studio. The discriminant divides by how vectors of one class differ, so a direction
in which speakers of one class lie far apart counts little, whether or not it helps in training. The
covariance is drawn towards a multiple of the identity (Friedman 1989, "Regularized discriminant
analysis"): there are more features than speakers. It is solved at once and has no seed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phonemo.train.transfer.softmax import NEVER, Fitted, Problem

Floats = npt.NDArray[np.float64]

#: Of the discriminant's own logits: they take features as Gaussian and the training corpora as the
#: world, and are several times too sure of any other corpus. A temperature does the rest.
SCALE = 0.2


def fit_discriminant(problem: Problem, class_means: Floats, ridge: float) -> Fitted:
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
    return Fitted(SCALE * weight, np.where(known, SCALE * bias, NEVER))


def _within(problem: Problem, class_means: Floats) -> Floats:
    """The weighted covariance of rows around the means of their classes, (feature, feature)."""
    away = problem.vectors - class_means[problem.truth].astype(np.float32)
    away *= np.sqrt(problem.weights / problem.weights.sum())[:, None].astype(np.float32)
    found: Floats = (away.T @ away).astype(np.float64)
    return found
