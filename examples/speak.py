"""Synthesize a nonsense sentence in four moods with a small formant synthesizer, to try phonemo.

    python examples/speak.py FOLDER

Writes anger.wav, happiness.wav, neutral.wav and sadness.wav. The voice is synthetic: a pulse train
through five resonators (Klatt 1980), with the pitch, rate, level and brightness typical of these
moods (Juslin and Laukka 2003). It is not a speech corpus or a test: a model's predictions show that
the model runs, not that it is correct.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
#: Formants in hertz of an adult voice (Peterson and Barney 1952), and of nasals.
FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "m": (250, 1100, 2100),
    "n": (250, 1500, 2500),
}
SENTENCE = "mano nemu mina o namane mi una"
BANDWIDTHS = (80, 100, 140, 250, 300)


@dataclass(frozen=True)
class Mood:
    """Speaking style: pitch in hertz and semitones, seconds per sound, level, tilt."""

    pitch: float
    range_semitones: float
    sound_seconds: float
    level: float
    tilt: float


MOODS = {
    "anger": Mood(230, 9, 0.075, 0.9, 0.55),
    "happiness": Mood(260, 11, 0.085, 0.6, 0.75),
    "neutral": Mood(150, 4, 0.095, 0.3, 0.90),
    "sadness": Mood(130, 2, 0.140, 0.12, 0.97),
}


def speak(mood: Mood, seed: int = 0) -> NDArray[np.float32]:
    """Synthesize the sentence in a mood: (sample,), 16 kHz, full scale at 1."""
    draw = np.random.default_rng(seed)
    sounds = [letter for letter in SENTENCE if letter != " "]
    size = int(mood.sound_seconds * RATE)
    formants = np.concatenate([np.tile(_five(letter), (size, 1)) for letter in sounds])
    formants = _smooth(formants, size // 2)
    voice = _source(_pitch(len(formants), mood, draw), mood.tilt, draw)
    for number, bandwidth in enumerate(BANDWIDTHS):
        voice = _resonator(voice, formants[:, number], bandwidth)
    loud = np.repeat([0.45 if letter in "mn" else 1.0 for letter in sounds], size)
    voice *= _smooth(loud[:, None], size // 3)[:, 0]
    ramp = np.minimum(1, np.arange(len(voice)) / (0.02 * RATE))
    voice *= ramp * ramp[::-1]
    silence = draw.normal(0, 1e-4, RATE // 4)
    voice = mood.level * voice / np.abs(voice).max()
    return np.concatenate([silence, voice, silence]).astype(np.float32)


def _five(letter: str) -> tuple[float, ...]:
    return (*FORMANTS[letter], 3300.0, 3750.0)


def _pitch(samples: int, mood: Mood, draw: np.random.Generator) -> NDArray[np.float64]:
    """Accents over a falling line, with the jitter of a natural voice."""
    place = np.linspace(0, 1, samples)
    accents = np.interp(place, np.linspace(0, 1, 9), draw.uniform(-0.5, 0.5, 9))
    shimmer = _smooth(draw.normal(0, 0.6, (samples, 1)), 200)[:, 0]
    semitones = mood.range_semitones * (accents + 0.35 - 0.7 * place) + shimmer
    return mood.pitch * 2 ** (semitones / 12)


def _source(
    pitch: NDArray[np.float64], tilt: float, draw: np.random.Generator
) -> NDArray[np.float64]:
    """Glottal pulses with some breath, low-pass filtered: higher ``tilt`` is darker."""
    turns = np.floor(np.cumsum(pitch) / RATE)
    pulses = np.diff(turns, prepend=0.0) + draw.normal(0, 0.01, len(pitch))
    dark, previous = np.empty_like(pulses), 0.0
    for number, pulse in enumerate(pulses):
        previous = tilt * previous + (1 - tilt) * pulse
        dark[number] = previous
    return np.diff(dark, prepend=0.0)


def _resonator(
    signal: NDArray[np.float64], hertz: NDArray[np.float64], bandwidth: float
) -> NDArray[np.float64]:
    """Klatt's digital resonator, with a frequency for every sample."""
    c = -np.exp(-2 * np.pi * bandwidth / RATE)
    b = 2 * np.exp(-np.pi * bandwidth / RATE) * np.cos(2 * np.pi * hertz / RATE)
    output = np.zeros(len(signal) + 2)
    for number, value in enumerate(signal):
        gain = 1 - b[number] - c
        output[number + 2] = gain * value + b[number] * output[number + 1] + c * output[number]
    return output[2:]


def _smooth(curves: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Moving average along the samples of (sample, curve), with edge padding."""
    width = 2 * (samples // 2) + 1
    padded = np.pad(curves, ((width // 2, width // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    return (total[width:] - total[:-width]) / width


def main(folder: Path, tell: bool = True) -> None:
    """Write one file per mood."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mood in MOODS.items():
        path = folder / f"{name}.wav"
        soundfile.write(path, speak(mood), RATE, subtype="PCM_16")
        if tell:
            print(f"{path} (synthetic)")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "work/spoken"))
