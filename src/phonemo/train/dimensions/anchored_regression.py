"""Ridge regression from vectors to the norms of their emotions.

After Zhou, Zhang and Duan 2023, "Learning arousal-valence representation from categorical emotion
labels of speech" (arXiv:2311.14816): categories are anchor points on the plane of arousal and
valence, and the embedding is mapped to that plane. Here the map is linear, as the emotion head is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.runtime.adaptation.statistics import Reference, Statistics, affine
from phonemo.train.transfer.corpora import Rows
from phonemo.train.transfer.linear_heads import balanced, places_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnchoredMap:
    """A linear map of standardized vectors.

    Attributes:
        weight: (feature, dimension).
        bias: (dimension,).
    """

    weight: Floats
    bias: Floats

    def values(
        self, reference: Reference, vectors: npt.ArrayLike, source: Statistics | None
    ) -> Floats:
        """Dimensions (utterance, dimension), 0 to 1, adapted to a source as logits are.

        Args:
            reference: standardizes the vectors.
            vectors: the network's output, (utterance, feature).
            source: shrunk statistics of the source; None without adaptation.
        """
        rows: Floats = np.asarray(vectors, dtype=np.float64)
        if source is not None:
            mapped = affine(source, reference)
            rows = rows * mapped.scale + mapped.shift
        standardized = (rows - reference.centre) / reference.spread
        return standardized @ self.weight + self.bias


def fit_anchors(rows: Rows, classes: int, targets: Floats, ridge: float) -> AnchoredMap:
    """Fit a ridge regression on vectors standardized by source; each emotion weighs the same.

    Args:
        rows: the training data; corpora and the emotions in each have equal weights.
        classes: number of emotions.
        targets: (utterance, dimension).
        ridge: weight of the identity in the covariance, above 0 to 1.
    """
    vectors = _standardized(rows, classes)
    weights = balanced(rows, "corpus")
    weights /= weights.sum()
    mean, middle = weights @ vectors, weights @ targets
    centred = (vectors - mean) * np.sqrt(weights)[:, None]
    scaled = (targets - middle) * np.sqrt(weights)[:, None]
    covariance = centred.T @ centred
    typical = np.trace(covariance) / len(covariance)
    shrunk = (1 - ridge) * covariance + ridge * typical * np.eye(len(covariance))
    weight = np.linalg.solve(shrunk, centred.T @ scaled)
    return AnchoredMap(weight, middle - mean @ weight)


def _standardized(rows: Rows, classes: int) -> Floats:
    vectors = np.empty(rows.vectors.shape)
    for name, statistics in places_of(rows, classes).sources.items():
        own = rows.source == name
        vectors[own] = (rows.vectors[own] - statistics.mean) / statistics.deviation
    return vectors
