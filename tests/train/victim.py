"""Trains the tiny run of a folder and kills itself, for the tests of resuming.

python -m tests.train.victim CONFIG.yaml step 5      kill -9 after step 5
python -m tests.train.victim CONFIG.yaml save 2      kill -9 inside the second save
"""

from __future__ import annotations

import os
import signal
import sys

from phonemo import files
from phonemo.config import load_config
from phonemo.train import checkpointing
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.training_run import run


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _DieAtStep(RunProgress):
    def __init__(self, last: int) -> None:
        self.last = last

    def step(self, done, total, scores):
        if done >= self.last:
            _die()


def _die_in_save(number: int) -> None:
    saves = []
    seal_it = files._write_checksums

    def dying(folder):
        if folder.name.startswith(checkpointing.PREFIX):
            saves.append(folder)
            if len(saves) == number:
                _die()
        seal_it(folder)

    files._write_checksums = dying


if __name__ == "__main__":
    where, number = sys.argv[2], int(sys.argv[3])
    display = _DieAtStep(number) if where == "step" else RunProgress()
    if where == "save":
        _die_in_save(number)
    run(load_config(sys.argv[1]), "victim", folds=["speaker-s1"], progress=display)
