"""Long recordings are cut and their parts put together again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from phonemo.audio import Waveform
from phonemo.prediction import PhonemeSpan
from phonemo.runtime.windows import WINDOW_SECONDS, Heard, cut, merge

RATE = 16_000


@pytest.mark.parametrize("seconds", [0.025, 29.9, 30.0, 30.1, 60.0, 60.1, 91.0])
def test_windows_hold_every_sample_once(seconds):
    samples = np.arange(round(seconds * RATE), dtype=np.float32)
    windows = cut(samples)
    assert len(windows) == math.ceil(seconds / WINDOW_SECONDS)
    assert np.array_equal(np.concatenate(windows), samples)
    sizes = [len(window) for window in windows]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 30 * RATE


def test_a_bundle_may_have_windows_of_another_length():
    assert [len(one) for one in cut(np.zeros(RATE, np.float32), 0.3)] == [4000] * 4


def heard(first: float, *phonemes: str) -> Heard:
    """Phonemes of a tenth of a second each."""
    spans = tuple(PhonemeSpan(one, n / 10, (n + 1) / 10, 0.5) for n, one in enumerate(phonemes))
    return Heard(np.array([first, 1 - first]), spans)


def test_one_window_is_the_answer():
    waveform = Waveform(np.zeros(8000, np.float32), ("silent",))
    answer = merge(waveform, ("anger", "neutral"), [heard(0.75, "a", "m")])
    assert answer.to_dict() == {
        "label": "anger",
        "scores": {"anger": 0.75, "neutral": 0.25},
        "seconds": 0.5,
        "phonemes": ["a", "m"],
        "warnings": ["silent"],
    }


def test_scores_are_averaged_and_phonemes_joined():
    waveform = Waveform(np.zeros(RATE, np.float32), ("clipped",))
    answer = merge(waveform, ("anger", "neutral"), [heard(0.75, "a"), heard(0.0), heard(0.0, "m")])
    assert answer.label == "neutral"
    assert answer.scores == {"anger": 0.25, "neutral": 0.75}
    assert answer.phonemes == ("a", "m")
    assert answer.warnings == ("clipped", "windowed")


def test_phonemes_lie_in_the_time_of_the_whole_recording():
    waveform = Waveform(np.zeros(RATE + 1, np.float32))
    answer = merge(waveform, ("anger", "neutral"), [heard(1.0, "a", "b"), heard(1.0, "a")])
    times = [(one.symbol, one.start, one.end) for one in answer.spans or ()]
    second = 8001 / RATE  # where cut lets the second window begin
    assert [len(one) for one in cut(waveform.samples, 0.9)] == [8001, 8000]
    assert times == [
        ("a", 0, 0.1),
        ("b", 0.1, 0.2),
        ("a", pytest.approx(second), pytest.approx(second + 0.1)),
    ]


def test_without_a_phoneme_head_there_are_no_phonemes():
    waveform = Waveform(np.zeros(RATE, np.float32))
    parts = [Heard(np.array([0.5, 0.5]), None)] * 2
    assert merge(waveform, ("anger", "neutral"), parts).phonemes is None
