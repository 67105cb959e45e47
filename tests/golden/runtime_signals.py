"""Synthetic recordings that every language makes bit by bit: whole numbers, then one float32.

README.md in the folder ``runtime`` has the formula; only +, -, *, / and min of doubles are used.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 16_000
#: Loudness of a phrase's syllables of 0.3 s, which repeat.
LOUDNESS = (1.0, 0.6, 0.8, 0.4, 0.7)
SYLLABLE, RAMP, PHRASE = 4_800, 400, 48_000
#: The phrase of every four that is a pause.
PAUSE = 3


@dataclass(frozen=True)
class Signal:
    """A synthetic recording.

    Attributes:
        kind: a key of ``KINDS``.
        samples: its length at 16 kHz.
        step: phase steps per sample of 65,536 a period; 492 is 120 Hz.
        gain: its loudness.
        offset: a constant that is added.
    """

    kind: str
    samples: int
    step: int = 492
    gain: float = 0.5
    offset: float = 0.0

    def make(self) -> npt.NDArray[np.float32]:
        """The samples, (sample,)."""
        wave = KINDS[self.kind](self.samples, self.step)
        return (wave * self.gain + self.offset).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The parameters with the SHA-256 of the samples as little-endian float32."""
        samples = self.make()
        return asdict(self) | {
            "first": samples[:4].astype(float).tolist(),
            "sha256": hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest(),
        }


def triangle(phase: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A triangle from 1 over -1 back to 1 in 65,536 steps of phase."""
    return np.abs(phase % 65_536 - 32_768) / 16_384 - 1


def noise(samples: int, _: int = 0) -> npt.NDArray[np.float64]:
    """White noise of a linear congruential generator, from -1 to 1."""
    values, state = np.empty(samples), 1
    for number in range(samples):
        state = (1_664_525 * state + 1_013_904_223) % 2**32
        values[number] = state
    return values / 2_147_483_648 - 1


def voice(samples: int, step: int) -> npt.NDArray[np.float64]:
    """Syllables of changing pitch and loudness; every fourth phrase of 3 s is silent."""
    number = np.arange(samples, dtype=np.int64)
    syllable, inside = number // SYLLABLE, number % SYLLABLE
    steps = step + syllable % 7 * 60
    phase = inside * steps
    rise = np.minimum(1.0, np.minimum(inside, SYLLABLE - inside) / RAMP)
    loud = np.array(LOUDNESS)[syllable % 5] * (number // PHRASE % 4 != PAUSE)
    wave = triangle(phase) * 0.6 + triangle(3 * phase) * 0.3 + noise(samples) * 0.1
    return wave * (rise * loud)


def hissing(samples: int, step: int) -> npt.NDArray[np.float64]:
    """A voice in steady noise, which a quiet recording's voice activity needs."""
    return voice(samples, step) + noise(samples) * 0.02


def silence(samples: int, _: int) -> npt.NDArray[np.float64]:
    """Zeros."""
    return np.zeros(samples)


def square(samples: int, step: int) -> npt.NDArray[np.float64]:
    """A square wave, which clips where its gain is 1."""
    phase = np.arange(samples, dtype=np.int64) * step % 65_536
    return np.where(phase < 32_768, 1.0, -1.0)


KINDS = {"voice": voice, "hissing": hissing, "noise": noise, "silence": silence, "square": square}

#: The recordings of the files, by name.
SIGNALS: dict[str, Signal] = {
    "empty": Signal("voice", 0),
    "one": Signal("voice", 1),
    "below_frame": Signal("voice", 399),
    "frame": Signal("voice", 400),
    "below_field": Signal("voice", 719),
    "field": Signal("voice", 720),
    "odd": Signal("voice", 16_001, 901),
    "second": Signal("voice", 16_000),
    "three_seconds": Signal("voice", 48_000, 1_311),
    "below_whole": Signal("voice", 479_840, 700),
    "whole": Signal("voice", 480_000, 700),
    "above_whole": Signal("voice", 480_160, 700),
    "long": Signal("voice", 1_520_000, 820),
    "quiet": Signal("voice", 48_000, 1_311, 0.001),
    "faint": Signal("voice", 48_000, 1_311, 0.0001),
    "whisper": Signal("hissing", 240_000, 1_311, 0.001),
    "silence": Signal("silence", 32_000),
    "constant": Signal("silence", 32_000, offset=0.25),
    "dc": Signal("voice", 48_000, 1_311, 0.5, 0.05),
    "clipped": Signal("square", 32_000, 1_100, 1.0),
    "noise": Signal("noise", 48_000, gain=0.01),
}
