"""The folds of a run: what each tests, and the models that never heard it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonemo.audio import Waveform, load_waveform
from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.labels import LabelSet
from phonemo.runtime.bundle import Precision
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.export.export import export


@dataclass(frozen=True)
class Fold:
    """A fold's test part, and its model of every seed."""

    name: str
    models: list[Path]
    utterances: list[Utterance]


@dataclass(frozen=True)
class Run:
    """A run that was trained."""

    manifest: Manifest
    labels: LabelSet
    folds: list[Fold]

    def emotion(self, one: Utterance) -> str:
        """As the run tells emotions apart."""
        return self.labels.merged(one.emotion or "")

    def audio(self, one: Utterance) -> Waveform:
        """What is said."""
        return load_waveform(self.manifest.audio_path(one), start=one.start, end=one.end)

    def heard(self) -> Iterator[Fold]:
        """The folds in turn; tells on standard error when one is done."""
        for fold in self.folds:
            yield fold
            print(f"{fold.name}: heard", file=sys.stderr)


def open_run(folder: Path) -> Run:
    """A run folder; where there is none the script ends, and says so."""
    if not (folder / "protocol.json").is_file():
        print(f"skipped: {folder} is no run; train it first (docs/training.md)")
        sys.exit(0)
    config = load_config(folder / "config.yaml")
    manifest = read_manifest(config.manifest)
    by_id = {one.id: one for one in manifest.utterances}
    parts = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))["folds"]
    folds = [
        Fold(
            part["name"],
            sorted(folder.glob(f"seed-*/{part['name']}/model")),
            [by_id[name] for name in part["test"]],
        )
        for part in parts
    ]
    return Run(manifest, LabelSet(config.labels.names, config.labels.merge), folds)


def exported(model: Path, precision: Precision) -> OnnxRecognizer:
    """A model folder, exported and opened."""
    with tempfile.TemporaryDirectory() as home:
        export(model, Path(home) / "bundle", precision)
        return OnnxRecognizer.load(Path(home) / "bundle")
