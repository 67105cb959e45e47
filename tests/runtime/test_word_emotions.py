"""Emotions of words: by half-overlapping windows of the turn, interpolated."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.annotations.prediction import Prediction, Word
from phonemo.annotations.turns import Turn
from phonemo.audio import RATE, Waveform
from phonemo.runtime.parts.word_emotions import recognize_words


class Level:
    """A stand-in for the network: the mean of the samples is the score of anger."""

    def __init__(self):
        self.lengths = []

    def __call__(self, waveform, turn):
        self.lengths.append(len(waveform.samples) / RATE)
        level = float(waveform.samples.mean())
        scores = {"anger": level, "calm": 1 - level}
        return Prediction(max(scores, key=scores.get), scores, waveform.seconds)


def ramp(*levels):
    """Audio of a second for each level."""
    return Waveform(np.repeat(np.array(levels, dtype=np.float32), RATE), ())


def words_at(*middles):
    return tuple(Word(f"w{middle}", middle - 0.1, middle + 0.1) for middle in middles)


def recognized(waveform, turn, window_seconds=2.0):
    level = Level()
    words = recognize_words(level, waveform, turn, level(waveform, turn), window_seconds)
    return words, level.lengths[1:]


def test_a_word_has_the_mean_of_the_two_nearest_windows():
    audio = ramp(0, 0, 1, 1, 0, 0)  # windows with middles 1, 2, 3, 4, 5 and means 0, .5, 1, .5, 0
    middles = (0.2, 1.5, 2.25, 3.0, 5.8)
    turn = Turn(10.0, 16.0, words=words_at(*(10 + middle for middle in middles)))
    words, lengths = recognized(audio, turn)
    scores = [word.scores["anger"] for word in words]
    assert scores == pytest.approx([0.0, 0.25, 0.625, 1.0, 0.0])
    assert [word.label for word in words] == ["calm", "calm", "anger", "anger", "calm"]
    assert [word.text for word in words] == [word.text for word in turn.words]
    assert lengths == [2.0] * 4, "the fourth window is not needed"


def test_only_windows_near_words_are_computed():
    turn = Turn(0.0, 60.0, words=words_at(*np.arange(20, 22, 0.1)))
    _, lengths = recognized(ramp(*[0.5] * 60), turn)
    assert 2 <= len(lengths) <= 4


def test_words_of_a_short_turn_have_the_scores_of_the_turn():
    turn = Turn(0.0, 2.0, words=words_at(0.5, 1.5))
    words, lengths = recognized(ramp(0, 1), turn)
    assert [word.scores["anger"] for word in words] == pytest.approx([0.5, 0.5])
    assert lengths == []


def test_words_outside_the_turn_have_its_first_or_last_window():
    turn = Turn(0.0, 4.0, words=words_at(-5, 99))
    words, _ = recognized(ramp(0, 0, 1, 1), turn)
    assert [word.scores["anger"] for word in words] == pytest.approx([0.0, 1.0])


def test_a_turn_without_words_costs_nothing():
    assert recognized(ramp(0, 0, 1, 1), Turn(0.0, 4.0)) == ((), [])
