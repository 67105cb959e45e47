"""What `phonemo predict` writes: every format, every option, good files and bad ones."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.annotations import writers
from phonemo.annotations.turns import Turn
from phonemo.cli import main
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.answers import Answer
from tests.tiny_bundle import BUNDLE, RATE, make_clip

LABELS = ["anger", "neutral", "sadness"]
#: Format -> suffix of its files and what makes their text.
WRITERS = {
    "json": (".json", writers.json_file),
    "srt": (".srt", writers.srt),
    "vtt": (".vtt", writers.webvtt),
    "textgrid": (".TextGrid", writers.textgrid),
    "rttm": (".rttm", writers.rttm),
    "audacity": (".labels.txt", writers.audacity),
}


def predict(*words: object, stdin: bytes = b"") -> Answer:
    """Run main() in this process, with streams as a shell gives them to a pipe."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(one), "utf-8") for one in (stdin, b"", b""))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"stdin": given, "stdout": out, "stderr": err}.items():
            patch.setattr(sys, name, value)
        typed = ["phonemo", "predict", "--model", str(BUNDLE), *map(str, words)]
        patch.setattr(sys, "argv", typed)
        for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # main sets what is not set
            patch.setenv(name, "error")
        with pytest.raises(SystemExit) as left:
            main.main()
    texts = []
    for one in (out, err):
        one.flush()
        texts.append(one.buffer.getvalue().decode())
    return Answer(int(left.value.code or 0), *texts)


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, good and bad."""
    folder = tmp_path_factory.mktemp("made")
    buzz = [make_clip(5 * RATE, hertz) for hertz in (120.0, 900.0)]
    soundfile.write(folder / "ten.wav", np.concatenate(buzz), RATE)
    soundfile.write(folder / "short.wav", make_clip(7 * RATE // 2, 440.0), RATE)
    quiet = np.zeros(4 * RATE, dtype=np.float32)
    long = [make_clip(20 * RATE, 120.0), quiet, make_clip(16 * RATE, 900.0)]
    soundfile.write(folder / "long.wav", np.concatenate(long), RATE)
    soundfile.write(folder / "silent.wav", quiet[: 3 * RATE], RATE)
    gap = [make_clip(RATE, 120.0), quiet[: 8 * RATE // 5], make_clip(6 * RATE // 5, 900.0)]
    soundfile.write(folder / "gap.wav", np.concatenate(gap), RATE)
    (folder / "text.wav").write_text("this is text", encoding="utf-8")
    (folder / "empty.wav").touch()
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with links to the recordings."""
    monkeypatch.chdir(tmp_path)
    for one in made.iterdir():
        os.link(one, tmp_path / one.name)
    return tmp_path


