"""Speech emotion recognition with torch, from a model folder."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from phonemo.audio.levels import boost_quiet
from phonemo.errors import CheckpointError
from phonemo.evaluation.calibration import softmax
from phonemo.files import CHECKSUMS
from phonemo.runtime.parts.dimensions import derived_reader, trained_reader
from phonemo.runtime.phonemes.attribution import add_attribution
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples
from phonemo.train.calibrate import stored_calibration
from phonemo.train.dataset import pad_audio
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import LoadedModel, load_trained


class TorchRecognizer(EmotionRecognizer):
    """Recognizes emotions with the torch model in a model folder."""

    def __init__(self, trained: LoadedModel) -> None:
        self.trained = trained
        self.calibrated = stored_calibration(trained.model)
        self.abstain_below = self.calibrated.abstain_below
        self.reference = reference_of(trained.model)
        rated = trained.model.config.dimensions
        self.dimensions = (
            trained_reader(self.labels, rated) if rated else derived_reader(self.labels)
        )

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None) -> TorchRecognizer:
        """Open a model folder of ``phonemo train``; raise CheckpointError if it is not one.

        Args:
            folder: the model.
            threads: torch's threads, for the whole process; None leaves them unchanged.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(load_trained(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model's folder and the options; unpickling opens the folder again."""
        folder = self.trained.folder.absolute()
        options = {
            name: value for name, value in self.__dict__.items() if name not in _LOADED_ATTRIBUTES
        }
        return _reopened, (type(self), folder, _digest(folder), options)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the emotions, in the order of the scores."""
        return self.trained.labels.names

    def _recognize_clip(self, samples: Samples, options: PredictOptions) -> ClipScores:
        leveled = boost_quiet(samples) if self.trained.model.config.normalise else samples
        with torch.inference_mode():
            output = self.trained.model(**pad_audio([leveled]), calibrated=False)
            logits = output.logits if self._affine is None else self._mapped(output.vector)
        scores = softmax(logits[0].numpy() / self.calibrated.temperature)
        spans = None
        if output.phoneme_logits is not None and self.trained.inventory is not None:
            posteriors = output.phoneme_logits[0, : int(output.frames[0])].double().log_softmax(1)
            grid = self.trained.model.backbone.grid
            symbols = self.trained.inventory.symbols
            spans = self.phoneme_decoder.spans(posteriors.numpy(), symbols, grid, samples)
            if options.shares and spans:
                features = output.features[:, : int(output.frames[0])]
                decide = partial(self._decide, features)
                spans = add_attribution(spans, decide, grid, *features.shape[1:])
        values = None if output.dimensions is None else output.dimensions[0].double().numpy()
        return ClipScores(scores, spans, vector=output.vector[0].numpy(), dimensions=values)

    def _decide(self, features: Tensor, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating]:
        """Return probabilities (batch, emotion) for one clip with some of its frames left out."""
        keep = torch.from_numpy(kept)
        with torch.inference_mode():
            rows = features.expand(len(keep), -1, -1)
            logits, pooled = self.trained.model.classify_frames(rows, torch.ones_like(keep), keep)
            logits = logits if self._affine is None else self._mapped(pooled.vector)
        return softmax(logits.numpy() / self.calibrated.temperature)

    def _mapped(self, vector: Tensor) -> Tensor:
        """Map vectors (batch, feature) to logits (batch, emotion) under the applied profile."""
        assert self._affine is not None
        scale, shift = (torch.from_numpy(part).float() for part in self._affine)
        logits: Tensor = self.trained.model.head(vector * scale + shift)
        return logits


#: Attributes that come from the model folder, and are not pickled.
_LOADED_ATTRIBUTES = frozenset({"trained", "calibrated", "reference", "dimensions"})


def _reopened(
    kind: type[TorchRecognizer], folder: Path, digest: str, options: dict[str, Any]
) -> TorchRecognizer:
    """Open the folder of a pickled recognizer; CheckpointError where it is gone or another."""
    if _digest(folder) != digest:
        raise CheckpointError(
            f"{folder}: the model has changed since the recognizer was pickled; load it again"
        )
    recognizer = kind(load_trained(folder))
    recognizer.__dict__.update(options)
    return recognizer


def _digest(folder: Path) -> str:
    """SHA-256 of the file that lists the hashes of all others."""
    try:
        return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{folder}: expected the model folder of a pickled recognizer; put it back, or load "
            "the model in this process"
        ) from error
