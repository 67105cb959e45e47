"""Reading speaker turns from RTTM, TextGrid and tables."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from phonemo.annotations import turns
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment
from phonemo.annotations.turns import Turn, open_turns, read_turns
from phonemo.annotations.writers import rttm, textgrid
from phonemo.errors import UsageError

RTTM = """\
;; by hand
SPKR-INFO a 1 <NA> <NA> <NA> unknown Ann <NA> <NA>

SPEAKER a 1 2.5 0.5 <NA> <NA> Bob <NA> <NA>
SPEAKER a 1 0.25 1 <NA> <NA> Ann 0.9 <NA>
SPEAKER a 1 1.5 0.5 <NA> <NA> <NA> <NA>
"""
ANN, BOB = Turn(0.25, 1.25, "Ann"), Turn(2.5, 3.0, "Bob")

LONG_GRID = '''\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "An ""n"""
        xmin = 0
        xmax = 4
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = " "
        intervals [2]:
            xmin = 0.25
            xmax = 1.25
            text = "he said ""no""
and left"
        intervals [3]:
            xmin = 1.25
            xmax = 4
            text = ""
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 1
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "Bob"
        xmin = 0
        xmax = 4
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 4
            text = "x"
'''
SHORT_GRID = '''\
File type = "ooTextFile"
"TextGrid"

