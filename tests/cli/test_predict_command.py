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
from phonemo.audio.containers import EXPECTED
from phonemo.cli import main
from phonemo.cli.output import Format
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.annotations.transcript_files import WHISPERX
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
    given, out, err = (io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (stdin, b"", b""))
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
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
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
    for path in made.iterdir():
        os.link(path, tmp_path / path.name)
    return tmp_path


def table_of(*rows: str, head: str = "start,end,speaker") -> str:
    Path("turns.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return "turns.csv"


def same(scores: dict[str, float], expected: dict[str, float]) -> bool:
    return scores == pytest.approx(expected, abs=1e-5)


# Formats ------------------------------------------------------------------------------------------


def test_json_is_one_array_of_all_results(here, recognizer):
    result = predict("ten.wav", "text.wav", "short.wav", "--format", "json")
    assert result.code == 1
    ten, text, short = json.loads(result.out)
    assert ten["file"] == "ten.wav"
    assert same(ten["scores"], recognizer.predict("ten.wav").scores)
    assert (text["file"], text["code"], "scores" in text) == (
        "text.wav",
        "unsupported_audio",
        False,
    )
    assert same(short["scores"], recognizer.predict("short.wav").scores)


def test_json_is_an_array_for_one_file_and_without_good_files(here):
    (one,) = json.loads(predict("short.wav", "--format", "json").out)
    assert one["file"] == "short.wav"
    bad = predict("text.wav", "empty.wav", "--format", "json")
    assert [row["code"] for row in json.loads(bad.out)] == ["unsupported_audio", "empty_audio"]
    assert (bad.code, bad.err) == (1, "phonemo: 2 of 2 failed; details in their lines\n")


def test_json_lines_match_the_library(here, recognizer):
    result = predict("ten.wav", "short.wav", "--format", "jsonl")
    assert (result.code, result.err) == (0, "")
    assert result.out == predict("ten.wav", "short.wav").out, "the default of a pipe"
    for row in result.rows:
        expected = recognizer.predict(row["file"]).to_dict()
        assert same(row.pop("scores"), expected.pop("scores"))
        for item, other in zip(row["segments"], expected["segments"], strict=True):
            assert same(item.pop("scores"), other.pop("scores"))
        del row["file"]
        assert row == expected


def test_a_table_has_a_row_for_each_segment_and_for_each_bad_file(here, recognizer):
    result = predict("long.wav", "text.wav", "short.wav", "--format", "csv")
    assert result.code == 1
    segments = recognizer.predict("long.wav").segments
    assert len(segments) > 2
    *long, bad, short = result.table
    assert [row["file"] for row in long] == ["long.wav"] * len(segments)
    for row, item in zip(long, segments, strict=True):
        assert (float(row["start"]), float(row["end"])) == pytest.approx(
            (item.start, item.end), abs=6e-4
        )
        assert row["label"] == item.label
        assert same({name: float(row[name]) for name in LABELS}, item.scores)
        assert row["warnings"] == "windowed"
    assert bad["error"].startswith("text.wav: expected wav, flac, mp3")
    assert bad["start"] == bad["label"] == bad["anger"] == ""
    assert (short["start"], short["end"], short["error"]) == ("0.000", "3.500", "")


@pytest.mark.parametrize("format", WRITERS)
def test_each_recording_gets_a_file_matching_the_library(here, recognizer, format):
    result = predict("ten.wav", "short.wav", "text.wav", "--format", format, "--output-dir", "out")
    suffix, write = WRITERS[format]
    assert result.code == 1
    assert result.err.splitlines() == [
        f"phonemo: text.wav: {EXPECTED}, got text",
        "phonemo: 1 of 3 failed; details in their lines",
    ]
    assert result.out.split() == [f"out/ten{suffix}", f"out/short{suffix}"]
    assert sorted(path.name for path in Path("out").iterdir()) == [f"short{suffix}", f"ten{suffix}"]
    for name in ("ten", "short"):
        text = Path(f"out/{name}{suffix}").read_text(encoding="utf-8")
        found = recognizer.predict(f"{name}.wav")
        found = found if format == "json" else found.without_dimensions()
        expected = write(f"{name}.wav", found)
        if format == "json":
            message, expected = json.loads(text), json.loads(expected)
            assert same(message.pop("scores"), expected.pop("scores"))
            assert message["spans"] == expected["spans"]
        else:
            assert text == expected


@pytest.mark.parametrize("format", sorted(set(WRITERS) - {"json"}))
def test_one_recording_goes_to_standard_output(here, recognizer, format):
    result = predict("short.wav", "--format", format)
    found = recognizer.predict("short.wav").without_dimensions()  # tiers on request
    expected = WRITERS[format][1]("short.wav", found)
    assert (result.code, result.out, result.err) == (0, expected, "")


def test_a_table_for_a_person_has_the_timeline(here, recognizer):
    result = predict("long.wav", "--format", "table")
    lines = result.out.splitlines()
    assert lines[0] == "long.wav  (40.0 s)"
    one = recognizer.predict("long.wav").segments[0]
    assert f"  0:00.0 to 0:{one.end:04.1f}  {one.label} {one.scores[one.label]:.0%}" in lines
    assert "  warnings: windowed" in lines


def test_an_unknown_format_is_wrong_usage(here):
    result = predict("short.wav", "--format", "xml")
    assert (result.code, result.out) == (2, "")
    assert "'xml' is not one of" in result.err


def test_a_short_silent_recording_has_no_segments_like_a_long_one(here):
    result = predict("silent.wav", "--timeline", "--format", "srt")
    assert (result.code, result.out) == (0, "")


def test_a_silent_recording_has_no_segments_without_a_timeline(here):
    (row,) = predict("silent.wav", "--format", "csv").table
    assert "no_speech" in row["warnings"]
    assert row["label"] == ""


# Standard input -----------------------------------------------------------------------------------


def test_standard_input_is_a_recording_among_others(here):
    data = Path("short.wav").read_bytes()
    result = predict("ten.wav", "-", "short.wav", stdin=data)
    assert result.code == 0
    ten, given, short = result.rows
    assert [ten["file"], given["file"], short["file"]] == ["ten.wav", "-", "short.wav"]
    assert {**given, "file": "short.wav"} == short
    assert predict("-", stdin=data).rows == [given]


def test_the_result_of_standard_input_has_a_file_name(here):
    words = ("-", "--format", "textgrid")
    data = Path("short.wav").read_bytes()
    result = predict(*words, "--output-dir", "out", stdin=data)
    assert (result.code, result.out) == (0, "out/stdin.TextGrid\n")
    text = Path("out/stdin.TextGrid").read_text(encoding="utf-8")
    assert text == predict(*words, stdin=data).out
    assert "xmax = 3.500000" in text


def test_invalid_audio_on_standard_input_is_one_row(here):
    (row,) = predict("-", stdin=b"").rows
    assert (row["file"], row["code"]) == ("-", "empty_audio")
    result = predict("-", "short.wav", stdin=b"this is text")
    assert result.code == 1
    assert [row.get("code") for row in result.rows] == ["unsupported_audio", None]


def test_standard_input_can_have_turns(here):
    turns = table_of("1,2,Ann", "2,3.5,Bob")
    (given,) = predict("-", "--turns", turns, stdin=Path("short.wav").read_bytes()).rows
    (named,) = predict("short.wav", "--turns", turns).rows
    assert {**given, "file": "short.wav"} == named
    assert [segment["speaker"] for segment in given["segments"]] == ["Ann", "Bob"]


# In time ------------------------------------------------------------------------------------------


def test_a_timeline_of_a_short_recording_changes_only_its_segments(here):
    (full,) = predict("gap.wav").rows
    (timed,) = predict("gap.wav", "--timeline").rows
    (one,) = full.pop("segments")
    assert (one["start"], one["end"], one["scores"]) == (0, 3.8, full["scores"])
    first, second = timed.pop("segments")
    assert (first["start"], first["end"]) == pytest.approx((0, 1.2), abs=0.04)
    assert (second["start"], second["end"]) == pytest.approx((2.6, 3.8), abs=0.04)
    assert timed == full


def test_a_long_recording_is_processed_in_windows(here):
    (row,) = predict("long.wav").rows
    assert row["warnings"] == ["windowed"]
    assert row["seconds"] == 40
    segments = row["segments"]
    ends = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert ends == sorted(ends)
    assert all(segment["end"] <= 20.3 or segment["start"] >= 23.9 for segment in segments), (
        "20 s to 24 s: quiet"
    )
    assert row["speech_ratio"] == pytest.approx(36.1 / 40, abs=0.02)
    assert predict("long.wav", "--timeline").rows == [row]


# Turns --------------------------------------------------------------------------------------------


def test_each_turn_is_predicted_like_a_recording(here, recognizer):
    turns = table_of("7,9.5,Bob", "0.5,2,Ann", "2,5,")
    (row,) = predict("ten.wav", "--turns", turns).rows
    samples, _ = soundfile.read("ten.wav", dtype="float32")
    message = [
        (segment["start"], segment["end"], segment.get("speaker")) for segment in row["segments"]
    ]
    assert message == [(0.5, 2, "Ann"), (2, 5, None), (7, 9.5, "Bob")]
    alone = []
    for segment in row["segments"]:
        part = samples[int(segment["start"] * RATE) : int(segment["end"] * RATE)]
        alone.append(recognizer.predict(part, RATE))
        assert segment["label"] == alone[-1].label
        assert same(segment["scores"], alone[-1].scores)
    sizes = (1.5, 3, 2.5)
    for name in LABELS:
        parts = zip(sizes, alone, strict=True)
        mean = sum(size * item.scores[name] for size, item in parts) / 7
        assert row["scores"][name] == pytest.approx(mean, abs=1e-5)
    assert (row["seconds"], row["warnings"]) == (10, [])
    assert row["phonemes"] == [symbol for row in alone for symbol in row.phonemes]


def test_turns_come_from_rttm_and_textgrid_and_go_to_them(here, recognizer):
    expected = recognizer.predict("ten.wav", turns=[Turn(1, 3, "Ann"), Turn(4, 8, "Bob")])
    line = "SPEAKER x 1 {} {} <NA> <NA> {} <NA> <NA>\n"
    text = line.format(1, 2, "Ann") + line.format(4, 4, "Bob")
    Path("t.rttm").write_text(text, encoding="utf-8")
    result = predict("ten.wav", "--turns", "t.rttm", "--format", "textgrid")
    assert (result.code, result.out) == (
        0,
        writers.textgrid("ten.wav", expected.without_dimensions()),
    )
    assert 'name = "speaker"' in result.out
    # A TextGrid's tiers are its speakers, so its own answer with two of them is read back.
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n2\n'
    tier = '"IntervalTier"\n"{}"\n0\n10\n1\n{}\n{}\n"x"\n'
    grid = head + tier.format("Ann", 1, 3) + tier.format("Bob", 4, 8)
    Path("t.TextGrid").write_text(grid, encoding="utf-8")
    result = predict("ten.wav", "--turns", "t.TextGrid", "--format", "rttm")
    assert (result.code, result.out) == (0, writers.rttm("ten.wav", expected))
    first, second = (line.split() for line in result.out.splitlines())
    assert first[3:5] + second[3:5] == ["1.000", "2.000", "4.000", "4.000"]
    assert [first[7].split("_")[0], second[7].split("_")[0]] == ["Ann", "Bob"]
    turns = table_of("1,3,Ann", "4,8,Bob")
    rows = predict("ten.wav", "--turns", turns, "--format", "csv").table
    assert [(row["start"], row["speaker"]) for row in rows] == [("1.000", "Ann"), ("4.000", "Bob")]
    predicted = " ".join(row["phonemes"] for row in rows).split()
    assert predicted == list(expected.phonemes)


def test_a_turn_after_the_end_is_dropped_and_one_across_it_is_shortened(here):
    turns = table_of("8,12,Ann", "10.5,11,Bob", "4,4.001,Cid")
    (row,) = predict("ten.wav", "--turns", turns).rows
    assert [(segment["start"], segment["end"]) for segment in row["segments"]] == [(8, 10)]
    assert row["warnings"] == ["turns_skipped"]
    (row,) = predict("ten.wav", "--turns", table_of("8,12,Ann")).rows
    assert row["warnings"] == []


def test_only_the_file_without_turns_fails(here):
    turns = table_of("ten.wav,0,4,Ann", "short.wav,1,3,Bob", head="file,start,end,speaker")
    result = predict("ten.wav", "long.wav", "short.wav", "--turns", turns)
    assert (result.code, result.err) == (1, "phonemo: 1 of 3 failed; details in their lines\n")
    ten, long, short = result.rows
    assert "turns.csv: expected turns of long.wav, got turns of ten.wav, short.wav" in long["error"]
    assert [ten] == predict("ten.wav", "--turns", turns).rows
    assert [short] == predict("short.wav", "--turns", turns).rows
    assert short["segments"][0]["speaker"] == "Bob"


def test_turns_of_a_folder_are_matched_by_file(here):
    turns = table_of("ten,0,4,Ann", "short.wav,1,3,Bob", head="file,start,end,speaker")
    result = predict(".", "--turns", turns)
    assert result.code == 1
    good = {row["file"]: row["segments"] for row in result.rows if "error" not in row}
    assert {name: item[0]["speaker"] for name, item in good.items()} == {
        "./ten.wav": "Ann",
        "./short.wav": "Bob",
    }
    skipped, failed = result.err.splitlines()
    assert skipped == "phonemo: .: 1 file skipped (1 .csv)"
    assert failed == "phonemo: 5 of 7 failed; details in their lines"


def test_a_file_whose_turns_all_start_after_its_end_is_an_error(here):
    result = predict("short.wav", "--turns", table_of("7,8,Ann"))
    assert result.code == 1
    assert result.rows[0]["code"] == "too_short"
    assert "none of 1 turns lies within the recording of 3.50 s" in result.rows[0]["error"]


def test_a_whisperx_transcript_gives_words_with_emotions(here, recognizer):
    Path("x.json").write_text(json.dumps(WHISPERX), encoding="utf-8")
    (row,) = predict("ten.wav", "--turns", "x.json").rows
    first, second = row["segments"]
    assert (first["speaker"], first["text"]) == ("SPEAKER_00", "It is 5 past nine.")
    assert [word["word"] for word in first["words"]] == ["It", "is", "5", "past", "nine."]
    assert all(same(word["scores"], first["scores"]) for word in first["words"]), "a short turn"
    assert (second["text"], "words" in second) == ("No.", False)
    alone = recognizer.predict("ten.wav", turns=[Turn(0.5, 2.5), Turn(3, 4)])
    assert same(row["scores"], alone.scores), "words change no other result"


def test_the_words_of_a_long_turn_have_emotions_of_their_own(here):
    words = [{"word": f"w{n}", "start": n, "end": n + 0.5} for n in range(10)]
    data = [{"start": 0, "end": 10, "words": words}]
    Path("x.json").write_text(json.dumps(data), encoding="utf-8")
    options = ("--turns", "x.json", "--labels", "anger,sadness", "--top-k", "1")
    (row,) = predict("ten.wav", *options).rows
    (segment,) = row["segments"]
    assert [word["word"] for word in segment["words"]] == [f"w{n}" for n in range(10)]
    assert len({str(word["scores"]) for word in segment["words"]}) > 3
    assert all(set(word["scores"]) == {word["label"]} for word in segment["words"])


def test_a_transcript_is_in_every_format_that_has_a_place_for_it(here):
    data = [{"start": 1, "end": 3, "text": "so =1 it is", "speaker": "A", "words": []}]
    data[0]["words"] = [{"word": "so"}, {"word": "is"}]
    Path("x.json").write_text(json.dumps(data), encoding="utf-8")
    outputs = {name: predict("ten.wav", "--turns", "x.json", "--format", name) for name in Format}
    assert outputs["csv"].table[0]["text"] == "so =1 it is"
    assert "    so =1 it is\n" in outputs["table"].out
    assert "A: so =1 it is [" in outputs["srt"].out
    assert "<v A>so =1 it is [" in outputs["vtt"].out
    for name in ("text", "words", "word emotion"):
        assert f'name = "{name}"' in outputs["textgrid"].out
    for name, suffix in {
        "json": "json",
        "srt": "srt",
        "vtt": "vtt",
        "textgrid": "TextGrid",
    }.items():
        Path(f"again.{suffix}").write_text(outputs[name].out, encoding="utf-8")
        (row,) = predict("ten.wav", "--turns", f"again.{suffix}").rows
        (segment,) = row["segments"]
        assert (segment["start"], segment["end"], segment["speaker"]) == (1, 3, "A")
        assert segment["text"] == "so =1 it is"


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["jsonl", "json"])
def test_phonemes_have_times_and_shares(here, recognizer, format):
    result = predict("short.wav", "--phonemes", "--format", format).out
    row = json.loads(result)[0] if format == "json" else json.loads(result)
    assert [span["symbol"] for span in row["spans"]] == row["phonemes"]
    expected = recognizer.predict("short.wav", shares=True).spans
    for item, other in zip(row["spans"], expected, strict=True):
        assert (item["start"], item["end"]) == pytest.approx((other.start, other.end), abs=6e-5)
        assert item["share"] == pytest.approx(other.share, abs=1e-4)
    assert any(span["share"] for span in row["spans"])
    assert '"spans"' not in predict("short.wav", "--format", format).out


