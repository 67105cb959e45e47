"""A prediction among some of its emotions, by hand."""

from __future__ import annotations

import math

import pytest

from phonemo.errors import LabelError
from phonemo.prediction import UNSURE, PhonemeSpan, Prediction

FOUND = Prediction(
    label="calm",
    scores={"anger": 0.1, "calm": 0.6, "neutral": 0.3},
    seconds=1.0,
    spans=(PhonemeSpan("a", 0.1, 0.23456, 0.98765),),
    warnings=("clipped",),
)


def test_the_scores_of_those_that_stay_are_scaled_to_one():
    found = FOUND.among(["neutral", "anger"])
    assert found.label == "neutral"
    assert list(found.scores) == ["anger", "neutral"]
    assert found.scores["anger"] == pytest.approx(0.25)
    assert found.scores["neutral"] == pytest.approx(0.75)
    assert (found.seconds, found.phonemes, found.warnings) == (1.0, ("a",), ("clipped",))
    assert FOUND.label == "calm", "what was given is as it was"


def test_all_of_them_change_nothing():
    found = FOUND.among(FOUND.scores)
    assert found.label == FOUND.label
    assert found.scores == pytest.approx(FOUND.scores)


@pytest.mark.parametrize(
    ("names", "words"),
    [(["anger", "joy"], "unknown label 'joy'"), (["anger"], "at least two"), ([], "at least two")],
)
def test_what_cannot_be_chosen_from_is_an_error(names, words):
    with pytest.raises(LabelError, match=words):
        FOUND.among(names)


def test_nothing_is_divided_by_zero():
    silent = Prediction(label="a", scores={"a": 1.0, "b": 0.0, "c": 0.0}, seconds=1.0)
    with pytest.raises(LabelError, match="every score of b, c is 0"):
        silent.among(["b", "c"])


def test_times_of_phonemes_are_given_where_they_are_asked_for():
    assert "spans" not in FOUND.to_dict()
    assert FOUND.to_dict()["phonemes"] == ["a"]
    row = {"symbol": "a", "start": 0.1, "end": 0.2346, "confidence": 0.9877}
    assert FOUND.to_dict(spans=True)["spans"] == [row]
    silent = Prediction(label="a", scores={"a": 1.0, "b": 0.0}, seconds=1.0)
    assert silent.to_dict(spans=True)["spans"] is None


def test_an_answer_below_the_threshold_is_unsure_and_keeps_everything_else():
    found = FOUND.doubted(math.nextafter(0.6, 1))
    assert found.warnings == ("clipped", "unsure")
    assert (found.label, found.scores, found.spans) == (FOUND.label, FOUND.scores, FOUND.spans)
    assert found.to_dict()["warnings"] == ["clipped", UNSURE]
    assert FOUND.warnings == ("clipped",), "what was given is as it was"


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_an_answer_at_or_above_the_threshold_is_as_it_was(threshold):
    assert FOUND.doubted(threshold) == FOUND


def test_the_highest_score_decides_wherever_it_stands():
    last = Prediction(label="b", scores={"a": 0.2, "b": 0.8}, seconds=1.0)
    assert last.doubted(0.5).warnings == ()
    assert last.doubted(1.0).warnings == ("unsure",)
