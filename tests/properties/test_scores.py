"""Whatever finite audio comes: an error with a code, or scores that sum to one, none NaN."""

from __future__ import annotations

import json
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phonemo.annotations.turns import Turn
from phonemo.errors import AudioCode, AudioError
from phonemo.evaluation.calibration import softmax
from phonemo.files import dumps_json
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.properties.strategies import RATE, SHAPES, few, finite_audio, many, some
from tests.tiny_bundle import BUNDLE

CODES = get_args(AudioCode)
#: Levels at which something else in the arithmetic may give way: denormals, squares, full scale.
LEVELS = (1e-45, 1e-38, 1e-30, 1e-10, 1e-4, 1.0, 1e4, 2.0**31)
HUGE = (1e10, 1e19, 1e30, 3e38)


@pytest.fixture(scope="module")
def tiny():
    model = OnnxRecognizer.load(BUNDLE, threads=1)
    model.whole_seconds, model.window_seconds = 1.0, 0.5  # so that windows are heard too
    return model


@pytest.fixture(scope="module")
def shipped():
    return OnnxRecognizer.load(threads=1)


def check(found):
    """The laws of every answer."""
    for one in (found, *found.segments):
        values = list(one.scores.values())
        assert all(0 <= value <= 1 for value in values)  # NaN is not
        assert sum(values) == pytest.approx(1, abs=1e-6)
        assert one.label is None or one.scores[one.label] == max(values)
    assert (found.label is None) == bool({"no_speech", "silent"} & set(found.warnings))
    if len(found.segments) == 1 and found.label is not None:
        assert found.segments[0].scores == found.scores, "one answer to one sound"
    assert found.speech_ratio is None or 0 <= found.speech_ratio <= 1
    for one in found.spans or ():
        assert 0 <= one.confidence <= 1
        assert 0 <= one.start <= one.end <= found.seconds + 1e-9
        assert one.share is None or -1 <= one.share <= 1
    assert "NaN" not in dumps_json(found.to_dict(spans=True))
    assert json.loads(dumps_json(found.to_dict(spans=True)))["label"] == found.label


def documented(error):
    """Nothing, for an error that a program can tell by its code and a person by its line."""
    assert error.code in CODES
    assert str(error).isprintable()


def heard(model, audio, rate=RATE, **asked):
    """The checked answer, or None for an error that is documented."""
    try:
        found = model.predict(audio, rate, **asked)
    except AudioError as error:
        return documented(error)
    check(found)
    return found


def streamed(model, audio, rate=RATE, packet=1500):
    stream = StreamingRecognizer(model, rate)
    try:
        for at in range(0, len(audio), packet):
            stream.push(audio[at : at + packet])
        events, found = stream.finish()
    except AudioError as error:
        return documented(error)
    check(found)
    assert all(math.isfinite(x) for one in events for x in one.segment.scores.values())
    return found


@many
@given(
    audio=finite_audio(longest=40_000),
    rate=st.sampled_from([4000, 8000, 16_000, 22_050, 44_101, 384_000]),
    timeline=st.booleans(),
    shares=st.booleans(),
)
def test_finite_audio_has_scores_or_an_error_with_a_code(tiny, audio, rate, timeline, shares):
    found = heard(tiny, audio, rate, timeline=timeline, shares=shares)
    if audio.dtype == np.uint8:
        assert found is None
    elif found is None:
        loud = audio.dtype.kind == "f" and float(np.abs(audio).max(initial=0)) > 2.0**31
        assert loud or len(audio) * RATE / rate < 402, "400 samples at 16 kHz are enough"