def test_a_table_of_phonemes_has_their_times_shares_and_the_emotion(here, recognizer):
    result = predict("short.wav", "text.wav", "--format", "phonemes")
    assert result.code == 1
    *rows, bad = result.table
    found = recognizer.predict("short.wav", shares=True)
    assert [row["symbol"] for row in rows] == list(found.phonemes)
    assert [row["position"] for row in rows] == [str(number) for number in range(len(rows))]
    for row, span in zip(rows, found.spans, strict=True):
        values = (span.start, span.end, span.confidence, span.share)
        given = [float(row[name]) for name in ("start", "end", "confidence", "share")]
        assert given == pytest.approx(values, abs=2e-3)
        assert (row["file"], row["label"], row["error"]) == ("short.wav", found.label, "")
    assert bad["error"].startswith("text.wav: expected wav, flac, mp3")
    assert bad["symbol"] == bad["share"] == ""
    assert (
        "expected --format json"
        in predict("short.wav", "--format", "phonemes", "--output-dir", "x").err
    )


def test_a_table_of_phonemes_has_given_phonemes_too(here):
    rows = predict("short.wav", "--said", "m a s", "--format", "phonemes").table
    assert [row["symbol"] for row in rows] == ["m", "a", "s"]


def test_shares_of_an_emotion_that_was_not_chosen_are_left_out(here, recognizer):
    found = recognizer.predict("short.wav", shares=True)
    others = [name for name in found.scores if name != found.label]
    if len(others) < 2:
        pytest.skip("the model has two emotions")
    words = ("short.wav", "--labels", ",".join(others), "--format", "phonemes")
    rows = predict(*words).table
    assert {row["share"] for row in rows} == {""}
    assert {row["label"] for row in rows} <= set(others)


