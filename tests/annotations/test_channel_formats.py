"""Channels in the formats: rows, tiers, subtitles, RTTM, data frames; and read back as turns."""

from __future__ import annotations

import csv
import io
import json

import pytest

from phonemo.annotations import writers
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, to_pandas
from phonemo.annotations.tiers import tiers_of
from phonemo.annotations.turns import Turn, read_turns

SCORES = {"anger": 0.75, "neutral": 0.25}


def one_channel(number: int) -> Prediction:
    return Prediction(
        "anger",
        SCORES,
        4.0,
        spans=(PhonemeSpan("a", 0.5, 1.0, 0.9),),
        segments=(Segment(0.0, 2.0 + number, "anger", SCORES, channel=number),),
        speech_ratio=0.5,
        channel=number,
    )


FIRST, SECOND = one_channel(1), one_channel(2)
CALL = Prediction(
    "anger",
    SCORES,
    4.0,
    segments=(*FIRST.segments, *SECOND.segments),
    channels=(FIRST, SECOND),
)
LABELS = ["anger", "neutral"]


def test_a_table_has_the_rows_of_each_channel():
    text = writers.csv_head(LABELS, True, True) + writers.csv_rows(
        "a.wav", CALL, LABELS, True, True
    )
    text += writers.csv_error("b.wav", "bad", LABELS, True, True)
    first, second, bad = csv.DictReader(io.StringIO(text))
    assert [(row["channel"], row["end"], row["phonemes"]) for row in (first, second)] == [
        ("1", "3.000", "a"),
        ("2", "4.000", "a"),
    ]
    assert (bad["error"], bad["channel"], bad["profile"]) == ("bad", "", "")
    assert None not in bad


def test_a_table_of_phonemes_has_those_of_each_channel():
    text = writers.phoneme_head(True) + writers.phoneme_rows("call.wav", CALL, True)
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = [(str(one.channel), name) for one in (FIRST, SECOND) for name in one.phonemes]
    assert [(row["channel"], row["symbol"]) for row in rows] == expected


def test_a_table_without_channels_has_no_such_column():
    assert "channel" not in writers.csv_head(LABELS)
    assert len(writers.csv_rows("a", FIRST, LABELS).split(",")) == 11


def test_each_channel_has_its_tiers():
    tiers = tiers_of(CALL)
    assert list(tiers) == [
        "emotion channel 1",
        "emotion channel 2",
        "phonemes channel 1",
        "phonemes channel 2",
    ]
    assert list(tiers_of(SECOND)) == ["emotion channel 2", "phonemes"]


def test_namesakes_on_two_channels_have_their_own_tiers():
    segments = tuple(
        Segment(0.0, 2.0, "anger", SCORES, "SPEAKER_00", channel=number) for number in (1, 2)
    )
    tiers = tiers_of(Prediction("anger", SCORES, 4.0, segments=segments))
    assert list(tiers) == ["emotion SPEAKER_00 channel 1", "emotion SPEAKER_00 channel 2"]


def test_subtitles_name_the_channel():
    assert "channel 2: [anger 0.75]" in writers.srt("a", CALL)
    assert "<v channel 1>[anger 0.75]" in writers.webvtt("a", CALL)
    assert "channel 1: anger 0.75" in writers.audacity("a", CALL)
    assert writers.audacity("a", CALL).count("\ta\n") == 2


def test_json_has_all_channels_in_one_document():
    data = json.loads(writers.json_file("a.wav", CALL))
    assert [(one["channel"], one["spans"][0]["symbol"]) for one in data["channels"]] == [
        (1, "a"),
        (2, "a"),
    ]
    assert [segment["channel"] for segment in data["segments"]] == [1, 2]


def test_a_data_frame_has_the_rows_of_each_channel():
    pytest.importorskip("pandas")
    frame = to_pandas([("a.wav", CALL), ("b.wav", Prediction("anger", SCORES, 1.0))])
    assert list(frame["channel"])[:2] == [1, 2]
    assert list(frame["phonemes"])[:2] == ["a", "a"]
    assert len(frame) == 3


def read(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_turns(path, "a.wav")


@pytest.mark.parametrize(
    ("suffix", "write"), [(".rttm", writers.rttm), (".TextGrid", writers.textgrid)]
)
def test_channels_are_read_back_as_turns(tmp_path, suffix, write):
    turns = read(tmp_path, f"a{suffix}", write("a.wav", CALL))
    assert [(turn.end, turn.channel) for turn in turns] == [(3.0, 1), (4.0, 2)]


RTTM = "SPEAKER a {} 0.0 1.0 <NA> <NA> A <NA>\nSPEAKER a {} 1.0 1.0 <NA> <NA> B <NA>\n"


@pytest.mark.parametrize(
    ("fields", "channels"),
    [
        (("1", "2"), [1, 2]),
        (("1", "1"), [None, None]),
        (("2", "2"), [2, 2]),
        (("<NA>", "1"), [None, None]),
        (("0", "1"), [None, None]),
        (("A", "9999"), [None, None]),
    ],
)
def test_an_rttm_that_names_several_channels_is_honored(tmp_path, fields, channels):
    """Most tools write 1 for every turn, also where all speakers are on both channels."""
    turns = read(tmp_path, "a.rttm", RTTM.format(*fields))
    assert [turn.channel for turn in turns] == channels
    assert turns[0] == Turn(0.0, 1.0, "A", channels[0])


def test_the_channels_of_another_recording_do_not_count(tmp_path):
    text = RTTM.format(1, 1) + "SPEAKER b 2 0.0 1.0 <NA> <NA> C <NA>\n"
    assert [turn.channel for turn in read(tmp_path, "a.rttm", text)] == [None, None]
