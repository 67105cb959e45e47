"""UA lost by int8 quantization on unseen speakers: every fold's model on its test part.

    python benchmarks/int8_loss.py [RUN_FOLDER]      default: work/runs/small-emodb

Each fold's model is exported in fp32 and int8 (which needs no calibration data); both predict the
fold's test utterances one at a time, and the predictions of all folds are pooled.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from measuring.folds import Fold, Run, exported, open_run

from phonemo.evaluation.metrics import bootstrap_interval, score_emotions

RUN = Path("work/runs/small-emodb")
PRECISIONS: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")


def main(folder: Path) -> int:
    """Print one table; return the exit status."""
    run = open_run(folder)
    rows = [
        row
        for fold in run.with_progress()
        for model in fold.models
        for row in predict_fold(run, model, fold)
    ]
    print_table(rows)
    return 0


def predict_fold(run: Run, model: Path, fold: Fold) -> list[tuple[str, str, str, str]]:
    """Predict every test utterance: (speaker, truth, fp32 label, int8 label)."""
    engines = [exported(model, precision) for precision in PRECISIONS]
    rows = []
    for utterance in fold.utterances:
        audio = run.audio(utterance)
        labels = [engine.predict_waveform(audio).label for engine in engines]
        rows.append((utterance.speaker or utterance.id, run.emotion(utterance), *labels))
    return rows


def print_table(rows: list[tuple[str, str, str, str]]) -> None:
    """Print the UA of both, int8's loss with its interval over speakers, and changed labels."""
    names = sorted({row[1] for row in rows} | {label for row in rows for label in row[2:]})
    truth, *predicted = (np.array([names.index(row[n]) for row in rows]) for n in (1, 2, 3))
    ua = [100 * score_emotions(truth, labels, len(names)).ua for labels in predicted]

    def lost(chosen: np.ndarray) -> float:
        full, small = (
            score_emotions(truth[chosen], labels[chosen], len(names)).ua for labels in predicted
        )
        return 100 * (full - small)

    interval = bootstrap_interval([row[0] for row in rows], lost)
    changed = int(np.count_nonzero(predicted[0] != predicted[1]))
    print(f"UA on {len(rows)} utterances: fp32 {ua[0]:.2f} %, int8 {ua[1]:.2f} %")
    print(f"lost: {interval.estimate:.2f} points ({interval.low:.2f} to {interval.high:.2f})")
    print(f"labels that change: {changed}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN))