def test_phonemes_of_turns_have_the_times_of_the_recording(here):
    (row,) = predict("short.wav", "--turns", table_of("2,3.4,Ann"), "--phonemes").rows
    assert row["spans"]
    assert all(2 <= span["start"] < span["end"] <= 3.401 for span in row["spans"])
    assert all("share" in span for span in row["spans"])


def test_top_k_shows_only_the_highest_scores(here):
    (full,) = predict("short.wav").rows
    (row,) = predict("short.wav", "--top-k", "2").rows
    ranked = sorted(full["scores"].items(), key=lambda item: -item[1])
    assert list(row["scores"].items()) == ranked[:2]
    assert list(row["segments"][0]["scores"].items()) == ranked[:2]
    (cells,) = predict("short.wav", "--top-k", "1", "--format", "csv").table
    assert [name for name in LABELS if cells[name]] == [full["label"]]
    assert predict("short.wav", "--top-k", "0").code == 2


@pytest.mark.parametrize("turns", [(), ("--turns", "turns.csv")])
def test_a_prediction_below_the_threshold_is_unsure(here, turns):
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
    for item, expected in zip([row, *row["segments"]], [full, *full["segments"]], strict=True):
        calm, sad = expected["scores"]["neutral"], expected["scores"]["sadness"]
        assert item["label"] == "sadness"
        assert same(item["scores"], {"neutral": calm / (calm + sad), "sadness": sad / (calm + sad)})
    head = predict("ten.wav", "--labels", "neutral,sadness", "--format", "csv").out.split("\n")[0]
    assert head == "file,start,end,speaker,label,unsure,neutral,sadness,phonemes,warnings,error"


