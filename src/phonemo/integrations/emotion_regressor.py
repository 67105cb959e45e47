"""A scikit-learn regressor of arousal, valence and other dimensions from recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from phonemo.integrations.sklearn import fit_embedding, waveforms
from phonemo.integrations.standardizer import GivenProfile, SourceStandardizer


class EmotionRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A ridge regression on network embeddings, fitted on your ratings.

    The counterpart of ``phonemo.integrations.sklearn.EmotionClassifier`` for numbers: the network
    is frozen, recordings are embedded with one of its layers and standardized by source. With
    several speakers, pass their names as ``groups`` to scikit-learn's cross-validation.

    Args:
        model: as for ``SpeechEmbedding``.
        layer: as for ``SpeechEmbedding``.
        statistics: as for ``SpeechEmbedding``.
        rate: sampling rate in Hz of arrays and tables; None is 16 kHz.
        alpha: strength of the penalty.

    Attributes:
        embedding_: the fitted ``SpeechEmbedding``.
        head_: the fitted pipeline of ``SourceStandardizer`` and regression.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        layer: str = "features",
        statistics: str = "mean_std",
        rate: int | None = None,
        alpha: float = 1000.0,
    ) -> None:
        self.model = model
        self.layer = layer
        self.statistics = statistics
        self.rate = rate
        self.alpha = alpha

    def fit(
        self,
        X: Any,  # noqa: N803  scikit-learn's name
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> EmotionRegressor:
        """Embed the recordings and fit the regression.

        Args:
            X: the recordings, as for ``SpeechEmbedding``.
            y: ratings, (recording,) or (recording, dimension).
            sample_weight: weights, (recording,); None weights all equally.
            groups: the source or speaker of each recording, (recording,); None is one source.

        Raises:
            AudioError: a recording cannot be used.
            ValueError: y is missing, not finite, or differs from X in length.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        targets = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        vectors = fit_embedding(self, X)
        check_consistent_length(vectors, targets)
        standardizer = SourceStandardizer()
        standardized = standardizer.fit_transform(vectors, None, groups, sample_weight)
        regression = Ridge(alpha=self.alpha).fit(standardized, targets, sample_weight)
        self.head_: Pipeline = make_pipeline(standardizer, regression)
        return self

    def predict(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
    ) -> npt.NDArray[np.float64]:
        """Predict the ratings, (recording,) or (recording, dimension), not limited to their range.

        Args:
            X: the recordings.
            groups: the source or speaker of each recording, (recording,), adapted separately.
            profile: a profile of ``head_[0].profile``, or the path of its file.

        Raises:
            AudioError: a recording cannot be used.
            UsageError: both groups and a profile, or another regressor's profile.
        """
        check_is_fitted(self)
        waveforms(self, X, self.rate, reset=False)  # checks a table under this estimator's name
        vectors = self.embedding_.transform(X).astype(np.float64)
        standardized = self.head_[0].transform(vectors, groups, profile)
        predicted: npt.NDArray[np.float64] = self.head_[-1].predict(standardized)
        return predicted
