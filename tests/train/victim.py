"""Trains the tiny run of a folder and kills itself, for the tests of resuming.

CONFIG.yaml step 5      kill -9 after step 5
CONFIG.yaml save 2      kill -9 inside the second save
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from phonemo import files
from phonemo.config import load_config
from phonemo.train import checkpointing
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.training_run import run
from tests.train import pictures


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


def main(arguments: Sequence[str]) -> None:
    """Train, and die: CONFIG.yaml WHERE NUMBER."""
    where, number = arguments[1], int(arguments[2])
    display = _DieAtStep(number) if where == "step" else RunProgress()
    if where == "save":
        _die_in_save(number)
    pictures.leave_out(pytest.MonkeyPatch())
    run(load_config(arguments[0]), "victim", folds=["speaker-s1"], progress=display)
