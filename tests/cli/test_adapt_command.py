"""`phonemo adapt`, and what `phonemo predict` does with --profile and --adapt."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.cli import main
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.answers import Answer
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip


def phonemo(*words: object, stdin: bytes = b"") -> Answer:
    """Run main() in this process, with streams as a shell gives them to a pipe."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (stdin, b"", b""))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"stdin": given, "stdout": out, "stderr": err}.items():
            patch.setattr(sys, name, value)
        patch.setattr(sys, "argv", ["phonemo", *map(str, words)])
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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good recordings, one without speech and one that is none; a call with its turns."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "office").mkdir()
    for number in range(6):
        clip = make_clip(RATE + 3000 * number, 100.0 + 70 * number)
        soundfile.write(folder / "office" / f"{number}.wav", clip, RATE)
    soundfile.write(folder / "office" / "silent.wav", np.zeros(RATE), RATE)
    (folder / "office" / "text.wav").write_text("this is text", encoding="utf-8")
    buzzes = [make_clip(3 * RATE, 100.0 + 50 * number) for number in range(8)]
    soundfile.write(folder / "call.wav", np.concatenate(buzzes), RATE)
    rows = [f"{3 * number},{3 * number + 2.5},{'AAAAAABB'[number]}" for number in range(8)]
    (folder / "turns.csv").write_text("\n".join(["start,end,speaker", *rows]), encoding="utf-8")
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def office(here, tmp_path) -> Path:
    path = tmp_path / "office.json"
    assert phonemo("adapt", "office", "-o", path, "--model", ADAPTABLE).code == 0
    return path


def good(here: Path) -> list[Path]:
    return sorted((here / "office").glob("?.wav"))


def test_adapt_writes_the_models_profile(here, office):
    model = OnnxRecognizer.load(ADAPTABLE)
    assert Profile.load(office) == model.profile(good(here))


def test_adapt_reports_used_and_skipped_recordings(here, tmp_path):
    path = tmp_path / "office.json"
    result = phonemo("adapt", "office", "call.wav", "-o", path, "--model", ADAPTABLE)
    made = Profile.load(path)
    assert (result.code, made.count) == (0, 7)
    assert result.out == (
        f"{path}: profile {made.hash} of 7 recordings (7 vectors, {made.seconds:.1f} s of speech)\n"
    )
    lines = result.err.splitlines()
    assert lines[0].startswith("phonemo: office/text.wav: expected wav, flac, mp3")
    assert lines[1:] == [
        "phonemo: 1 of 9 recordings contain no speech and were skipped",
        "phonemo: 1 of 9 recordings are unusable and were skipped",
    ]
    assert (
        len(phonemo("adapt", "office", "-o", path, "-q", "--model", ADAPTABLE).err.splitlines())
        == 1
    )


def test_predict_with_a_profile(here, office):
    model = OnnxRecognizer.load(ADAPTABLE).with_profile(office)
    result = phonemo("predict", "office/0.wav", "--profile", office, "--model", ADAPTABLE)
    row = json.loads(result.out)
    expected = model.predict("office/0.wav")
    assert row == {"file": "office/0.wav", **expected.to_dict()}
    assert row["profile"] == {"hash": Profile.load(office).hash, "count": 6}


def test_adapt_makes_two_passes_over_the_recordings(here, office):
    result = phonemo("predict", "office", "--adapt", "--model", ADAPTABLE)
    assert result.code == 1, "one of them is text"
    rows = [json.loads(line) for line in result.out.splitlines()]
    model = OnnxRecognizer.load(ADAPTABLE).with_profile(office)
    for row in rows:
        if row["file"] == "office/text.wav":
            assert row["code"] == "unsupported_audio"
            assert "profile" not in row
        else:
            assert row["scores"] == model.predict(row["file"]).scores
            assert row["profile"] == model.applied.to_dict()
    assert result.err == "phonemo: 1 of 8 failed; details in their lines\n", "each is said once"


