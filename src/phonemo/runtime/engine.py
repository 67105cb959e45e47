"""Emotions from recordings without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.errors import CheckpointError
from phonemo.runtime.alignment import heard_spans
from phonemo.runtime.bundle import Bundle, BundleCard, open_bundle, packaged
from phonemo.runtime.graph import Graph
from phonemo.runtime.listener import Listener
from phonemo.runtime.windows import Heard, Samples

Floats = npt.NDArray[np.float64]


class Recognizer(Listener):
    """A bundle that answers for recordings, in windows of the length that the bundle says.

    Args:
        bundle: an opened bundle.
        threads: how many threads one clip may use; None leaves it to onnxruntime.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.card: BundleCard = bundle.card
        self.window_seconds = bundle.card.window_seconds
        self.abstain_below = bundle.card.abstain_below
        try:
            self.graph = Graph(bundle.model, threads)
        except CheckpointError as error:
            raise CheckpointError(f"{bundle.folder}: {error}") from error
        self._check_fit(bundle.folder)

    @classmethod
    def load(cls, folder: str | Path | None = None, threads: int | None = None) -> Recognizer:
        """From a bundle's folder, or without one from the bundle that ships with phonemo.

        Raises:
            CheckpointError: it is no bundle, or it is broken; or none ships with this copy.
        """
        return cls(open_bundle(packaged() if folder is None else folder), threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the scores."""
        return self.card.labels

    def _hear(self, samples: Samples) -> Heard:
        found = self.graph.hear(samples, self.card.fewest_samples)
        scores = np.exp(log_softmax(found.emotions / self.card.temperature))
        spans = None
        if self.card.inventory is not None and found.phonemes is not None:
            symbols = self.card.inventory.symbols
            spans = heard_spans(log_softmax(found.phonemes), symbols, self.card.grid, len(samples))
        return Heard(scores, spans)

    def _check_fit(self, folder: Path) -> None:
        inventory = self.card.inventory
        said = (len(self.card.labels), None if inventory is None else len(inventory.symbols))
        emotions, symbols = self.graph.emotions, self.graph.symbols
        if (inventory is not None) != self.graph.has_phonemes or said != (
            emotions or said[0],
            symbols or said[1],
        ):
            raise CheckpointError(
                f"{folder}: its card has {said[0]} labels and {said[1] or 'no'} phoneme symbols, "
                f"its network {emotions} and {symbols or 'no'}; export the model again"
            )


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Logarithms of the probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
