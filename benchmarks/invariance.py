"""How much phonemo-small's scores change with irrelevant changes to real clips.

    python benchmarks/invariance.py [CLIPS]        default: 120

Every clip is predicted unchanged (float32 at its own level) and with another container, rate,
level, an offset, or silence in front. Printed are the median and the largest difference of any
score, and the number of changed labels.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from measuring import machine, real_clips

import phonemo
from phonemo.audio import RATE
from phonemo.runtime.recognizer import EmotionRecognizer

CLIPS = 120
Change = Callable[[np.ndarray], object]


def coded(kind: str, subtype: str) -> Change:
    """Encode as a file."""

    def change(clip: np.ndarray) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, clip, RATE, format=kind, subtype=subtype)
        return file.getvalue()

    return change


def at_rate(rate: int) -> Change:
    """Resample to another rate, as float32."""

    def change(clip: np.ndarray) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, soxr.resample(clip, RATE, rate), rate, format="WAV", subtype="FLOAT")
        return file.getvalue()

    return change


def louder(decibels: float) -> Change:
    """Change the level, as float32 without clipping."""
    return lambda clip: coded("WAV", "FLOAT")(clip * np.float32(10 ** (decibels / 20)))


def behind(seconds: float) -> Change:
    """Prepend digital silence."""
    silence = np.zeros(round(seconds * RATE), np.float32)
    return lambda clip: coded("WAV", "FLOAT")(np.concatenate([silence, clip]))


def channels(count: int) -> Change:
    """Repeat the clip in several channels."""
    return lambda clip: coded("WAV", "FLOAT")(np.repeat(clip[:, None], count, axis=1))


CHANGES: dict[str, Change] = {
    "wav, float32": coded("WAV", "FLOAT"),
    "2 channels": channels(2),
    "7 channels": channels(7),
    "flac, 24 bits": coded("FLAC", "PCM_24"),
    "wav, 16 bits": coded("WAV", "PCM_16"),
    "wav, 8 bits": coded("WAV", "PCM_U8"),
    "wav, mu-law": coded("WAV", "ULAW"),
    "mp3": coded("MP3", "MPEG_LAYER_III"),
    "ogg vorbis": coded("OGG", "VORBIS"),
    "ogg opus": coded("OGG", "OPUS"),
    "48 kHz": at_rate(48_000),
    "44.1 kHz": at_rate(44_100),
    "22.05 kHz": at_rate(22_050),
    "8 kHz, as a telephone": at_rate(8_000),
    "20 dB louder": louder(20),
    "20 dB softer": louder(-20),
    "40 dB softer": louder(-40),
    "an offset of 0.1": lambda clip: coded("WAV", "FLOAT")(clip + np.float32(0.1)),
    "0.1 s of silence in front": behind(0.1),
    "0.5 s of silence in front": behind(0.5),
    "1 s of silence in front": behind(1.0),
    "2 s of silence in front": behind(2.0),
}


def main(count: int) -> int:
    """Print a line for each change; return the exit status."""
    clips = real_clips(count)
    model = phonemo.load()
    print(f"{machine()}; phonemo-small, int8; {len(clips)} clips")
    print(f"  {'':26} median   largest  labels")
    reference = scores(model, [coded("WAV", "FLOAT")(clip) for clip in clips])
    for name, change in CHANGES.items():
        changed = scores(model, [change(clip) for clip in clips])
        differences = np.abs(changed - reference).max(axis=1)
        labels = int((changed.argmax(axis=1) != reference.argmax(axis=1)).sum())
        print(
            f"  {name:26} {np.median(differences):.5f}  {differences.max():.5f}  {labels}",
            flush=True,
        )
    return 0


def scores(model: EmotionRecognizer, sources: list[object]) -> np.ndarray:
    """Compute scores, (clip, emotion)."""
    predictions = model.predict_many(sources)  # type: ignore[arg-type]
    return np.array([list(row.scores.values()) for row in predictions])  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS))
