"""Turns from the JSON of transcribers and diarizers, and from their Python objects."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass, replace

import pytest

from phonemo.annotations import turn_objects
from phonemo.annotations.prediction import Prediction, Segment, Word
from phonemo.annotations.summary.call_summary import with_summary
from phonemo.annotations.turn_objects import convert_turns
from phonemo.annotations.turns import Turn, open_turns, read_turns
from phonemo.annotations.writers import json_file
from phonemo.errors import UsageError
from tests.annotations.transcript_files import WHISPER, WHISPER_CPP, WHISPERX

HELLO = (Word("Hello", 0.0, 0.5), Word("there.", 0.5, 1.5))
HELLO_TURN = Turn(0.0, 1.5, None, text="Hello there.", words=HELLO)
#: A word without times lies between its neighbors, or before the end of the turn.
NINE = (
    *(Word("It", 0.5, 0.75), Word("is", 0.75, 1.0), Word("5", 1.0, 1.5)),
    *(Word("past", 1.5, 2.0), Word("nine.", 2.0, 2.5)),
)
NINE_TURNS = (
    Turn(0.5, 2.5, "SPEAKER_00", text="It is 5 past nine.", words=NINE),
    Turn(3.0, 4.0, "SPEAKER_01", text="No."),
)
PLAIN = ({"start": 0, "end": 1.5, "speaker": "A"}, {"start": 1, "end": 2, "speaker": 1})
PLAIN_TURNS = (Turn(0.0, 1.5, "A"), Turn(1.0, 2.0, "1"))

FasterSegment = namedtuple("FasterSegment", "id start end text words")
FasterWord = namedtuple("FasterWord", "start end word probability")


@pytest.fixture
def write_json(tmp_path):
    def write(data, name="a.json", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes((data if isinstance(data, str) else json.dumps(data)).encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("data", "turns"),
    [
        (WHISPERX, NINE_TURNS),
        (WHISPER, (HELLO_TURN,)),
        (WHISPER["segments"], (HELLO_TURN,)),
        (WHISPER_CPP, (Turn(1.0, 2.5, "0", text="Hello there."),)),
        (
            {"text": "x", "chunks": [{"timestamp": [0.5, 1], "text": " x"}]},
            (Turn(0.5, 1, text="x"),),
        ),
        ({"diarization": PLAIN, "exclusive_diarization": PLAIN[:1]}, PLAIN_TURNS[:1]),
        ({"output": {"diarization": PLAIN}}, PLAIN_TURNS),
        (PLAIN, PLAIN_TURNS),
        ([[0, 1.5, "A"], [1, 2, "1"]], PLAIN_TURNS),
        (["0.00 1.50 A", "1.00 2.00 1"], PLAIN_TURNS),
        ([{"offset": 1, "duration": 1, "speaker": "1"}], PLAIN_TURNS[1:]),
        ([{"start": "00:00:01,000", "end": "2"}], (Turn(1.0, 2.0),)),
        ([{"start": 1, "end": 2, "channel": 2}], (Turn(1.0, 2.0, channel=2),)),
    ],
)
def test_json_is_read_by_its_content(write_json, data, turns):
    assert read_turns(write_json(data), "a.wav") == turns
    assert read_turns(write_json(data, encoding="utf-8-sig"), "a.wav") == turns
    assert convert_turns(data) == turns, "the same in Python"


def test_words_beside_the_segments_are_shared_out(write_json):
    segments = [{"start": 0, "end": 1, "text": "a b"}, {"start": 1, "end": 2, "text": "c"}]
    words = [{"word": word, "start": n / 2, "end": n / 2 + 0.25} for n, word in enumerate("abc")]
    turns = read_turns(write_json({"segments": segments, "words": words}), "a.wav")
    assert [[word.text for word in turn.words] for turn in turns] == [["a", "b"], ["c"]]


def test_a_segment_without_speaker_has_that_of_most_of_its_words(write_json):
    words = [{"word": "a", "speaker": "X"}, {"word": "b", "speaker": "Y"}]
    data = [{"start": 0, "end": 1, "words": [*words, {"word": "c", "speaker": "Y"}]}]
    (turn,) = read_turns(write_json(data), "a.wav")
    assert (turn.speaker, turn.text) == ("Y", "a b c")


def test_words_with_impossible_times_lie_between_their_neighbors(write_json):
    times = [(0, 0.5), (float("nan"), 1), (3, 2), (None, None), (1.5, 2)]
    words = [{"word": str(n), "start": a, "end": b} for n, (a, b) in enumerate(times)]
    (turn,) = read_turns(write_json([{"start": 0, "end": 2, "words": words}]), "a.wav")
    assert [word.text for word in turn.words] == ["0", "1", "2", "3", "4"]
    assert [word.start for word in turn.words] == pytest.approx([0, 0.5, 5 / 6, 7 / 6, 1.5])


def test_unusable_segments_are_kept_for_the_count(write_json):
    data = [{"start": 1, "end": 1}, {"start": 0, "end": None}, {"text": "x"}, PLAIN[0]]
    path = write_json(data)
    assert len(open_turns(path)("a.wav")) == 4
    assert read_turns(path, "a.wav") == PLAIN_TURNS[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.json line 1: expected JSON, got expecting value"),
        ('{"segments":\n[1', "a.json line 2: expected JSON, got expecting ',' delimiter"),
        ("[" * 100_000, "a.json: expected JSON, got data nested too deeply"),
        ("[" + "9" * 5000 + "]", "a.json: expected JSON, got data a number too long"),
        ("7", "a.json: expected a list of segments, got a number; pass the JSON of Whisper"),
        ('{"a": 1}', "a.json: expected a list of segments, got an object"),
        ("[]", "a.json: expected speaker turns, got none"),
        ('{"segments": []}', "a.json: expected speaker turns, got none"),
        ("[7]", "a.json segment 1: expected an object with start and end, got a number"),
        ('[{"start": 0, "end": true}]', "segment 1: expected a number of seconds, got true or"),
        ('[{"start": "x", "end": 1}]', "a.json segment 1: expected a number of seconds, got 'x'"),
        ('{"segments": [{"start": [], "end": 1}]}', "expected a number of seconds, got a list"),
        ('[{"start": NaN, "end": 1}]', "segment 1: expected 0 <= start < end, got a turn from nan"),
    ],
)
def test_a_malformed_file_is_one_line(write_json, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_turns(write_json(text), "a.wav")
    assert "\n" not in str(caught.value)


def test_what_phonemo_writes_reads_back(write_json):
    scores = {"anger": 0.75, "neutral": 0.25}
    word = Word("hi\u2028", 0.5, 0.75, "anger", scores)
    segments = (
        Segment(0.5, 1.0, "anger", scores, "A", text="hi", words=(word,), channel=2),
        Segment(0.75, 2.0, "anger", scores, "\ud800"),
    )
    found = with_summary(Prediction("anger", scores, 2.0, segments=segments))
    turns = (
        Turn(0.5, 1.0, "A", 2, "hi", (Word("hi", 0.5, 0.75),)),
        Turn(0.75, 2.0, "?"),
    )
    assert read_turns(write_json(json_file("a.wav", found)), "a.wav") == turns
    assert read_turns(write_json(json_file("a.wav", found)), "other.wav") == turns
    row = {"file": "b.wav", **found.to_dict()}
    bad = {"file": "c.wav", "error": "unreadable", "code": "empty_audio"}
    many = [{**row, "file": "a.wav"}, row, bad]
    lines = "\n".join(json.dumps(one) for one in many)
    for path in (write_json(many), write_json(lines, "a.jsonl")):
        assert read_turns(path, "in/b.wav") == turns
        with pytest.raises(UsageError, match=r"expected turns of c.wav, got turns of a.wav, b.wav"):
            read_turns(path, "c.wav")


# Python's objects ---------------------------------------------------------------------------------


def test_the_segments_of_faster_whisper_are_turns():
    words = [FasterWord(0.0, 0.5, " Hello", 0.9), FasterWord(0.5, 1.5, " there.", 0.9)]
    segment = FasterSegment(1, 0.0, 1.5, " Hello there.", words)
    assert convert_turns(iter([segment])) == (HELLO_TURN,)

    @dataclass
    class Plain:
        start: float
        end: float
        text: str
        words: object = None

    assert convert_turns([Plain(0.0, 1.5, " Hello there.")]) == (replace(HELLO_TURN, words=()),)


class Span(namedtuple("Span", "start end")):
    pass


class Annotation:
    def __init__(self, *tracks):
        self.tracks = tracks

    def itertracks(self, yield_label=False):
        return iter([(Span(start, end), "_", speaker) for start, end, speaker in self.tracks])


@dataclass
class DiarizeOutput:
    speaker_diarization: object
    exclusive_speaker_diarization: object = None
    speaker_embeddings: object = None


def test_pyannotes_objects_are_turns_and_the_exclusive_diarization_is_preferred():
    both, alone = Annotation((0, 1.5, "A"), (1, 2, 1)), Annotation((1, 2, 1))
    assert convert_turns(both) == PLAIN_TURNS
    assert convert_turns(DiarizeOutput(both)) == PLAIN_TURNS
    assert convert_turns(DiarizeOutput(both, alone)) == PLAIN_TURNS[1:]
    assert convert_turns(DiarizeOutput(both, Annotation())) == PLAIN_TURNS
    assert convert_turns((both, "embeddings")) == PLAIN_TURNS


def test_a_data_frame_is_turns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{"label": "x", **row} for row in PLAIN])
    assert convert_turns(frame) == PLAIN_TURNS


@pytest.mark.parametrize("given", [7, "0 1 A", None, {"text": "x"}, [None], [{"x": 1}]])
def test_anything_else_is_a_usage_error(given):
    with pytest.raises(UsageError, match=r"turns.*: expected"):
        convert_turns(given)


def test_endless_turns_are_refused(monkeypatch):
    monkeypatch.setattr(turn_objects, "MAX_TURNS", 100)
    with pytest.raises(UsageError, match="expected at most 100 turns, got more"):
        convert_turns(iter(lambda: Turn(0.0, 1.0), None))
