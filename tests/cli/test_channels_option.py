"""The option --channels of predict and adapt."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.test_predict_command import predict
from tests.tiny_bundle import ADAPTABLE, RATE, make_clip

LEFT, RIGHT = make_clip(2 * RATE, 120.0), make_clip(2 * RATE, 700.0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a call, its sides and a call with a silent side."""
    monkeypatch.chdir(tmp_path)
    files = {"call": [LEFT, RIGHT], "left": [LEFT], "right": [RIGHT], "half": [LEFT, 0 * LEFT]}
    for name, channels in files.items():
        soundfile.write(f"{name}.wav", np.stack(channels).T, RATE, subtype="FLOAT")
    return tmp_path


def rows(*words: object, stdin: bytes = b"") -> list[dict]:
    answer = predict(*words, stdin=stdin)
    assert answer.err == "", answer
    return [json.loads(line) for line in answer.out.splitlines()]


def test_split_gives_a_row_for_each_channel_in_json_lines():
    found = rows("call.wav", "left.wav", "half.wav", "--channels", "split")
    files = [(row["file"], row["channel"]) for row in found]
    assert files == [("call.wav", 1), ("call.wav", 2), ("left.wav", 1), ("half.wav", 1)]
    left, right = rows("left.wav", "right.wav")
    assert found[0]["scores"] == pytest.approx(left["scores"], abs=1e-5)
    assert found[1]["scores"] == pytest.approx(right["scores"], abs=1e-5)
    assert "silent_channel" in found[3]["warnings"]


def test_a_number_takes_one_channel_and_its_lack_is_an_error_of_that_file():
    answer = predict("call.wav", "left.wav", "--channels", 2, "-q")
    good, bad = (json.loads(line) for line in answer.out.splitlines())
    assert (answer.code, good["channel"]) == (1, 2)
    assert (bad["file"], bad["code"]) == ("left.wav", "invalid_channel")
    assert "expected channel 1, got 2" in bad["error"]


def test_the_mix_says_that_the_channels_differ_and_names_no_channel():
    (row,) = rows("call.wav")
    assert "channel" not in row
    assert "channels" not in row


def test_standard_input_is_split():
    data = Path("call.wav").read_bytes()
    assert [row["channel"] for row in rows("-", "--channels", "SPLIT", stdin=data)] == [1, 2]


def test_a_table_has_the_column_channel():
    answer = predict("call.wav", "--channels", "split", "--format", "csv")
    table = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["channel"] for row in table] == ["1", "2"]
    assert "channel" not in predict("call.wav", "--format", "csv").out


def test_the_terminal_table_names_the_channel():
    answer = predict("call.wav", "--channels", "split", "--format", "table")
    assert "call.wav  channel 1  (2.0 s)" in answer.out
    assert "call.wav  channel 2  (2.0 s)" in answer.out


@pytest.mark.parametrize(
    ("kind", "fragments"),
    [
        ("srt", ["channel 1: [", "channel 2: ["]),
        ("vtt", ["<v channel 1>", "<v channel 2>"]),
        ("textgrid", ["emotion channel 1", "phonemes channel 2"]),
        ("rttm", ["SPEAKER call 1 0", "SPEAKER call 2 0"]),
        ("audacity", ["channel 1: ", "channel 2: "]),
        ("json", ['"channels": [{', '"channel": 2']),
    ],
)
def test_formats_of_files_are_one_combined_file(kind, fragments):
    answer = predict("call.wav", "--channels", "split", "--format", kind)
    assert answer.code == 0
    for fragment in fragments:
        assert fragment in answer.out


def test_files_are_written_once_for_a_split_recording(here):
    predict("call.wav", "--channels", "split", "--format", "json", "--output-dir", "out")
    assert [path.name for path in (here / "out").iterdir()] == ["call.json"]
    data = json.loads((here / "out" / "call.json").read_text(encoding="utf-8"))
    assert [one["channel"] for one in data["channels"]] == [1, 2]


def test_labels_and_top_k_apply_to_each_channel():
    found = rows("call.wav", "--channels", "split", "--labels", "anger,neutral", "--top-k", 1)
    assert [len(row["scores"]) for row in found] == [1, 1]


@pytest.mark.parametrize("channels", ["left", "0", "-1", "1.5", "", "65"])
def test_other_channels_are_one_clear_line(channels):
    answer = predict("call.wav", "--channels", channels)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "expected mix, split or a number from 1 to 64" in answer.err


def test_turns_come_from_their_channels_of_an_rttm():
    Path("call.rttm").write_text(
        "SPEAKER call 1 0 2 <NA> <NA> agent <NA> <NA>\n"
        "SPEAKER call 2 0 2 <NA> <NA> customer <NA> <NA>\n",
        encoding="utf-8",
    )
    (row,) = rows("call.wav", "--turns", "call.rttm")
    left, right = rows("left.wav", "right.wav")
    agent, customer = row["segments"]
    assert (agent["speaker"], agent["channel"]) == ("agent", 1)
    assert agent["scores"] == pytest.approx(left["scores"], abs=1e-5)
    assert customer["scores"] == pytest.approx(right["scores"], abs=1e-5)


def test_all_turns_come_from_a_chosen_channel():
    Path("call.csv").write_text("start,end\n0,1\n1,2\n", encoding="utf-8")
    (row,) = rows("call.wav", "--turns", "call.csv", "--channels", 2)
    assert [segment["channel"] for segment in row["segments"]] == [2, 2]
    answer = predict("call.wav", "--turns", "call.csv", "--channels", "split")
    (row,) = [json.loads(line) for line in answer.out.splitlines()]
    assert "expects turns that name their channel" in row["error"]


def test_spoken_phonemes_are_aligned_in_one_channel():
    found = rows("call.wav", "--said", "a s", "--channels", 2)
    assert (found[0]["channel"], found[0]["phonemes"]) == (2, ["a", "s"])
    answer = predict("call.wav", "--said", "a s", "--channels", "split")
    assert (answer.code, answer.out) == (2, "")


def test_adapt_and_split_apply_a_profile_of_all_channels():
    words = ("call.wav", "half.wav", "--model", ADAPTABLE, "--adapt", "--channels", "split")
    found = rows(*words)
    assert [row["channel"] for row in found] == [1, 2, 1]
    assert len({row["profile"]["hash"] for row in found}) == 1