def test_the_number_of_jobs_changes_no_result(here):
    for place in range(40):
        soundfile.write(f"clip{place}.wav", make_clip(2000 + 997 * (place % 7), 200.0), RATE)
    files = [f"clip{place}.wav" for place in range(40)]
    files[11:11] = ["text.wav", "short.wav"]
    one, two, three = (predict(*files, "--jobs", jobs) for jobs in (1, 2, 3))
    assert one.code == two.code == three.code == 1
    assert [row["file"] for row in one.rows] == files
    for other in (two, three):
        assert [row["file"] for row in other.rows] == files
        for row, expected in zip(other.rows, one.rows, strict=True):
            assert row.get("error") == expected.get("error")
            assert row.get("label") == expected.get("label")
            assert row.get("scores", {}) == pytest.approx(expected.get("scores", {}), abs=1e-3)
    assert predict("short.wav", "--jobs", "0").code == 2


def test_an_unknown_voice_activity_fails_before_any_file(here):
    result = predict("nowhere.wav", "--vad", "ears")
    assert (result.code, result.out) == (2, "")
    expected = "phonemo: expected a voice activity of energy, silero, got 'ears'; choose one\n"
    assert result.err == expected
    assert predict("short.wav", "--vad", "energy").out == predict("short.wav").out


