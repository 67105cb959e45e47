"""Turns in forms that other programs write or return, beside the usual ones."""

from __future__ import annotations

import json
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

from phonemo.annotations.turn_objects import convert_turns
from phonemo.annotations.turns import open_turns
from phonemo.errors import UsageError

WORDS = [
    {"word": "the", "start": 0.0, "end": 0.4},
    {"word": "14"},
    {"word": "rag", "start": 0.4, "end": 1.4},
    {"word": "so", "start": 3.0, "end": 3.5},
]


def times(turns):
    """Start, end and speaker of each turn."""
    return [(turn.start, turn.end, turn.speaker) for turn in turns]


def read(folder, data, name="call.json"):
    """Turns of a file."""
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return open_turns(path)("call.wav")


@pytest.mark.parametrize(
    "data",
    [
        {"text": "x", "words": WORDS, "segments": None},
        {"text": "x", "words": WORDS, "segments": []},
        {"word_segments": WORDS},
        {"result": WORDS, "text": "x"},
    ],
)
def test_words_without_segments_become_turns_that_end_at_pauses(tmp_path, data):
    turns = read(tmp_path, data)
    assert times(turns) == [(0.0, 1.4, None), (3.0, 3.5, None)]
    assert [word.text for word in turns[0].words] == ["the", "14", "rag"]


def test_words_without_segments_end_a_turn_where_the_speaker_changes(tmp_path):
    words = [{**WORDS[0], "speaker": "A"}, {**WORDS[2], "speaker": "B"}]
    assert times(read(tmp_path, {"words": words})) == [(0.0, 0.4, "A"), (0.4, 1.4, "B")]


def test_named_tuples_in_json_have_their_times_at_the_third_place(tmp_path):
    words = [[0.0, 0.9, " the", 0.9], [0.9, 1.9, " rag", 0.8]]
    rows = [[1, 3000, 0.0, 1.9, " the rag", [50364], -0.2, 1.1, 0.01, words, 0.0]]
    (turn,) = read(tmp_path, rows)
    assert (turn.start, turn.end, turn.text) == (0.0, 1.9, "the rag")
    assert [(word.text, word.end) for word in turn.words] == [("the", 0.9), ("rag", 1.9)]


def test_tokens_of_whisper_cpp_become_words(tmp_path):
    tokens = [("[_BEG_]", 0, 0), (" the", 0, 500), (" ra", 500, 900), ("g", 900, 1800)]
    described = [{"text": text, "offsets": {"from": a, "to": b}} for text, a, b in tokens]
    segment = {"offsets": {"from": 0, "to": 1900}, "text": " the rag", "tokens": described}
    (turn,) = read(tmp_path, {"transcription": [segment]})
    assert [(word.text, word.start, word.end) for word in turn.words] == [
        ("the", 0.0, 0.5),
        ("rag", 0.5, 1.8),
    ]


def test_a_chunk_without_an_end_lasts_to_the_next_one_or_for_a_window(tmp_path):
    chunks = [{"timestamp": [start, None], "text": "x"} for start in (0.0, 2.0)]
    assert times(read(tmp_path, {"chunks": chunks})) == [(0.0, 2.0, None), (2.0, 32.0, None)]


def test_channels_numbered_from_zero_are_numbered_from_one(tmp_path):
    segments = [{"start": place, "end": place + 1, "channel": place} for place in (0, 1)]
    assert [turn.channel for turn in read(tmp_path, {"segments": segments})] == [1, 2]
    assert [turn.channel for turn in convert_turns(segments)] == [1, 2]
    table = "start,end,channel\n0,1,0\n1,2,1\n2,3,\n"
    assert [turn.channel for turn in read(tmp_path, table, "call.csv")] == [1, 2, None]
    assert [turn.channel for turn in convert_turns(segments[1:])] == [1]


def test_a_subtitle_that_begins_before_the_recording_is_shortened(tmp_path):
    cue = "1\n-00:00:00,500 --> 00:00:01,900\nthe\n"
    assert times(read(tmp_path, cue, "call.srt")) == [(0.0, 1.9, None)]


def test_an_object_without_times_is_named_by_its_fields(tmp_path):
    with pytest.raises(UsageError, match="got one with id, confidence;"):
        read(tmp_path, [{"id": 1, "confidence": 0.5}])


class Frame:
    """A data frame without pandas: its columns, and its rows by some method."""

    columns = ("Start", "END", "speaker")

    def __init__(self, method: str) -> None:
        rows = [dict(zip(self.columns, (0, 1.9, "A"), strict=True))]
        setattr(self, method, lambda *orient: rows)


@pytest.mark.parametrize("method", ["to_dict", "to_dicts", "to_pylist"])
def test_data_frames_may_have_columns_in_capitals(method):
    assert times(convert_turns(Frame(method))) == [(0.0, 1.9, "A")]


def test_rows_of_arrays_are_turns():
    assert times(convert_turns(np.array([[0, 1.9], [2, 3]]))) == [(0, 1.9, None), (2, 3, None)]


def test_what_faster_whisper_returns_is_accepted_as_it_is():
    Segment = namedtuple("Segment", "id seek start end text")
    info = SimpleNamespace(language="de", duration=4.0)
    given = ((Segment(place, 0, place, place + 1, "x") for place in (0, 2)), info)
    assert times(convert_turns(given)) == [(0, 1, None), (2, 3, None)]


def test_a_list_of_what_pyannote_iterates_over_is_accepted():
    segment = SimpleNamespace(start=0.0, end=1.9)
    assert times(convert_turns([(segment, "A")])) == [(0.0, 1.9, "A")]
    assert times(convert_turns([(segment, "_", "A")])) == [(0.0, 1.9, "A")]