def table_of(*rows: str, head: str = "start,end,speaker") -> str:
    Path("turns.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return "turns.csv"


def same(scores: dict[str, float], wanted: dict[str, float]) -> bool:
    return scores == pytest.approx(wanted, abs=1e-5)


# Formats ------------------------------------------------------------------------------------------


def test_json_is_one_array_of_all_answers(here, recognizer):
    found = predict("ten.wav", "text.wav", "short.wav", "--format", "json")
    assert found.code == 1
    ten, text, short = json.loads(found.out)
    assert ten["file"] == "ten.wav"
    assert same(ten["scores"], recognizer.predict("ten.wav").scores)
    assert (text["file"], text["code"], "scores" in text) == (
        "text.wav",
        "unsupported_audio",
        False,
    )
    assert same(short["scores"], recognizer.predict("short.wav").scores)


def test_json_is_an_array_for_one_file_and_for_none_that_is_good(here):
    (one,) = json.loads(predict("short.wav", "--format", "json").out)
    assert one["file"] == "short.wav"
    bad = predict("text.wav", "empty.wav", "--format", "json")
    assert [row["code"] for row in json.loads(bad.out)] == ["unsupported_audio", "empty_audio"]
    assert (bad.code, bad.err) == (1, "phonemo: 2 of 2 failed; details in their lines\n")


def test_json_lines_say_what_the_library_says(here, recognizer):
    found = predict("ten.wav", "short.wav", "--format", "jsonl")
    assert (found.code, found.err) == (0, "")
    assert found.out == predict("ten.wav", "short.wav").out, "the default of a pipe"
    for row in found.rows:
        wanted = recognizer.predict(row["file"]).to_dict()
        assert same(row.pop("scores"), wanted.pop("scores"))
        for one, other in zip(row["segments"], wanted["segments"], strict=True):
            assert same(one.pop("scores"), other.pop("scores"))
        del row["file"]
        assert row == wanted


def test_a_table_has_a_row_for_each_segment_and_for_each_bad_file(here, recognizer):
    found = predict("long.wav", "text.wav", "short.wav", "--format", "csv")
    assert found.code == 1
    segments = recognizer.predict("long.wav").segments
    assert len(segments) > 2
    *long, bad, short = found.table
    assert [row["file"] for row in long] == ["long.wav"] * len(segments)
    for row, one in zip(long, segments, strict=True):
        assert (float(row["start"]), float(row["end"])) == pytest.approx(
            (one.start, one.end), abs=6e-4
        )
        assert row["label"] == one.label
        assert same({name: float(row[name]) for name in LABELS}, one.scores)
        assert row["warnings"] == "windowed"
    assert bad["error"].startswith("text.wav: expected wav, flac, mp3")
    assert bad["start"] == bad["label"] == bad["anger"] == ""
    assert (short["start"], short["end"], short["error"]) == ("0.000", "3.500", "")


@pytest.mark.parametrize("format", WRITERS)
def test_each_recording_gets_a_file_with_what_the_library_says(here, recognizer, format):
    found = predict("ten.wav", "short.wav", "text.wav", "--format", format, "--output-dir", "out")
    suffix, write = WRITERS[format]
    assert found.code == 1
    assert found.err.splitlines() == [
        "phonemo: text.wav: expected wav, flac, mp3, ogg (vorbis, opus) or aiff, got text",
        "phonemo: 1 of 3 failed; details in their lines",
    ]
    assert found.out.split() == [f"out/ten{suffix}", f"out/short{suffix}"]
    assert sorted(one.name for one in Path("out").iterdir()) == [f"short{suffix}", f"ten{suffix}"]
    for name in ("ten", "short"):
        text = Path(f"out/{name}{suffix}").read_text(encoding="utf-8")
        wanted = write(f"{name}.wav", recognizer.predict(f"{name}.wav"))
        if format == "json":
            told, wanted = json.loads(text), json.loads(wanted)
            assert same(told.pop("scores"), wanted.pop("scores"))
            assert told["spans"] == wanted["spans"]
        else:
            assert text == wanted


@pytest.mark.parametrize("format", sorted(set(WRITERS) - {"json"}))
def test_one_recording_goes_to_standard_output(here, recognizer, format):
    found = predict("short.wav", "--format", format)
    wanted = WRITERS[format][1]("short.wav", recognizer.predict("short.wav"))
    assert (found.code, found.out, found.err) == (0, wanted, "")


def test_a_table_for_a_person_has_the_timeline(here, recognizer):
    found = predict("long.wav", "--format", "table")
    lines = found.out.splitlines()
    assert lines[0] == "long.wav  (40.0 s)"
    one = recognizer.predict("long.wav").segments[0]
    assert f"  0:00.0 to 0:{one.end:04.1f}  {one.label} {one.scores[one.label]:.0%}" in lines
    assert "  warnings: windowed" in lines


def test_an_unknown_format_is_wrong_usage(here):
    found = predict("short.wav", "--format", "xml")
    assert (found.code, found.out) == (2, "")
    assert "'xml' is not one of" in found.err


def test_a_short_silent_recording_has_no_emotion_in_time_as_a_long_one_has_none(here):
    found = predict("silent.wav", "--timeline", "--format", "srt")
    assert (found.code, found.out) == (0, "")


def test_a_silent_recording_has_no_emotion_in_time_without_a_timeline_either(here):
    (row,) = predict("silent.wav", "--format", "csv").table
    assert "no_speech" in row["warnings"]
    assert row["label"] == ""


# Standard input -----------------------------------------------------------------------------------


def test_standard_input_is_a_recording_among_others(here):
    data = Path("short.wav").read_bytes()
    found = predict("ten.wav", "-", "short.wav", stdin=data)
    assert found.code == 0
    ten, given, short = found.rows
    assert [ten["file"], given["file"], short["file"]] == ["ten.wav", "-", "short.wav"]
    assert {**given, "file": "short.wav"} == short
    assert predict("-", stdin=data).rows == [given]


def test_standard_input_has_a_file_name_for_its_answer(here):
    words = ("-", "--format", "textgrid")
    data = Path("short.wav").read_bytes()
    found = predict(*words, "--output-dir", "out", stdin=data)
    assert (found.code, found.out) == (0, "out/stdin.TextGrid\n")
    text = Path("out/stdin.TextGrid").read_text(encoding="utf-8")
    assert text == predict(*words, stdin=data).out
    assert "xmax = 3.500000" in text


def test_standard_input_that_is_no_audio_is_one_row(here):
    (row,) = predict("-", stdin=b"").rows
    assert (row["file"], row["code"]) == ("-", "empty_audio")
    found = predict("-", "short.wav", stdin=b"this is text")
    assert found.code == 1
    assert [row.get("code") for row in found.rows] == ["unsupported_audio", None]


def test_standard_input_has_turns_too(here):
    turns = table_of("1,2,Ann", "2,3.5,Bob")
    (given,) = predict("-", "--turns", turns, stdin=Path("short.wav").read_bytes()).rows
    (named,) = predict("short.wav", "--turns", turns).rows
    assert {**given, "file": "short.wav"} == named
    assert [one["speaker"] for one in given["segments"]] == ["Ann", "Bob"]


# In time ------------------------------------------------------------------------------------------


def test_a_timeline_of_a_short_recording_changes_its_segments_alone(here):
    (whole,) = predict("gap.wav").rows
    (timed,) = predict("gap.wav", "--timeline").rows
    (one,) = whole.pop("segments")
    assert (one["start"], one["end"], one["scores"]) == (0, 3.8, whole["scores"])
    first, second = timed.pop("segments")
    assert (first["start"], first["end"]) == pytest.approx((0, 1.2), abs=0.04)
    assert (second["start"], second["end"]) == pytest.approx((2.6, 3.8), abs=0.04)
    assert timed == whole


def test_a_long_recording_is_heard_in_windows(here):
    (row,) = predict("long.wav").rows
    assert row["warnings"] == ["windowed"]
    assert row["seconds"] == 40
    segments = row["segments"]
    ends = [time for one in segments for time in (one["start"], one["end"])]
    assert ends == sorted(ends)
    assert all(one["end"] <= 20.3 or one["start"] >= 23.9 for one in segments), (
        "20 s to 24 s: quiet"
    )
    assert row["speech_ratio"] == pytest.approx(36.1 / 40, abs=0.02)
    assert predict("long.wav", "--timeline").rows == [row]


# Turns --------------------------------------------------------------------------------------------


def test_each_turn_is_heard_as_if_it_were_a_recording(here, recognizer):
    turns = table_of("7,9.5,Bob", "0.5,2,Ann", "2,5,")
    (row,) = predict("ten.wav", "--turns", turns).rows
    samples, _ = soundfile.read("ten.wav", dtype="float32")
    told = [(one["start"], one["end"], one.get("speaker")) for one in row["segments"]]
    assert told == [(0.5, 2, "Ann"), (2, 5, None), (7, 9.5, "Bob")]
    alone = []
    for one in row["segments"]:
        part = samples[int(one["start"] * RATE) : int(one["end"] * RATE)]
        alone.append(recognizer.predict(part, RATE))
        assert one["label"] == alone[-1].label
        assert same(one["scores"], alone[-1].scores)
    sizes = (1.5, 3, 2.5)
    for name in LABELS:
        parts = zip(sizes, alone, strict=True)
        mean = sum(size * one.scores[name] for size, one in parts) / 7
        assert row["scores"][name] == pytest.approx(mean, abs=1e-5)
    assert (row["seconds"], row["warnings"]) == (10, [])
    assert row["phonemes"] == [symbol for one in alone for symbol in one.phonemes]


def test_turns_come_from_rttm_and_textgrid_and_go_to_them(here, recognizer):
    wanted = recognizer.predict("ten.wav", turns=[Turn(1, 3, "Ann"), Turn(4, 8, "Bob")])
    line = "SPEAKER x 1 {} {} <NA> <NA> {} <NA> <NA>\n"
    text = line.format(1, 2, "Ann") + line.format(4, 4, "Bob")
    Path("t.rttm").write_text(text, encoding="utf-8")
    found = predict("ten.wav", "--turns", "t.rttm", "--format", "textgrid")
    assert (found.code, found.out) == (0, writers.textgrid("ten.wav", wanted))
    assert 'name = "speaker"' in found.out
    # A TextGrid's tiers are its speakers, so its own answer with two of them is read back.
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n2\n'
    tier = '"IntervalTier"\n"{}"\n0\n10\n1\n{}\n{}\n"x"\n'
    grid = head + tier.format("Ann", 1, 3) + tier.format("Bob", 4, 8)
    Path("t.TextGrid").write_text(grid, encoding="utf-8")
    found = predict("ten.wav", "--turns", "t.TextGrid", "--format", "rttm")
    assert (found.code, found.out) == (0, writers.rttm("ten.wav", wanted))
    first, second = (one.split() for one in found.out.splitlines())
    assert first[3:5] + second[3:5] == ["1.000", "2.000", "4.000", "4.000"]
    assert [first[7].split("_")[0], second[7].split("_")[0]] == ["Ann", "Bob"]
    turns = table_of("1,3,Ann", "4,8,Bob")
    rows = predict("ten.wav", "--turns", turns, "--format", "csv").table
    assert [(row["start"], row["speaker"]) for row in rows] == [("1.000", "Ann"), ("4.000", "Bob")]
    heard = " ".join(row["phonemes"] for row in rows).split()
    assert heard == list(wanted.phonemes)


def test_a_turn_past_the_end_is_left_out_and_one_over_it_is_shortened(here):
    turns = table_of("8,12,Ann", "10.5,11,Bob", "4,4.001,Cid")
    (row,) = predict("ten.wav", "--turns", turns).rows
    assert [(one["start"], one["end"]) for one in row["segments"]] == [(8, 10)]
    assert row["warnings"] == ["turns_skipped"]
    (row,) = predict("ten.wav", "--turns", table_of("8,12,Ann")).rows
    assert row["warnings"] == []


def test_a_file_that_no_turn_is_for_fails_alone(here):
    turns = table_of("ten.wav,0,4,Ann", "short.wav,1,3,Bob", head="file,start,end,speaker")
    found = predict("ten.wav", "long.wav", "short.wav", "--turns", turns)
    assert (found.code, found.err) == (1, "phonemo: 1 of 3 failed; details in their lines\n")
    ten, long, short = found.rows
    assert "turns.csv: expected turns of long.wav, got turns of ten.wav, short.wav" in long["error"]
    assert [ten] == predict("ten.wav", "--turns", turns).rows
    assert [short] == predict("short.wav", "--turns", turns).rows
    assert short["segments"][0]["speaker"] == "Bob"


def test_turns_of_a_folder_are_told_by_their_file(here):
    turns = table_of("ten,0,4,Ann", "short.wav,1,3,Bob", head="file,start,end,speaker")
    found = predict(".", "--turns", turns)
    assert found.code == 1
    good = {row["file"]: row["segments"] for row in found.rows if "error" not in row}
    assert {name: one[0]["speaker"] for name, one in good.items()} == {
        "./ten.wav": "Ann",
        "./short.wav": "Bob",
    }
    assert found.err == "phonemo: 5 of 7 failed; details in their lines\n"


def test_turns_that_are_all_past_the_end_are_an_error_of_the_file(here):
    found = predict("short.wav", "--turns", table_of("7,8,Ann"))
    assert found.code == 1
    assert found.rows[0]["code"] == "too_short"
    assert "none of 1 turns lies within the recording of 3.50 s" in found.rows[0]["error"]


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["jsonl", "json"])
def test_phonemes_have_times_and_shares(here, recognizer, format):
    found = predict("short.wav", "--phonemes", "--format", format).out
    row = json.loads(found)[0] if format == "json" else json.loads(found)
    assert [one["symbol"] for one in row["spans"]] == row["phonemes"]
    wanted = recognizer.predict("short.wav", shares=True).spans
    for one, other in zip(row["spans"], wanted, strict=True):
        assert (one["start"], one["end"]) == pytest.approx((other.start, other.end), abs=6e-5)
        assert one["share"] == pytest.approx(other.share, abs=1e-4)
    assert any(one["share"] for one in row["spans"])
    assert '"spans"' not in predict("short.wav", "--format", format).out


