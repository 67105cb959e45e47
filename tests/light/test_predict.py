"""Predicting needs no torch: where it is installed, it is barred; in the light job it is absent."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import soundfile

from tests.tiny_bundle import BUNDLE, CLIPS, EXPECTED, RATE, alike, make_clip

BARRED = ("torch", "transformers", "safetensors", "onnx", "sklearn", "matplotlib", "peft")
#: Any import of these is an error from here on.
BAR = f"import sys\nsys.modules.update(dict.fromkeys({BARRED}))\n"
COMMAND = (
    "from phonemo.cli.main import main\n"
    "sys.argv = ['phonemo', 'predict', *sys.argv[2:], '--model', sys.argv[1]]\nmain()"
)
PYTHON = (
    "import json, phonemo\n"
    "assert not {'numpy', 'onnxruntime'} & set(sys.modules), 'importing phonemo is light'\n"
    "model = phonemo.load(sys.argv[1])\n"
    "for name in sys.argv[2:]:\n"
    "    print(json.dumps({'file': name, **model.predict(name).to_dict()}))\n"
)


@pytest.mark.parametrize("code", [COMMAND, PYTHON], ids=["command", "python"])
def test_a_bundle_answers_without_torch(tmp_path, code):
    files = []
    for name, clip in CLIPS.items():
        files.append(str(tmp_path / f"{name}.wav"))
        soundfile.write(files[-1], make_clip(*clip), RATE, subtype="FLOAT")
    command = [sys.executable, "-I", "-W", "error", "-c", BAR + code, str(BUNDLE), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    for row, name in zip(map(json.loads, done.stdout.splitlines()), CLIPS, strict=True):
        silent = "no_speech" in row["warnings"]  # then there is no label
        assert row["label"] == (None if silent else expected[name]["label"])
        assert alike(row["phonemes"], expected[name]["phonemes"])
        for label, score in expected[name]["scores"].items():
            assert row["scores"][label] == pytest.approx(score, abs=0.02)


def test_a_model_folder_names_the_extra(tmp_path):
    code = BAR + "import importlib.util\nimportlib.util.find_spec = lambda name: None\n" + COMMAND
    command = [sys.executable, "-I", "-c", code, str(tmp_path), "a.wav"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install 'phonemo[train]'" in done.stderr
