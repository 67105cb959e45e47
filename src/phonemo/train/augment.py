"""Random changes to training data, each drawn by (seed, epoch, utterance id) alone.

The global random state is never touched: a resumed run draws what the uninterrupted one drew,
whatever the order of the utterances.
"""

from __future__ import annotations

import hashlib

import numpy as np
import soxr
from numpy.typing import NDArray

from phonemo.audio import RATE
from phonemo.config import AugmentConfig

Samples = NDArray[np.float32]

#: Frequencies in hertz at which the random equaliser is drawn; between them it is interpolated.
_KNOTS = (0, 150, 300, 600, 1200, 2400, 4800, 8000)


def generator(seed: int, epoch: int, utterance: str) -> np.random.Generator:
    """The random numbers of one utterance in one epoch."""
    key = hashlib.sha256(f"{seed}/{epoch}/{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:16], "little"))


def crop(samples: Samples, most: int, draw: np.random.Generator) -> Samples:
    """A random stretch of at most ``most`` samples; the same array if it is short enough."""
    if len(samples) <= most:
        return samples
    start = int(draw.integers(0, len(samples) - most + 1))
    return samples[start : start + most]


def change_audio(samples: Samples, config: AugmentConfig, draw: np.random.Generator) -> Samples:
    """Speed, tone, noise and level, in this order; the same array where none is asked for."""
    if config.speed > 0:
        factor = 1 + draw.uniform(-config.speed, config.speed)
        samples = np.asarray(
            soxr.resample(samples, RATE * factor, RATE, quality="MQ"), dtype=np.float32
        )
    if config.tone_db > 0:
        samples = equalised(samples, config.tone_db, draw)
    if config.noise_snr_db is not None:
        samples = _noisy(samples, config.noise_snr_db, draw)
    if config.gain_db > 0:
        gain = 10 ** (draw.uniform(-config.gain_db, config.gain_db) / 20)
        samples = samples * np.float32(gain)
    return samples


def equalised(samples: Samples, most_db: float, draw: np.random.Generator) -> Samples:
    """Samples (sample,) through a smooth equaliser, drawn between plus and minus ``most_db``."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    decibels = np.interp(hertz, _KNOTS, draw.uniform(-most_db, most_db, len(_KNOTS)))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), len(samples)).astype(np.float32)


def draw_spans(
    frames: int, config: AugmentConfig, draw: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """SpecAugment spans: ``time`` (span, 2) in frames, ``feature`` (span, 2) as shares.

    Widths are uniform from none to the config's largest; a time span never covers more than a
    fifth of the clip, so that short clips keep their speech.
    """
    spans = {}
    if config.time_masks:
        longest = min(config.time_mask_frames, frames // 5)
        spans["time"] = _spans(config.time_masks, frames, longest, draw)
    if config.feature_masks:
        # drawn on a grid of 512 features: shares, so that streams of any width can use them
        grid = 512
        drawn = _spans(config.feature_masks, grid, config.feature_mask_width, draw)
        spans["feature"] = drawn / np.float32(grid)
    return spans


def _noisy(samples: Samples, lowest_db: float, draw: np.random.Generator) -> Samples:
    ratio_db = draw.uniform(lowest_db, lowest_db + 30)
    level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-ratio_db / 20)
    noise: Samples = draw.normal(0, level, len(samples)).astype(np.float32)
    return samples + noise


def _spans(count: int, size: int, longest: int, draw: np.random.Generator) -> NDArray[np.float32]:
    widths = draw.integers(0, min(longest, size) + 1, count)
    starts = draw.integers(0, size - widths + 1)
    return np.stack([starts, starts + widths], axis=1).astype(np.float32)
