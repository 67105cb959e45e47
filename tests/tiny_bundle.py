"""The golden bundles, and the clips whose predictions are stored with them; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.runtime.bundle import Bundle, write_bundle
from phonemo.runtime.phonemes.language_model import PhonemeModel, packed_model

BUNDLE = Path(__file__).resolve().parent / "golden" / "tiny-bundle"
EXPECTED = BUNDLE / "expected.json"
#: A bundle that supports profiles; BUNDLE does not, like bundles of earlier versions.
ADAPTABLE = BUNDLE.parent / "tiny-adaptable"
ADAPTED = ADAPTABLE / "expected.json"
#: A bundle that shares the network of ADAPTABLE, with another head.
SHARED = BUNDLE.parent / "tiny-shared"
RATE = 16_000
#: Name -> samples and pitch in hertz. The first is shorter than the network's receptive field.
CLIPS = {"short": (401, 440.0), "odd": (16_001, 120.0), "long": (50_000, 900.0)}


def make_clip(samples: int, hertz: float) -> npt.NDArray[np.float32]:
    """A deterministic buzz that rises in pitch and loudness."""
    time = np.arange(samples) / RATE
    phase = 2 * np.pi * hertz * time * (1 + 0.3 * time)
    wave = 0.2 * np.sin(phase) + 0.1 * np.sign(np.sin(2.7 * phase))
    return (wave * (0.3 + time / time[-1])).astype(np.float32)


def alike(actual: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether two phoneme sequences are nearly equal; with int8 weights one may differ."""
    return SequenceMatcher(None, actual, expected, autojunk=False).ratio() > 0.9


def with_language_model(folder: Path, bundle: Bundle, model: PhonemeModel) -> Bundle:
    """The bundle with a phoneme language model, in a new folder."""
    says = bundle.card.model_dump(exclude={"sha256"})
    parts = (bundle.head, bundle.adaptation, packed_model(model))
    return write_bundle(folder, bundle.model, says, *parts)
