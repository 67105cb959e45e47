"""One answer to one sound: whole and segment, files and streams; silence and doubt in events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.tiny_bundle import BUNDLE, RATE, make_clip

CLIP = make_clip(5 * RATE, 200.0)


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


def streamed(recognizer, samples, packet=3000):
    live = StreamingRecognizer(recognizer)
    events = [
        event
        for at in range(0, len(samples), packet)
        for event in live.push(samples[at : at + packet])
    ]
    last, prediction = live.finish()
    return [*events, *last], prediction


def test_a_timeline_of_one_segment_is_the_answer_without_a_timeline(recognizer):
    plain, timed = recognizer.predict(CLIP, RATE), recognizer.predict(CLIP, RATE, timeline=True)
    assert (timed.label, timed.scores) == (plain.label, plain.scores)
    (segment,) = timed.segments
    assert (segment.label, segment.scores) == (plain.label, plain.scores)


def test_a_long_recording_of_one_segment_has_its_scores(recognizer):
    found = recognizer.predict(np.tile(CLIP, 7), RATE)
    assert "windowed" in found.warnings
    assert {segment.label for segment in found.segments} == {found.label}
    if len(found.segments) == 1:
        assert found.segments[0].scores == found.scores


@pytest.mark.parametrize("seconds", [0.5, 2.5, 12.0])
def test_a_short_stream_ends_with_the_prediction_of_the_file(recognizer, seconds):
    samples = np.resize(CLIP, int(seconds * RATE))
    _, found = streamed(recognizer, samples)
    assert found == recognizer.predict(samples, RATE, timeline=True)


def test_a_stream_longer_than_one_pass_ends_with_that_of_the_file_too(recognizer):
    samples = np.resize(CLIP, 31 * RATE)
    _, found = streamed(recognizer, samples)
    assert found == recognizer.predict(samples, RATE)


def test_the_events_of_a_stream_say_that_they_are_unsure(recognizer):
    doubting = OnnxRecognizer.load(BUNDLE, threads=1)
    doubting.abstain_below = 1.0
    events, found = streamed(doubting, CLIP)
    assert events
    assert all(event.segment.unsure for event in events)
    assert found.unsure
    doubting.abstain_below = 0.0
    events, found = streamed(doubting, CLIP)
    assert not any(event.segment.unsure for event in events)


def test_silence_has_no_label_in_a_file_and_a_stream(recognizer):
    silence = np.zeros(2 * RATE, dtype=np.float32)
    found = recognizer.predict(silence, RATE, shares=True)
    assert found.label is None
    assert found.scores
    assert all(span.share is None for span in found.spans)
    _, last = streamed(recognizer, silence)
    assert replace(last, spans=found.spans) == found


def test_channels_without_speech_have_no_label_together(recognizer):
    quiet = np.zeros((2, 2 * RATE), dtype=np.float32)
    assert recognizer.predict(quiet, RATE, channels="split").label is None
