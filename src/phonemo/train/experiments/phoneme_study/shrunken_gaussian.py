"""A Gaussian classifier for few examples, whose class means shrink as far as the data ask for.

In whitened features the spread within a class is about one in every direction. The means of classes
are drawn from a Gaussian too, whose variance is estimated from the training examples (empirical
Bayes): where classes do not differ it is zero, and the classifier gives the shares of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_FOLDS = 5
#: What likelihoods may count; the one that suits the other folds' speakers is taken.
_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class ShrunkenGaussian:
    """Class means (class, feature), variances of a prediction (class, feature), shares (class,)."""

    means: Floats64
    variances: Floats64
    shares: Floats64

    def log_likelihoods(self, vectors: Floats64) -> Floats64:
        """Natural logarithms up to a constant, (example, class)."""
        distances = (vectors[:, None] - self.means) ** 2 / self.variances
        return np.asarray(-0.5 * (distances + np.log(self.variances)).sum(axis=2))

    def log_posteriors(self, likelihoods: Floats64, weight: float) -> Floats64:
        """Natural logarithms of probabilities, (example, class); -inf for a class unseen.

        Args:
            likelihoods: as above, (example, class).
            weight: what they count against the shares; 1 believes them, as features that do not
                depend on each other would deserve.
        """
        with np.errstate(divide="ignore"):
            scores = np.log(self.shares) + weight * likelihoods
        scores -= scores.max(axis=1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def fit_gaussian(vectors: Floats64, labels: Integers, classes: int) -> ShrunkenGaussian:
    """Fit by moments.

    Args:
        vectors: (example, feature).
        labels: (example,).
        classes: number of classes; some may have no example.
    """
    one_hot = np.eye(classes)[labels]
    counts = one_hot.sum(axis=0)
    means = one_hot.T @ vectors / np.maximum(counts, 1)[:, None]
    center = vectors.mean(axis=0)
    present = int((counts > 0).sum())
    within = ((vectors - means[labels]) ** 2).sum(axis=0) / max(1, len(labels) - present) + 1e-9
    between = (counts[:, None] * (means - center) ** 2).sum(axis=0) / max(1, present - 1)
    per_class = (len(labels) - (counts**2).sum() / len(labels)) / max(1, present - 1)
    spread = ((between / within - 1) / max(per_class, 1e-9)).mean()  # one class has none
    ratio = max(float(spread), 1e-9)  # of the variances
    weights = counts / (counts + 1 / ratio)
    shrunken = center + weights[:, None] * (means - center)
    variances = within * (1 + 1 / (counts + 1 / ratio))[:, None]
    return ShrunkenGaussian(shrunken, variances, counts / counts.sum())


def held_out_bits(vectors: Floats64, labels: Integers, speakers: Integers) -> Floats64:
    """What each vector says about its label, by classifiers fitted on other speakers.

    The mean is the entropy minus the cross-entropy, a lower bound on the mutual information
    (Barber and Agakov 2003).

    Args:
        vectors: (example, feature), about white.
        labels: (example,).
        speakers: (example,).

    Returns:
        Bits, (example,): logarithm of the label's probability over its share in training; NaN for a
        label that the training speakers do not have.
    """
    folds = speaker_folds(speakers)
    weighted = np.full((len(_WEIGHTS), len(labels)), np.nan)
    for test in folds:
        model = fit_gaussian(vectors[~test], labels[~test], int(labels.max()) + 1)
        weighted[:, test] = _bits(model, vectors[test], labels[test])
    bits = np.full(len(labels), np.nan)
    for test in folds:
        others = np.nan_to_num(weighted[:, ~test]).mean(axis=1)
        bits[test] = weighted[int(np.argmax(others)), test]
    return bits


def _bits(model: ShrunkenGaussian, vectors: Floats64, labels: Integers) -> Floats64:
    """Bits with each weight, (weight, example)."""
    likelihoods = model.log_likelihoods(vectors)
    every = np.arange(len(labels))
    known = model.shares[labels] > 0
    shares = np.log(np.where(known, model.shares[labels], 1.0))
    bits = [
        (model.log_posteriors(likelihoods, weight)[every, labels] - shares) / np.log(2)
        for weight in _WEIGHTS
    ]
    return np.where(known, np.array(bits), np.nan)


def speaker_folds(speakers: Integers) -> list[npt.NDArray[np.bool_]]:
    """Which examples each of at most five folds tests, (example,); no speaker is in two.

    Examples of speaker -1 are in none.
    """
    names = np.unique(speakers[speakers >= 0])
    count = min(_FOLDS, len(names))
    return [np.isin(speakers, names[first::count]) for first in range(count)]
