"""Every format of an answer is read back, whatever the names in it are."""

from __future__ import annotations

import csv
import html
import io
import itertools
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phonemo.annotations.prediction import Prediction, Segment, phonemes_within, segments_of
from phonemo.annotations.textgrid import PraatText
from phonemo.annotations.tiers import tiers_of
from phonemo.annotations.writers import (
    _plain_cell,
    audacity,
    csv_error,
    csv_head,
    csv_rows,
    json_file,
    rttm,
    srt,
    textgrid,
    webvtt,
)
from phonemo.cli.prediction_text import json_row
from tests.properties.strategies import file_names, predictions, some

SCORES = {"a": 0.75, "b": 0.25}
CLOCK = r"(\d{2,}):(\d\d):(\d\d)[.,](\d{3})"


def one_line(text: str | None) -> str:
    """A speaker, whose name a line of a file must hold."""
    return " ".join((text or "").split())


def seconds(*parts: str) -> float:
    """A time of subtitles."""
    hours, minutes, whole, thousandths = (int(one) for one in parts)
    assert minutes < 60
    assert whole < 60
    return 3600 * hours + 60 * minutes + whole + thousandths / 1000


def cues(text: str) -> list[tuple[list[str], float, float, list[str]]]:
    """Subtitles of either format: what stands above the times, start, end, the lines below."""
    found = []
    for block in re.split(r"\n\n+", text.strip("\n")):
        lines = block.split("\n")
        place = next((n for n, line in enumerate(lines) if " --> " in line), None)
        if place is None:
            assert lines == ["WEBVTT"]
            continue
        times = re.fullmatch(f"{CLOCK} --> {CLOCK}", lines[place])
        assert times, lines[place]
        start, end = seconds(*times.groups()[:4]), seconds(*times.groups()[4:])
        found.append((lines[:place], start, end, lines[place + 1 :]))
    return found


def marked(one: Segment) -> str:
    """Emotion and score as a cue has them."""
    return f"[{one.label} {one.scores[one.label]:.2f}{'?' * one.unsure}]"


