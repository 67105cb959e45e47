"""The summary of a call: parties, shares of emotions, strongest moments, trend."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from phonemo.annotations.prediction import Prediction, Segment
from phonemo.annotations.summary.call_summary import summarize, with_summary

ANGER = {"anger": 0.8, "neutral": 0.2}
CALM = {"anger": 0.1, "neutral": 0.9}


def segment(start, end, scores, **options):
    """A segment; its label is the emotion with the highest score."""
    return Segment(start, end, max(scores, key=scores.get), scores, **options)


def call(*segments, seconds=60.0, **options):
    return Prediction("neutral", CALM, seconds, segments=segments, **options)


TIMELINE = (segment(0, 30, CALM), segment(40, 50, ANGER))


def test_a_recording_is_one_party_with_the_agreed_keys():
    (party,) = summarize(call(*TIMELINE, speech_ratio=0.5)).to_dict()["parties"]
    assert party == {
        "seconds": 60.0,
        "speech_share": 0.5,
        "silence_share": 0.5,
        "emotions": {"anger": 0.25, "neutral": 0.75},
        "mean_confidence": 0.875,
        "strongest": [{"start": 40, "end": 50, "label": "anger", "score": 0.8}],
        "trend": [
            {"start": 0.0, "end": 10.0, "label": "neutral", "scores": CALM},
            {"start": 10.0, "end": 20.0, "label": "neutral", "scores": CALM},
            {"start": 20.0, "end": 30.0, "label": "neutral", "scores": CALM},
            {"start": 40.0, "end": 50.0, "label": "anger", "scores": ANGER},
        ],
        "change": {"anger": 0.7, "neutral": -0.7},
    }
    json.dumps(party, allow_nan=False)


def test_each_channel_of_a_split_call_is_a_party():
    left = call(segment(0, 20, CALM, channel=1), speech_ratio=0.25, channel=1)
    right = call(segment(0, 20, ANGER, channel=2), speech_ratio=0.75, channel=2)
    both = call(*left.segments, *right.segments, channels=(left, right))
    parties = summarize(both).to_dict()["parties"]
    assert [party["channel"] for party in parties] == [1, 2]
    assert [party["speech_share"] for party in parties] == [0.25, 0.75]
    assert [party["emotions"]["anger"] for party in parties] == [0.0, 1.0]
    assert "speaker" not in parties[0]


def test_speakers_speech_share_is_the_union_of_their_turns():
    turns = [(0, 20, "B"), (10, 30, "B"), (30, 60, "A"), (50, 53, None)]
    found = call(*(segment(start, end, CALM, speaker=name) for start, end, name in turns))
    parties = summarize(found).parties
    assert [party.speaker for party in parties] == ["A", "B", None]
    assert [party.speech_share for party in parties] == [0.5, 0.5, 0.05]


def test_speakers_on_channels_are_parties_of_their_own():
    parts = [
        call(segment(0, 9, CALM, channel=number, speaker=name), channel=number, speech_ratio=0.9)
        for number, name in ((1, "agent"), (2, "client"))
    ]
    both = call(*parts[0].segments, *parts[1].segments, channels=tuple(parts))
    names = [(party.channel, party.speaker) for party in summarize(both).parties]
    assert names == [(1, "agent"), (2, "client")]
    mixed = call(*both.segments)
    assert [(party.channel, party.speaker) for party in summarize(mixed).parties] == names


def test_a_recording_without_speech_has_no_emotions():
    silent = call(warnings=("no_speech",), speech_ratio=0.0)
    (party,) = summarize(silent).to_dict()["parties"]
    assert (party["emotions"], party["strongest"], party["trend"]) == ({}, [], [])
    assert (party["mean_confidence"], party["change"], party["silence_share"]) == (None, None, 1)


def test_a_single_segment_has_no_change():
    (party,) = summarize(call(seconds=5.0)).parties
    assert party.change is None
    assert [(part.start, part.end) for part in party.trend] == [(0.0, 5.0)]
    assert party.speech_share == 1.0


def test_neutral_moments_are_the_strongest_only_where_there_are_no_others():
    (calm,) = summarize(call(segment(0, 9, CALM))).parties
    assert [moment.label for moment in calm.strongest] == ["neutral"]
    loud = [segment(t, t + 2, {"anger": 0.5 + t / 100, "neutral": 0.4}) for t in range(0, 10, 2)]
    (party,) = summarize(call(*loud, *TIMELINE[:1])).parties
    assert [moment.start for moment in party.strongest] == [8, 6, 4]


@pytest.mark.parametrize("seconds", [0.0, 0.1, 3.0, 7200.0])
def test_shares_sum_to_one_whatever_the_length(seconds):
    found = call(segment(0, seconds, ANGER), seconds=seconds)
    (party,) = summarize(found).parties
    assert sum(party.emotions.values()) == pytest.approx(1.0 if seconds else 0.0)
    assert 0 <= party.speech_share <= 1


def test_emotions_removed_by_top_k_count_as_zero():
    (party,) = summarize(call(*TIMELINE).top(1)).parties
    assert party.emotions == {"neutral": 0.75, "anger": 0.25}


def test_the_channel_of_a_prediction_of_one_channel_names_the_party():
    found = replace(call(segment(0, 9, CALM, channel=2)), channel=2)
    assert [party.channel for party in summarize(found).parties] == [2]


def test_the_summary_of_a_split_prediction_is_written_once():
    left = call(segment(0, 20, CALM, channel=1), speech_ratio=0.25, channel=1)
    both = with_summary(call(*left.segments, channels=(left,)))
    data = both.to_dict()
    assert data["summary"] == summarize(both).to_dict()
    assert "summary" not in data["channels"][0]
    assert both.channels[0].to_dict()["summary"] == data["summary"]  # the row of that channel


def test_choosing_among_emotions_drops_the_summary():
    assert with_summary(call(*TIMELINE)).among(["anger", "neutral"]).summary is None
