"""Whether the level of a recording moves its arousal: the same clips louder and quieter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from phonemo.audio import Waveform
from phonemo.corpora.recordings import load_utterance
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.transfer.corpora import Corpus

#: Gains in decibels.
GAINS = (-20.0, 10.0)
_CLIPS = 10


def level_changes(corpora: Sequence[Corpus]) -> dict[str, Any]:
    """How far arousal and valence of the shipped model move with the level.

    Args:
        corpora: the clips are taken from them at equal distances, equally many of each.
    """
    recognizer = OnnxRecognizer.load()
    waveforms = list(_waveforms(corpora))
    before = np.array([_values(recognizer, waveform) for waveform in waveforms])
    changes = []
    for gain in GAINS:
        factor = np.float32(10 ** (gain / 20))
        moved = [replace(one, samples=one.samples * factor) for one in waveforms]
        after = np.array([_values(recognizer, waveform) for waveform in moved])
        largest = np.abs(after - before).max(axis=0)
        mean = np.abs(after - before).mean(axis=0)
        changes.append({"gain": gain, "largest": largest.tolist(), "mean": mean.tolist()})
    return {"model": recognizer.card.name, "clips": len(waveforms), "changes": changes}


def _waveforms(corpora: Sequence[Corpus]) -> Iterator[Waveform]:
    for corpus in corpora:
        for index in np.linspace(0, len(corpus.utterances) - 1, _CLIPS).astype(int):
            yield load_utterance(corpus.manifest, corpus.utterances[index])


def _values(recognizer: OnnxRecognizer, waveform: Waveform) -> list[float]:
    dimensions = recognizer.predict_waveform(waveform).dimensions
    assert dimensions is not None
    return [dimensions.values["arousal"], dimensions.values["valence"]]