def test_without_a_profile_none_is_reported(here):
    result = phonemo("predict", "office/0.wav", "--model", ADAPTABLE, "--format", "csv")
    assert "profile" not in result.out
    assert "profile" not in phonemo("predict", "office/0.wav", "--model", ADAPTABLE).out


def test_csv_has_a_profile_column(here, office):
    words = ("--adapt", "--format", "csv", "--model", ADAPTABLE)
    rows = list(csv.DictReader(io.StringIO(phonemo("predict", "office", *words).out)))
    assert list(rows[0])[-2:] == ["error", "profile"]
    name = Profile.load(office).hash
    for row in rows:
        assert row["profile"] == ("" if row["file"] == "office/text.wav" else name)
        assert None not in row, "no line is longer than the head"


def test_a_table_names_the_profile(here, office):
    words = ("--profile", office, "--format", "table", "--model", ADAPTABLE)
    assert (
        f"  profile: {Profile.load(office).hash} (6 vectors)\n"
        in phonemo("predict", "office/0.wav", *words).out
    )


def test_turns_are_adapted_by_speaker(here, office):
    words = ("call.wav", "--turns", "turns.csv", "--adapt", "--model", ADAPTABLE)
    row = json.loads(phonemo("predict", *words).out)
    assert "profile" not in row
    assert [segment.get("profile", {}).get("count") for segment in row["segments"]] == [6] * 6 + [
        None
    ] * 2
    table = phonemo("predict", *words, "--format", "table").out
    assert f"  profile of A: {row['segments'][0]['profile']['hash']} (6 vectors)\n" in table
    both = json.loads(phonemo("predict", *words, "--profile", office).out)
    assert both["profile"]["hash"] == Profile.load(office).hash
    assert both["segments"][0]["profile"] == row["segments"][0]["profile"]
    assert both["segments"][0]["scores"] != row["segments"][0]["scores"]
    rows = csv.DictReader(
        io.StringIO(phonemo("predict", *words, "--profile", office, "--format", "csv").out)
    )
    assert [row["profile"] for row in rows] == (
        [row["segments"][0]["profile"]["hash"]] * 6 + [Profile.load(office).hash] * 2
    )


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("predict", "-", "--adapt"), 2, "can be read only once; save it"),
        (("adapt", "-", "-o", "x.json"), 2, "can be read only once; save it"),
        (("predict", "office", "--adapt", "--profile", "x.json"), 2, "--profile or --adapt"),
        (("predict", "call.wav", "--profile", "absent.json"), 2, "absent.json: no such file"),
        (("predict", "call.wav", "--profile", "turns.csv"), 2, "turns.csv: expected JSON"),
        (("predict", "office/silent.wav", "--adapt"), 2, "1 recordings without speech"),
        (
            ("adapt", "office/silent.wav", "office/text.wav", "-o", "x.json"),
            2,
            "1 that cannot be used",
        ),
        (("adapt", "call.wav", "-o", "office"), 2, "office: expected a file, got a folder"),
        (("adapt", "call.wav", "-o", "x.json", "--vad", "ears"), 2, "got 'ears'"),
    ],
)
def test_invalid_combinations_are_errors(here, words, code, what):
    result = phonemo(*words, "--model", ADAPTABLE)
    last = result.err.splitlines()[-1]
    assert result.code == code
    assert last.startswith("phonemo: ")
    assert what in last
    assert result.out == ""
    assert not (here / "x.json").exists()


def test_a_model_without_profiles_is_an_error(here, office):
    for words in (
        ("adapt", "office", "-o", "x.json"),
        ("predict", "call.wav", "--profile", office),
    ):
        result = phonemo(*words, "--model", BUNDLE)
        assert (result.code, result.out) == (1, "")
        assert "this model takes no profile" in result.err
    result = phonemo("predict", "call.wav", "--adapt", "--model", BUNDLE)
    assert (result.code, result.out) == (1, "")
