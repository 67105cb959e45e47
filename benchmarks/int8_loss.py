"""What int8 costs in UA on speakers that were never heard: every fold's model, on its test part.

    python benchmarks/int8_loss.py [RUN_FOLDER]      default: work/runs/small-emodb

Each fold's model is exported in fp32 and int8 (which needs no calibration data); both hear the
fold's test utterances one at a time, and the answers of all folds are pooled.
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
    """The exit status; prints one table."""
    run = open_run(folder)
    rows = [row for fold in run.heard() for model in fold.models for row in hear(run, model, fold)]
    tell(rows)
    return 0


def hear(run: Run, model: Path, fold: Fold) -> list[tuple[str, str, str, str]]:
    """(speaker, truth, fp32's answer, int8's answer) of every test utterance."""
    engines = [exported(model, precision) for precision in PRECISIONS]
    found = []
    for one in fold.utterances:
        audio = run.audio(one)
        heard = [engine.predict_waveform(audio).label for engine in engines]
        found.append((one.speaker or one.id, run.emotion(one), *heard))
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