def tiers(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """A TextGrid as phonemo's own reader of Praat's values sees it."""
    file = PraatText("x.TextGrid", text)
    assert (file.text(), file.text()) == ("ooTextFile", "TextGrid")
    first, last = file.number(), file.number()
    assert first == 0
    found = {}
    for _ in range(int(file.number())):
        assert file.text() == "IntervalTier"
        name = file.text()
        assert (file.number(), file.number()) == (first, last)
        assert name not in found
        found[name] = [
            (file.number(), file.number(), file.text()) for _ in range(int(file.number()))
        ]
        assert (found[name][0][0], found[name][-1][1]) == (first, last)
    return found


@some
@given(predictions())
def test_a_textgrid_reads_back_and_its_tiers_cover_the_recording_once(found):
    text = textgrid("a.wav", found)
    assert found.seconds == pytest.approx(float(re.search(r"xmax = (\S+)", text)[1]), abs=5.1e-7)
    read = tiers(text)
    wanted = tiers_of(found)
    assert list(read) == list(wanted)
    for name, intervals in read.items():
        assert [one[2] for one in intervals] == [one.text for one in wanted[name]]
        times = [time for one in wanted[name] for time in (one.start, one.end)]
        told = [time for one in intervals for time in one[:2]]
        assert told == pytest.approx(times, abs=5.1e-7)
        assert all(one[0] < one[1] for one in intervals)
        assert all(one[1] == after[0] for one, after in itertools.pairwise(intervals))


UNSURE = Prediction("a", {"a": 0.5, "b": 0.5}, 1.0, warnings=("unsure",))


@some
@example(UNSURE)
@given(predictions())
def test_subtitles_read_back(found):
    segments = segments_of(found)
    for number, (one, cue) in enumerate(zip(segments, cues(srt("a", found)), strict=True), start=1):
        above, start, end, below = cue
        assert above == [str(number)]
        assert (start, end) == pytest.approx((one.start, one.end), abs=5.1e-4)
        name = one_line(one.speaker)
        score = marked(one)
        assert below == [f"{name}: {score}" if name else score]


ODD = Segment(0.0, 1.0, "a", SCORES, "A <b> & &lt;\nC-->")


@some
@example(Prediction("a", SCORES, 1.0, segments=(ODD,)))
@example(UNSURE)
@given(predictions())
def test_subtitles_for_the_web_read_back(found):
    text = webvtt("a", found)
    assert text.startswith("WEBVTT\n\n")
    for one, (above, start, end, below) in zip(segments_of(found), cues(text), strict=True):
        assert above == []
        assert (start, end) == pytest.approx((one.start, one.end), abs=5.1e-4)
        (line,) = below
        parts = re.fullmatch(r"(?:<v ([^<>]*)>)?([^<>]*)", line)
        assert parts, line
        assert html.unescape(parts[1] or "") == one_line(one.speaker)
        assert html.unescape(parts[2]) == marked(one)


@some
@given(predictions())
def test_a_label_track_reads_back(found):
    rows = [line.split("\t") for line in audacity("a", found).split("\n")[:-1]]
    assert all(len(row) == 3 for row in rows)
    wanted = [(one.start, one.end) for one in segments_of(found)]
    wanted += [(one.start, one.end) for one in found.spans or ()]
    assert [(float(a), float(b)) for a, b, _ in rows] == [
        pytest.approx(pair, abs=5.1e-7) for pair in wanted
    ]
    symbols = [one.symbol for one in found.spans or ()]
    assert [row[2] for row in rows[len(segments_of(found)) :]] == symbols


@some
@given(file_names, predictions())
def test_lines_for_diarisation_read_back(name, found):
    lines = rttm(name, found).split("\n")
    assert lines.pop() == ""
    for line, one in zip(lines, segments_of(found), strict=True):
        kind, _, channel, start, length, *nothing, voice, score, last = line.split(" ")
        assert (kind, channel, nothing, last) == ("SPEAKER", "1", ["<NA>"] * 2, "<NA>")
        assert float(start) == pytest.approx(one.start, abs=5.1e-4)
        assert float(length) == pytest.approx(one.end - one.start, abs=5.1e-4)
        assert voice.endswith("_".join(one.label.split()) + "?" * one.unsure)
        assert float(score) == pytest.approx(one.scores[one.label], abs=5.1e-4)


@some
@example("a\rb.wav", "x\ry", Prediction("a", SCORES, 1.0))
@given(file_names, file_names, predictions(labels=("a", "b")))
def test_a_table_of_answers_reads_back(name, error, found):
    text = csv_head(("a", "b")) + csv_rows(name, found, ("a", "b")) + csv_error(name, error, ("a",))
    *rows, last = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    name, plain = _plain_cell(name, "./"), lambda text: _plain_cell(text, "'")
    assert (last["file"], last["label"]) == (name, "")
    for row, one in itertools.zip_longest(rows, segments_of(found)):
        assert row["file"] == name
        assert row["warnings"].split() == list(found.warnings)
        if one is None:  # a recording without segments has a row all the same
            assert row["start"] == row["label"] == ""
            continue
        assert (float(row["start"]), float(row["end"])) == pytest.approx(
            (one.start, one.end), abs=5.1e-4
        )
        assert (row["label"], row["speaker"]) == (one.label, plain(one.speaker or ""))
        assert {key: float(row[key]) for key in "ab"} == pytest.approx(one.scores, abs=5.1e-7)
        assert row["phonemes"] == phonemes_within(one, found)


@some
@given(file_names, predictions())
def test_json_reads_back_whatever_the_name(name, found):
    document = json_file(name, found)
    document.encode("utf-8")
    assert json.loads(document) == {"file": name, **found.to_dict(spans=True)}
    row = {"file": name, **found.to_dict()}
    line = json_row(row)
    assert "\n" not in line
    assert json.loads(line) == row


@some
@given(predictions(), st.data())
def test_fewer_emotions_are_still_an_answer(found, data):
    """Chosen scores sum to one, keep their order of height, and the label is the highest."""
    names = data.draw(
        st.lists(st.sampled_from(list(found.scores)), min_size=2, unique=True), "names"
    )
    kept = [one for one in (found, *found.segments) if sum(one.scores[x] for x in names) > 0]
    for one in kept if len(kept) == 1 + len(found.segments) else ():
        less = one.among(names)
        assert set(less.scores) == set(names)
        assert sum(less.scores.values()) == pytest.approx(1, abs=1e-9)
        assert less.scores[less.label] == max(less.scores.values())
        order = sorted(names, key=one.scores.__getitem__)
        assert [less.scores[x] for x in order] == sorted(less.scores.values())


@some
@given(predictions(apart=True))
def test_a_data_frame_holds_what_was_heard(found):
    pytest.importorskip("pandas")
    frame = found.to_pandas("a.wav")
    segments = segments_of(found)
    assert len(frame) == max(1, len(segments))
    for (file, start, end), (_, row), one in zip(
        frame.index, frame.iterrows(), segments, strict=False
    ):
        assert file == "a.wav"
        assert (start.total_seconds(), end.total_seconds()) == pytest.approx((one.start, one.end))
        assert row["label"] == one.label
        assert {name: row[name] for name in one.scores} == one.scores
        assert row["speaker"] == one.speaker or (row["speaker"] is None and one.speaker is None)


@some
@given(predictions())
def test_the_json_of_an_answer_stays_within_its_recording(found):
    data = found.to_dict(spans=True)
    for one in (*data["segments"], *(data["spans"] or ())):
        assert 0 <= one["start"] <= one["end"]
        assert one["end"] <= data["seconds"] + 6e-4, "seconds are told to the millisecond"


def test_a_cell_is_empty_where_a_segment_lacks_an_emotion():
    found = Prediction("a", SCORES, 1.0, segments=(Segment(0, 1, "a", {"a": 1.0}),))
    assert csv_rows("x", found, ("a", "b")) == "x,0.000,1.000,,a,false,1.000000,,,,\n"
