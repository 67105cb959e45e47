"""Predictions as files of other programs: TextGrids, label tracks and tables."""

from __future__ import annotations

import csv
import io
import itertools
import re

import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.cli import app
from phonemo.formats import audacity, csv_error, csv_head, csv_row, filled, textgrid
from phonemo.prediction import PhonemeSpan, Prediction
from tests.tiny_bundle import BUNDLE, CLIPS, RATE, make_clip

SPANS = (
    PhonemeSpan("m", 0.1, 0.2, 0.9),
    PhonemeSpan('"', 0.2, 0.25, 0.5),
    PhonemeSpan("a", 0.4, 0.5, 0.9),
)
FOUND = Prediction("anger", {"anger": 0.75, "neutral": 0.25}, 0.5, SPANS, ("clipped", "silent"))


def intervals(text):
    """Tier name -> (start, end, text), read by nothing but the format's own lines."""
    tiers = {}
    for part in re.split(r"\n    item \[\d+\]:\n", text)[1:]:
        name = re.search(r'name = "(.*)"', part).group(1)
        pattern = r'xmin = (\S+)\n\s+xmax = (\S+)\n\s+text = "(.*)"(?:\n|$)'
        found = re.findall(pattern, part)
        size = int(re.search(r"intervals: size = (\d+)", part).group(1))
        assert len(found) == size
        tiers[name] = [(float(a), float(b), c.replace('""', '"')) for a, b, c in found]
    return tiers


def test_a_textgrid_says_what_was_heard_and_when():
    text = textgrid("a.wav", FOUND)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n')
    assert intervals(text) == {
        "emotion": [(0, 0.5, "anger 0.75")],
        "phonemes": [
            (0, 0.1, ""),
            (0.1, 0.2, "m"),
            (0.2, 0.25, '"'),
            (0.25, 0.4, ""),
            (0.4, 0.5, "a"),
        ],
    }


def test_without_a_phoneme_head_there_is_one_tier():
    found = Prediction("anger", FOUND.scores, 0.5)
    assert list(intervals(textgrid("a", found))) == ["emotion"]
    assert "size = 1\nitem" in textgrid("a", found)


@pytest.mark.parametrize(
    "times",
    [
        [],
        [(0.0, 0.0)],
        [(0.0, 1.0)],
        [(0.9, 1.3)],
        [(0.2, 0.4), (0.3, 0.6)],
        [(0.2, 0.4), (0.4, 0.4), (0.4 + 1e-9, 0.5)],
    ],
)
def test_a_tier_covers_the_recording_once_whatever_was_heard(times):
    spans = [PhonemeSpan("a", start, end, 1.0) for start, end in times]
    found = list(filled(spans, 1.0))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(1.0)
    for one, after in itertools.pairwise(found):
        assert one.end == after.start
    assert all(one.end > one.start for one in found)


def test_a_label_track():
    assert audacity("a.wav", FOUND).splitlines()[:2] == [
        "0.000000\t0.500000\tanger 0.75",
        "0.100000\t0.200000\tm",
    ]


def test_a_table_is_read_back():
    text = csv_head(FOUND.scores) + csv_row('b",.wav', FOUND, FOUND.scores)
    text += csv_error("c.wav", "c.wav: no such file", list(FOUND.scores))
    first, second = csv.DictReader(io.StringIO(text))
    assert first["file"] == 'b",.wav'
    assert (first["label"], float(first["anger"])) == ("anger", 0.75)
    assert (first["phonemes"], first["warnings"]) == ('m " a', "clipped silent")
    assert second["error"] == "c.wav: no such file"
    assert second["label"] == ""


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("one.wav", "two.wav", "more/one.wav"):
        soundfile.write(tmp_path / name, make_clip(*CLIPS["long"]), RATE)
    return tmp_path


def predict(*words):
    command = ["predict", "--model", str(BUNDLE), *(str(word) for word in words)]
    return CliRunner().invoke(app, command)


def test_each_recording_gets_a_textgrid(clips):
    into = clips / "grids"
    options = ("--format", "textgrid", "--output-dir", into)
    done = predict(clips / "one.wav", clips / "none.wav", clips / "two.wav", *options)
    assert done.exit_code == 1
    assert "none.wav" in done.stderr
    assert done.stdout.split() == [str(into / "one.TextGrid"), str(into / "two.TextGrid")]
    tiers = intervals((into / "one.TextGrid").read_text(encoding="utf-8"))
    assert list(tiers) == ["emotion", "phonemes"]
    assert tiers["phonemes"][-1][1] == pytest.approx(50_000 / RATE, abs=1e-5)


def test_a_folder_stands_for_all_recordings_in_it_and_keeps_its_shape(clips):
    (clips / "notes.txt").write_text("no recording", encoding="utf-8")
    (clips / "._one.wav").write_text("of macOS", encoding="utf-8")
    into = clips / "grids"
    done = predict(clips, "--format", "textgrid", "--output-dir", into)
    assert done.exit_code == 0, done.stderr
    written = sorted(path.relative_to(into).as_posix() for path in into.rglob("*.*"))
    assert written == ["more/one.TextGrid", "one.TextGrid", "two.TextGrid"]
    rows = predict(clips, clips / "one.wav", "--format", "csv").stdout.splitlines()
    assert len(rows) == 5, "a head, three of the folder and the one that is named"


def test_files_that_are_there_are_kept_unless_they_may_go(clips):
    into = clips / "grids"
    into.mkdir()
    (into / "one.TextGrid").write_text("made by hand", encoding="utf-8")
    words = (clips / "one.wav", "--format", "textgrid", "--output-dir", into)
    assert "one.TextGrid is there already" in str(predict(*words).exception)
    assert (into / "one.TextGrid").read_text(encoding="utf-8") == "made by hand"
    assert predict(*words, "--overwrite").exit_code == 0
    assert "ooTextFile" in (into / "one.TextGrid").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [".", ""])
def test_a_name_without_a_last_part_is_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    done = predict(name, "--format", "textgrid", "--output-dir", "o")
    assert done.exit_code == 1
    assert done.stderr.count("phonemo: ") == 2, "why, and how many failed"


def test_a_folder_without_recordings_is_an_error(tmp_path):
    done = predict(tmp_path, "--format", "jsonl")
    assert done.exit_code == 1
    assert "a folder" in done.stdout


def test_one_recording_is_written_to_standard_output(clips):
    done = predict(clips / "one.wav", "--format", "audacity")
    assert done.exit_code == 0
    assert done.stdout.startswith("0.000000\t3.125000\t")


def test_spans_are_in_json_where_they_are_asked_for(clips):
    assert '"spans"' not in predict(clips / "one.wav", "--format", "jsonl").stdout
    assert '"spans"' in predict(clips / "one.wav", "--format", "jsonl", "--phonemes").stdout


def test_a_table_of_files_good_and_bad(clips):
    done = predict(clips / "one.wav", clips / "none.wav", "--format", "csv")
    assert done.exit_code == 1
    good, bad = csv.DictReader(io.StringIO(done.stdout))
    assert good["label"]
    assert "none.wav" in bad["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("one.wav", "two.wav", "--format", "textgrid"), "give --output-dir"),
        (("one.wav", "--format", "csv", "--output-dir", "x"), "goes with --format textgrid or"),
        (
            ("one.wav", "more/one.wav", "--format", "textgrid", "--output-dir", "x"),
            "would both be written",
        ),
    ],
)
def test_what_would_be_lost_is_refused_before_any_work(clips, monkeypatch, words, said):
    monkeypatch.chdir(clips)
    done = predict(*words)
    assert said in str(done.exception)
    assert not (clips / "x").exists()
