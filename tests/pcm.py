"""Raw streams for tests: a synthetic voice, and samples in every encoding."""

from __future__ import annotations

import numpy as np

from phonemo.audio.pcm import ENCODINGS

_TYPES = {"s16le": "<i2", "s16be": ">i2", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}


def voice(samples: int, hertz: float = 120.0, rate: int = 16_000) -> np.ndarray:
    """Harmonics with formants, syllables and a little noise, (sample,) float64."""
    time = np.arange(samples) / rate
    pitch = 2 * np.pi * hertz * (time + 0.02 * np.sin(2 * np.pi * 3 * time))
    sound = sum(np.sin(n * pitch) / (1 + ((n * hertz - 500) / 300) ** 2) for n in range(1, 25))
    syllables = 0.15 * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))
    noise = np.random.default_rng(5).standard_normal(samples)
    return syllables * sound + 0.002 * noise


def encode_pcm(samples: np.ndarray, encoding: str) -> bytes:
    """Encode float samples with a full scale of 1."""
    clipped = np.clip(samples, -1, 1 - 2**-15)
    if encoding in ("mulaw", "alaw"):
        table = ENCODINGS[encoding].decode(bytes(range(256)))
        order = np.argsort(table, kind="stable")
        levels = table[order]
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, clipped)
        return order[nearest].astype(np.uint8).tobytes()
    if encoding == "s24le":
        wide = np.round(clipped * 2**23).astype("<i4").view(np.uint8)
        return wide.reshape(-1, 4)[:, :3].tobytes()
    kind = np.dtype(_TYPES[encoding])
    if kind.kind == "f":
        return clipped.astype(kind).tobytes()
    return np.round(clipped * 2 ** (8 * kind.itemsize - 1)).astype(kind).tobytes()