@few
@given(audio=finite_audio(longest=40_000), rate=st.sampled_from([8000, 16_000, 48_000]))
def test_the_shipped_model_too(shipped, audio, rate):
    heard(shipped, audio, rate, timeline=True, shares=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_shape_at_every_level_is_heard(tiny, shape, level):
    audio = (level * SHAPES[shape](2 * RATE, 3)).astype(np.float32)
    assert heard(tiny, audio[: RATE // 2], timeline=True, shares=True) is not None
    assert heard(tiny, audio) is not None, "in windows"


@some
@given(
    audio=finite_audio(longest=30_000).filter(lambda one: one.dtype.kind == "i"),
    rate=st.sampled_from([4000, 16_000, 44_100]),
    packet=st.integers(100, 9000),
)
def test_a_stream_of_whole_numbers_has_scores(tiny, audio, rate, packet):
    streamed(tiny, audio, rate, packet)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_stream_of_every_shape_and_level_is_heard(tiny, shape, rate):
    for level in LEVELS:
        audio = (level * SHAPES[shape](RATE, 3)).astype(np.float32)
        assert streamed(tiny, audio, rate) is not None


@pytest.mark.parametrize("level", HUGE)
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_stream_refuses_what_a_file_refuses(tiny, level, rate):
    """Squares of such samples leave float32: there is no answer for them."""
    audio = np.full(RATE, level, dtype=np.float32)
    with pytest.raises(AudioError):
        tiny.predict(audio, rate)
    stream = StreamingRecognizer(tiny, rate)
    with pytest.raises(AudioError) as caught:
        stream.push(audio)
    assert caught.value.code == "invalid_audio"


@few
@example(np.full(1600, 1e300))
@given(finite_audio(longest=2000).filter(lambda one: one.dtype == np.float64))
def test_a_stream_of_float64_is_heard_or_refused_without_a_warning(tiny, audio):
    """Warnings are errors in tests, as under python -W error."""
    streamed(tiny, audio)


@few
@given(st.lists(finite_audio(longest=20_000), max_size=5), st.sampled_from([0, 0.5, 4]))
def test_many_at_once_have_scores_or_errors_in_their_places(tiny, clips, batch_seconds):
    answers = list(tiny.predict_many(clips, RATE, jobs=2, batch_seconds=batch_seconds))
    assert len(answers) == len(clips)
    for clip, found in zip(clips, answers, strict=True):
        if isinstance(found, AudioError):
            assert found.code in CODES
            assert heard(tiny, clip) is None
        else:
            check(found)
            wanted = tiny.predict(clip, RATE)
            assert found.seconds == wanted.seconds
            assert found.scores == pytest.approx(wanted.scores, abs=1e-3)


edges = st.floats(0, 3)


@some
@given(
    audio=finite_audio(longest=40_000).filter(lambda one: one.dtype == np.int16),
    times=st.lists(st.tuples(edges, edges).filter(lambda x: x[0] < x[1]), min_size=1, max_size=4),
)
def test_turns_anywhere_have_scores_or_an_error_with_a_code(tiny, audio, times):
    turns = [Turn(start, end, str(n)) for n, (start, end) in enumerate(times)]
    found = heard(tiny, audio, turns=turns)
    if found is None:
        assert not any(
            end - start > 0.03 and start < len(audio) / RATE - 0.03 for start, end in times
        )
        return
    assert len(found.segments) + ("turns_skipped" in found.warnings) >= min(2, len(turns))
    for one in found.segments:
        turn = turns[int(one.speaker)]
        assert 0 <= one.start < one.end <= found.seconds + 1e-9
        assert (one.start, min(turn.end, found.seconds)) == pytest.approx(
            (turn.start, one.end), abs=1 / RATE
        )


@some
@given(
    st.lists(st.floats(-1e30, 1e30) | st.just(-np.inf), min_size=2, max_size=9),
    st.sampled_from([0.05, 1.0, 20.0]),
)
def test_softmax_is_a_distribution_for_any_logits(logits, temperature):
    if not np.isfinite(logits).any():
        return
    with np.errstate(over="ignore"):
        found = softmax(np.array(logits) / temperature)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found[np.argmax(logits)] == found.max()
