"""Networks whose outputs differ from what they declare are refused, not read past their ends."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import soundfile

from phonemo.errors import CheckpointError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.cpp.compiled import run
from tests.golden.runtime_signals import SIGNALS
from tests.tiny_bundle import BUNDLE


def _with_head_of_one_value(folder: Path) -> None:
    """Replace head.onnx by one that returns a single logit for any number of rows."""
    onnx = pytest.importorskip("onnx")
    original = onnx.load(BUNDLE / "head.onnx").graph
    value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1, 1], [0.5])
    node = onnx.helper.make_node("Constant", [], ["emotion_logits"], value=value)
    declared = onnx.helper.make_tensor_value_info(
        "emotion_logits", onnx.TensorProto.FLOAT, [None, None]
    )
    graph = onnx.helper.make_graph([node], "head", list(original.input), [declared])
    content = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    (folder / "head.onnx").write_bytes(content)
    card = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    card["head_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(card), encoding="utf-8")


def _with_symbols(folder: Path, symbols: list[str]) -> None:
    card = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    card["inventory"]["symbols"] = symbols
    (folder / "bundle.json").write_text(json.dumps(card), encoding="utf-8")


def _refusal(folder: Path, *options: str) -> str:
    path = folder.parent / "my.wav"
    soundfile.write(path, SIGNALS["three_seconds"].make(), 16_000)
    finished = run("phonemo-cpp", "--model", folder, *options, path)
    assert finished.returncode == 1
    return finished.stdout + finished.stderr


def _copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


def test_a_head_of_one_value_is_refused(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    _with_head_of_one_value(folder)
    assert "head.onnx" in _refusal(folder, "--phonemes")
    with pytest.raises(CheckpointError, match="expected a row of emotion_logits for each"):
        OnnxRecognizer.load(folder).predict(folder.parent / "my.wav", shares=True)


def test_a_card_of_fewer_symbols_is_refused(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    _with_symbols(folder, ["<blank>", "a"])
    assert "phonemes" in _refusal(folder)
