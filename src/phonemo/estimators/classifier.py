"""Emotions as a classifier: fitted on your labels, or a model as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from phonemo.audio import RATE
from phonemo.errors import LabelError, UsageError
from phonemo.estimators.embedding import SpeechEmbedding
from phonemo.estimators.recordings import count, waveforms
from phonemo.opening import open_model
from phonemo.runtime.listener import Listener

_MOST_STEPS = 5000


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression on what a network hears, fitted on labels of your own.

    The network is not trained: its layer is embedded (``SpeechEmbedding``), standardised, and a
    logistic regression with an L2 penalty is fitted, as phonemo's own strategy "logistic" does.
    X is what ``SpeechEmbedding`` takes. With recordings of several people, give their names as
    ``groups`` to scikit-learn's cross-validation, or its scores are of people it has heard.

    Args:
        model: as for ``SpeechEmbedding``.
        layer: as for ``SpeechEmbedding``.
        statistics: as for ``SpeechEmbedding``.
        rate: samples per second of arrays and tables; None is 16 kHz.
        C: inverse strength of the penalty.
        class_weight: None, or "balanced" where emotions are not equally many.

    Attributes:
        classes_: the emotions, sorted.
        embedding_: the fitted ``SpeechEmbedding``.
        head_: the fitted pipeline on its vectors.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        layer: str = "features",
        statistics: str = "mean_std",
        rate: int | None = None,
        C: float = 0.01,  # noqa: N803  scikit-learn's name
        class_weight: str | None = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.statistics = statistics
        self.rate = rate
        self.C = C
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> EmotionClassifier:  # noqa: N803
        """Embed the recordings and fit the regression.

        Args:
            X: the recordings.
            y: their emotions, (recording,).
            sample_weight: how much each counts, (recording,); None counts all alike.

        Raises:
            AudioError: a recording cannot be used.
            ValueError: emotions that are none, of fewer than two kinds, or not as many as X.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        self.embedding_ = SpeechEmbedding(self.model, self.layer, self.statistics, self.rate)
        vectors = self.embedding_.fit(X).transform(X).astype(np.float64)
        if hasattr(self.embedding_, "n_features_in_"):
            self.n_features_in_ = self.embedding_.n_features_in_
        if hasattr(self.embedding_, "feature_names_in_"):
            self.feature_names_in_ = self.embedding_.feature_names_in_
        targets = column_or_1d(y, warn=True)
        assert_all_finite(targets)
        check_classification_targets(targets)
        regression = LogisticRegression(
            C=self.C, class_weight=self.class_weight, max_iter=_MOST_STEPS
        )
        self.head_: Pipeline = make_pipeline(StandardScaler(), regression)
        weights = dict.fromkeys(
            ("standardscaler__sample_weight", "logisticregression__sample_weight"), sample_weight
        )
        self.head_.fit(vectors, targets, **weights)
        self.classes_ = self.head_.classes_
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most likely emotion of each recording, (recording,)."""
        vectors = self._vectors(X)
        found: npt.NDArray[Any] = self.head_.predict(vectors)
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The probability of each of ``classes_``, (recording, emotion); rows sum to one."""
        vectors = self._vectors(X)
        found: npt.NDArray[np.float64] = self.head_.predict_proba(vectors)
        return found

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The regression's scores, (recording, emotion); (recording,) where there are two."""
        vectors = self._vectors(X)
        found: npt.NDArray[np.float64] = self.head_.decision_function(vectors)
        return found

    def _vectors(self, given: Any) -> Any:
        check_is_fitted(self)
        waveforms(self, given, self.rate, reset=False)  # looks at a table, by this one's name
        return self.embedding_.transform(given).astype(np.float64)


class ReadyEmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model of phonemo as it is: its own emotions, its own calibrated scores; nothing is fitted.

    For scikit-learn's metrics and displays, or as a member of an ensemble. ``fit`` only looks
    whether the emotions that are asked for are among those it knows.

    Args:
        model: as phonemo.load takes it; None is phonemo-small, the bundle in the package.
        labels: choose among these alone, their scores scaled to sum to one; None takes all.
        rate: samples per second of arrays and tables; None is 16 kHz.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        labels: Sequence[str] | None = None,
        rate: int | None = None,
    ) -> None:
        self.model = model
        self.labels = labels
        self.rate = rate

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The emotions, sorted."""
        return np.array(sorted(self.labels or self._listener().labels))

    def fit(self, X: Any = None, y: Any = None) -> ReadyEmotionClassifier:  # noqa: N803
        """Learn nothing.

        Raises:
            LabelError: ``y`` has an emotion that is not among ``classes_``.
        """
        strange = sorted({str(one) for one in (() if y is None else y)} - set(self.classes_))
        if strange:
            raise LabelError(
                f"{', '.join(strange)}: not among the model's {', '.join(self.classes_)}; "
                "EmotionClassifier learns emotions of your own"
            )
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most likely emotion of each recording, (recording,)."""
        found: npt.NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The score of each of ``classes_``, (recording, emotion); rows sum to one."""
        if count(X) is None:
            raise UsageError("a list of recordings is wanted, as ['a.wav', 'b.wav']")
        listener, classes = self._listener(), self.classes_
        rows = []
        for samples in waveforms(self, X, self.rate, reset=False):
            found = listener.predict(samples, rate=RATE)
            found = found if self.labels is None else found.among(self.labels)
            rows.append([found.scores[str(name)] for name in classes])
        return np.array(rows)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _listener(self) -> Listener:
        return open_model(self.model)
