"""Channels in Python: predict, predict_many, turns and profiles."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from phonemo.annotations.turns import Turn
from phonemo.audio import Excerpt, load_channels
from phonemo.errors import AudioError, UsageError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.parts.channel_predictions import combine_channels
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip

LEFT, RIGHT = make_clip(2 * RATE, 120.0), make_clip(2 * RATE, 700.0)
STEREO = np.stack([LEFT, RIGHT])
SILENT_RIGHT = np.stack([LEFT, 0 * LEFT])


@pytest.fixture(scope="module")
def model() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


def apart(prediction):
    """Scores and segments, without what names the channel."""
    segments = tuple(replace(segment, channel=None) for segment in prediction.segments)
    return replace(prediction, channel=None, segments=segments)


def wav(samples, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_one_channel_is_recognized_as_the_same_mono_recording(model):
    for channel, mono in ((1, LEFT), (2, RIGHT)):
        found = model.predict(STEREO, RATE, channels=channel)
        assert found.channel == channel
        assert [segment.channel for segment in found.segments] == [channel]
        assert apart(found) == model.predict(mono, RATE)
        assert found.to_dict()["channel"] == channel


def test_split_combines_the_channels(model):
    found = model.predict(STEREO, RATE, channels="split", shares=True)
    alone = [model.predict(STEREO, RATE, channels=number, shares=True) for number in (1, 2)]
    assert found.channels == tuple(alone)
    assert (found.channel, found.spans, found.seconds) == (None, None, 2.0)
    speech = [one.speech_ratio for one in alone]
    for emotion, score in found.scores.items():
        mean = np.average([one.scores[emotion] for one in alone], weights=speech)
        assert score == pytest.approx(mean)
    assert [segment.channel for segment in found.segments] == [1, 2]
    assert [row["channel"] for row in found.to_dict()["channels"]] == [1, 2]


def test_split_of_a_long_recording_has_all_timelines_sorted(model):
    long = np.tile(STEREO, (1, 20))
    found = model.predict(long, RATE, channels="split")
    assert {segment.channel for segment in found.segments} == {1, 2}
    starts = [segment.start for segment in found.segments]
    assert starts == sorted(starts)
    assert "windowed" in found.warnings
    assert found.channels[1] == model.predict(long, RATE, channels=2)
    short = model.predict(STEREO, RATE, channels="split", timeline=True)
    assert short.channels[0] == model.predict(STEREO, RATE, channels=1, timeline=True)


def test_a_silent_channel_is_left_out(model):
    found = model.predict(SILENT_RIGHT, RATE, channels="split")
    assert [one.channel for one in found.channels] == [1]
    assert "silent_channel" in found.warnings
    assert "silent" not in found.warnings


def test_channels_that_are_all_silent_are_one_silent_prediction(model):
    found = model.predict(np.zeros((2, RATE), np.float32), RATE, channels="split")
    assert (found.channels, found.channel, found.segments) == ((), None, ())
    assert {"silent", "no_speech"} <= set(found.warnings)


def test_mono_is_split_into_one_channel(model):
    found = model.predict(LEFT, RATE, channels="split")
    assert [one.channel for one in found.channels] == [1]
    assert found.scores == pytest.approx(model.predict(LEFT, RATE).scores)


def test_opposite_phase_is_recognized_as_one_channel(model):
    found = model.predict(np.stack([LEFT, -LEFT]), RATE)
    assert found.scores == model.predict(LEFT, RATE).scores
    assert "opposite_phase" in found.warnings
    assert found.speech_ratio == model.predict(LEFT, RATE).speech_ratio


def test_many_recordings_keep_their_order_and_equal_single_ones(model):
    bad = AudioError("missing_file", "gone")
    sources = [STEREO, LEFT, bad, SILENT_RIGHT, np.tile(STEREO, (1, 20)), np.zeros(10, np.float32)]
    for channels in ("split", 1, "mix"):
        found = list(model.predict_many(sources, RATE, channels=channels, jobs=2))
        assert found[2] is bad
        assert found[5].code == "too_short"
        for place in (0, 1, 3, 4):
            assert found[place] == model.predict(sources[place], RATE, channels=channels)


def test_an_excerpt_names_its_own_channel(model):
    excerpts = [Excerpt(STEREO, 0.5, 1.5, channel=2), Excerpt(STEREO, 0.5, 1.5)]
    own, chosen = model.predict_many(excerpts, RATE, channels=1)
    assert (own.channel, chosen.channel) == (2, 1)
    assert apart(own) == model.predict(Excerpt(RIGHT, 0.5, 1.5), RATE)
    assert model.predict(excerpts[0], RATE, channels="split") == own


def test_a_stream_and_bytes_are_split(model):
    expected = model.predict(wav(STEREO), channels="split")
    assert [one.channel for one in expected.channels] == [1, 2]
    stream = io.BytesIO(wav(STEREO))
    stream.seekable = lambda: False
    assert model.predict(stream, channels="split") == expected


@pytest.mark.parametrize("channels", ["left", 0, None, 1.0])
def test_unknown_channels_are_a_usage_error(model, channels):
    with pytest.raises(UsageError, match="channels: expected mix, split or a number"):
        model.predict(STEREO, RATE, channels=channels)
    with pytest.raises(UsageError, match="channels: expected mix, split or a number"):
        model.predict_many([STEREO], RATE, channels=channels)


def test_a_channel_that_does_not_exist_is_the_error_of_its_recording(model):
    stereo, mono = model.predict_many([STEREO, LEFT], RATE, channels=2)
    assert stereo.channel == 2
    assert mono.code == "invalid_channel"


def test_decoded_channels_combine_to_the_same_prediction(model):
    """The server decodes in other processes."""
    parts = [model.predict_waveform(one) for one in load_channels(STEREO, "split", rate=RATE)]
    assert combine_channels(parts, model.abstain_below) == model.predict(
        STEREO, RATE, channels="split"
    )


def test_turns_are_decoded_from_their_channels(model):
    turns = [Turn(0.0, 1.0, "A", channel=1), Turn(0.0, 1.0, "B", channel=2), Turn(1.0, 2.0, "C")]
    first, second, third = model.predict(STEREO, RATE, turns=turns).segments
    assert first.scores == model.predict(Excerpt(LEFT, 0, 1), RATE).scores
    assert second.scores == model.predict(Excerpt(RIGHT, 0, 1), RATE).scores
    assert third.scores == model.predict(Excerpt(STEREO, 1, 2), RATE).scores
    assert [one.channel for one in (first, second, third)] == [1, 2, None]


def test_all_turns_come_from_the_chosen_channel(model):
    found = model.predict(STEREO, RATE, turns=[Turn(0.0, 1.0), Turn(0.0, 1.0, "B", 1)], channels=2)
    assert [segment.channel for segment in found.segments] == [2, 1]
    assert found.segments[0].scores == model.predict(Excerpt(RIGHT, 0, 1), RATE).scores


def test_split_needs_turns_that_name_their_channel(model):
    named = [Turn(0.0, 1.0, "A", 1), Turn(0.0, 1.0, "B", 2)]
    found = model.predict(STEREO, RATE, turns=named, channels="split")
    assert [segment.channel for segment in found.segments] == [1, 2]
    with pytest.raises(UsageError, match="turns that name their channel, got 1 without"):
        model.predict(STEREO, RATE, turns=[*named, Turn(1.0, 2.0)], channels="split")


def test_turns_of_channels_are_recognized_in_the_mono_mix_of_them(model):
    found = model.predict(LEFT, RATE, turns=[Turn(0.0, 1.0, "A", 1), Turn(1.0, 2.0, "B", 2)])
    assert [segment.channel for segment in found.segments] == [None, None]


def test_a_turn_on_a_channel_that_does_not_exist_is_an_error(model):
    with pytest.raises(AudioError, match="channel from 1 to 2, got 3"):
        model.predict(STEREO, RATE, turns=[Turn(0.0, 1.0, "A", 3)])
    with pytest.raises(AudioError, match="expected channel 1, got 2"):
        model.predict(LEFT, RATE, turns=[Turn(0.0, 1.0, "A")], channels=2)


def test_profiles_are_of_the_chosen_channels():
    model = OnnxRecognizer.load(ADAPTABLE, threads=1)
    (split,) = model.vectors([STEREO], RATE, channels="split")
    one, two = model.vectors([LEFT, RIGHT], RATE)
    assert np.array_equal(split.rows, np.concatenate([one.rows, two.rows]))
    assert split.seconds == one.seconds + two.seconds
    (second,) = model.vectors([STEREO], RATE, channels=2)
    assert np.array_equal(second.rows, two.rows)
    adapted = model.with_profile(model.profile([STEREO], RATE, channels="split"))
    found = adapted.predict(STEREO, RATE, channels="split")
    assert found.profile == adapted.applied
    assert found.channels[0] == adapted.predict(STEREO, RATE, channels=1)


def test_a_name_on_two_channels_is_two_speakers():
    model = OnnxRecognizer.load(ADAPTABLE, threads=1)
    turns = [
        Turn(at / 4, at / 4 + 0.25, "SPEAKER_00", channel) for at in range(7) for channel in (1, 2)
    ]
    found = model.predict(STEREO, RATE, turns=turns, by_speaker=True)
    profiles = {segment.channel: segment.profile for segment in found.segments}
    assert profiles[1] != profiles[2]
