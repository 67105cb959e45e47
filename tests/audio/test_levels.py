"""Very quiet clips are amplified before they are processed by a network."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.audio import RATE
from phonemo.audio.levels import boost_quiet
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.tiny_bundle import BUNDLE, make_clip

CLIP = make_clip(RATE, 300.0)


@pytest.mark.parametrize("deviation", [3.1e-3, 0.01, 0.5, 30.0])
def test_a_loud_enough_clip_is_unchanged(deviation):
    clip = (CLIP * np.float32(deviation / CLIP.std())).astype(np.float32)
    assert boost_quiet(clip) is clip or np.array_equal(boost_quiet(clip), clip)


@pytest.mark.parametrize("deviation", [1.1e-5, 1e-4, 2.9e-3])
def test_a_very_quiet_clip_is_boosted(deviation):
    clip = (CLIP * np.float32(deviation / CLIP.std())).astype(np.float32)
    assert boost_quiet(clip).std(dtype=np.float64) == pytest.approx(0.1, rel=1e-4)
    assert boost_quiet(clip).dtype == np.float32


@pytest.mark.parametrize(
    "clip", [np.zeros(0), np.zeros(100), np.full(100, 0.5), np.full(50, 1e-30)]
)
def test_a_silent_clip_is_unchanged(clip):
    assert np.array_equal(boost_quiet(clip.astype(np.float32)), clip.astype(np.float32))


def test_speech_at_a_thousandth_is_the_same_emotion():
    model = OnnxRecognizer.load(BUNDLE, threads=1)
    loud, quiet = (model.predict(CLIP * np.float32(gain), RATE).scores for gain in (1, 1e-3))
    assert quiet == pytest.approx(loud, abs=1e-3)
