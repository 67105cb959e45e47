"""Writers of predictions: TextGrids, label tracks, subtitles and tables."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re

import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, segments_of
from phonemo.annotations.tiers import fill_gaps
from phonemo.annotations.writers import (
    audacity,
    csv_error,
    csv_head,
    csv_rows,
    json_file,
    phoneme_error,
    phoneme_head,
    phoneme_rows,
    rttm,
    srt,
    textgrid,
    webvtt,
)
from phonemo.cli.main import app
from phonemo.errors import safe_name
from tests.tiny_bundle import BUNDLE, CLIPS, RATE, make_clip

SPANS = (
    PhonemeSpan("m", 0.1, 0.2, 0.9),
    PhonemeSpan('"', 0.2, 0.25, 0.5),
    PhonemeSpan("a", 0.4, 0.5, 0.9),
)
FOUND = Prediction("anger", {"anger": 0.75, "neutral": 0.25}, 0.5, SPANS, ("clipped", "silent"))
ANGER, CALM = {"anger": 0.75, "calm": 0.25}, {"anger": 0.125, "calm": 0.875}


def spoken(*segments, seconds=4.0, **options):
    """A prediction of segments (start, end, emotion, speaker); the score depends on the emotion."""
    scores = {"anger": ANGER, "calm": CALM}
    parts = tuple(Segment(a, b, label, scores[label], speaker) for a, b, label, speaker in segments)
    return Prediction("anger", ANGER, seconds, segments=parts, **options)


TURNS = spoken((0.5, 1.25, "anger", "Ann"), (2.0, 3.0, "calm", "Bob & Co\n<x>"))
SILENT = Prediction("anger", ANGER, 4.0, warnings=("no_speech",))


def intervals(text):
    """Tier name -> (start, end, text), parsed with a regular expression only."""
    tiers = {}
    for part in re.split(r"\n    item \[\d+\]:\n", text)[1:]:
        name = re.search(r'name = "(.*)"', part).group(1)
        pattern = r'xmin = (\S+)\n\s+xmax = (\S+)\n\s+text = "(.*)"(?:\n|$)'
        matches = re.findall(pattern, part)
        size = int(re.search(r"intervals: size = (\d+)", part).group(1))
        assert len(matches) == size
        tiers[name] = [(float(a), float(b), c.replace('""', '"')) for a, b, c in matches]
    return tiers


def test_a_table_of_phonemes_by_hand():
    spans = (PhonemeSpan("a", 0.1, 0.25, 0.5, -0.0249), PhonemeSpan("=", 0.25, 0.3, 1.0, 0.125))
    found = Prediction("anger", {"anger": 0.75}, 0.5, spans)
    text = phoneme_head(channel=True) + phoneme_rows("-a.wav", found, channel=True)
    text += phoneme_error("c.wav", "c.wav: no such file", channel=True)
    assert text.splitlines() == [
        "file,position,symbol,start,end,confidence,share,label,unsure,error,channel",
        "./-a.wav,0,a,0.1000,0.2500,0.5000,-0.0249,anger,false,,",
        "./-a.wav,1,=,0.2500,0.3000,1.0000,0.1250,anger,false,,",
        "c.wav,,,,,,,,,c.wav: no such file,",
    ]
    assert phoneme_rows("a.wav", FOUND).splitlines()[0] == (
        "a.wav,0,m,0.1000,0.2000,0.9000,,anger,false,"
    )
    assert phoneme_rows("a.wav", SILENT) == ""


def test_a_textgrid_has_the_emotions_and_phonemes_with_times():
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
    prediction = Prediction("anger", FOUND.scores, 0.5)
    assert list(intervals(textgrid("a", prediction))) == ["emotion"]
    assert "size = 1\nitem" in textgrid("a", prediction)


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
def test_a_tier_covers_the_recording_without_gaps_or_overlaps(times):
    spans = [PhonemeSpan("a", start, end, 1.0) for start, end in times]
    intervals = list(fill_gaps(spans, 1.0))
    assert intervals[0].start == 0
    assert intervals[-1].end == pytest.approx(1.0)
    for interval, following in itertools.pairwise(intervals):
        assert interval.end == following.start
    assert all(interval.end > interval.start for interval in intervals)


def test_emotions_and_speakers_have_tiers_with_gaps():
    tiers = intervals(textgrid("a.wav", TURNS))
    ends = [(0, 0.5), (0.5, 1.25), (1.25, 2), (2, 3), (3, 4)]
    texts = ["", "anger 0.75", "", "calm 0.88", ""]
    names = ["", "Ann", "", "Bob & Co <x>", ""]
    assert tiers == {
        "emotion": [(*end, text) for end, text in zip(ends, texts, strict=True)],
        "speaker": [(*end, text) for end, text in zip(ends, names, strict=True)],
    }


def test_overlapping_speakers_have_separate_emotion_tiers():
    prediction = spoken(
        (0, 2, "anger", "A"), (1, 3, "calm", "B"), (1.5, 2.5, "calm", "A"), (3.5, 4, "calm", None)
    )
    assert intervals(textgrid("a", prediction)) == {
        "emotion A": [(0, 2, "anger 0.75"), (2, 2.5, "calm 0.88"), (2.5, 4, "")],
        "emotion B": [(0, 1, ""), (1, 3, "calm 0.88"), (3, 4, "")],
        "emotion": [(0, 3.5, ""), (3.5, 4, "calm 0.88")],
    }


def test_a_segment_covered_by_an_earlier_one_is_omitted():
    prediction = spoken((0, 3, "anger", None), (1, 2, "calm", None))
    assert intervals(textgrid("a", prediction)) == {"emotion": [(0, 3, "anger 0.75"), (3, 4, "")]}


def test_the_share_tier_is_aligned_with_the_phonemes():
    shares = (0.0519, None, -0.0001)
    spans = [
        PhonemeSpan(span.symbol, span.start, span.end, 0.9, share)
        for span, share in zip(SPANS, shares, strict=True)
    ]
    tiers = intervals(textgrid("a", Prediction("anger", ANGER, 0.5, tuple(spans))))
    assert list(tiers) == ["emotion", "phonemes", "share"]
    assert [interval[:2] for interval in tiers["share"]] == [
        interval[:2] for interval in tiers["phonemes"]
    ]
    assert [interval[2] for interval in tiers["share"]] == ["", "+5.19 %", "", "", "-0.01 %"]


def test_silence_has_no_segment_and_a_bare_prediction_has_one():
    assert segments_of(SILENT) == ()
    assert segments_of(FOUND) == (Segment(0.0, 0.5, "anger", FOUND.scores),)
    assert intervals(textgrid("a", SILENT)) == {"emotion": [(0, 4, "")]}
    assert audacity("a", SILENT) == srt("a", SILENT) == rttm("a", SILENT) == ""
    assert webvtt("a", SILENT) == "WEBVTT\n\n"


def test_segments_are_sorted_by_start():
    prediction = spoken((2, 3, "calm", None), (0, 1, "anger", None))
    assert [segment.start for segment in segments_of(prediction)] == [0, 2]


def test_subtitles():
    assert srt("a.wav", TURNS) == (
        "1\n00:00:00,500 --> 00:00:01,250\nAnn: [anger 0.75]\n"
        "\n2\n00:00:02,000 --> 00:00:03,000\nBob & Co <x>: [calm 0.88]\n"
    )
    assert webvtt("a.wav", TURNS) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\n<v Ann>[anger 0.75]\n"
        "\n00:00:02.000 --> 00:00:03.000\n<v Bob &amp; Co &lt;x&gt;>[calm 0.88]\n"
    )


def test_subtitles_without_a_speaker_in_a_very_long_recording():
    prediction = spoken((59.9996, 3661.25, "anger", None), (360_000, 360_001, "calm", " \n"))
    lines = srt("a", prediction).splitlines()
    assert lines[1:3] == ["00:01:00,000 --> 01:01:01,250", "[anger 0.75]"]
    assert lines[5:] == ["100:00:00,000 --> 100:00:01,000", "[calm 0.88]"]
    assert "\n100:00:00.000 --> 100:00:01.000\n[calm 0.88]\n" in webvtt("a", prediction)


def test_rttm_has_the_emotion_as_its_name():
    assert rttm("calls/a b.wav", TURNS).splitlines() == [
        "SPEAKER a_b 1 0.500 0.750 <NA> <NA> Ann_anger 0.750 <NA>",
        "SPEAKER a_b 1 2.000 1.000 <NA> <NA> Bob_&_Co_<x>_calm 0.875 <NA>",
    ]
    line = "SPEAKER a 1 0.000 0.500 <NA> <NA> anger 0.750 <NA>\n"
    assert rttm("a.wav", FOUND) == line


def test_a_document_has_everything():
    text = json_file("ä.wav", FOUND)
    assert text.startswith('{\n "file": "ä.wav",\n "label": "anger",\n')
    assert text.endswith("}\n")
    assert json.loads(text) == {"file": "ä.wav", **FOUND.to_dict(spans=True)}
    with pytest.raises(ValueError, match="JSON"):
        json_file("a", Prediction("anger", {"anger": float("nan")}, 0.5))


def test_a_label_track():
    assert audacity("a.wav", FOUND).splitlines()[:2] == [
        "0.000000\t0.500000\tanger 0.75",
        "0.100000\t0.200000\tm",
    ]


def test_a_label_track_has_every_segment():
    assert audacity("a", TURNS).splitlines() == [
        "0.500000\t1.250000\tAnn: anger 0.75",
        "2.000000\t3.000000\tBob & Co <x>: calm 0.88",
    ]


def test_a_table_is_read_back():
    text = csv_head(FOUND.scores) + csv_rows('b",.wav', FOUND, list(FOUND.scores))
    text += csv_error("c.wav", "c.wav: no such file", list(FOUND.scores))
    first, second = csv.DictReader(io.StringIO(text))
    assert first["file"] == 'b",.wav'
    assert (first["start"], first["end"], first["speaker"]) == ("0.000", "0.500", "")
    assert (first["label"], float(first["anger"])) == ("anger", 0.75)
    assert (first["phonemes"], first["warnings"]) == ('m " a', "clipped silent")
    assert second["error"] == "c.wav: no such file"
    assert second["label"] == ""


def test_a_table_has_a_row_for_each_segment_with_its_phonemes():
    spans = (PhonemeSpan("a", 0.4, 0.8, 1), PhonemeSpan("b", 1.5, 2.5, 1))
    prediction = spoken(
        (0.5, 1.25, "anger", "Ann"), (2.0, 3.0, "calm", None), spans=spans, warnings=("silent",)
    )
    text = csv_head(["calm", "joy"]) + csv_rows("a.wav", prediction, ["calm", "joy"])
    assert text.splitlines() == [
        "file,start,end,speaker,label,unsure,calm,joy,phonemes,warnings,error",
        "a.wav,0.500,1.250,Ann,anger,false,0.250000,,a,silent,",
        "a.wav,2.000,3.000,,calm,false,0.875000,,b,silent,",
    ]


def test_a_recording_without_speech_has_a_row_in_the_table():
    assert csv_rows("a.wav", SILENT, ["anger", "calm"]) == "a.wav,,,,,true,,,,no_speech,\n"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula_of_a_spreadsheet(first):
    """A name can still be opened; other text has an apostrophe."""
    name, speaker = f"{first}HYPERLINK(1).wav", f"{first}Ann"
    prediction = spoken((0.5, 1.25, "anger", speaker))
    text = csv_head(["anger", "calm"]) + csv_rows(name, prediction, ["anger", "calm"])
    text += csv_error(name, f"{name}: no such file", ["anger", "calm"])
    good, bad = csv.DictReader(io.StringIO(text, newline=""))
    assert good["file"] == bad["file"] == f"./{name}"
    assert good["speaker"] == f"'{speaker}"
    assert bad["error"] == f"'{name}: no such file"


def test_the_name_of_standard_input_and_ordinary_cells_are_unchanged():
    assert csv_rows("-", SILENT, ["anger", "calm"]).startswith("-,")
    assert csv_error("a=b.wav", "a=b.wav: x", ["anger"]) == "a=b.wav,,,,,,,,,a=b.wav: x\n"


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
    result = predict(clips / "one.wav", clips / "none.wav", clips / "two.wav", *options)
    assert result.exit_code == 1
    assert "none.wav" in result.stderr
    assert result.stdout.split() == [str(into / "one.TextGrid"), str(into / "two.TextGrid")]
    tiers = intervals((into / "one.TextGrid").read_text(encoding="utf-8"))
    assert list(tiers) == ["emotion", "phonemes"]
    assert tiers["phonemes"][-1][1] == pytest.approx(50_000 / RATE, abs=1e-5)


def test_other_files_of_a_folder_are_counted_in_one_line(clips):
    (clips / "b.txt").write_text("no recording", encoding="utf-8")
    (clips / "c.pdf").write_text("no recording", encoding="utf-8")
    (clips / ".DS_Store").write_text("of macOS", encoding="utf-8")
    result = predict(clips, "--quiet")
    assert result.exit_code == 0
    name = safe_name(str(clips))
    assert result.stderr == f"phonemo: {name}: 2 files skipped (1 .pdf, 1 .txt)\n"


def test_a_folder_without_recordings_says_what_it_holds(clips, tmp_path):
    folders = [tmp_path / "docs", tmp_path / "empty"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "a.pdf").write_text("no recording", encoding="utf-8")
    result = predict(*folders, clips / "one.wav", "--format", "jsonl")
    docs, empty, good = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert docs["error"].endswith("or others), got a folder with 1 other file (1 .pdf)")
    assert empty["error"].endswith("or others), got a folder without files")
    assert "label" in good


def test_a_folder_is_expanded_and_its_structure_is_kept(clips):
    (clips / "notes.txt").write_text("no recording", encoding="utf-8")
    (clips / "._one.wav").write_text("of macOS", encoding="utf-8")
    into = clips / "grids"
    result = predict(clips, "--format", "textgrid", "--output-dir", into)
    assert result.exit_code == 0, result.stderr
    files = sorted(path.relative_to(into).as_posix() for path in into.rglob("*.*"))
    assert files == ["more/one.TextGrid", "one.TextGrid", "two.TextGrid"]
    rows = predict(clips, clips / "one.wav", "--format", "csv").stdout.splitlines()
    assert len(rows) == 5, "a head, three of the folder and the one that is named"


def test_existing_files_are_kept_without_overwrite(clips):
    into = clips / "grids"
    into.mkdir()
    (into / "one.TextGrid").write_text("made by hand", encoding="utf-8")
    words = (clips / "one.wav", "--format", "textgrid", "--output-dir", into)
    assert "one.TextGrid already exists" in str(predict(*words).exception)
    assert (into / "one.TextGrid").read_text(encoding="utf-8") == "made by hand"
    assert predict(*words, "--overwrite").exit_code == 0
    assert "ooTextFile" in (into / "one.TextGrid").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [".", ""])
def test_a_name_without_a_last_part_is_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    result = predict(name, "--format", "textgrid", "--output-dir", "o")
    assert result.exit_code == 1
    assert result.stderr.count("phonemo: ") == 1, "why; there is nothing to count"


def test_a_folder_without_recordings_is_an_error(tmp_path):
    result = predict(tmp_path, "--format", "jsonl")
    assert result.exit_code == 1
    assert "a folder" in result.stdout


def test_one_recording_is_written_to_standard_output(clips):
    result = predict(clips / "one.wav", "--format", "audacity")
    assert result.exit_code == 0
    assert result.stdout.startswith("0.000000\t3.125000\t")


def test_spans_are_in_json_on_request(clips):
    assert '"spans"' not in predict(clips / "one.wav", "--format", "jsonl").stdout
    assert '"spans"' in predict(clips / "one.wav", "--format", "jsonl", "--phonemes").stdout


def test_a_table_of_files_good_and_bad(clips):
    result = predict(clips / "one.wav", clips / "none.wav", "--format", "csv")
    assert result.exit_code == 1
    good, bad = csv.DictReader(io.StringIO(result.stdout))
    assert good["label"]
    assert "none.wav" in bad["error"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("one.wav", "two.wav", "--format", "textgrid"), "requires --output-dir"),
        (("one.wav", "--format", "csv", "--output-dir", "x"), "expected --format json"),
        (
            ("one.wav", "more/one.wav", "--format", "textgrid", "--output-dir", "x"),
            "would both be written",
        ),
    ],
)
def test_conflicting_outputs_are_rejected_before_any_work(clips, monkeypatch, words, expected):
    monkeypatch.chdir(clips)
    result = predict(*words)
    assert expected in str(result.exception)
    assert not (clips / "x").exists()
