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
        """Dimensions (utterance, dimension), adapted to a source as logits are; not clipped.

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
        values: Floats = standardized @ self.weight + self.bias
        return values


@dataclass(frozen=True, eq=False)
class AnchorMoments:
    """Moments of standardized vectors, for regressions to any anchors.

    Corpora, and the emotions in each, have equal weights. Indicators are one column per emotion,
    and last the intensity: 1 for strong, -1 for normal, 0 where it is unknown.

    Attributes:
        mean: (feature,).
        covariance: (feature, feature).
        indicator_means: (indicator,).
        cross: covariance of features and indicators, (feature, indicator).
    """

    mean: Floats
    covariance: Floats
    indicator_means: Floats
    cross: Floats

    @classmethod
    def of(cls, rows: Rows, classes: int, strong: npt.NDArray[np.int64]) -> AnchorMoments:
        """Compute the moments of training data.

        Args:
            rows: the training data, standardized here by source.
            classes: number of emotions.
            strong: 1 strong, 0 normal, -1 unknown (utterance,).
        """
        vectors = _standardized(rows, classes)
        weights = balanced(rows, "corpus")
        weights /= weights.sum()
        intensity = np.where(strong < 0, 0, 2 * strong - 1)
        indicators = np.column_stack((np.eye(classes)[rows.truth], intensity))
        mean, indicator_means = weights @ vectors, weights @ indicators
        vectors -= mean
        weighted = vectors * weights[:, None]
        cross = weighted.T @ (indicators - indicator_means)
        return cls(mean, weighted.T @ vectors, indicator_means, cross)

    def fit(self, anchors: Floats, ridge: float) -> AnchoredMap:
        """Fit a ridge regression.

        Args:
            anchors: what each indicator adds, (indicator, dimension).
            ridge: weight of the identity in the covariance, above 0 to 1.
        """
        typical = np.trace(self.covariance) / len(self.covariance)
        identity = np.eye(len(self.covariance))
        shrunk = (1 - ridge) * self.covariance + ridge * typical * identity
        weight = np.linalg.solve(shrunk, self.cross @ anchors)
        return AnchoredMap(weight, self.indicator_means @ anchors - self.mean @ weight)


def _standardized(rows: Rows, classes: int) -> Floats:
    vectors = np.empty(rows.vectors.shape)
    for name, statistics in places_of(rows, classes).sources.items():
        own = rows.source == name
        vectors[own] = (rows.vectors[own] - statistics.mean) / statistics.deviation
    return vectors
