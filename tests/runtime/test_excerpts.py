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
    """Forty seconds, which are heard in windows."""
    pieces = [make_clip(8 * RATE, hertz) for hertz in (120.0, 900.0, 440.0, 300.0, 700.0)]
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def path(tmp_path_factory, samples):
    name = tmp_path_factory.mktemp("excerpts") / "forty.wav"
    soundfile.write(name, samples, RATE, subtype="FLOAT")
    return name


def assert_alike(found, wanted):
    assert found.scores == pytest.approx(wanted.scores, abs=1e-5)
    assert (found.label, found.seconds) == (wanted.label, wanted.seconds)
    assert found.warnings == wanted.warnings
    assert found.phonemes == wanted.phonemes
    assert found.speech_ratio == pytest.approx(wanted.speech_ratio)
    assert [one.label for one in found.segments] == [one.label for one in wanted.segments]
    assert [one.end for one in found.segments] == [one.end for one in wanted.segments]


@pytest.mark.parametrize(("start", "end"), [(1.0, 4.5), (None, 2.0), (38.0, None), (1.0, 36.0)])
def test_a_stretch_is_heard_as_if_it_were_all(model, path, samples, start, end):
    first, last = int((start or 0) * RATE), None if end is None else int(end * RATE)
    wanted = model.predict(samples[first:last], RATE)
    assert_alike(model.predict(Excerpt(path, start, end)), wanted)
    (found,) = model.predict_many([Excerpt(path, start, end)])
    assert_alike(found, wanted)


def test_without_times_it_is_the_recording(model, path):
    assert_alike(model.predict(Excerpt(path)), model.predict(path))


def test_a_stretch_of_bytes_and_of_samples(model, path, samples):
    wanted = model.predict(Excerpt(path, 1.0, 2.0))
    assert_alike(model.predict(Excerpt(path.read_bytes(), 1.0, 2.0)), wanted)
    assert_alike(model.predict(Excerpt(samples, 1.0, 2.0), RATE), wanted)


def test_shares_and_a_timeline_of_a_stretch(model, path, samples):
    found = model.predict(Excerpt(path, 0.0, 7.0), shares=True, timeline=True)
    wanted = model.predict(samples[: 7 * RATE], RATE, shares=True, timeline=True)
    assert_alike(found, wanted)
    shares = [one.share for one in found.spans]
    assert shares == pytest.approx([one.share for one in wanted.spans], abs=1e-4)


@pytest.mark.parametrize(("start", "end"), [(34.0, None), (34.0, 99.0)])
def test_a_short_tail_has_its_timeline_too(model, path, samples, start, end):
    wanted = model.predict(samples[int(start * RATE) :], RATE, timeline=True)
    found = model.predict(Excerpt(path, start, end), timeline=True)
    assert len(found.segments) == len(wanted.segments)
    assert_alike(found, wanted)
    (found,) = model.predict_many([Excerpt(path, start, end)], timeline=True)
    assert_alike(found, wanted)


@pytest.mark.parametrize(
    ("start", "end", "code"), [(50.0, None, "too_short"), (1.0, 1.001, "too_short")]
)
def test_a_stretch_without_sound_is_an_error_of_its_own(model, path, start, end, code):
    with pytest.raises(AudioError) as caught:
        model.predict(Excerpt(path, start, end))
    assert caught.value.code == code
    (found,) = model.predict_many([Excerpt(path, start, end)])
    assert isinstance(found, AudioError)
    assert found.code == code


def test_limits_hold_for_stretches(model, path, monkeypatch):
    monkeypatch.setattr(model, "limits", AudioLimits(max_seconds=2.0))
    assert model.predict(Excerpt(path, 30.0, 32.0)).seconds == 2.0
    for end in (33.0, None):  # a short one, and one that is heard in windows
        (found,) = model.predict_many([Excerpt(path, 1.0, end)])
        assert found.code == "audio_too_long"


def test_turns_are_of_whole_recordings(model, path):
    with pytest.raises(UsageError, match="turns expect a recording, got an excerpt"):
        model.predict(Excerpt(path, 0.0, 5.0), turns=[Turn(0.0, 1.0, "a")])


def test_an_error_comes_back_in_its_place(model, path):
    error = AudioError("missing_file", "s3://bucket/a.wav: cannot be fetched")
    items = [error, Excerpt(path, 0.0, 1.0), error, path, Excerpt(path, 2.0, 3.0), error]
    found = list(model.predict_many(items, jobs=1))
    assert [one is error for one in found] == [True, False, True, False, False, True]
    assert [one.seconds for one in (found[1], found[3], found[4])] == [1.0, 40.0, 1.0]


def test_long_stretches_are_not_decoded_ahead_but_for_their_beginnings(model, samples):
    """Eight are opened ahead; decoded, each of two hours would take 460 MB."""
    whole = np.tile(samples, 8)
    tracemalloc.start()
    answers = list(model.predict_many([Excerpt(whole, 1.0, 310.0)] * 10, RATE, jobs=1))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {one.seconds for one in answers} == {309.0}
    assert most < 3 * whole.nbytes  # of ten
