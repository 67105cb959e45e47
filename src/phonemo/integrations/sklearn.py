"""Emotions as a classifier: fitted on your labels, or a model as it is.

What scikit-learn calls X, as recordings.

Recordings as vectors: the mean and the deviation of any layer of a network.

phonemo as scikit-learn estimators.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from phonemo.audio import RATE, Excerpt, Source, load_waveform
from phonemo.errors import LabelError, UsageError
from phonemo.integrations.layer_embedding import NamedLayers, checked, layers_of
from phonemo.integrations.standardizer import GivenProfile, SourceStandardizer
from phonemo.loader import load_model
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer

Floats = npt.NDArray[np.float32]

#: A clip of fewer samples at 16 kHz has no frame; a row of a table is padded to it.
_FEWEST = 400


def waveforms(
    estimator: BaseEstimator, given: Any, rate: int | None, reset: bool
) -> Iterator[Floats]:
    """Every recording of X at 16 kHz, (sample,), as it is needed.

    Args:
        estimator: whose X it is; it learns how wide a table is.
        given: paths, bytes, open files, excerpts, pairs of samples and their rate, or arrays of
            samples with ``rate``, in a list, a tuple, a Series or an object array; or a table
            (recording, sample) of numbers, whose rows are as long as each other.
        rate: samples per second of arrays and tables; None is 16 kHz.
        reset: whether the estimator is being fitted.

    Raises:
        UsageError: it is none of these.
        AudioError: a recording cannot be used; its place is named.
        ValueError: a table is none that scikit-learn takes.
    """
    listed = _listed(given)
    if listed is None:
        table = validate_data(estimator, given, reset=reset, dtype="numeric", ensure_min_samples=1)
        return _rows(np.asarray(table, dtype=np.float64), rate or RATE)
    if not listed:
        raise UsageError("X is empty; one recording or more is wanted")
    return (_waveform(one, rate) for one in listed)


def count(given: Any) -> int | None:
    """How many recordings a list of them holds; None for a table."""
    listed = _listed(given)
    return None if listed is None else len(listed)


def _listed(given: Any) -> Sequence[Any] | None:
    """The recordings one by one; None for a table of numbers, or what should be one."""
    if isinstance(given, str | bytes | os.PathLike):
        raise UsageError("X is one recording; a list of recordings is wanted, as ['a.wav']")
    if isinstance(given, list | tuple):
        listed: Sequence[Any] = given
    elif getattr(given, "ndim", None) == 1 and getattr(given, "dtype", None) is not None:
        listed = list(given)
    else:
        return None
    return listed if not len(listed) or _is_recording(listed[0]) else None


def _is_recording(one: Any) -> bool:
    if isinstance(one, str | bytes | PurePath | Excerpt) or hasattr(one, "read"):
        return True
    if isinstance(one, tuple) and len(one) == 2 and np.ndim(one[0]) in (1, 2):
        return np.ndim(one[1]) == 0
    return isinstance(one, np.ndarray) and one.ndim in (1, 2)


def _waveform(one: Any, rate: int | None) -> Floats:
    if isinstance(one, Excerpt):
        return load_waveform(one.source, start=one.start, end=one.end).samples
    if isinstance(one, tuple):
        return load_waveform(_array(one[0]), rate=int(one[1])).samples
    if isinstance(one, np.ndarray):
        return load_waveform(one, rate=rate or RATE).samples
    source: Source = one
    return load_waveform(source).samples


def _array(samples: Any) -> npt.NDArray[np.float32]:
    return np.asarray(samples)


def _rows(table: npt.NDArray[np.float64], rate: int) -> Iterator[Floats]:
    """Short rows are padded with silence, loud ones brought to full scale: any table is heard."""
    short = -(-_FEWEST * rate // RATE) - table.shape[1]
    padded = np.pad(table, ((0, 0), (0, max(0, short))))
    peaks = np.maximum(np.abs(padded).max(axis=1, keepdims=True), 1.0)
    for row in (padded / peaks).astype(np.float32):
        yield load_waveform(row, rate=rate).samples


#: How the frames of a recording become one vector.
STATISTICS = ("mean", "mean_std")
#: Longer recordings are heard in stretches of equal length: attention grows with its square.
_WHOLE_SECONDS = 30.0


class SpeechEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Recordings to vectors, by a layer of a network that is not trained any more.

    X is what ``phonemo.integrations.sklearn.waveforms`` takes: paths, bytes, arrays, pairs of
    samples and rate, or a table (recording, sample). There is nothing to fit, except that the
    model is opened and the layer looked for.

    Args:
        model: a bundle, a model folder, the folder of a backbone, or the name of a model on a hub;
            None is phonemo-small, the bundle in the package.
        layer: its name; ``SpeechEmbedding.layers(model)`` lists them.
        statistics: "mean" over the frames, or "mean_std" for their deviation too.
        rate: samples per second of arrays and tables; None is 16 kHz.

    Attributes:
        n_features_out_: how many features a vector has.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        model: str | Path | None = None,
        layer: str = "features",
        statistics: str = "mean_std",
        rate: int | None = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.statistics = statistics
        self.rate = rate

    @staticmethod
    def layers(model: str | Path | None = None) -> tuple[str, ...]:
        """The names of a model's layers, from the bottom."""
        return tuple(layers_of(model).names)

    def fit(self, X: Any, y: Any = None) -> SpeechEmbedding:  # noqa: N803  scikit-learn's name
        """Open the model, and learn how wide a vector is.

        Raises:
            UsageError: the model has no such layer.
            PhonemoError: the model cannot be opened.
        """
        layers = self._checked()
        waveforms(self, X, self.rate, reset=True)  # a table is looked at; recordings when heard
        silence = np.zeros(RATE // 10, dtype=np.float32)
        self.n_features_out_ = len(self._pooled(layers, silence))
        return self

    def transform(self, X: Any) -> Floats:  # noqa: N803
        """The vectors, (recording, feature) in float32.

        Raises:
            AudioError: a recording cannot be used.
        """
        check_is_fitted(self)
        layers = self._checked()
        rows = [self._pooled(layers, one) for one in waveforms(self, X, self.rate, reset=False)]
        return np.stack(rows)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Such as "layer.3_mean_17"."""
        check_is_fitted(self)
        kinds = self.statistics.split("_")
        each = self.n_features_out_ // len(kinds)
        names = [f"{self.layer}_{kind}_{number}" for kind in kinds for number in range(each)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _checked(self) -> NamedLayers:
        if self.statistics not in STATISTICS:
            raise UsageError(f"statistics={self.statistics!r}; {' or '.join(STATISTICS)} is wanted")
        return checked(self.model, self.layer)

    def _pooled(self, layers: NamedLayers, samples: Floats) -> Floats:
        frames = np.concatenate([layers.frames(self.layer, one) for one in _stretches(samples)])
        mean = frames.mean(axis=0, dtype=np.float64)
        kinds = [mean] if self.statistics == "mean" else [mean, frames.std(0, dtype=np.float64)]
        return np.concatenate(kinds).astype(np.float32)


def _stretches(samples: Floats) -> Iterator[Floats]:
    count = -(-len(samples) // int(_WHOLE_SECONDS * RATE))
    yield from np.array_split(samples, max(1, count))


_MOST_STEPS = 5000


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression on what a network hears, fitted on labels of your own.

    The network is not trained: its layer is embedded (``SpeechEmbedding``), standardised, and a
    logistic regression with an L2 penalty is fitted, as phonemo's own strategy "logistic" does.
    X is what ``SpeechEmbedding`` takes. With recordings of several people, give their names as
    ``groups`` to scikit-learn's cross-validation, or its scores are of people it has heard.

    Unlabelled recordings of the microphone or person that is recognized make it better: give
    ``fit`` the source or speaker of each recording as ``groups``, so that each is standardised by
    its own (``SourceStandardizer``), and ``predict`` groups too, a profile, or ``adapt``.

    Args:
        model: as for ``SpeechEmbedding``.
        layer: as for ``SpeechEmbedding``.
        statistics: as for ``SpeechEmbedding``.
        rate: samples per second of arrays and tables; None is 16 kHz.
        C: inverse strength of the penalty.
        class_weight: None, or "balanced" where emotions are not equally many.
        adapt: whether ``predict`` without groups and profile takes the recordings of one call as
            one source, as scikit-learn's cross-validation calls it.

    Attributes:
        classes_: the emotions, sorted.
        embedding_: the fitted ``SpeechEmbedding``.
        head_: the fitted pipeline on its vectors, ``SourceStandardizer`` and regression.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        layer: str = "features",
        statistics: str = "mean_std",
        rate: int | None = None,
        C: float = 0.01,  # noqa: N803  scikit-learn's name
        class_weight: str | None = None,
        adapt: bool = False,
    ) -> None:
        self.model = model
        self.layer = layer
        self.statistics = statistics
        self.rate = rate
        self.C = C
        self.class_weight = class_weight
        self.adapt = adapt

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> EmotionClassifier:
        """Embed the recordings and fit the regression.

        Args:
            X: the recordings.
            y: their emotions, (recording,).
            sample_weight: how much each counts, (recording,); None counts all alike.
            groups: the source or speaker of each, (recording,); None is one source.

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
        standardizer = SourceStandardizer()
        standardised = standardizer.fit_transform(vectors, None, groups, sample_weight)
        regression.fit(standardised, targets, sample_weight)
        self.head_: Pipeline = make_pipeline(standardizer, regression)
        self.classes_ = self.head_.classes_
        return self

    def predict(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[Any]:
        """The most likely emotion of each recording, (recording,).

        Args:
            X: the recordings.
            groups: the source or speaker of each, (recording,): each is adapted by its own.
            profile: of the method ``profile``, or the path of its file: all are of that source.
            adapt: whether all of X is one source; None is what the classifier was made with.

        Raises:
            AudioError: a recording cannot be used.
            UsageError: several of the three, or a profile of another classifier.
        """
        vectors = self._vectors(X, groups, profile, adapt)
        found: npt.NDArray[Any] = self.head_[-1].predict(vectors)
        return found

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """The probability of each of ``classes_``, (recording, emotion); rows sum to one."""
        vectors = self._vectors(X, groups, profile, adapt)
        found: npt.NDArray[np.float64] = self.head_[-1].predict_proba(vectors)
        return found

    def decision_function(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """The regression's scores, (recording, emotion); (recording,) where there are two."""
        vectors = self._vectors(X, groups, profile, adapt)
        found: npt.NDArray[np.float64] = self.head_[-1].decision_function(vectors)
        return found

    def profile(self, X: Any) -> Profile:  # noqa: N803
        """The profile of unlabelled recordings of one source, for this classifier alone.

        Raises:
            AudioError: a recording cannot be used.
        """
        found: Profile = self.head_[0].profile(self._embedded(X))
        return found

    def _vectors(self, given: Any, groups: Any, profile: GivenProfile, adapt: bool | None) -> Any:
        """What the regression reads, (recording, feature)."""
        if adapt and (groups is not None or profile is not None):
            raise UsageError("adapt beside groups or profile: expected one of the three")
        vectors = self._embedded(given)
        if groups is None and profile is None and (self.adapt if adapt is None else adapt):
            groups = np.zeros(len(vectors), dtype=int)
        return self.head_[0].transform(vectors, groups, profile)

    def _embedded(self, given: Any) -> Any:
        check_is_fitted(self)
        waveforms(self, given, self.rate, reset=False)  # looks at a table, by this one's name
        return self.embedding_.transform(given).astype(np.float64)


class PretrainedEmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model of phonemo as it is: its own emotions, its own calibrated scores; nothing is fitted.

    For scikit-learn's metrics and displays, or as a member of an ensemble. ``fit`` only looks
    whether the emotions that are asked for are among those it knows.

    Args:
        model: as phonemo.load takes it; None is phonemo-small, the bundle in the package.
        labels: choose among these alone, their scores scaled to sum to one; None takes all.
        rate: samples per second of arrays and tables; None is 16 kHz.
        profile: what ``phonemo adapt`` or the model's ``profile`` made, or the path of its file.
        adapt: whether the recordings of one call are one source, whose profile is applied.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        labels: Sequence[str] | None = None,
        rate: int | None = None,
        profile: GivenProfile = None,
        adapt: bool = False,
    ) -> None:
        self.model = model
        self.labels = labels
        self.rate = rate
        self.profile = profile
        self.adapt = adapt

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The emotions, sorted."""
        return np.array(sorted(self.labels or self._recognizer().labels))

    def fit(self, X: Any = None, y: Any = None) -> PretrainedEmotionClassifier:  # noqa: N803
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

    def predict(
        self,
        X: Any,  # noqa: N803
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[Any]:
        """The most likely emotion of each recording, (recording,); as ``predict_proba``."""
        chances = self.predict_proba(X, profile, adapt)
        found: npt.NDArray[Any] = self.classes_[chances.argmax(axis=1)]
        return found

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """The score of each of ``classes_``, (recording, emotion); rows sum to one.

        Args:
            X: the recordings.
            profile: as for the classifier; None is the one that it was made with.
            adapt: as for the classifier; None is what it was made with.

        Raises:
            AudioError: a recording cannot be used.
            UsageError: a profile together with ``adapt``, or one of another model.
            ModelError: the model takes no profile.
        """
        if count(X) is None:
            raise UsageError("a list of recordings is wanted, as ['a.wav', 'b.wav']")
        profile = self.profile if profile is None else profile
        adapt = self.adapt if adapt is None else adapt
        if adapt and profile is not None:
            raise UsageError("adapt beside profile: expected one of the two")
        clips = waveforms(self, X, self.rate, reset=False)
        listener = self._recognizer().with_profile(profile)
        if adapt:
            clips = iter(kept := list(clips))
            listener = listener.adapted(kept, RATE)
        return np.array([self._scores(listener, samples) for samples in clips])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _scores(self, listener: EmotionRecognizer, samples: Floats) -> list[float]:
        """Of one clip (sample,) at 16 kHz, in the order of ``classes_``."""
        found = listener.predict(samples, rate=RATE)
        found = found if self.labels is None else found.among(self.labels)
        return [found.scores[str(name)] for name in self.classes_]

    def _recognizer(self) -> EmotionRecognizer:
        return load_model(self.model)


__all__ = [
    "EmotionClassifier",
    "PretrainedEmotionClassifier",
    "SourceStandardizer",
    "SpeechEmbedding",
]
