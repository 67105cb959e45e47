"""A trained network that answers for recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from phonemo.audio import RATE, Waveform, load_waveform
from phonemo.model.heads import best_path
from phonemo.prediction import Prediction
from phonemo.train.batches import pad_audio
from phonemo.train.folder import Trained, load_trained

#: The longest stretch heard at once: attention grows with the square of the length. (Evaluation
#: hears each utterance whole, as the field does.)
WINDOW_SECONDS = 30


class Predictor:
    """Emotions from files, bytes or arrays, with torch.

    A recording longer than 30 s is cut into equal windows of at most that; its scores are the
    windows' mean, and it carries the warning "windowed".
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """From a model folder that ``phonemo train`` wrote; CheckpointError if it is not one."""
        return cls(load_trained(folder))

    def predict(
        self,
        audio: str | Path | bytes | BinaryIO | NDArray[np.generic],
        rate: int | None = None,
    ) -> Prediction:
        """The emotion of one recording.

        Args:
            audio: a path, the bytes or an open binary file of one, or samples (sample,) or
                (channel, sample).
            rate: samples per second, for an array.

        Raises:
            AudioError: the recording cannot be used.
        """
        return self.predict_waveform(load_waveform(audio, rate=rate))

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """The emotion of decoded audio."""
        windows = list(_windows(waveform.samples))
        heard = [self._hear(window) for window in windows]
        shares = np.mean([scores for scores, _ in heard], axis=0)
        names = self.trained.labels.names
        phonemes = None
        if self.trained.inventory is not None:
            indices = [index for _, found in heard for index in found]
            phonemes = self.trained.inventory.decode(indices)
        return Prediction(
            label=names[int(np.argmax(shares))],
            scores={name: float(share) for name, share in zip(names, shares, strict=True)},
            seconds=waveform.seconds,
            phonemes=phonemes,
            warnings=(*waveform.warnings, *(("windowed",) if len(windows) > 1 else ())),
        )

    def _hear(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float64], list[int]]:
        with torch.inference_mode():
            output = self.trained.model(**pad_audio([samples]))
        scores = output.logits[0].double().softmax(dim=0).numpy()
        found: list[int] = []
        if output.phoneme_logits is not None:
            found = best_path(output.phoneme_logits, output.frames)[0]
        return scores, found


def _windows(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    count = -(-len(samples) // (WINDOW_SECONDS * RATE))
    yield from np.array_split(samples, max(1, count))
