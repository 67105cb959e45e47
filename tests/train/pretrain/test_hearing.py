"""Each change by itself does what it says, as far as it may and no further."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.train.pretrain.crops import change, needed
from phonemo.train.pretrain.pretrain_config import AugmentationConfig

RATE = 16_000
SIZE = 8000
OFF = {"speed": 0.0, "tone_db": 0.0, "noise_snr_db": None, "gain_db": 0.0}
DRAWS = 60


def make_samples(size: int = SIZE) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(size)).astype(np.float32)


def augmented(samples: np.ndarray, **settings: float | None) -> list[np.ndarray]:
    """What many draws make of the same samples; those that were changed."""
    config = AugmentationConfig(**(OFF | settings))
    before = samples.copy()
    crops = [change(samples, SIZE, config, np.random.default_rng(seed)) for seed in range(DRAWS)]
    assert np.array_equal(samples, before), "what is given is not written into"
    for clip in crops:
        assert clip.shape == (SIZE,)
        assert clip.dtype == np.float32
    changed = [crop for crop in crops if not np.array_equal(crop, samples[:SIZE])]
    assert DRAWS / 4 < len(changed) < 3 * DRAWS / 4, "about half of the crops"
    return changed


def decibels(ratio: np.ndarray | float) -> np.ndarray:
    return 20 * np.log10(ratio)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_disabled_augmentation_changes_nothing():
    config = AugmentationConfig(**OFF)
    samples = make_samples(needed(SIZE, config))
    for seed in range(20):
        changed = change(samples, SIZE, config, np.random.default_rng(seed))
        assert np.array_equal(changed, samples[:SIZE])
        assert changed.dtype == np.float32


@pytest.mark.parametrize("lowest_db", [5.0, -3.0])
def test_noise_is_quieter_by_the_drawn_ratio(lowest_db):
    samples = make_samples()
    ratios = [
        decibels(rms(samples) / rms(crop - samples))
        for crop in augmented(samples, noise_snr_db=lowest_db)
    ]
    assert min(ratios) >= lowest_db - 0.1
    assert max(ratios) <= lowest_db + 45.1
    assert np.ptp(ratios) > 25, "drawn over the whole range"


def test_noise_is_between_white_and_brown():
    samples = make_samples()
    slopes = []
    for crop in augmented(samples, noise_snr_db=0.0):
        power = np.abs(np.fft.rfft(crop - samples)) ** 2
        hertz = np.fft.rfftfreq(SIZE, 1 / RATE)
        low, high = ((hertz > a) & (hertz < b) for a, b in ((200, 400), (3200, 6400)))
        slopes.append(10 * np.log10(power[high].mean() / power[low].mean()) / 4)
    assert min(slopes) > -7, "6 dB an octave is the steepest"
    assert max(slopes) < 1
    assert np.ptp(slopes) > 3


def test_gain_rises_or_falls_evenly_within_its_limits():
    samples = np.where(make_samples() >= 0, 0.1, -0.1).astype(np.float32)
    for crop in augmented(samples, gain_db=6.0):
        level = decibels(crop / samples)
        assert np.abs(level[[0, -1]]).max() <= 3.001
        np.testing.assert_allclose(level, np.linspace(level[0], level[-1], SIZE), atol=1e-3)


def test_the_equalizer_is_smooth_and_bounded():
    samples = make_samples()
    for crop in augmented(samples, tone_db=8.0):
        level = decibels(np.abs(np.fft.rfft(crop) / np.fft.rfft(samples)))
        assert np.abs(level).max() <= 8.05
        assert np.ptp(level) > 1
        assert np.abs(np.diff(level)).max() < 0.5, "2 Hz further it is nearly the same"


def test_speed_moves_the_pitch_and_keeps_the_size():
    size = needed(SIZE, AugmentationConfig(**(OFF | {"speed": 0.15})))
    tone = np.sin(2 * np.pi * 1000 * np.arange(size) / RATE).astype(np.float32)
    pitches = []
    for crop in augmented(tone, speed=0.15):
        spectrum = np.abs(np.fft.rfft(crop * np.hanning(SIZE), 4 * SIZE))
        pitches.append(spectrum.argmax() * RATE / (4 * SIZE))
    assert min(pitches) >= 849
    assert max(pitches) <= 1151
    assert np.ptp(pitches) > 200


@pytest.mark.parametrize("speed", [0.15, 0.49])
@pytest.mark.parametrize("size", [1700, 16_001])
def test_a_crop_is_long_enough_for_the_highest_speed(size, speed):
    class Highest(np.random.Generator):
        def random(self):
            return 0.0

        def uniform(self, low, high, size=None):
            return high

    config = AugmentationConfig(**(OFF | {"speed": speed}))
    draw = Highest(np.random.PCG64(1))
    assert change(make_samples(needed(size, config)), size, config, draw).shape == (size,)


def test_the_generator_is_the_only_source_of_randomness():
    config = AugmentationConfig()
    samples = make_samples(needed(SIZE, config))

    def found(seed: int) -> np.ndarray:
        np.random.seed(seed)  # whatever others do
        return change(samples, SIZE, config, np.random.default_rng([4, seed % 7]))

    assert np.array_equal(found(1), found(8))
    assert not np.array_equal(found(1), found(2))


def test_digital_silence_stays_finite():
    config = AugmentationConfig()
    samples = np.zeros(needed(SIZE, config), np.float32)
    for seed in range(DRAWS):
        changed = change(samples, SIZE, config, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert np.abs(changed).max() < 1e-6
