"""Case 23: a training that is killed twenty times ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from phonemo.config import RunConfig, write_config
from phonemo.train.callbacks import read_log
from phonemo.train.experiments.training_run import run
from tests.abuse.figures import figure
from tests.laws import REPOSITORY
from tests.train.tiny_run import make_config, with_changes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")

FOLD = "speaker-s1"
KILLS, SEED = 20, 1
#: Three steps an epoch. In the first dropout, masks, noise and gradual unfreezing all draw or
#: change with time; the second keeps features and shares the weights of its backbone.
SETTINGS: dict[str, dict[str, Any]] = {
    "gradual": {
        "strategy": "gradual",
        "top_k": 2,
        "epochs": 3,
        "save_steps": 2,
        "augment": {"gain_db": 6, "noise_snr_db": 10, "speed": 0.1, "time_masks": 1},
    },
    "frozen": {"strategy": "frozen", "epochs": 3, "save_steps": 2},
}
#: Of the real command; each costs the seconds that importing torch takes.
COMMANDS_KILLED = 2
_PATIENCE_SECONDS = 300


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """``tests.abuse.killed``, at work beside this process."""
    folder = tmp_path_factory.mktemp("killed")
    for name, settings in SETTINGS.items():
        write_config(folder / f"{name}.yaml", make_config(folder / "data", **settings))
    command = [sys.executable, "-m", "tests.abuse.killed", str(folder), str(KILLS), str(SEED)]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        yield folder, process
        process.kill()


@pytest.fixture(scope="module")
def place(begun) -> Path:
    """What it left of its trainings."""
    folder, process = begun
    said, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, said.decode()
    return folder


def _stories(place: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((place / "told.json").read_text())[name]
    return found


def _cell(home: Path) -> Path:
    return home / "runs" / "tiny" / "seed-1" / FOLD


def _weights(cell: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for shard in sorted((cell / "model").glob("*.safetensors")):
        found |= load_file(shard)
    return found


def _difference(cell: Path, whole: Path) -> float:
    """The largest of any weight; both have the same names and shapes."""
    mine, theirs = _weights(cell), _weights(whole)
    assert mine.keys() == theirs.keys()
    assert mine
    return max(float((mine[name] - one).abs().max()) for name, one in theirs.items())


def _told(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, every one whole: steps, rates and validation scores."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = ("step", "epoch", "learning_rate", "grad_norm")
    return [
        {key: value for key, value in row.items() if key in kept or key.startswith("eval_")}
        for row in rows
    ]


# The command itself ------------------------------------------------------------------------------


def _killed_command(path: Path, config: RunConfig, seconds: float) -> int:
    """Start ``phonemo train``; kill it so long after it has begun to train. Its exit status."""
    command = [sys.executable, "-m", "phonemo", "train", str(path), "--fold", FOLD, "--quiet"]
    told = _cell(Path(config.output).parents[1]) / "tensorboard"  # a file for each training
    before = len(list(told.glob("*")))
    end = time.monotonic() + _PATIENCE_SECONDS
    with subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE) as process:
        while len(list(told.glob("*"))) == before and process.poll() is None:
            assert time.monotonic() < end, "it never began to train"
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode


def test_case_23_the_command_is_killed_by_the_clock(begun, tmp_path):
    """Of so many steps, each saved, that few machines are through before the last kill."""
    draw = random.Random(SEED)
    long = {"epochs": 10, "patience": 10, "save_steps": 1}
    config = make_config(begun[0] / "data", **SETTINGS["gradual"] | long)
    config = with_changes(config, output=str(tmp_path / "runs" / "tiny"))
    write_config(tmp_path / "config.yaml", config)
    codes = [
        _killed_command(tmp_path / "config.yaml", config, draw.uniform(0.05, 0.3))
        for _ in range(COMMANDS_KILLED)
    ]
    assert codes[0] == -signal.SIGKILL
    other = with_changes(config, output=str(tmp_path / "whole" / "runs" / "tiny"))
    for one in (config, other):
        run(one, "test", folds=[FOLD])
    worst = _difference(_cell(tmp_path), _cell(tmp_path / "whole"))
    assert worst == 0.0
    steps = [row["step"] for row in read_log(_cell(tmp_path) / "log.jsonl")]
    assert steps == [row["step"] for row in read_log(_cell(tmp_path / "whole") / "log.jsonl")]
    figure(23, "kills of the command survived", codes.count(-signal.SIGKILL), "kills")


# Moments of its own choice ------------------------------------------------------------------------


def test_case_23_twenty_kills_are_survived(place):
    kills = Counter[str]()
    for name in SETTINGS:
        for story in _stories(place, name):
            assert story["code"] == 0, story
            kills.update(story["kills"])
    assert kills.total() == KILLS
    assert {"cache", "shared"} <= set(kills)
    figure(23, "kills survived", kills.total(), "kills")


@pytest.mark.parametrize("name", SETTINGS)
def test_case_23_the_weights_are_those_of_the_uninterrupted_run(place, name):
    whole = _cell(place / name / "whole")
    worst = max(_difference(_cell(Path(one["home"])), whole) for one in _stories(place, name))
    figure(23, f"largest difference of weights ({name})", worst, "", 0.0)
    assert worst == 0.0


@pytest.mark.parametrize("name", SETTINGS)
def test_case_23_scores_and_answers_are_those_of_the_uninterrupted_run(place, name):
    """Line by line, but for the losses of an epoch that was resumed: they are of its last steps."""
    whole = _cell(place / name / "whole")
    wanted = _told(whole / "log.jsonl")
    for story in _stories(place, name):
        cell = _cell(Path(story["home"]))
        assert _told(cell / "log.jsonl") == wanted, story
        before, now = (json.loads((one / "metrics.json").read_text()) for one in (whole, cell))
        assert before | {"seconds": 0} == now | {"seconds": 0}
        answers = (one / "predictions.jsonl" for one in (whole, cell))
        assert len({one.read_bytes() for one in answers}) == 1


@pytest.mark.parametrize("name", SETTINGS)
def test_case_23_nothing_half_is_left(place, name):
    """Neither in the run folder nor beside it; and no checkpoint of a fold that is finished."""
    for story in _stories(place, name):
        home = Path(story["home"])
        assert list(home.rglob("*.part*")) == [], story
        assert not (_cell(home) / "checkpoints").exists()