def test_phonemes_of_turns_have_the_times_of_the_recording(here):
    (row,) = predict("short.wav", "--turns", table_of("2,3.4,Ann"), "--phonemes").rows
    assert row["spans"]
    assert all(2 <= one["start"] < one["end"] <= 3.401 for one in row["spans"])
    assert all("share" in one for one in row["spans"])


def test_the_highest_scores_alone(here):
    (full,) = predict("short.wav").rows
    (row,) = predict("short.wav", "--top-k", "2").rows
    ranked = sorted(full["scores"].items(), key=lambda one: -one[1])
    assert list(row["scores"].items()) == ranked[:2]
    assert list(row["segments"][0]["scores"].items()) == ranked[:2]
    (cells,) = predict("short.wav", "--top-k", "1", "--format", "csv").table
    assert [name for name in LABELS if cells[name]] == [full["label"]]
    assert predict("short.wav", "--top-k", "0").code == 2


@pytest.mark.parametrize("turns", [(), ("--turns", "turns.csv")])
def test_below_the_threshold_an_answer_is_unsure(here, turns):
    table_of("0,3.5,Ann")
    (row,) = predict("short.wav", *turns).rows
    best = max(row["scores"].values())
    assert row["warnings"] == []
    for threshold, warnings in ((best - 0.001, []), (best + 0.001, ["unsure"]), (0, [])):
        (row,) = predict("short.wav", *turns, "--threshold", threshold).rows
        assert row["warnings"] == warnings
    assert predict("short.wav", "--threshold", "1.1").code == 2
    assert predict("short.wav", "--threshold", "nan").code == 2


