"""Augmentation of speech crops: speed, tone, level and noise.

It imitates other voices, microphones and rooms, since there is little speech to train on.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from phonemo.audio import RATE
from phonemo.train.dataset import Samples, equalized
from phonemo.train.pretrain.pretrain_config import AugmentationConfig

_SNR_RANGE_DB = 45.0


def change(
    samples: Samples, size: int, config: AugmentationConfig, draw: np.random.Generator
) -> Samples:
    """Augment a crop (sample,) to ``size`` samples; each change applies to half of the crops.

    Args:
        samples: at least ``needed`` samples.
        size: length of the result in samples.
        config: the largest changes.
        draw: the random generator.
    """
    if draw.random() < 0.5 and config.speed > 0:
        factor = 1 + draw.uniform(-config.speed, config.speed)
        samples = soxr.resample(samples, RATE * factor, RATE, quality="MQ")
    samples = np.asarray(samples[:size], dtype=np.float32)
    if draw.random() < 0.5 and config.tone_db > 0:
        samples = equalized(samples, config.tone_db, draw)
    if draw.random() < 0.5 and config.gain_db > 0:
        first_db, last_db = draw.uniform(-config.gain_db / 2, config.gain_db / 2, 2)
        rise_db = np.linspace(first_db, last_db, len(samples))
        samples = samples * (10 ** (rise_db / 20)).astype(np.float32)
    if draw.random() < 0.5 and config.noise_snr_db is not None:
        samples = samples + _noise(samples, config.noise_snr_db, draw)
    return samples


def needed(size: int, config: AugmentationConfig) -> int:
    """Return how many samples leave ``size`` at the highest speed."""
    return int(size * (1 + config.speed)) + RATE // 100


def _noise(samples: Samples, lowest_db: float, draw: np.random.Generator) -> Samples:
    """Return noise between white and brown, at a random ratio below the samples' level."""
    spectrum = np.fft.rfft(draw.standard_normal(len(samples)))
    hertz = np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 50.0)
    noise = np.fft.irfft(spectrum * hertz ** -draw.uniform(0, 1), len(samples))
    ratio_db = draw.uniform(lowest_db, lowest_db + _SNR_RANGE_DB)
    scale = _level(samples) / max(_level(noise), 1e-12) * 10 ** (-ratio_db / 20)
    return (noise * scale).astype(np.float32)


def _level(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))
