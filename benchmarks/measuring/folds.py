"""A run's folds: their test parts, and the models not trained on them."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonemo.audio import Waveform
from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.recordings import load_utterance
from phonemo.labels import LabelSet
from phonemo.runtime.bundle import Precision
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.export.export import export


@dataclass(frozen=True)
class Fold:
    """A fold's test part, and its model for every seed."""

    name: str
    models: list[Path]
    utterances: list[Utterance]


@dataclass(frozen=True)
class Run:
    """A trained run."""

    manifest: Manifest
    labels: LabelSet
    folds: list[Fold]

    def emotion(self, utterance: Utterance) -> str:
        """Map an emotion to the run's label."""
        return self.labels.merged(utterance.emotion or "")

    def audio(self, utterance: Utterance) -> Waveform:
        """Load an utterance's audio."""
        return load_utterance(self.manifest, utterance)

    def with_progress(self) -> Iterator[Fold]:
        """Yield the folds; report finished ones on standard error."""
        for fold in self.folds:
            yield fold
            print(f"{fold.name}: done", file=sys.stderr)


def open_run(folder: Path) -> Run:
    """Open a run folder; if there is none, print a note and exit."""
    if not (folder / "protocol.json").is_file():
        print(f"skipped: {folder} is not a run; train it first (docs/training.md)")
        sys.exit(0)
    config = load_config(folder / "config.yaml")
    manifest = read_manifest(config.manifest)
    by_id = {row.id: row for row in manifest.utterances}
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
    """Export a model folder and load the bundle."""
    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder) / "bundle", precision)
        return OnnxRecognizer.load(Path(folder) / "bundle")