def test_quiet_hides_the_failure_count_but_keeps_the_status(here):
    result = predict("text.wav", "short.wav", "-q")
    assert (result.code, result.err, len(result.rows)) == (1, "", 2)


# Folders ------------------------------------------------------------------------------------------


def test_a_folder_of_good_bad_and_empty_files(here):
    result = predict(".")
    assert result.code == 1
    assert result.err == "phonemo: 2 of 7 failed; details in their lines\n"
    codes = {row["file"]: row.get("code") for row in result.rows}
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


def test_given_phonemes_are_aligned(here):
    answer = predict("short.wav", "--said", "s a t", "--format", "jsonl")
    assert answer.code == 0
    (row,) = answer.rows
    assert row["phonemes"] == ["s", "a", "t"]
    assert all("share" in span for span in row["spans"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("short.wav", "short.wav", "--said", "s"), 2, "--said: expected one recording"),
        (("short.wav", "--timeline", "--said", "s"), 2, "--said: expected one recording"),
        (("short.wav", "--turns", "t.csv", "--said", "s"), 2, "combined with --timeline or --said"),
        (("short.wav", "--said", "x"), 1, "expected phonemes of this model"),
    ],
)
def test_phonemes_that_cannot_be_aligned_are_an_error(here, words, code, message):
    answer = predict(*words)
    assert answer.code == code
    assert message in answer.out + answer.err


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_summary_is_in_the_object_of_the_recording(here, format):
    result = predict("ten.wav", "--summary", "--top-k", "1", "--format", format)
    assert result.code == 0, result.err
    data = json.loads(result.out)
    (row,) = data if format == "json" else [data]
    (party,) = row["summary"]["parties"]
    assert sum(party["emotions"].values()) == pytest.approx(1, abs=1e-3)
    assert set(party["trend"][0]["scores"]) > set(row["scores"])
    assert party["seconds"] == 10.0
    assert party["speech_share"] > 0.5


