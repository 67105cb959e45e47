"""A trained network that answers for recordings."""

from __future__ import annotations

from pathlib import Path

import torch

from phonemo.model.heads import best_path
from phonemo.runtime.listener import Listener
from phonemo.runtime.windows import Heard, Samples
from phonemo.train.batches import pad_audio
from phonemo.train.folder import Trained, load_trained


class Predictor(Listener):
    """A model folder that answers for recordings, with torch."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """From a model folder that ``phonemo train`` wrote; CheckpointError if it is not one."""
        return cls(load_trained(folder))

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the scores."""
        return self.trained.labels.names

    def _hear(self, samples: Samples) -> Heard:
        with torch.inference_mode():
            output = self.trained.model(**pad_audio([samples]))
        scores = output.logits[0].double().softmax(dim=0).numpy()
        phonemes = None
        if output.phoneme_logits is not None and self.trained.inventory is not None:
            (found,) = best_path(output.phoneme_logits, output.frames)
            phonemes = self.trained.inventory.decode(found)
        return Heard(scores, phonemes)