def test_emotions_are_chosen_in_every_segment_of_a_timeline(here):
    (full,) = predict("ten.wav", "--timeline").rows
    (row,) = predict("ten.wav", "--timeline", "--labels", "neutral, sadness").rows
    for one, wanted in zip([row, *row["segments"]], [full, *full["segments"]], strict=True):
        calm, sad = wanted["scores"]["neutral"], wanted["scores"]["sadness"]
        assert one["label"] == "sadness"
        assert same(one["scores"], {"neutral": calm / (calm + sad), "sadness": sad / (calm + sad)})
    head = predict("ten.wav", "--labels", "neutral,sadness", "--format", "csv").out.split("\n")[0]
    assert head == "file,start,end,speaker,label,neutral,sadness,phonemes,warnings,error"


def test_the_count_of_jobs_changes_no_answer(here):
    for place in range(40):
        soundfile.write(f"clip{place}.wav", make_clip(2000 + 997 * (place % 7), 200.0), RATE)
    files = [f"clip{place}.wav" for place in range(40)]
    files[11:11] = ["text.wav", "short.wav"]
    one, two, three = (predict(*files, "--jobs", jobs) for jobs in (1, 2, 3))
    assert one.code == two.code == three.code == 1
    assert [row["file"] for row in one.rows] == files
    for other in (two, three):
        assert [row["file"] for row in other.rows] == files
        for row, wanted in zip(other.rows, one.rows, strict=True):
            assert row.get("error") == wanted.get("error")
            assert row.get("label") == wanted.get("label")
            assert row.get("scores", {}) == pytest.approx(wanted.get("scores", {}), abs=1e-3)
    assert predict("short.wav", "--jobs", "0").code == 2


