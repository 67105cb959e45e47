"""A recorded turn of real speech, as the packets of an agent's input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from phonemo.runtime.recognizer import EmotionRecognizer
from tests.laws import REPOSITORY

Pcm = npt.NDArray[np.int16]

SAMPLES = REPOSITORY / "src" / "phonemo" / "web" / "samples"


def recorded_turn(name: str = "german", rate: int = 16_000, pause_seconds: float = 0.3) -> Pcm:
    """A sample of the page, (sample,), and the silence in which a turn's end is detected."""
    samples, own_rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")
    samples = soxr.resample(samples, own_rate, rate) if rate != own_rate else samples
    pause = np.zeros(int(pause_seconds * rate), dtype=np.float32)
    scaled = np.concatenate([samples, pause]) * 2**15
    return np.clip(np.round(scaled), -(2**15), 2**15 - 1).astype(np.int16)


def packets(pcm: Pcm, rate: int = 16_000, milliseconds: int = 20, channels: int = 1) -> list[bytes]:
    """Interleaved packets; every channel has the same samples."""
    size = rate * milliseconds // 1000
    pieces = (pcm[start : start + size] for start in range(0, len(pcm), size))
    return [np.repeat(piece, channels).tobytes() for piece in pieces]


class BrokenRecognizer:
    """A recognizer whose network fails with something that no caller expects."""

    window_seconds = 3.0
    abstain_below = 0.0

    def __getattr__(self, name: str) -> EmotionRecognizer:
        raise RuntimeError(f"the network broke in {name}")