0
4
<exists>
3
"IntervalTier"
"An ""n"""
0
4
2
0.25
1.25
"he said ""no"""
1.25
4
""
"TextTier"
"marks"
0
4
1
1
"click"
"IntervalTier"
"Bob" ! 5 a comment
0
4
1
0
4
"x"
'''
GRID = (Turn(0.0, 4.0, "Bob"), Turn(0.25, 1.25, 'An "n"'))


@pytest.fixture
def write_file(tmp_path):
    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def test_rttm_is_sorted_and_other_lines_are_skipped(write_file):
    turns = read_turns(write_file("a.RTTM", RTTM), "any.wav")
    assert turns == (ANN, Turn(1.5, 2.0, None), BOB)


def test_turns_are_selected_by_recording(write_file):
    path = write_file("all.rttm", RTTM + "SPEAKER b_b 1 7 1 <NA> <NA> Eve <NA> <NA>\n")
    assert read_turns(path, "calls/B B.wav") == (Turn(7.0, 8.0, "Eve"),)
    assert len(read_turns(path, "A.wav")) == 3
    with pytest.raises(UsageError, match=r"expected turns of c.wav, got turns of a, b_b; pass"):
        read_turns(path, "c.wav")


TABLES = {
    "semicolons": ("Start;End;Speaker\r\n0;1,5;Ann\r\n", Turn(0.0, 1.5, "Ann")),
    "tabs": ("start\tend\n0\t1\n", Turn(0.0, 1.0)),
    "an index of pandas": (",start,end\n0,0.5,1\n", Turn(0.5, 1.0)),
    "other names": ("begin,stop,spk,text\n0,1,A,hello\n", Turn(0.0, 1.0, "A", text="hello")),
    "a duration": ("onset,dur\n0.5,1\n", Turn(0.5, 1.5)),
    "times of audformat": ("start,end\n0 days 00:00:01.5,0 days 00:00:02\n", Turn(1.5, 2.0)),
    "a channel": ("start,end,channel\n0,1,2\n", Turn(0.0, 1.0, channel=2)),
    "a side": ("start,end,channel\n0,1,Right\n", Turn(0.0, 1.0, channel=2)),
    "a Windows path": ("file,start,end\nx\\a.wav,0,1\nx\\b.wav,0,1\n", Turn(0.0, 1.0)),
    "a guarded name": ("file,start,end\n./x/a.wav,0,1\n", Turn(0.0, 1.0)),
    "milliseconds": ("start (ms),end (ms)\n500,1500\n", Turn(0.5, 1.5)),
}


@pytest.mark.parametrize(("text", "turn"), TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_every_kind(write_file, text, turn, encoding):
    assert read_turns(write_file("a.csv", text, encoding), "x/a.wav") == (turn,)


def test_a_table_of_whisper_is_in_milliseconds(write_file):
    path = write_file("a.tsv", "start\tend\ttext\n0\t2000\tHi\n2000\t4500\tAnn, hello\n")
    assert read_turns(path, "a.wav") == (
        Turn(0.0, 2.0, text="Hi"),
        Turn(2.0, 4.5, text="Ann, hello"),
    )
    path = write_file("b.tsv", "start\tend\ttext\n0\t2\tHi\n")
    assert read_turns(path, "b.wav") == (Turn(0.0, 2.0, text="Hi"),)


@pytest.mark.parametrize("grid", [LONG_GRID, SHORT_GRID])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_praat_in_both_formats(write_file, grid, encoding):
    assert read_turns(write_file("a.TextGrid", grid, encoding), "a.wav") == GRID
    windows = grid.replace("\n", "\r\n")
    assert read_turns(write_file("b.textgrid", windows, encoding), "a.wav") == GRID


def test_textgrids_written_by_phonemo_are_read_back(write_file):
    scores = {"anger": 1.0}
    parts = (Segment(0.5, 1.0, "anger", scores, "A"), Segment(1.5, 2.0, "anger", scores, "B"))
    prediction = Prediction("anger", scores, 2.0, segments=parts)
    lines = read_turns(write_file("x.rttm", rttm("a b.wav", prediction)), "a b.wav")
    assert lines == (Turn(0.5, 1.0, "A_anger"), Turn(1.5, 2.0, "B_anger"))
    grid = read_turns(write_file("x.TextGrid", textgrid("a b.wav", prediction)), "a b.wav")
    assert grid == (Turn(0.5, 1.0, "A"), Turn(1.5, 2.0, "B"))


def test_only_the_speaker_tiers_of_phonemo_are_turns(write_file):
    scores, spans = {"anger": 1.0}, (PhonemeSpan("a", 0.1, 0.2, 1.0, 0.5),)
    segments = (Segment(0.0, 1.0, "anger", scores), Segment(1.5, 2.0, "anger", scores))
    prediction = Prediction("anger", scores, 2.0, spans, segments=segments)
    path = write_file("x.TextGrid", textgrid("a.wav", prediction))
    assert read_turns(path, "a.wav") == (Turn(0.0, 1.0, None), Turn(1.5, 2.0, None))
    overlapping = (Segment(0.0, 1.0, "anger", scores, "A"), Segment(0.5, 2.0, "anger", scores, "B"))
    path = write_file("y.TextGrid", textgrid("a.wav", replace(prediction, segments=overlapping)))
    assert read_turns(path, "a.wav") == (Turn(0.0, 1.0, "A"), Turn(0.5, 2.0, "B"))


def test_an_rttm_with_another_id_is_used_only_for_a_single_recording(write_file):
    path = write_file("a.rttm", RTTM)
    turns_of = open_turns(path)
    assert turns_of("c.wav") == turns_of("a.wav")
    with pytest.raises(UsageError, match=r"expected turns of c\.wav"):
        turns_of("c.wav", lone=False)


def test_tables_with_and_without_speakers_and_files(write_file):
    text = "note,End, START ,Speaker\nx,3.0,2.5,Bob\n\n,1.25,0.25,Ann\n"
    assert read_turns(write_file("a.csv", "\ufeff" + text), "a.wav") == (ANN, BOB)
    bare = write_file("a.tsv", "start\tend\n0.5\t1\n")
    assert read_turns(bare, "a.wav") == (Turn(0.5, 1.0, None),)
    files = "file,start,end,speaker\nin/a.wav,0.25,1.25,Ann\na,2.5,3,Bob\nb.wav,5,6,Eve\n"
    path = write_file("b.csv", files)
    assert read_turns(path, "in/a.wav") == (ANN, BOB)
    with pytest.raises(UsageError, match=r"turns of c.wav, got turns of in/a.wav, a, b"):
        read_turns(path, "c.wav")


def test_a_turn_does_not_end_after_the_recording(write_file):
    path = write_file("a.rttm", RTTM)
    assert read_turns(path, "a.wav", 2.75)[-1] == Turn(2.5, 2.75, "Bob")
    assert read_turns(path, "a.wav", 2.5)[-1] == Turn(1.5, 2.0, None)
    with pytest.raises(UsageError, match=r"a.rttm: expected turns within 0.200 s of recording"):
        read_turns(path, "a.wav", 0.2)


def test_unusable_turns_are_left_out(write_file):
    lines = [("2", "0"), ("1", "-1"), ("nan", "1"), ("1", "inf"), ("1e309", "1"), ("-1", "0.5")]
    text = "".join(rttm_line(*times) for times in lines)
    path = write_file("a.rttm", text + rttm_line("-0.5", "1"))
    assert read_turns(path, "a.wav") == (Turn(0.0, 0.5, "Ann"),)
    assert len(open_turns(path)("a.wav")) == 7
    first = r"a.rttm line 2: expected 0 <= start < end, got a turn from 2 to 2 s; none of 6 turns"
    with pytest.raises(UsageError, match=first):
        read_turns(write_file("a.rttm", text), "a.wav")


def test_the_channels_of_an_rttm_are_kept_if_there_are_several(write_file):
    both = rttm_line() + rttm_line().replace(" 1 ", " 2 ", 1)
    turns = read_turns(write_file("a.rttm", both), "a.wav")
    assert [turn.channel for turn in turns] == [1, 2]
    mixed = read_turns(write_file("a.rttm", rttm_line() * 2), "a.wav")
    assert [turn.channel for turn in mixed] == [None, None]


SECONDS = "expected a finite number of seconds, got"
TIMES = "expected 0 <= start < end, got a turn"
TEXT = "expected a text in quotes, got"


def rttm_line(start="0", duration="1"):
    return f";;\nSPEAKER a 1 {start} {duration} <NA> <NA> Ann <NA> <NA>\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.rttm",
            rttm_line("nan"),
            f"a.rttm line 2: {TIMES} from nan to nan s",
        ),
        (
            "a.rttm",
            rttm_line("1e309"),
            f"a.rttm line 2: {TIMES} from inf to inf s",
        ),
        (
            "a.rttm",
            rttm_line("0", "-inf"),
            f"a.rttm line 2: {TIMES} from 0 to -inf s",
        ),
        (
            "a.rttm",
            rttm_line("1e308", "1.7e308"),
            f"a.rttm line 2: {TIMES} from 1e.308 to inf s",
        ),
        (
            "a.rttm",
            rttm_line("one"),
            f"a.rttm line 2: {SECONDS} 'one'",
        ),
        (
            "a.rttm",
            rttm_line("1", "0"),
            f"a.rttm line 2: {TIMES} from 1 to 1 s",
        ),
        ("a.rttm", "SPEAKER a 1 0 1\n", "a.rttm line 1: expected 8 fields or more .*, got 5"),
        ("a.rttm", "", "a.rttm: expected speaker turns, got none"),
        ("a.csv", "from,end\n1,2\n", "a.csv line 1: expected a header with columns start and end"),
        ("a.csv", "", "a.csv line 1: expected a header with columns start and end"),
        (
            "a.csv",
            "start,end\n1,2\n1\n",
            "a.csv line 3: expected 2 cells as in the first line, got 1",
        ),
        (
            "a.csv",
            "start,end\n2,1\n",
            f"a.csv line 2: {TIMES} from 2 to 1 s",
        ),
        (
            "a.csv",
            "start,end\n" + "1" * 200_000 + ",2\n",
            r"a.csv line 2: not a table \(field larger",
        ),
        ("a.TextGrid", "0 1 2", f"a.TextGrid line 1: {TEXT} 0.0"),
        ("a.TextGrid", "", f"a.TextGrid line 1: {TEXT} the end of the file"),
        (
            "a.TextGrid",
            '"ooTextFile" "Pitch" 0',
            "a.TextGrid: expected a TextGrid",
        ),
        (
            "a.TextGrid",
            SHORT_GRID[:-4],
            f"a.TextGrid line 32: {TEXT} the end of the file",
        ),
        ("a.TextGrid", SHORT_GRID[:-2], "a.TextGrid line 33: a quote is not closed"),
        (
            "a.TextGrid",
            SHORT_GRID.replace("0.25", "1e309"),
            f"line 13: {SECONDS} '1e309'",
        ),
        ("a.TextGrid", SHORT_GRID.replace("\n3\n", "\n1e308\n"), "got the end of the file"),
        (
            "a.TextGrid",
            SHORT_GRID.replace("0.25", "9").replace('\n4\n"x"', '\n0\n"x"'),
            f"a.TextGrid line 15: {TIMES} from 9 to 1.2",
        ),
        ("a.txt", "x", "a.txt: expected a file of turns as .rttm, .textgrid, .csv, .tsv, .srt"),
        ("a.rttm", b"SPEAKER a 1 0 1 \xff", "a.rttm: expected a text file; save it as UTF-8"),
        ("a.csv", b"start,end\n1,2\0\n", "a.csv: expected a text file; save it as UTF-8"),
        ("a.TextGrid", b"\xff\xfea", "a.TextGrid: expected a text file"),
    ],
)
def test_a_malformed_file_is_one_line(write_file, name, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_turns(write_file(name, text), "a.wav")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".rttm", ".TextGrid", ".csv", ".tsv", ".srt", ".vtt", ".json"])
def test_junk_is_an_error_of_the_request(write_file, suffix):
    for seed in range(20):
        junk = bytes((seed * 7 + position * position * 31) % 251 + 1 for position in range(3000))
        for content in (junk, junk.decode("latin-1"), '"' * (2001 + seed), "\n" * 1000):
            with pytest.raises(UsageError):
                read_turns(write_file(f"a{suffix}", content), "a.wav")
    with pytest.raises(UsageError):
        read_turns(write_file(f"a{suffix}", "\n" * 1_000_000), "a.wav")


@pytest.mark.parametrize("suffix", ["rttm", "csv"])
def test_a_file_of_too_many_turns_is_refused(write_file, suffix):
    line = {"rttm": "SPEAKER a 1 0 1 b c Ann\n", "csv": "0,1\n"}[suffix]
    head = {"rttm": "", "csv": "start,end\n"}[suffix]
    too_many = write_file(f"a.{suffix}", head + line * (turns.MAX_TURNS + 1))
    with pytest.raises(UsageError, match="expected at most 100000 turns; split the file"):
        read_turns(too_many, "a.wav")
    allowed = write_file(f"b.{suffix}", head + line * turns.MAX_TURNS)
    assert len(read_turns(allowed, "a.wav")) == turns.MAX_TURNS


def test_a_file_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "a.rttm"
    with path.open("wb") as stream:
        stream.truncate(turns.MAX_BYTES + 1)
    with pytest.raises(UsageError, match=r"a.rttm: expected at most 64 MiB"):
        read_turns(path, "a.wav")


def test_a_path_that_is_not_a_file_is_an_error(tmp_path):
    (tmp_path / "folder.rttm").mkdir()
    names = ["none.rttm", "folder.rttm", "a\0b.rttm", "x" * 5000 + ".rttm"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.rttm")
        names.append("pipe.rttm")
    for name in names:
        with pytest.raises(UsageError, match=r"rttm: (no such file|cannot be read)"):
            read_turns(str(tmp_path / name), "a.wav")
