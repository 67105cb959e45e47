"""Stretches of recordings, and errors in the place of recordings."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import soundfile

from phonemo.annotations.turns import Turn
from phonemo.audio import AudioLimits, Excerpt
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.tiny_bundle import BUNDLE, RATE, make_clip


@pytest.fixture
def model() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


@pytest.fixture(scope="module")
def samples():
    """Forty seconds, which are processed in windows."""
    pieces = [make_clip(8 * RATE, hertz) for hertz in (120.0, 900.0, 440.0, 300.0, 700.0)]
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def path(tmp_path_factory, samples):
    name = tmp_path_factory.mktemp("excerpts") / "forty.wav"
    soundfile.write(name, samples, RATE, subtype="FLOAT")
    return name


def assert_alike(actual, expected):
    assert actual.scores == pytest.approx(expected.scores, abs=1e-5)
    assert (actual.label, actual.seconds) == (expected.label, expected.seconds)
    assert actual.warnings == expected.warnings
    assert actual.phonemes == expected.phonemes
    assert actual.speech_ratio == pytest.approx(expected.speech_ratio)
    assert [segment.label for segment in actual.segments] == [
        segment.label for segment in expected.segments
    ]
    assert [segment.end for segment in actual.segments] == [
        segment.end for segment in expected.segments
    ]


@pytest.mark.parametrize(("start", "end"), [(1.0, 4.5), (None, 2.0), (38.0, None), (1.0, 36.0)])
def test_an_excerpt_gives_the_same_result_as_its_audio(model, path, samples, start, end):
    first, last = int((start or 0) * RATE), None if end is None else int(end * RATE)
    expected = model.predict(samples[first:last], RATE)
    assert_alike(model.predict(Excerpt(path, start, end)), expected)
    (result,) = model.predict_many([Excerpt(path, start, end)])
    assert_alike(result, expected)


def test_without_times_it_is_the_recording(model, path):
    assert_alike(model.predict(Excerpt(path)), model.predict(path))


def test_an_excerpt_of_bytes_and_of_samples(model, path, samples):
    expected = model.predict(Excerpt(path, 1.0, 2.0))
    assert_alike(model.predict(Excerpt(path.read_bytes(), 1.0, 2.0)), expected)
    assert_alike(model.predict(Excerpt(samples, 1.0, 2.0), RATE), expected)


def test_shares_and_a_timeline_of_an_excerpt(model, path, samples):
    prediction = model.predict(Excerpt(path, 0.0, 7.0), shares=True, timeline=True)
    expected = model.predict(samples[: 7 * RATE], RATE, shares=True, timeline=True)
    assert_alike(prediction, expected)
    shares = [span.share for span in prediction.spans]
    assert shares == pytest.approx([span.share for span in expected.spans], abs=1e-4)


@pytest.mark.parametrize(("start", "end"), [(34.0, None), (34.0, 99.0)])
def test_a_short_tail_has_its_timeline_too(model, path, samples, start, end):
    expected = model.predict(samples[int(start * RATE) :], RATE, timeline=True)
    prediction = model.predict(Excerpt(path, start, end), timeline=True)
    assert len(prediction.segments) == len(expected.segments)
    assert_alike(prediction, expected)
    (prediction,) = model.predict_many([Excerpt(path, start, end)], timeline=True)
    assert_alike(prediction, expected)


@pytest.mark.parametrize(
    ("start", "end", "code"), [(50.0, None, "too_short"), (1.0, 1.001, "too_short")]
)
def test_an_empty_excerpt_is_an_audio_error(model, path, start, end, code):
    with pytest.raises(AudioError) as caught:
        model.predict(Excerpt(path, start, end))
    assert caught.value.code == code
    (result,) = model.predict_many([Excerpt(path, start, end)])
    assert isinstance(result, AudioError)
    assert result.code == code


def test_limits_apply_to_excerpts(model, path, monkeypatch):
    monkeypatch.setattr(model, "limits", AudioLimits(max_seconds=2.0))
    assert model.predict(Excerpt(path, 30.0, 32.0)).seconds == 2.0
    for end in (33.0, None):  # a short one, and one that is processed in windows
        (result,) = model.predict_many([Excerpt(path, 1.0, end)])
        assert result.code == "audio_too_long"


def test_turns_of_an_excerpt_are_rejected(model, path):
    with pytest.raises(UsageError, match="turns expect a recording, got an excerpt"):
        model.predict(Excerpt(path, 0.0, 5.0), turns=[Turn(0.0, 1.0, "a")])


def test_an_error_comes_back_in_its_place(model, path):
    error = AudioError("missing_file", "s3://bucket/a.wav: cannot be fetched")
    items = [error, Excerpt(path, 0.0, 1.0), error, path, Excerpt(path, 2.0, 3.0), error]
    predictions = list(model.predict_many(items, jobs=1))
    assert [item is error for item in predictions] == [True, False, True, False, False, True]
    assert [item.seconds for item in (predictions[1], predictions[3], predictions[4])] == [
        1.0,
        40.0,
        1.0,
    ]


def test_only_the_beginning_of_long_excerpts_is_decoded_ahead(model, samples):
    """Eight are opened ahead; decoded, each of two hours would take 460 MB."""
    whole = np.tile(samples, 8)
    tracemalloc.start()
    answers = list(model.predict_many([Excerpt(whole, 1.0, 310.0)] * 10, RATE, jobs=1))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {answer.seconds for answer in answers} == {309.0}
    assert most < 3 * whole.nbytes  # of ten
