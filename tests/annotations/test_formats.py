"""Predictions as files of other programs: TextGrids, label tracks and tables."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re

import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, fill_gaps, segments_of
from phonemo.annotations.writers import (
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
from phonemo.cli.main import app
from tests.tiny_bundle import BUNDLE, CLIPS, RATE, make_clip

SPANS = (
    PhonemeSpan("m", 0.1, 0.2, 0.9),
    PhonemeSpan('"', 0.2, 0.25, 0.5),
    PhonemeSpan("a", 0.4, 0.5, 0.9),
)
FOUND = Prediction("anger", {"anger": 0.75, "neutral": 0.25}, 0.5, SPANS, ("clipped", "silent"))
ANGER, CALM = {"anger": 0.75, "calm": 0.25}, {"anger": 0.125, "calm": 0.875}


def spoken(*segments, seconds=4.0, **more):
    """(start, end, emotion, speaker) each; the score of the emotion says which it is."""
    scores = {"anger": ANGER, "calm": CALM}
    parts = tuple(Segment(a, b, label, scores[label], who) for a, b, label, who in segments)
    return Prediction("anger", ANGER, seconds, segments=parts, **more)


TURNS = spoken((0.5, 1.25, "anger", "Ann"), (2.0, 3.0, "calm", "Bob & Co\n<x>"))
SILENT = Prediction("anger", ANGER, 4.0, warnings=("no_speech",))


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
    found = list(fill_gaps(spans, 1.0))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(1.0)
    for one, after in itertools.pairwise(found):
        assert one.end == after.start
    assert all(one.end > one.start for one in found)


def test_emotions_and_speakers_have_tiers_with_gaps():
    tiers = intervals(textgrid("a.wav", TURNS))
    ends = [(0, 0.5), (0.5, 1.25), (1.25, 2), (2, 3), (3, 4)]
    texts = ["", "anger 0.75", "", "calm 0.88", ""]
    names = ["", "Ann", "", "Bob & Co <x>", ""]
    assert tiers == {
        "emotion": [(*end, text) for end, text in zip(ends, texts, strict=True)],
        "speaker": [(*end, text) for end, text in zip(ends, names, strict=True)],
    }


def test_where_speakers_overlap_each_has_a_tier_of_emotions():
    found = spoken(
        (0, 2, "anger", "A"), (1, 3, "calm", "B"), (1.5, 2.5, "calm", "A"), (3.5, 4, "calm", None)
    )
    assert intervals(textgrid("a", found)) == {
        "emotion A": [(0, 2, "anger 0.75"), (2, 2.5, "calm 0.88"), (2.5, 4, "")],
        "emotion B": [(0, 1, ""), (1, 3, "calm 0.88"), (3, 4, "")],
        "emotion": [(0, 3.5, ""), (3.5, 4, "calm 0.88")],
    }


def test_what_an_earlier_segment_of_the_speaker_covers_is_left_out():
    found = spoken((0, 3, "anger", None), (1, 2, "calm", None))
    assert intervals(textgrid("a", found)) == {"emotion": [(0, 3, "anger 0.75"), (3, 4, "")]}


def test_shares_stand_under_their_phonemes():
    shares = (0.0519, None, -0.0001)
    spans = [
        PhonemeSpan(one.symbol, one.start, one.end, 0.9, share)
        for one, share in zip(SPANS, shares, strict=True)
    ]
    tiers = intervals(textgrid("a", Prediction("anger", ANGER, 0.5, tuple(spans))))
    assert list(tiers) == ["emotion", "phonemes", "share"]
    assert [one[:2] for one in tiers["share"]] == [one[:2] for one in tiers["phonemes"]]
    assert [one[2] for one in tiers["share"]] == ["", "+5.19 %", "", "", "-0.01 %"]


def test_silence_has_no_emotion_and_one_made_by_hand_has_one():
    assert segments_of(SILENT) == ()
    assert segments_of(FOUND) == (Segment(0.0, 0.5, "anger", FOUND.scores),)
    assert intervals(textgrid("a", SILENT)) == {"emotion": [(0, 4, "")]}
    assert audacity("a", SILENT) == srt("a", SILENT) == rttm("a", SILENT) == ""
    assert webvtt("a", SILENT) == "WEBVTT\n\n"


def test_segments_come_by_their_start():
    found = spoken((2, 3, "calm", None), (0, 1, "anger", None))
    assert [one.start for one in segments_of(found)] == [0, 2]


def test_subtitles():
    assert srt("a.wav", TURNS) == (
        "1\n00:00:00,500 --> 00:00:01,250\nAnn: [anger 0.75]\n"
        "\n2\n00:00:02,000 --> 00:00:03,000\nBob & Co <x>: [calm 0.88]\n"
    )
    assert webvtt("a.wav", TURNS) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\n<v Ann>[anger 0.75]\n"
        "\n00:00:02.000 --> 00:00:03.000\n<v Bob &amp; Co &lt;x&gt;>[calm 0.88]\n"
    )


def test_subtitles_of_nobody_in_a_recording_of_days():
    found = spoken((59.9996, 3661.25, "anger", None), (360_000, 360_001, "calm", " \n"))
    lines = srt("a", found).splitlines()
    assert lines[1:3] == ["00:01:00,000 --> 01:01:01,250", "[anger 0.75]"]
    assert lines[5:] == ["100:00:00,000 --> 100:00:01,000", "[calm 0.88]"]
    assert "\n100:00:00.000 --> 100:00:01.000\n[calm 0.88]\n" in webvtt("a", found)


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
    found = spoken(
        (0.5, 1.25, "anger", "Ann"), (2.0, 3.0, "calm", None), spans=spans, warnings=("silent",)
    )
    text = csv_head(["calm", "joy"]) + csv_rows("a.wav", found, ["calm", "joy"])
    assert text.splitlines() == [
        "file,start,end,speaker,label,calm,joy,phonemes,warnings,error",
        "a.wav,0.500,1.250,Ann,anger,0.250000,,a,silent,",
        "a.wav,2.000,3.000,,calm,0.875000,,b,silent,",
    ]


def test_a_recording_without_speech_is_in_the_table_all_the_same():
    assert csv_rows("a.wav", SILENT, ["anger", "calm"]) == "a.wav,,,,,,,,no_speech,\n"


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
    assert done.stderr.count("phonemo: ") == 1, "why; there is nothing to count"


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
        (("one.wav", "--format", "csv", "--output-dir", "x"), "goes with --format json"),
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
