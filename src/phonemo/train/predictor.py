"""A trained network that answers for recordings."""

from __future__ import annotations

from pathlib import Path

import torch

from phonemo.audio import Source, Waveform, load_waveform
from phonemo.model.heads import best_path
from phonemo.prediction import Prediction
from phonemo.runtime.windows import Heard, Samples, cut, merge
from phonemo.train.batches import pad_audio
from phonemo.train.folder import Trained, load_trained


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

    def predict(self, audio: Source, rate: int | None = None) -> Prediction:
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
        heard = [self._hear(window) for window in cut(waveform.samples)]
        return merge(waveform, self.trained.labels.names, heard)

    def _hear(self, samples: Samples) -> Heard:
        with torch.inference_mode():
            output = self.trained.model(**pad_audio([samples]))
        scores = output.logits[0].double().softmax(dim=0).numpy()
        phonemes = None
        if output.phoneme_logits is not None and self.trained.inventory is not None:
            (found,) = best_path(output.phoneme_logits, output.frames)
            phonemes = self.trained.inventory.decode(found)
        return Heard(scores, phonemes)
