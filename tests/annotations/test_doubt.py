"""Doubt: no label without speech, unsure segments and words, one answer, mixtures, text formats."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, Word
from phonemo.annotations.subtitles import read_subtitles
from phonemo.annotations.summary.call_summary import summarize
from phonemo.annotations.writers import BY_FILE, csv_head, csv_rows, rttm, srt, textgrid, webvtt

LABELS = ["anger", "calm"]
SURE, DOUBTED = {"anger": 0.9, "calm": 0.1}, {"anger": 0.45, "calm": 0.55}


def prediction(*segments: Segment, scores=SURE, warnings=(), **fields) -> Prediction:
    label = max(scores, key=scores.get)
    return Prediction(label, scores, 40.0, segments=segments, warnings=warnings, **fields)


def part(start: float, end: float, scores=SURE, **fields) -> Segment:
    return Segment(start, end, max(scores, key=scores.get), scores, **fields)


TWO = with_doubt(prediction(part(0, 2), part(2, 4, DOUBTED)), 0.6)


@pytest.mark.parametrize("warning", ["no_speech", "silent"])
def test_a_recording_without_speech_has_no_label_and_keeps_its_scores(warning):
    spans = (PhonemeSpan("d", 0.0, 0.1, 0.5, share=0.01),)
    told = with_doubt(prediction(warnings=(warning,), spans=spans), 0.5).to_dict(spans=True)
    assert (told["label"], told["unsure"], told["scores"]) == (None, True, SURE)
    assert told["phonemes"] == ["d"]
    assert "share" not in told["spans"][0], "nothing carries an emotion that is not there"


def test_a_label_that_is_not_there_stays_away_when_emotions_are_chosen():
    silent = with_doubt(prediction(warnings=("no_speech",)), 0.5)
    assert silent.among(LABELS).label is None
    assert silent.top(1).label is None


def test_a_segment_and_a_word_below_the_threshold_are_unsure():
    assert [one.unsure for one in TWO.segments] == [False, True]
    assert [one["unsure"] for one in TWO.to_dict()["segments"]] == [False, True]
    words = (Word("so", 0, 1, "calm", DOUBTED), Word("what", 1, 2))
    (turn,) = with_doubt(prediction(part(0, 2, words=words)), 0.6).segments
    assert [word.unsure for word in turn.words] == [True, False]
    assert turn.words[0].to_dict()["unsure"] is True


def test_a_score_at_the_threshold_is_not_unsure():
    assert not with_doubt(prediction(part(0, 2)), 0.9).unsure
    assert with_doubt(prediction(part(0, 2)), 0.91).unsure


def test_the_only_segment_of_a_recording_has_the_label_and_scores_of_the_whole():
    whole = with_doubt(prediction(part(0.5, 3, DOUBTED)), 0.6)
    (segment,) = whole.segments
    assert (segment.label, segment.scores, segment.unsure) == (whole.label, whole.scores, False)
    assert (segment.start, segment.end) == (0.5, 3)


def test_a_label_that_no_segment_has_is_a_warning():
    calm = part(0, 2, {"anger": 0.2, "calm": 0.8})
    differing = with_doubt(prediction(calm, replace(calm, start=3, end=4)), 0.0)
    assert differing.warnings == ("timeline_differs",)
    assert TWO.warnings == ()
    assert differing.among(LABELS).warnings == ("timeline_differs",)


def test_the_warning_follows_the_choice_of_emotions():
    scores = {"anger": 0.5, "calm": 0.3, "joy": 0.2}
    other = {"anger": 0.3, "calm": 0.2, "joy": 0.5}
    found = with_doubt(prediction(part(0, 2, other), part(2, 4, other), scores=scores), 0.0)
    assert found.warnings == ("timeline_differs",)
    assert found.among(["anger", "calm"]).warnings == ()


LONG = ["anger", "calm", "joy"]


def mixed(*seconds: float) -> Prediction:
    segments, at = [], 0.0
    for label, length in zip(LONG, seconds, strict=True):
        scores = dict.fromkeys(LONG, 0.2) | {label: 0.6}
        segments.append(part(at, at + length, scores))
        at += length
    return prediction(*segments, scores={"anger": 0.4, "calm": 0.3, "joy": 0.3})


def test_a_long_recording_in_which_no_emotion_has_most_of_the_time_is_a_mixture():
    assert mixed(8, 10, 7).mixture == {"calm": 0.4, "anger": 0.32, "joy": 0.28}
    assert mixed(8, 10, 7).to_dict()["mixture"] == {"calm": 0.4, "anger": 0.32, "joy": 0.28}


@pytest.mark.parametrize("seconds", [(20, 10, 10), (4, 5, 3)], ids=["half of it", "a short one"])
def test_other_recordings_are_no_mixture(seconds):
    assert mixed(*seconds).mixture is None
    assert "mixture" not in mixed(*seconds).to_dict()


def test_every_text_format_marks_an_unsure_segment_with_a_question_mark():
    assert "[anger 0.90]\n" in srt("a", TWO)
    assert "[calm 0.55?]\n" in srt("a", TWO)
    assert "[calm 0.55?]\n" in webvtt("a", TWO)
    assert '"calm 0.55?"' in textgrid("a", TWO)
    assert "\tcalm 0.55?\n" in BY_FILE["audacity"][1]("a", TWO)
    sure, unsure = rttm("a", TWO).splitlines()
    assert sure.split()[7:9] == ["anger", "0.900"]
    assert unsure.split()[7:9] == ["calm?", "0.550"]
    assert len(sure.split()) == len(unsure.split()) == 10


def test_a_table_says_in_a_column_which_segment_is_unsure():
    text = csv_head(LABELS) + csv_rows("a.wav", TWO, LABELS)
    assert [row["unsure"] for row in csv.DictReader(io.StringIO(text))] == ["false", "true"]


def test_subtitles_with_doubt_are_read_back_without_it():
    told = prediction(part(0, 2, text="so what"), part(2, 4, DOUBTED, text="oh no"))
    rows = read_subtitles("a.srt", srt("a", with_doubt(told, 0.6)))
    assert [row.turn.text for row in rows] == ["so what", "oh no"]


def test_a_turn_without_speech_has_no_emotion_in_any_format():
    silent = Segment(2, 4, None, DOUBTED, speaker="Ann")
    told = prediction(part(0, 2, speaker="Ann"), silent)
    assert "Ann: [no speech]" in srt("a", told)
    assert rttm("a", told).splitlines()[1].split()[7:9] == ["Ann_no_speech", "<NA>"]
    row = list(csv.DictReader(io.StringIO(csv_head(LABELS) + csv_rows("a", told, LABELS))))[1]
    assert (row["label"], row["unsure"]) == ("", "true")
    assert "no speech" not in textgrid("a", told), "an empty interval is a gap"
    (party,) = summarize(told).parties
    assert party.emotions == {"anger": 1.0, "calm": 0.0}


def test_a_single_segment_without_a_timeline_shows_the_doubt_of_the_whole():
    plain = prediction(scores=DOUBTED).flag_unsure(0.6)
    assert "[calm 0.55?]" in srt("a", plain)
