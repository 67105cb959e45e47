"""examples/demo.py with the packaged model, with and without real speech beside the clone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

from phonemo.errors import CheckpointError
from tests.laws import REPOSITORY
from tests.tiny_bundle import CLIPS, RATE, make_clip

MOODS = ("anger", "happiness", "neutral", "sadness")


@pytest.fixture
def demo(monkeypatch, tmp_path) -> ModuleType:
    """The script, freshly loaded, in a clone without real speech beside it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = REPOSITORY / "examples" / "demo.py"
    specification = importlib.util.spec_from_file_location("demo_of_the_tests", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    return module


def answers(out: str) -> list[list[str]]:
    """The words of the output lines for a file."""
    return [line.split() for line in out.splitlines() if line.split(" ")[0].endswith((".wav", "c"))]


def test_the_demo_runs_without_external_files(demo, capsys):
    assert demo.main([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = answers(out)
    assert [row[0] for row in rows] == [f"{mood}.wav" for mood in MOODS]
    for name, acted, _, score, *rest in rows:
        assert name == f"{acted}.wav"
        assert rest[0] != "x", "a confident wrong emotion for a voice that nobody acted"
        assert 0 < float(score.removesuffix("%")) <= 100
        assert len(rest) > 3, "phonemes are heard"
    assert "EmoDB" not in out


def test_the_demo_recognizes_real_speech_if_available(demo, capsys, tmp_path):
    demo.EMODB = tmp_path / "wav"
    demo.EMODB.mkdir()
    for name in ("03a01Wa", "03a01Na", "16b10Tb", "notes"):
        soundfile.write(demo.EMODB / f"{name}.flac", make_clip(*CLIPS["long"]), RATE)
    assert demo.main([]) == 0
    out = capsys.readouterr().out
    assert "this is not a test" in out
    acted = {row[0]: row[1] for row in answers(out)[4:]}
    expected = {"03a01Na.flac": "neutral", "03a01Wa.flac": "anger", "16b10Tb.flac": "sadness"}
    assert acted == expected


def test_the_demo_handles_good_and_bad_files(demo, capsys):
    soundfile.write("own.wav", make_clip(*CLIPS["long"]), RATE)
    Path("text.wav").write_text("this is text", encoding="utf-8")
    assert demo.main(["own.wav"]) == 0
    assert "own.wav  (" in capsys.readouterr().out
    assert demo.main(["own.wav", "text.wav", "nowhere.wav"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "own.wav  (" in out, "the good neighbour is answered"
    assert "text.wav\n  error: " in out
    assert "no such file" in out


def test_help_is_given_before_anything_else(demo, capsys):
    assert demo.main(["--help"]) == 0
    assert "examples/demo.py my.wav" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device: 'x'"),
        (CheckpointError("broken"), 1, "demo: broken\n"),
    ],
)
def test_what_stops_the_demo_is_one_line(demo, capsys, error, status, words):
    def fail(*_: object) -> int:
        raise error

    demo.show = fail
    assert demo.main([]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err