def test_a_summary_of_turns_has_a_party_for_each_speaker(here):
    Path("two.csv").write_text("start,end,speaker\n0,2,A\n2,4,B\n4,6,A\n")
    row = json.loads(predict("ten.wav", "--summary", "--turns", "two.csv").out)
    parties = row["summary"]["parties"]
    assert [(party["speaker"], party["speech_share"]) for party in parties] == [
        ("A", 0.4),
        ("B", 0.2),
    ]


@pytest.mark.parametrize("format", ["csv", "srt", "vtt", "textgrid", "rttm", "audacity"])
def test_a_format_without_a_place_for_the_summary_is_wrong_usage(here, format):
    result = predict("ten.wav", "--summary", "--format", format)
    assert result.code == 2
    assert "--summary: expected --format table, jsonl, json" in result.err


def test_a_word_in_doubt_has_a_question_mark_in_the_table():
    from phonemo.cli.prediction_text import table_row

    words = [
        {"word": "oh", "label": "anger", "unsure": False, "scores": {"anger": 0.9}},
        {"word": "no", "label": "anger", "unsure": True, "scores": {"anger": 0.3}},
    ]
    scored = {"label": "anger", "unsure": False, "scores": {"anger": 0.9}}
    segment = {"start": 0.0, "end": 1.0, "text": "oh no", "words": words, **scored}
    row = {"file": "a.wav", "seconds": 1.0, "segments": [segment], "warnings": [], **scored}
    row |= {"phonemes": None, "speech_ratio": 1.0}
    assert "    [anger] oh [anger?] no" in table_row(row)
