"""Turns from SRT and WebVTT: times, texts and the ways to name a speaker."""

from __future__ import annotations

import pytest

from phonemo.annotations.prediction import Prediction, Segment
from phonemo.annotations.turns import Turn, read_turns
from phonemo.annotations.writers import srt, webvtt
from phonemo.errors import UsageError
from tests.annotations.transcript_files import SRT, VTT

SCORES = {"anger": 0.75, "neutral": 0.25}


def named(turns):
    return [(turn.speaker, turn.text) for turn in turns]


@pytest.fixture
def read(tmp_path):
    def reader(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content.encode(encoding))
        return read_turns(path, "a.wav")

    return reader


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_srt_and_webvtt_in_any_encoding(read, encoding, line_end):
    assert read("a.srt", SRT.replace("\n", line_end), encoding) == (
        Turn(1.0, 2.5, "SPEAKER_00", text="Hello there, you & me."),
        Turn(3.0, 4.0, "SPEAKER_01", text="No."),
    )
    assert read("a.vtt", VTT.replace("\n", line_end), encoding) == (
        Turn(1.0, 2.5, "Ann", text="Hello there, you & me."),
        Turn(3603.0, 3604.0, "Ann", text="Yes."),
        Turn(3603.0, 3604.0, "Bob", text="No."),
    )


def cues(*texts):
    return "\n".join(f"{n}\n00:0{n}.5 --> 00:0{n}.75\n{text}\n" for n, text in enumerate(texts))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["SPEAKER_00: a", "b, c: d"], [("SPEAKER_00", "a"), (None, "b, c: d")]),
        (["[Speaker 1] a", "(SPK1): b"], [("Speaker 1", "a"), ("SPK1", "b")]),
        (["[Ann]: a", "[laughs] b"], [("Ann", "a"), (None, "[laughs] b")]),
        (["Ann: a", "Bob: b: c"], [("Ann", "a"), ("Bob", "b: c")]),
        (["Note: a", "b"], [(None, "Note: a"), (None, "b")]),
        (["Note: a"], [(None, "Note: a")]),
        (["speaker 1 is late", "12:30"], [(None, "speaker 1 is late"), (None, "12:30")]),
        (["{\\an8}a", "<font color='red'>b</font>"], [(None, "a"), (None, "b")]),
        (["", "42"], [(None, None), (None, "42")]),
        (["a\n\nb", "c"], [(None, "a b"), (None, "c")]),
    ],
)
def test_a_speaker_is_a_name_that_clearly_is_one(read, texts, expected):
    assert named(read("a.srt", cues(*texts))) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.srt", "00:01,5 --> 00:02,25\na\n00:03,0 --> 00:04,0\nb"),
        ("a.srt", "1\n00:01,5 --> 00:02,25\na\n2\n00:03,0 --> 00:04,0\nb\n\n3\n"),
        ("a.vtt", "WEBVTT\n00:01.5 --> 00:02.25\na\n\nid 2\n00:03 --> 00:04\nb\n"),
        ("a.vtt", "00:01.5 --> 00:02.25\na\n\n\n\n00:03 --> 00:04 line:0\nb\n"),
    ],
)
def test_files_with_missing_lines_are_read(read, name, text):
    assert read(name, text) == (Turn(1.5, 2.25, text="a"), Turn(3.0, 4.0, text="b"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.srt", "hello", "a.srt line 1: expected a time line such as .*, got 'hello'"),
        ("a.srt", "1\n00:00 --> b\nx", "a.srt line 2: expected a time line such as .* got '00:00"),
        ("a.vtt", "WEBVTT\n\n00:01 --> 00\nx", "a.vtt line 3: expected a time line"),
        ("a.vtt", "WEBVTT\n\nNOTE only\n", "a.vtt: expected speaker turns, got none"),
        ("a.srt", "", "a.srt: expected speaker turns, got none"),
        ("a.srt", "1\n00:02 --> 00:01\nx", "line 2: expected 0 <= start < end, got a turn from 2"),
    ],
)
def test_a_malformed_file_is_one_line(read, name, text, message):
    with pytest.raises(UsageError, match=message):
        read(name, text)


def test_markup_is_that_of_the_format(read):
    cue = "00:00:01,000 --> 00:00:02,000\n<v Bob>{\\an8}yes\n"
    assert [(turn.speaker, turn.text) for turn in read("a.srt", cue)] == [(None, "yes")]
    cue = "WEBVTT\n\n" + cue.replace(",", ".")
    assert [(turn.speaker, turn.text) for turn in read("a.vtt", cue)] == [("Bob", "{\\an8}yes")]


@pytest.mark.parametrize(("name", "write"), [("a.srt", srt), ("a.vtt", webvtt)])
@pytest.mark.parametrize(
    "speakers", [("Ann", "Bob"), (None, None), ("Ann", None), ("--", "-- Bob --")]
)
@pytest.mark.parametrize("text", ["Well, no --> yes: <b>", None])
def test_what_phonemo_writes_reads_back(read, name, write, speakers, text):
    segments = tuple(
        Segment(start, start + 1.0, "anger", SCORES, speaker, text=text)
        for start, speaker in enumerate(speakers)
    )
    turns = read(name, write("a.wav", Prediction("anger", SCORES, 2.0, segments=segments)))
    assert [(turn.start, turn.end) for turn in turns] == [(0.0, 1.0), (1.0, 2.0)]
    if name == "a.vtt" or None not in speakers:
        assert tuple(turn.speaker for turn in turns) == speakers
    texts = {turn.text for turn in turns}
    if text is None:
        assert texts == {None}
    elif name == "a.vtt":
        assert texts == {text}


def test_a_name_with_an_arrow_costs_no_cue_its_speaker(read):
    segments = tuple(
        Segment(start, start + 1.0, "anger", SCORES, speaker, text="<v Eve>yes")
        for start, speaker in enumerate(("a-->b", "Bob"))
    )
    turns = read("a.srt", srt("a.wav", Prediction("anger", SCORES, 2.0, segments=segments)))
    assert [(turn.speaker, turn.text) for turn in turns] == [("a->b", "yes"), ("Bob", "yes")]
