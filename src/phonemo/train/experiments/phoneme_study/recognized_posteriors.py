"""Posteriors of a bundle's phoneme head, for corpora of too few sentences to fit an aligner on.

A layer fitted on two sentences can spell them without recognizing a sound, because the frames it
reads have attended to the whole recording. On RAVDESS such a layer gave a median ə of 560 ms and a
median k of 20 ms. A head that was trained on other speech cannot do that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.audio.frames import FrameGrid
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import ModelError
from phonemo.evaluation.calibration import log_softmax
from phonemo.runtime.onnx_recognizer import OnnxRecognizer

Posteriors = Callable[[Utterance], npt.NDArray[np.float64]]


def posteriors_of(
    bundle: Path, manifest: Manifest, inventory: PhonemeInventory, grid: FrameGrid
) -> Posteriors:
    """Return a function that computes an utterance's log posteriors, (frame, phoneme).

    Args:
        bundle: a folder of ``phonemo export``.
        manifest: locates the recordings.
        inventory: the phonemes to align.
        grid: the frames to align them with.

    Raises:
        CheckpointError: no bundle.
        ModelError: its phonemes or its frames are others.
    """
    recognizer = OnnxRecognizer.load(bundle, threads=1)
    card = recognizer.card
    found = card.inventory and PhonemeInventory.from_json(card.inventory.model_dump())
    if found != inventory:
        raise ModelError(
            f"{bundle}: expected a phoneme head with all {len(inventory) - 1} IPA phonemes, got "
            f"{f'{len(found) - 1} of {found.name}' if found else 'none'}; name another aligner"
        )
    if card.grid != grid:
        raise ModelError(
            f"{bundle}: expected frames as the backbone's, every {grid.hop_samples} samples, got "
            f"{card.grid.hop_samples}; name another aligner"
        )

    def posteriors(row: Utterance) -> npt.NDArray[np.float64]:
        logits = recognizer.logits(np.array(load_utterance(manifest, row).samples)).phonemes
        assert logits is not None  # the card has an inventory
        return np.asarray(log_softmax(logits), dtype=np.float64)

    return posteriors
