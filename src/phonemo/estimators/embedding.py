"""Recordings as vectors: the mean and the deviation of any layer of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from phonemo.audio import RATE
from phonemo.errors import UsageError
from phonemo.estimators.layers import NamedLayers, checked, layers_of
from phonemo.estimators.recordings import Floats, waveforms

#: How the frames of a recording become one vector.
STATISTICS = ("mean", "mean_std")
#: Longer recordings are heard in stretches of equal length: attention grows with its square.
_WHOLE_SECONDS = 30.0


class SpeechEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Recordings to vectors, by a layer of a network that is not trained any more.

    X is what ``phonemo.estimators.recordings.waveforms`` takes: paths, bytes, arrays, pairs of
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
