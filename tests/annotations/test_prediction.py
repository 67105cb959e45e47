"""A prediction among some of its emotions, by hand."""

from __future__ import annotations

import math

import pytest

from phonemo.annotations.prediction import UNSURE, PhonemeSpan, Prediction, Segment
from phonemo.errors import LabelError, UsageError

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
    with pytest.raises(LabelError, match="all scores of b, c are 0"):
        silent.among(["b", "c"])


def test_times_of_phonemes_are_given_where_they_are_asked_for():
    assert "spans" not in FOUND.to_dict()
    assert FOUND.to_dict()["phonemes"] == ["a"]
    row = {"symbol": "a", "start": 0.1, "end": 0.2346, "confidence": 0.9877}
    assert FOUND.to_dict(spans=True)["spans"] == [row]
    silent = Prediction(label="a", scores={"a": 1.0, "b": 0.0}, seconds=1.0)
    assert silent.to_dict(spans=True)["spans"] is None


def test_an_answer_below_the_threshold_is_unsure_and_keeps_everything_else():
    found = FOUND.flag_unsure(math.nextafter(0.6, 1))
    assert found.warnings == ("clipped", "unsure")
    assert (found.label, found.scores, found.spans) == (FOUND.label, FOUND.scores, FOUND.spans)
    assert found.to_dict()["warnings"] == ["clipped", UNSURE]
    assert FOUND.warnings == ("clipped",), "what was given is as it was"


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_an_answer_at_or_above_the_threshold_is_as_it_was(threshold):
    assert FOUND.flag_unsure(threshold) == FOUND


def test_the_highest_score_decides_wherever_it_stands():
    last = Prediction(label="b", scores={"a": 0.2, "b": 0.8}, seconds=1.0)
    assert last.flag_unsure(0.5).warnings == ()
    assert last.flag_unsure(1.0).warnings == ("unsure",)


TIMED = Prediction(
    label="calm",
    scores={"anger": 0.1, "calm": 0.6, "neutral": 0.3},
    seconds=2.0,
    segments=(
        Segment(0.0, 1.00006, "calm", {"anger": 0.0, "calm": 0.75, "neutral": 0.25}),
        Segment(1.0, 2.0, "neutral", {"anger": 0.3, "calm": 0.3, "neutral": 0.4}, "Ann"),
    ),
    speech_ratio=0.87654,
    timings={"network": 0.5},
)


def test_a_segment_is_plain_data_with_its_speaker_where_there_is_one():
    first, second = TIMED.segments
    scores = {"anger": 0.0, "calm": 0.75, "neutral": 0.25}
    assert first.to_dict() == {"start": 0.0, "end": 1.0001, "label": "calm", "scores": scores}
    assert second.to_dict()["speaker"] == "Ann"


def test_every_segment_chooses_among_the_same_emotions():
    first, second = TIMED.among(["anger", "neutral"]).segments
    assert (first.label, first.scores) == ("neutral", {"anger": 0.0, "neutral": 1.0})
    assert second.scores == pytest.approx({"anger": 3 / 7, "neutral": 4 / 7})
    assert (second.start, second.end, second.speaker) == (1.0, 2.0, "Ann")


def test_a_segment_whose_chosen_scores_are_all_zero_is_an_error():
    silent = Segment(0.0, 1.0, "a", {"a": 1.0, "b": 0.0, "c": 0.0})
    with pytest.raises(LabelError, match="all scores of b, c are 0"):
        silent.among(["b", "c"])


def test_the_highest_scores_come_first_and_keep_their_values():
    found = TIMED.top(2)
    assert list(found.scores.items()) == [("calm", 0.6), ("neutral", 0.3)]
    assert list(found.segments[0].scores.items()) == [("calm", 0.75), ("neutral", 0.25)]
    assert list(found.segments[1].scores.items()) == [("neutral", 0.4), ("anger", 0.3)]
    assert found.label == "calm"
    assert TIMED.top(9).scores == TIMED.scores


@pytest.mark.parametrize("count", [0, -1])
def test_the_highest_of_nothing_is_an_error(count):
    with pytest.raises(UsageError, match=f"top scores of at least 1, got {count}"):
        TIMED.top(count)


def test_the_shape_of_transformers():
    ranked = [
        {"score": 0.6, "label": "calm"},
        {"score": 0.3, "label": "neutral"},
        {"score": 0.1, "label": "anger"},
    ]
    assert TIMED.to_pipeline() == ranked
    assert TIMED.to_pipeline(top_k=1) == ranked[:1]


def test_plain_data_has_segments_and_speech_but_no_timings():
    data = TIMED.to_dict()
    assert data["speech_ratio"] == 0.8765
    assert data["segments"] == [one.to_dict() for one in TIMED.segments]
    assert "timings" not in data
    assert FOUND.to_dict()["speech_ratio"] is None
    assert FOUND.to_dict()["segments"] == []


def test_timings_are_no_part_of_the_answer():
    again = Prediction(**{**vars(TIMED), "timings": {}})
    assert again == TIMED


def test_a_share_is_written_where_it_was_asked_for():
    data = PhonemeSpan("a", 0.0, 0.1, 0.9, share=-0.01234567).to_dict()
    assert data["share"] == -0.012346
    assert "share" not in PhonemeSpan("a", 0.0, 0.1, 0.9).to_dict()
    assert PhonemeSpan("a", 0.0, 0.1, 0.9, share=0.0).to_dict()["share"] == 0.0
