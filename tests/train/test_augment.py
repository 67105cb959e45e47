"""Augmentation: drawn by (seed, epoch, id) alone, and each kind does what the config says."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from phonemo.config import AugmentConfig
from phonemo.train.callbacks import RunProgress
from phonemo.train.dataset import change_audio, crop, draw_spans, generator
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import FoldRun
from phonemo.train.experiments.run_folder import FoldSeed
from tests.train.tiny_run import make_config
from tests.train.tiny_training import make_cache

RATE = 16_000
EVERYTHING = AugmentConfig(gain_db=6, noise_snr_db=10, speed=0.1, time_masks=2, feature_masks=2)


def _tone(hertz: float = 1000.0, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _decibels(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def _many(count: int = 60) -> list[np.random.Generator]:
    return [generator(5, 0, str(number)) for number in range(count)]


def _augmented(seed: int, epoch: int, utterance: str) -> list[np.ndarray]:
    draw = generator(seed, epoch, utterance)
    changed = change_audio(crop(_tone(), 8000, draw), EVERYTHING, draw)
    return [changed, *draw_spans(50, EVERYTHING, draw).values()]


def _equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_an_utterances_random_draw_is_the_same_in_every_process():
    """Golden: numbers of another process, so a salted hash or a counter would show."""
    assert generator(1, 2, "03a01Fa").integers(0, 10_000, 3).tolist() == [9630, 2958, 23]


def test_only_seed_epoch_and_id_determine_the_draw():
    first = _augmented(1, 2, "a")
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    _augmented(3, 3, "other")
    assert _equal(first, _augmented(1, 2, "a"))
    for key in ((2, 2, "a"), (1, 3, "a"), (1, 2, "b"), (2, 1, "a")):
        assert not _equal(first, _augmented(*key)), key


def test_the_global_random_state_is_not_changed():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    _augmented(1, 2, "a")
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_a_crop_starts_at_any_position():
    samples = np.arange(12, dtype=np.float32)
    starts = set()
    for draw in _many(200):
        stretch = crop(samples, 9, draw)
        assert stretch.tolist() == list(range(int(stretch[0]), int(stretch[0]) + 9))
        starts.add(int(stretch[0]))
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("most", [12, 13, 1000])
def test_short_clips_are_not_cropped(most):
    samples = np.arange(12, dtype=np.float32)
    assert crop(samples, most, generator(1, 1, "a")) is samples


def test_without_settings_nothing_changes():
    samples = _tone()
    assert change_audio(samples, AugmentConfig(), generator(1, 1, "a")) is samples
    assert draw_spans(50, AugmentConfig(), generator(1, 1, "a")) == {}


def test_gain_is_one_factor_within_its_decibels():
    samples, gains = _tone(), []
    for draw in _many():
        loud = change_audio(samples, AugmentConfig(gain_db=6), draw)
        assert loud.dtype == np.float32
        gain = float(loud[4] / samples[4])
        np.testing.assert_allclose(loud, samples * gain, rtol=1e-5, atol=1e-7)
        gains.append(_decibels(gain))
    assert -6 <= min(gains) < -4
    assert 4 < max(gains) <= 6


def test_noise_is_white_and_never_below_the_ratio():
    samples, ratios = _tone(), []
    for draw in _many():
        noise = change_audio(samples, AugmentConfig(noise_snr_db=10), draw) - samples
        ratios.append(_decibels(samples.std() / noise.std()))
        neighbours = np.corrcoef(noise[1:], noise[:-1])[0, 1]
        assert abs(neighbours) < 0.05
    assert 9.8 <= min(ratios) < 15
    assert 30 < max(ratios) <= 40.2


def test_noise_in_silence_is_silence():
    silence = np.zeros(800, dtype=np.float32)
    assert not change_audio(silence, AugmentConfig(noise_snr_db=10), generator(1, 1, "a")).any()


def test_speed_moves_pitch_and_length_together():
    samples, factors = _tone(), []
    for draw in _many(30):
        fast = change_audio(samples, AugmentConfig(speed=0.1), draw)
        assert fast.dtype == np.float32
        factor = len(samples) / len(fast)
        spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast)), n=4 * RATE))
        assert spectrum.argmax() / 4 == pytest.approx(1000 * factor, abs=1)
        factors.append(factor)
    assert 0.9 <= min(factors) < 0.94
    assert 1.06 < max(factors) <= 1.1001


@pytest.mark.parametrize("frames", [0, 1, 4, 5, 23, 400])
@pytest.mark.parametrize(("longest", "widest"), [(1, 1), (10, 32), (1000, 5000)])
def test_spans_stay_inside(frames, longest, widest):
    config = AugmentConfig(
        time_masks=3, time_mask_frames=longest, feature_masks=2, feature_mask_width=widest
    )
    for draw in _many(40):
        spans = draw_spans(frames, config, draw)
        time, feature = spans["time"], spans["feature"]
        assert time.shape == (3, 2)
        assert feature.shape == (2, 2)
        widths = time[:, 1] - time[:, 0]
        assert (time[:, 0] >= 0).all()
        assert (time[:, 1] <= frames).all()
        assert ((widths >= 0) & (widths <= min(longest, frames / 5))).all()
        assert (feature[:, 0] >= 0).all()
        assert (feature[:, 1] <= 1).all()
        assert (feature[:, 1] - feature[:, 0] <= widest / 512 + 1e-6).all()


def test_spans_reach_their_length_and_both_ends():
    config = AugmentConfig(time_masks=1, time_mask_frames=10)
    spans = np.concatenate([draw_spans(60, config, draw)["time"] for draw in _many(600)])
    widths = spans[:, 1] - spans[:, 0]
    assert {0, 10} <= set(widths.tolist())
    assert spans[:, 0].min() == 0
    assert spans[:, 1].max() == 60


def test_tone_is_a_smooth_equalizer_within_its_decibels():
    """A click has every frequency in equal parts, so what comes out is the equaliser."""
    click = np.zeros(RATE, dtype=np.float32)
    click[RATE // 2] = 1
    curves = []
    for draw in _many(20):
        changed = change_audio(click, AugmentConfig(tone_db=8), draw)
        assert changed.dtype == np.float32
        curves.append(20 * np.log10(np.abs(np.fft.rfft(changed))))
    stacked = np.stack(curves)
    assert np.abs(stacked).max() <= 8.01
    assert stacked.std(axis=0).min() > 1, "every frequency is moved"
    assert np.abs(np.diff(stacked, axis=1)).max() < 0.2, "and none against its neighbour"


def test_tone_changes_the_samples():
    assert AugmentConfig(tone_db=1).changes_audio
    assert not AugmentConfig(time_masks=1).changes_audio


@pytest.mark.parametrize("cached", [False, True])
def test_only_the_train_part_of_a_fold_is_augmented(tmp_path, cached):
    """Two epochs give validation and test the recordings as they are, and train other ones."""
    augment = {"noise_snr_db": 5, "gain_db": 6} if not cached else {"feature_masks": 2}
    experiment = prepare_experiment(make_config(tmp_path, augment=augment))
    cache = make_cache(experiment, tmp_path / "cache") if cached else None
    cell = FoldSeed(experiment.split.folds[0], 1, tmp_path)
    fold = FoldRun(experiment, cell, cache, RunProgress())
    for part in ("train", "validation", "test"):
        dataset = fold.dataset(part)
        assert (dataset.draws is not None) == (part == "train"), part
        drawn = []
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            drawn.append([_drawn(dataset[row]) for row in range(len(dataset))])
        assert (drawn[0] == drawn[1]) == (part != "train"), part


def _drawn(item: dict[str, Any]) -> bytes:
    """What augmentation may change of an item: its samples, or the spans that are masked."""
    spans = b"".join(np.asarray(item["spans"][name]).tobytes() for name in sorted(item["spans"]))
    return spans + (item["samples"].tobytes() if "samples" in item else b"")
