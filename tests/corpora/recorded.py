"""Recordings that differ from each other as speech does, and manifests of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from phonemo.corpora.manifest import Header, Manifest, Utterance, read_manifest, write_manifest

RATE = 16_000


def recorded(seed: int, seconds: float = 1.5) -> NDArray[np.float32]:
    """Noise whose spectrum changes every tenth of a second, (sample,), as 16-bit values."""
    draw = np.random.default_rng(seed)
    pieces = []
    for _ in range(int(seconds * 10)):
        spectrum = np.fft.rfft(draw.normal(size=RATE // 10))
        shape = np.interp(np.arange(len(spectrum)), np.linspace(0, 800, 24), draw.random(24) ** 3)
        pieces.append(np.fft.irfft(spectrum * shape))
    wave = np.concatenate(pieces)
    return (np.round(wave / np.abs(wave).max() * 16_000) / 32_768).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = RATE, **form: str) -> None:
    """Write audio; the container follows from the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **form)


def row(file: str, speaker: str | None = None, **values: object) -> Utterance:
    """An utterance named after its file."""
    fields = {"emotion": "anger", **values}
    return Utterance.model_validate({"id": file, "file": file, "speaker": speaker, **fields})


def manifest_of(folder: Path, rows: Sequence[Utterance], corpus: str = "toy") -> Manifest:
    """Write a manifest of recordings in its folder."""
    path = folder / f"{corpus}.jsonl"
    write_manifest(path, Header(corpus=corpus, root=".", phonemo="test"), rows)
    return read_manifest(path)
