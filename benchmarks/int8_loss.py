"""What int8 costs in UA on speakers that were never heard: every fold's model, on its test part.

    python benchmarks/int8_loss.py [RUN_FOLDER]      default: work/runs/small-emodb

Each fold's model is exported in fp32 and int8 (which needs no calibration data); both hear the
fold's test utterances one at a time, and the answers of all folds are pooled.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from phonemo.audio import load_waveform
from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, read_manifest
from phonemo.labels import LabelSet
from phonemo.metrics import bootstrap_interval, score_emotions
from phonemo.runtime.engine import Recognizer
from phonemo.train.export import export

RUN = Path("work/runs/small-emodb")
PRECISIONS = ("fp32", "int8")


def main(run: Path) -> int:
    """The exit status; prints one table."""
    if not (run / "protocol.json").is_file():
        print(f"{run}: no run; train it first (docs/training.md)")
        return 0
    config = load_config(run / "config.yaml")
    manifest = read_manifest(config.manifest)
    labels = LabelSet(config.labels.names, config.labels.merge)
    folds = json.loads((run / "protocol.json").read_text(encoding="utf-8"))["folds"]
    rows = []
    for fold in folds:
        for model in sorted(run.glob(f"seed-*/{fold['name']}/model")):
            rows += hear(model, manifest, fold["test"], labels)
            print(f"{model.parent}: {len(rows)} answers so far", file=sys.stderr)
    tell(rows)
    return 0


def hear(
    model: Path, manifest: Manifest, test: list[str], labels: LabelSet
) -> list[tuple[str, str, str, str]]:
    """(speaker, truth, fp32's answer, int8's answer) of every test utterance."""
    wanted = set(test)
    utterances = [one for one in manifest.utterances if one.id in wanted]
    with tempfile.TemporaryDirectory() as folder:
        engines = []
        for precision in PRECISIONS:
            export(model, Path(folder) / precision, precision)
            engines.append(Recognizer.load(Path(folder) / precision))
        found = []
        for one in utterances:
            audio = load_waveform(manifest.audio_path(one), start=one.start, end=one.end)
            heard = [engine.predict_waveform(audio).label for engine in engines]
            found.append((one.speaker or one.id, labels.merged(one.emotion or ""), *heard))
    return found


def tell(rows: list[tuple[str, str, str, str]]) -> None:
    """UA of both, what int8 loses with its interval over speakers, and how many labels change."""
    names = sorted({row[1] for row in rows} | {one for row in rows for one in row[2:]})
    truth, *heard = (np.array([names.index(row[n]) for row in rows]) for n in (1, 2, 3))
    ua = [100 * score_emotions(truth, one, len(names)).ua for one in heard]

    def lost(chosen: np.ndarray) -> float:
        full, small = (score_emotions(truth[chosen], one[chosen], len(names)).ua for one in heard)
        return 100 * (full - small)

    interval = bootstrap_interval([row[0] for row in rows], lost)
    changed = int(np.count_nonzero(heard[0] != heard[1]))
    print(f"UA on {len(rows)} utterances: fp32 {ua[0]:.2f} %, int8 {ua[1]:.2f} %")
    print(f"lost: {interval.estimate:.2f} points ({interval.low:.2f} to {interval.high:.2f})")
    print(f"labels that change: {changed}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN))
