"""scikit-learn estimators: embeddings of recordings, and emotion classifiers.

X is a list of recordings or a table of samples (``waveforms``). ``SpeechEmbedding`` returns the
mean and standard deviation of a network layer, ``EmotionClassifier`` is fitted on your labels, and
``PretrainedEmotionClassifier`` wraps a trained model.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
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

from phonemo.audio import RATE, Excerpt, load_waveform
from phonemo.errors import LabelError, UsageError
from phonemo.integrations.layer_embedding import NamedLayers, checked, layers_of
from phonemo.integrations.standardizer import GivenProfile, SourceStandardizer
from phonemo.loader import load_model
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer

Floats = npt.NDArray[np.float32]

#: Samples at 16 kHz that give one frame; shorter rows of a table are padded to this length.
_MIN_SAMPLES = 400


def waveforms(
    estimator: BaseEstimator, given: Any, rate: int | None, reset: bool
) -> Iterator[Floats]:
    """Yield every recording of X at 16 kHz, (sample,), lazily.

    Args:
        estimator: the estimator that gets X; the width of a table is stored on it.
        given: paths, bytes, open files, excerpts, pairs of samples and their rate, dicts of a
            dataset, or arrays and tensors of samples with ``rate``, in a list, a tuple, a Series
            or an object array; or a numeric table (recording, sample).
        rate: sampling rate in Hz of arrays and tables; None is 16 kHz.
        reset: whether the estimator is being fitted.

    Raises:
        UsageError: X is none of these.
        AudioError: a recording cannot be used; the message gives its position.
        ValueError: scikit-learn rejects the table.
    """
    recordings = _recordings(given)
    if recordings is None:
        table = validate_data(estimator, given, reset=reset, dtype="numeric", ensure_min_samples=1)
        return _table_rows(np.asarray(table, dtype=np.float64), rate or RATE)
    if not recordings:
        raise UsageError("expected one or more recordings, got an empty X")
    return (_waveform(recording, rate) for recording in recordings)


def count(given: Any) -> int | None:
    """Count the recordings of a list; None for a table."""
    recordings = _recordings(given)
    return None if recordings is None else len(recordings)


def _recordings(given: Any) -> Sequence[Any] | None:
    """X as a sequence of recordings; None for anything else, such as a table of numbers."""
    if isinstance(given, str | bytes | os.PathLike):
        raise UsageError("expected a list of recordings, got a single one; pass ['a.wav']")
    if isinstance(given, list | tuple):
        recordings: Sequence[Any] = given
    elif getattr(given, "ndim", None) == 1 and getattr(given, "dtype", None) is not None:
        recordings = list(given)
    else:
        return None
    return recordings if not len(recordings) or _is_recording(recordings[0]) else None


def _is_recording(value: Any) -> bool:
    if isinstance(value, str | bytes | PurePath | Excerpt | Mapping) or hasattr(value, "read"):
        return True
    if isinstance(value, tuple) and len(value) == 2:  # samples and rate, in either order
        return sorted(np.ndim(part) > 0 for part in value) == [False, True]
    return _is_array(value)


def _is_array(value: Any) -> bool:
    if isinstance(value, array):
        return True
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) in (1, 2)


def _waveform(recording: Any, rate: int | None) -> Floats:
    if isinstance(recording, Excerpt):
        return load_waveform(
            recording.source,
            start=recording.start,
            end=recording.end,
            channel=recording.channel,
        ).samples
    own_rate = (rate or RATE) if _is_array(recording) else None
    return load_waveform(recording, rate=own_rate).samples


def _table_rows(table: npt.NDArray[np.float64], rate: int) -> Iterator[Floats]:
    """Yield a table's rows, padded with silence if short and scaled down if above full scale."""
    short = -(-_MIN_SAMPLES * rate // RATE) - table.shape[1]
    padded = np.pad(table, ((0, 0), (0, max(0, short))))
    peaks = np.maximum(np.abs(padded).max(axis=1, keepdims=True), 1.0)
    for row in (padded / peaks).astype(np.float32):
        yield load_waveform(row, rate=rate).samples


#: Ways of pooling a recording's frames into one vector.
STATISTICS = ("mean", "mean_std")
#: Longer recordings are split into equal parts, since attention cost grows quadratically.
_MAX_SECONDS = 30.0


class SpeechEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Embed recordings with one layer of a frozen network.

    X is what ``phonemo.integrations.sklearn.waveforms`` takes: paths, bytes, arrays, pairs of
    samples and rate, or a table (recording, sample). ``fit`` only loads the model and checks the
    layer.

    Args:
        model: a bundle, a model folder, a backbone folder, or the name of a model on a hub; None
            is phonemo-small, the bundle in the package.
        layer: the layer's name; ``SpeechEmbedding.layers(model)`` lists the names.
        statistics: "mean" over the frames, or "mean_std" to add their standard deviation.
        rate: sampling rate in Hz of arrays and tables; None is 16 kHz.

    Attributes:
        n_features_out_: the number of features of a vector.
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
        """List the names of a model's layers, lowest first."""
        return tuple(layers_of(model).names)

    def fit(self, X: Any, y: Any = None) -> SpeechEmbedding:  # noqa: N803  scikit-learn's name
        """Load the model and determine the size of its vectors.

        Raises:
            UsageError: the model has no such layer.
            PhonemoError: the model cannot be loaded.
        """
        layers = self._checked_layers()
        waveforms(
            self, X, self.rate, reset=True
        )  # checks a table; recordings are checked when read
        silence = np.zeros(RATE // 10, dtype=np.float32)
        self.n_features_out_ = len(self._pool(layers, silence))
        return self

    def transform(self, X: Any) -> Floats:  # noqa: N803
        """Embed recordings as float32 vectors, (recording, feature).

        Raises:
            AudioError: a recording cannot be used.
        """
        check_is_fitted(self)
        layers = self._checked_layers()
        rows = [
            self._pool(layers, samples) for samples in waveforms(self, X, self.rate, reset=False)
        ]
        return np.stack(rows)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Name the features, such as "layer.3_mean_17"."""
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

    def _checked_layers(self) -> NamedLayers:
        if self.statistics not in STATISTICS:
            raise UsageError(
                f"expected statistics {' or '.join(STATISTICS)}, got {self.statistics!r}"
            )
        return checked(self.model, self.layer)

    def _pool(self, layers: NamedLayers, samples: Floats) -> Floats:
        frames = np.concatenate([layers.frames(self.layer, part) for part in _split(samples)])
        mean = frames.mean(axis=0, dtype=np.float64)
        kinds = [mean] if self.statistics == "mean" else [mean, frames.std(0, dtype=np.float64)]
        return np.concatenate(kinds).astype(np.float32)


def _split(samples: Floats) -> Iterator[Floats]:
    count = -(-len(samples) // int(_MAX_SECONDS * RATE))
    yield from np.array_split(samples, max(1, count))


_MAX_ITERATIONS = 5000


def fit_embedding(one: Any, recordings: Any) -> npt.NDArray[np.float64]:
    """Fit the ``embedding_`` of an estimator; return the vectors, (recording, feature)."""
    one.embedding_ = SpeechEmbedding(one.model, one.layer, one.statistics, one.rate)
    embedded: Floats = one.embedding_.fit(recordings).transform(recordings)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(one.embedding_, name):
            setattr(one, name, getattr(one.embedding_, name))
    return embedded.astype(np.float64)


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression on network embeddings, fitted on your labels.

    The network is frozen: recordings are embedded with one of its layers (``SpeechEmbedding``) and
    standardized, and a logistic regression with an L2 penalty is fitted, as in phonemo's strategy
    "logistic". X is what ``SpeechEmbedding`` takes. With several speakers, pass their names as
    ``groups`` to scikit-learn's cross-validation; otherwise its scores are not
    speaker-independent.

    Unlabeled recordings of the same microphone or person improve the predictions: pass the source
    or speaker of each recording as ``groups`` to ``fit``, so that each source is standardized
    separately (``SourceStandardizer``), and pass groups, a profile, or ``adapt`` to ``predict``.

    Args:
        model: as for ``SpeechEmbedding``.
        layer: as for ``SpeechEmbedding``.
        statistics: as for ``SpeechEmbedding``.
        rate: sampling rate in Hz of arrays and tables; None is 16 kHz.
        C: inverse strength of the penalty.
        class_weight: None, or "balanced" for emotions of unequal frequency.
        adapt: treat the recordings of one ``predict`` call without groups and profile as one
            source, for example in scikit-learn's cross-validation.

    Attributes:
        classes_: the emotions, sorted.
        embedding_: the fitted ``SpeechEmbedding``.
        head_: the fitted pipeline of ``SourceStandardizer`` and regression.
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
            sample_weight: weights, (recording,); None weights all equally.
            groups: the source or speaker of each recording, (recording,); None is one source.

        Raises:
            AudioError: a recording cannot be used.
            ValueError: y is missing, has fewer than two emotions, or differs from X in length.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        vectors = fit_embedding(self, X)
        targets = column_or_1d(y, warn=True)
        assert_all_finite(targets)
        check_classification_targets(targets)
        regression = LogisticRegression(
            C=self.C, class_weight=self.class_weight, max_iter=_MAX_ITERATIONS
        )
        standardizer = SourceStandardizer()
        standardized = standardizer.fit_transform(vectors, None, groups, sample_weight)
        regression.fit(standardized, targets, sample_weight)
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
        """Predict the most likely emotion of each recording, (recording,).

        Args:
            X: the recordings.
            groups: the source or speaker of each recording, (recording,), adapted separately.
            profile: from the method ``profile``, or the path of its file; applied to all of X.
            adapt: treat all of X as one source; None is the constructor's value.

        Raises:
            AudioError: a recording cannot be used.
            UsageError: more than one of the three, or another classifier's profile.
        """
        return self._apply_head("predict", X, groups, profile, adapt)

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """Predict the probabilities of ``classes_``, (recording, emotion); rows sum to one."""
        return self._apply_head("predict_proba", X, groups, profile, adapt)

    def decision_function(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """Compute the logits, (recording, emotion); (recording,) for two emotions."""
        return self._apply_head("decision_function", X, groups, profile, adapt)

    def profile(self, X: Any) -> Profile:  # noqa: N803
        """Compute the profile of one source's unlabeled recordings, for this classifier only.

        Raises:
            AudioError: a recording cannot be used.
        """
        profile: Profile = self.head_[0].profile(self._embed(X))
        return profile

    def _apply_head(
        self, method: str, given: Any, groups: Any, profile: GivenProfile, adapt: bool | None
    ) -> npt.NDArray[Any]:
        """Call a method of the regression on the standardized vectors of recordings."""
        if adapt and (groups is not None or profile is not None):
            raise UsageError(
                "expected one of adapt, groups and profile, got several; pass only one"
            )
        vectors = self._embed(given)
        if groups is None and profile is None and (self.adapt if adapt is None else adapt):
            groups = np.zeros(len(vectors), dtype=int)
        standardized = self.head_[0].transform(vectors, groups, profile)
        result: npt.NDArray[Any] = getattr(self.head_[-1], method)(standardized)
        return result

    def _embed(self, given: Any) -> Any:
        check_is_fitted(self)
        waveforms(self, given, self.rate, reset=False)  # checks a table under this estimator's name
        return self.embedding_.transform(given).astype(np.float64)


class PretrainedEmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A trained phonemo model with its emotions and calibrated scores; nothing is fitted.

    Useful with scikit-learn's metrics and displays, or in an ensemble. ``fit`` only checks that
    the model knows the emotions of ``y``.

    Args:
        model: as in phonemo.load, or a recognizer; None is phonemo-small.
        labels: choose among these emotions, with scores rescaled to sum to one; None uses all.
        rate: sampling rate in Hz of arrays and tables; None is 16 kHz.
        profile: a profile from ``phonemo adapt`` or the model's ``profile``, or its path.
        adapt: treat the recordings of one call as one source and apply its profile.
    """

    def __init__(
        self,
        model: str | Path | EmotionRecognizer | None = None,
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
        """Check the labels; nothing is fitted.

        Raises:
            LabelError: ``y`` has an emotion that is not among ``classes_``.
        """
        unknown = sorted({str(label) for label in (() if y is None else y)} - set(self.classes_))
        if unknown:
            raise LabelError(
                f"expected the model's emotions {', '.join(self.classes_)}, got "
                f"{', '.join(unknown)}; use EmotionClassifier to fit other emotions"
            )
        return self

    def predict(
        self,
        X: Any,  # noqa: N803
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[Any]:
        """Predict the most likely emotion of each recording, (recording,)."""
        scores = self.predict_proba(X, profile, adapt)
        labels: npt.NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return labels

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        profile: GivenProfile = None,
        adapt: bool | None = None,
    ) -> npt.NDArray[np.float64]:
        """Predict the score of each of ``classes_``, (recording, emotion); rows sum to one.

        Args:
            X: the recordings.
            profile: overrides the constructor's profile, unless None.
            adapt: overrides the constructor's value, unless None.

        Raises:
            AudioError: a recording cannot be used.
            UsageError: both a profile and ``adapt``, or another model's profile.
            ModelError: the model does not support profiles.
        """
        if count(X) is None:
            raise UsageError("expected a list of recordings, got a table; pass ['a.wav', 'b.wav']")
        profile = self.profile if profile is None else profile
        adapt = self.adapt if adapt is None else adapt
        if adapt and profile is not None:
            raise UsageError("expected adapt or profile, got both; pass only one")
        clips = waveforms(self, X, self.rate, reset=False)
        recognizer = self._recognizer().with_profile(profile)
        if adapt:
            clips = iter(source := list(clips))
            recognizer = recognizer.adapted(source, RATE)
        return np.array([self._scores(recognizer, samples) for samples in clips])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _scores(self, recognizer: EmotionRecognizer, samples: Floats) -> list[float]:
        """Score one clip (sample,) at 16 kHz, in the order of ``classes_``."""
        prediction = recognizer.predict(samples, rate=RATE)
        prediction = prediction if self.labels is None else prediction.among(self.labels)
        return [prediction.scores[str(name)] for name in self.classes_]

    def _recognizer(self) -> EmotionRecognizer:
        return self.model if isinstance(self.model, EmotionRecognizer) else load_model(self.model)


__all__ = [
    "EmotionClassifier",
    "PretrainedEmotionClassifier",
    "SourceStandardizer",
    "SpeechEmbedding",
]
