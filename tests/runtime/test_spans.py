"""Phonemes by name: what is heard, and what is known to be said."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.audio.frames import FrameGrid
from phonemo.errors import AudioError, PhonemeError, UsageError
from phonemo.runtime.alignment import aligned_spans, recognized_spans
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.real import real
from tests.tiny_bundle import BUNDLE, CLIPS, RATE, make_clip

GRID = FrameGrid(field_samples=400, hop_samples=320)
SYMBOLS = ("<blank>", "a", "m", "s")
#: Frame by frame the most probable: blank, a, a, blank, m, blank.
POSTERIORS = np.log(
    np.array(
        [
            [0.7, 0.1, 0.1, 0.1],
            [0.1, 0.7, 0.1, 0.1],
            [0.1, 0.6, 0.1, 0.2],
            [0.7, 0.1, 0.1, 0.1],
            [0.2, 0.1, 0.4, 0.3],
            [0.7, 0.1, 0.1, 0.1],
        ]
    )
)
SAMPLES = 5 * 320 + 400


@pytest.fixture(scope="module")
def model() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


def test_what_is_heard_and_what_is_said_are_the_same_where_it_is_right():
    heard = recognized_spans(POSTERIORS, SYMBOLS, GRID, SAMPLES)
    assert [one.symbol for one in heard] == ["a", "m"]
    assert aligned_spans(POSTERIORS, SYMBOLS, ["a", "m"], GRID, SAMPLES) == heard
    assert heard[0].confidence == pytest.approx((0.7 * 0.6) ** 0.5)


def test_what_is_said_is_found_where_something_else_is_likelier():
    spans = aligned_spans(POSTERIORS, SYMBOLS, ["a", "s"], GRID, SAMPLES)
    assert [one.symbol for one in spans] == ["a", "s"]
    assert spans[1].confidence == pytest.approx(0.3)
    assert spans[0].end == spans[1].start


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["a", "x"], r"expected phonemes of this model .a m s., got 'x'"),
        (["<blank>"], "expected phonemes of this model"),
        (["a"] * 5, "expected at least 9 frames for 5 phonemes, got 6"),
    ],
)
def test_what_cannot_be_said_is_told(said, words):
    with pytest.raises(PhonemeError, match=words):
        aligned_spans(POSTERIORS, SYMBOLS, said, GRID, SAMPLES)


def test_a_recording_is_aligned_and_its_emotion_is_what_it_was(model):
    clip = make_clip(*CLIPS["odd"])
    wanted = model.predict(clip, RATE, shares=True)
    found = model.align(clip, wanted.phonemes, RATE)
    assert (found.label, found.scores) == (wanted.label, wanted.scores)
    assert found.phonemes == wanted.phonemes
    assert all(one.share is not None for one in found.spans)
    other = model.align(clip, ["s", "t"], RATE, shares=False)
    assert other.phonemes == ("s", "t")
    assert all(one.share is None for one in other.spans)
    for said in ([], "s t"):
        with pytest.raises(UsageError, match="expected a list of phonemes"):
            model.align(clip, said, RATE)


def test_a_recording_that_is_too_long_is_not_aligned(model):
    with pytest.raises(AudioError, match="at most 30 s"):
        model.align(make_clip(31 * RATE, 200.0), ["a"], RATE)


def test_a_sentence_that_is_known_is_found_in_real_speech():
    """EmoDB's sentence a01, "Der Lappen liegt auf dem Eisschrank"."""
    said = "d ɛ ɐ l a p ə n l iː k t aʊ f d e m aɪ s ʃ ʁ a ŋ k".replace("iː", "i").split()
    path = real("emodb/wav/03a01Wa.flac")
    found = OnnxRecognizer.load(threads=1).align(path, said)
    assert found.label == "anger"
    assert list(found.phonemes) == said
    times = [(one.start, one.end) for one in found.spans]
    assert times == sorted(times)
    assert times[-1][1] <= found.seconds
    known = [one.confidence for one in found.spans]
    assert np.median(known) > 0.3
