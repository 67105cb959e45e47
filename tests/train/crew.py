"""Trains the configs of a folder, one after another, and keeps the final state of every process.

torchrun ... -m tests.train.crew FOLDER               trains them
torchrun ... -m tests.train.crew FOLDER kill 5        process 1 kills itself before step 5
torchrun ... -m tests.train.crew FOLDER sleep 5       process 1 hangs from there on

FOLDER has NAME.yaml for each training; NAME.RANK.safetensors and NAME.RANK.json are written: the
weights after the last step, before those of the best epoch are read from the disk, and the
metrics, as this process has them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from phonemo.config import load_config
from phonemo.train import distributed
from phonemo.train.experiments.training_run import run
from phonemo.train.trainer import PhonemoTrainer
from tests.train import pictures
from tests.train.forking import SETTINGS

FOLD = "speaker-s1"
REPOSITORY = Path(__file__).resolve().parents[2]


def train_all(folder: Path) -> None:
    """Train every config; pictures are left out."""
    for path in sorted(folder.glob("*.yaml")):
        with pytest.MonkeyPatch.context() as patch:
            pictures.leave_out(patch)
            patch.setattr(PhonemoTrainer, "_load_best_model", _keeping(path))
            metrics = run(load_config(path), "test", folds=[FOLD])
        _beside(path, "json").write_text(json.dumps(metrics), encoding="utf-8")


def _keeping(path: Path) -> Any:
    load_best = PhonemoTrainer._load_best_model

    def keep_and_load(trainer: PhonemoTrainer) -> None:
        weights = {
            name: tensor.contiguous() for name, tensor in trainer.network.state_dict().items()
        }
        save_file(weights, _beside(path, "safetensors"))
        load_best(trainer)

    return keep_and_load


def _fail(how: str, step: int) -> None:
    """Make process 1 fail at a step."""
    compute = PhonemoTrainer.compute_loss

    def failing(trainer: PhonemoTrainer, *arguments: Any, **keywords: Any) -> Any:
        if distributed.current_rank().number == 1 and trainer.state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else time.sleep(600)
        return compute(trainer, *arguments, **keywords)

    PhonemoTrainer.compute_loss = failing


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.stem}.{distributed.started().number}.{ending}")


@contextmanager
def launched(arguments: Sequence[str], processes: int = 2) -> Iterator[subprocess.Popen[str]]:
    """torchrun on this machine alone, one thread a process; it does not outlive the context."""
    with _torchrun(arguments, processes) as process:
        try:
            yield process
        finally:
            process.terminate()


def _torchrun(arguments: Sequence[str], processes: int) -> subprocess.Popen[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "1"),
            *("--nproc-per-node", str(processes)),
            *("--master-addr", "127.0.0.1", "--master-port", str(port)),
            *arguments,
        ],
        cwd=REPOSITORY,
        env=os.environ | SETTINGS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _nothing_left() -> None:
    """A group's thread that asks for the interpreter while it ends would abort the process."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text().strip() for task in tasks.glob("*")]
    left = [name for name in names if "gloo" in name]
    if left:
        sys.exit(f"a process group is gone and its threads are not: {', '.join(left)}")


def main(arguments: Sequence[str]) -> None:
    """Train in this process, which is one of several: FOLDER, or FOLDER HOW STEP."""
    if len(arguments) > 1:
        _fail(arguments[1], int(arguments[2]))
    with distributed.log_error_once():
        train_all(Path(arguments[0]))
    _nothing_left()


if __name__ == "__main__":
    # trainings end with a collection, which would look through torch and transformers each time
    gc.freeze()
    main(sys.argv[1:])