def test_a_wrong_voice_activity_is_told_before_any_file(here):
    found = predict("nowhere.wav", "--vad", "ears")
    assert (found.code, found.out) == (2, "")
    expected = "phonemo: expected a voice activity of energy, silero, got 'ears'; choose one\n"
    assert found.err == expected
    assert predict("short.wav", "--vad", "energy").out == predict("short.wav").out


def test_quiet_leaves_the_count_of_failures_out_and_the_status_in(here):
    found = predict("text.wav", "short.wav", "-q")
    assert (found.code, found.err, len(found.rows)) == (1, "", 2)


# Folders ------------------------------------------------------------------------------------------


def test_a_folder_of_good_bad_and_empty_files(here):
    found = predict(".")
    assert found.code == 1
    assert found.err == "phonemo: 2 of 7 failed; details in their lines\n"
    codes = {row["file"]: row.get("code") for row in found.rows}
    assert list(codes.items()) == [
        ("./empty.wav", "empty_audio"),
        ("./gap.wav", None),
        ("./long.wav", None),
        ("./short.wav", None),
        ("./silent.wav", None),
        ("./ten.wav", None),
        ("./text.wav", "unsupported_audio"),
    ]


def test_no_file_is_wrong_usage(here):
    assert predict().code == 2


# What is said -------------------------------------------------------------------------------------


def test_what_is_said_is_aligned(here):
    answer = predict("short.wav", "--said", "s a t", "--format", "jsonl")
    assert answer.code == 0
    (row,) = answer.rows
    assert row["phonemes"] == ["s", "a", "t"]
    assert all("share" in one for one in row["spans"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("short.wav", "short.wav", "--said", "s"), 2, "--said: expected one recording"),
        (("short.wav", "--timeline", "--said", "s"), 2, "--said: expected one recording"),
        (("short.wav", "--turns", "t.csv", "--said", "s"), 2, "combined with --timeline or --said"),
        (("short.wav", "--said", "x"), 1, "expected phonemes of this model"),
    ],
)
def test_what_cannot_be_aligned_is_told(here, words, code, told):
    answer = predict(*words)
    assert answer.code == code
    assert told in answer.out + answer.err
