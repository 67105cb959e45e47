"""Restricting a prediction to some emotions or its top scores, and its plain data."""

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


def test_the_remaining_scores_are_rescaled_to_one():
    prediction = FOUND.among(["neutral", "anger"])
    assert prediction.label == "neutral"
    assert list(prediction.scores) == ["anger", "neutral"]
    assert prediction.scores["anger"] == pytest.approx(0.25)
    assert prediction.scores["neutral"] == pytest.approx(0.75)
    assert (prediction.seconds, prediction.phonemes, prediction.warnings) == (
        1.0,
        ("a",),
        ("clipped",),
    )
    assert FOUND.label == "calm", "what was given is as it was"


def test_selecting_all_emotions_changes_nothing():
    prediction = FOUND.among(FOUND.scores)
    assert prediction.label == FOUND.label
    assert prediction.scores == pytest.approx(FOUND.scores)


@pytest.mark.parametrize(
    ("names", "words"),
    [(["anger", "joy"], "unknown label 'joy'"), (["anger"], "at least two"), ([], "at least two")],
)
def test_an_invalid_selection_of_emotions_is_an_error(names, words):
    with pytest.raises(LabelError, match=words):
        FOUND.among(names)


def test_selected_scores_that_are_all_zero_are_an_error():
    silent = Prediction(label="a", scores={"a": 1.0, "b": 0.0, "c": 0.0}, seconds=1.0)
    with pytest.raises(LabelError, match="all scores of b, c are 0"):
        silent.among(["b", "c"])


def test_phoneme_times_are_included_on_request():
    assert "spans" not in FOUND.to_dict()
    assert FOUND.to_dict()["phonemes"] == ["a"]
    row = {"symbol": "a", "start": 0.1, "end": 0.2346, "confidence": 0.9877}
    assert FOUND.to_dict(spans=True)["spans"] == [row]
    silent = Prediction(label="a", scores={"a": 1.0, "b": 0.0}, seconds=1.0)
    assert silent.to_dict(spans=True)["spans"] is None


def test_a_score_below_the_threshold_only_adds_the_warning_unsure():
    prediction = FOUND.flag_unsure(math.nextafter(0.6, 1))
    assert prediction.warnings == ("clipped", "unsure")
    assert (prediction.label, prediction.scores, prediction.spans) == (
        FOUND.label,
        FOUND.scores,
        FOUND.spans,
    )
    assert prediction.to_dict()["warnings"] == ["clipped", UNSURE]
    assert FOUND.warnings == ("clipped",), "what was given is as it was"


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_a_score_at_or_above_the_threshold_changes_nothing(threshold):
    assert FOUND.flag_unsure(threshold) == FOUND


def test_the_highest_score_decides_regardless_of_its_position():
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


def test_a_segment_is_plain_data_with_an_optional_speaker():
    first, second = TIMED.segments
    scores = {"anger": 0.0, "calm": 0.75, "neutral": 0.25}
    told = {"label": "calm", "unsure": False, "scores": scores}
    assert first.to_dict() == {"start": 0.0, "end": 1.0001, **told}
    assert second.to_dict()["speaker"] == "Ann"


def test_every_segment_is_restricted_to_the_same_emotions():
    first, second = TIMED.among(["anger", "neutral"]).segments
    assert (first.label, first.scores) == ("neutral", {"anger": 0.0, "neutral": 1.0})
    assert second.scores == pytest.approx({"anger": 3 / 7, "neutral": 4 / 7})
    assert (second.start, second.end, second.speaker) == (1.0, 2.0, "Ann")


def test_a_segment_whose_chosen_scores_are_all_zero_is_an_error():
    silent = Segment(0.0, 1.0, "a", {"a": 1.0, "b": 0.0, "c": 0.0})
    with pytest.raises(LabelError, match="all scores of b, c are 0"):
        silent.among(["b", "c"])


def test_the_highest_scores_come_first_and_keep_their_values():
    prediction = TIMED.top(2)
    assert list(prediction.scores.items()) == [("calm", 0.6), ("neutral", 0.3)]
    assert list(prediction.segments[0].scores.items()) == [("calm", 0.75), ("neutral", 0.25)]
    assert list(prediction.segments[1].scores.items()) == [("neutral", 0.4), ("anger", 0.3)]
    assert prediction.label == "calm"
    assert TIMED.top(9).scores == TIMED.scores


@pytest.mark.parametrize("count", [0, -1])
def test_a_number_of_top_scores_below_one_is_an_error(count):
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
    assert data["segments"] == [segment.to_dict() for segment in TIMED.segments]
    assert "timings" not in data
    assert FOUND.to_dict()["speech_ratio"] is None
    assert FOUND.to_dict()["segments"] == []


def test_timings_are_ignored_in_comparisons():
    again = Prediction(**{**vars(TIMED), "timings": {}})
    assert again == TIMED


def test_a_share_is_written_on_request():
    data = PhonemeSpan("a", 0.0, 0.1, 0.9, share=-0.01234567).to_dict()
    assert data["share"] == -0.012346
    assert "share" not in PhonemeSpan("a", 0.0, 0.1, 0.9).to_dict()
    assert PhonemeSpan("a", 0.0, 0.1, 0.9, share=0.0).to_dict()["share"] == 0.0
