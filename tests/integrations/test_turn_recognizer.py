"""The emotion of turns, without an agent framework: what is recognized, and when."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.errors import AudioError, UsageError
from phonemo.integrations.agents.turn_audio import PacketDecoder, TurnAudio
from phonemo.integrations.agents.turn_emotion import emotion_of_nothing
from phonemo.integrations.agents.turn_recognizer import TurnOptions, TurnRecognizer
from phonemo.loader import load_model
from tests.integrations.recorded_turns import packets, recorded_turn


@pytest.fixture(scope="module")
def recognizer():
    return load_model(threads=1)


PLAIN = TurnOptions()


def run(recognizer, pcm, options=PLAIN, rate=16_000, channels=1, advancing=True):
    """Live emotions and the final one of a turn, as a thread that keeps up finds them."""
    turns, live = TurnRecognizer(recognizer, options), []
    turns.begin()
    for packet in packets(pcm, rate, channels=channels):
        turns.push(packet, rate, channels)
        while advancing and turns.is_due:
            live += turns.advance()
    return live, turns.end(), turns


def test_a_turn_has_the_prediction_of_its_spoken_part(recognizer):
    pcm = recorded_turn()
    live, final, _ = run(recognizer, pcm)
    samples = pcm[: round(final.end * 16_000)].astype(np.float32) / 2**15
    expected = recognizer.predict(samples, 16_000)
    assert (final.label, final.scores) == (expected.label, expected.scores)
    assert final.prediction.spans == expected.spans
    assert final.dimensions == expected.dimensions
    assert 2.0 < final.end < 2.8, "the silence after the last word is left out"
    assert {emotion.kind for emotion in live} == {"pause"}


def test_a_turn_that_ends_in_a_pause_is_recognized_before_its_end(recognizer):
    live, final, turns = run(recognizer, recorded_turn())
    assert live[-1].scores == final.scores
    assert live[-1].prediction.spans == final.prediction.spans
    assert not turns.is_due


def test_without_pauses_everything_is_recognized_at_the_end(recognizer):
    pcm = recorded_turn()
    live, final, _ = run(recognizer, pcm, TurnOptions(pauses=False))
    assert live == []
    assert final.scores == run(recognizer, pcm)[1].scores


def test_a_turn_that_ends_abruptly_has_all_its_audio(recognizer):
    pcm = recorded_turn(pause_seconds=0)[: 16_000 * 2]
    _, final, _ = run(recognizer, pcm)
    assert final.end == pytest.approx(2.0, abs=1e-3)


def test_windows_follow_while_the_user_speaks(recognizer):
    pcm = np.concatenate([recorded_turn("english-slow", pause_seconds=0)] * 2)
    live, final, _ = run(recognizer, pcm, TurnOptions(live=True, pauses=False))
    assert live
    assert all(emotion.kind == "window" and emotion.prediction is None for emotion in live)
    assert all(emotion.end - emotion.start == pytest.approx(3.0) for emotion in live)
    assert final.is_final


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_rates_and_channels_change_little(recognizer, rate, channels):
    _, usual, _ = run(recognizer, recorded_turn())
    _, final, _ = run(recognizer, recorded_turn(rate=rate), rate=rate, channels=channels)
    assert final.label == usual.label
    assert final.end == pytest.approx(usual.end, abs=0.1)
    tolerance = 0.25 if rate < 16_000 else 0.1
    assert final.scores == pytest.approx(usual.scores, abs=tolerance)


def test_the_rate_may_change_within_a_turn(recognizer):
    turns = TurnRecognizer(recognizer, TurnOptions())
    turns.begin()
    for rate in (16_000, 48_000):
        for packet in packets(recorded_turn(rate=rate, pause_seconds=0), rate):
            turns.push(packet, rate, 1)
    assert turns.end().end > 5


def test_a_rate_that_changes_with_each_packet_loses_nothing():
    """The samples that a resampler holds back are not dropped with it."""
    decoder, decoded = PacketDecoder(), 0
    for rate in (48_000, 16_000) * 50:
        decoded += len(decoder.decode(np.ones(rate // 50, np.int16).tobytes(), rate, 1))
    decoded += len(decoder.finish())
    assert decoded == pytest.approx(100 * 320, abs=50)


@pytest.mark.parametrize("pcm", [recorded_turn()[:0], recorded_turn()[8000:10_000]])
def test_a_turn_with_too_little_speech_has_no_label(recognizer, pcm):
    live, final, _ = run(recognizer, pcm)
    assert (live, final.label, final.scores) == ([], None, {})
    assert final.unsure
    assert final.warnings == ("too_short",)
    assert "no result" in final.describe()


def test_silence_before_the_first_word_is_left_out(recognizer):
    silence = np.zeros(16_000 * 20, dtype=np.int16)
    _, usual, _ = run(recognizer, recorded_turn())
    _, late, _ = run(recognizer, np.concatenate([silence, recorded_turn()]))
    assert late.label == usual.label
    assert late.end == pytest.approx(usual.end + 0.3, abs=0.2)


def test_a_long_turn_is_the_mean_of_its_windows(recognizer):
    pcm = np.concatenate([recorded_turn("polish", pause_seconds=0.1)] * 3)
    options = TurnOptions(one_pass_seconds=2.0, pauses=False)
    _, final, _ = run(recognizer, pcm, options)
    assert "windowed" in final.warnings
    assert final.prediction.segments
    _, late, _ = run(recognizer, pcm, options, advancing=False)
    assert late.scores == pytest.approx(final.scores, abs=0.05), "whether or not the thread kept up"


def test_the_end_of_an_endless_turn_is_left_out_and_memory_stays_bounded(recognizer):
    options = TurnOptions(one_pass_seconds=2.0, longest_seconds=4.0, pauses=False)
    _, final, _ = run(recognizer, np.concatenate([recorded_turn()] * 3), options)
    assert "truncated" in final.warnings
    assert final.end <= 4.0
    audio = TurnAudio(most=32_000)
    noise = np.random.default_rng(0).normal(0, 0.2, 16_000).astype(np.float32)
    for _ in range(60):
        audio.push(noise)
        audio.take()
    assert len(audio.beginning()) == 32_000
    assert audio.untaken == 0


def test_what_is_outside_of_a_turn_or_discarded_is_not_recognized(recognizer):
    turns = TurnRecognizer(recognizer, TurnOptions())
    turns.push(packets(recorded_turn())[0], 16_000, 1)
    assert turns.end() is None
    turns.begin()
    turns.discard()
    assert turns.end() is None


def test_turns_are_counted(recognizer):
    turns = TurnRecognizer(recognizer, TurnOptions())
    for number in (1, 2):
        turns.begin()
        turns.begin()
        assert turns.end() == emotion_of_nothing(number)


def test_a_speaker_who_agreed_adapts_the_recognizer(recognizer):
    turns, finals = TurnRecognizer(recognizer, TurnOptions(adapt=True)), []
    for _ in range(6):
        turns.begin()
        for packet in packets(recorded_turn()):
            turns.push(packet, 16_000, 1)
        finals.append(turns.end())
        while turns.is_due:
            turns.advance()
    assert turns.adaptation.profile.count == 6
    assert [final.prediction.profile is not None for final in finals] == [False] * 5 + [True]
    assert run(recognizer, recorded_turn())[2].adaptation is None, "off by default"


@pytest.mark.parametrize(
    ("data", "rate", "channels"),
    [(b"\0" * 640, 0, 1), (b"\0" * 640, 16_000, 0), (b"\0" * 641, 16_000, 1)],
)
def test_an_impossible_packet_is_one_line(data, rate, channels):
    with pytest.raises(
        AudioError, match=r"turn: expected .* got .*; check the audio source"
    ) as why:
        PacketDecoder().decode(data, rate, channels)
    assert "\n" not in str(why.value)


def test_lengths_that_are_too_short_are_refused():
    with pytest.raises(UsageError, match="one_pass_seconds=0"):
        TurnOptions(one_pass_seconds=0)


@pytest.mark.parametrize("name", ["one_pass_seconds", "longest_seconds"])
@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 10_000])
def test_lengths_that_no_memory_bounds_are_refused(name, seconds):
    with pytest.raises(UsageError, match="expected lengths of") as why:
        TurnOptions(**{name: seconds})
    assert "\n" not in str(why.value)


def test_an_emotion_is_plain_data_and_a_sentence(recognizer):
    _, final, _ = run(recognizer, recorded_turn())
    data = final.to_dict()
    assert data["kind"] == "turn"
    assert set(data) >= {"label", "unsure", "scores", "start", "end", "dimensions", "warnings"}
    assert "unsure (closest: anger, score 0." in final.describe()
