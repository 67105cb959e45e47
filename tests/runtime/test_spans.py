"""Named phonemes: recognized, and aligned to a known string."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.audio.frames import FrameGrid
from phonemo.errors import AudioError, PhonemeError, UsageError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.alignment import aligned_spans, recognized_spans
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


def test_decoding_and_alignment_agree_on_correct_strings():
    spans = recognized_spans(POSTERIORS, SYMBOLS, GRID, SAMPLES)
    assert [item.symbol for item in spans] == ["a", "m"]
    assert aligned_spans(POSTERIORS, SYMBOLS, ["a", "m"], GRID, SAMPLES) == spans
    assert spans[0].confidence == pytest.approx((0.7 * 0.6) ** 0.5)


def test_known_phonemes_are_aligned_where_others_are_likelier():
    spans = aligned_spans(POSTERIORS, SYMBOLS, ["a", "s"], GRID, SAMPLES)
    assert [span.symbol for span in spans] == ["a", "s"]
    assert spans[1].confidence == pytest.approx(0.3)
    assert spans[0].end == spans[1].start


@pytest.mark.parametrize(
    ("phonemes", "words"),
    [
        (["a", "x"], r"expected phonemes of this model .a m s., got 'x'"),
        (["<blank>"], "expected phonemes of this model"),
        (["a"] * 5, "expected at least 9 frames for 5 phonemes, got 6"),
    ],
)
def test_invalid_phonemes_are_rejected(phonemes, words):
    with pytest.raises(PhonemeError, match=words):
        aligned_spans(POSTERIORS, SYMBOLS, phonemes, GRID, SAMPLES)


def test_alignment_does_not_change_the_emotion(model):
    clip = make_clip(*CLIPS["odd"])
    expected = model.predict(clip, RATE, shares=True)
    aligned = model.align(clip, expected.phonemes, RATE)
    assert (aligned.label, aligned.scores) == (expected.label, expected.scores)
    assert aligned.phonemes == expected.phonemes
    assert all(span.share is not None for span in aligned.spans)
    other = model.align(clip, ["s", "t"], RATE, shares=False)
    assert other.phonemes == ("s", "t")
    assert all(span.share is None for span in other.spans)
    for phonemes in ([], "s t"):
        with pytest.raises(UsageError, match="expected a list of phonemes"):
            model.align(clip, phonemes, RATE)


def test_a_recording_that_is_too_long_is_not_aligned(model):
    with pytest.raises(AudioError, match="at most 30 s"):
        model.align(make_clip(31 * RATE, 200.0), ["a"], RATE)


def test_a_known_sentence_is_aligned_in_real_speech():
    """EmoDB's sentence a01, "Der Lappen liegt auf dem Eisschrank"."""
    phonemes = "d ɛ ɐ l a p ə n l iː k t aʊ f d e m aɪ s ʃ ʁ a ŋ k".replace("iː", "i").split()
    path = real("emodb/wav/03a01Wa.flac")
    aligned = OnnxRecognizer.load(threads=1).align(path, phonemes)
    assert aligned.label == "anger"
    assert list(aligned.phonemes) == phonemes
    times = [(span.start, span.end) for span in aligned.spans]
    assert times == sorted(times)
    assert times[-1][1] <= aligned.seconds
    known = [span.confidence for span in aligned.spans]
    assert np.median(known) > 0.3
