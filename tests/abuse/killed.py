"""Trains the tiny runs of a folder in processes that kill themselves at random moments.

python -m tests.abuse.killed FOLDER KILLS SEED

FOLDER has NAME.yaml for each training. NAME/whole is trained without a kill; NAME/1, NAME/2 and so
on are begun, killed and begun again until so many kills were survived. The report, told.json, has
for each of them what killed it, and how often. One process imports torch and forks all others.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# What a training imports on its way, imported once.
import torch.utils.tensorboard  # noqa: F401
import transformers.models.wav2vec2.modeling_wav2vec2  # noqa: F401

from phonemo.config import load_config
from phonemo.train import checkpointing, model_folder
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.training_run import run
from tests.train import pictures

FOLD = "speaker-s1"
#: What changes the disk, as Python's audit events name it.
_CHANGES = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "shutil.rmtree")
#: A training that takes longer than this hangs.
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Fate:
    """How a process ends: at the nth event of a kind, or by its parent's clock."""

    kind: str
    """step: after an optimiser step. file: before the disk is changed. half: a file is cut, as a
    write that was under way; cache, shared: one of kept features, or the backbone that folds share.
    clock: from outside, after so many seconds."""
    number: float
    share: float = 0.5
    """What is left of a file that is cut."""


class Events:
    """Counts what happens in a process, and ends it when its time has come."""

    def __init__(self, fate: Fate | None, home: Path) -> None:
        self.counts = Counter[str]()
        self._fate, self._home = fate, str(home)

    def watch(self) -> None:
        """From now on."""
        sys.addaudithook(self._audit)
        checkpointing.save_file = model_folder.save_file = self._halved(checkpointing.save_file, 1)
        Path.write_text = self._halved(Path.write_text, 0)
        Path.write_bytes = self._halved(Path.write_bytes, 0)
        np.save = self._halved(np.save, 0)

    def tick(self, kind: str) -> bool:
        """One more of a kind; whether it is the last."""
        self.counts[kind] += 1
        fate = self._fate
        return fate is not None and fate.kind == kind and self.counts[kind] == fate.number

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and arguments[1][0] in "wax"
        if (writes or event in _CHANGES) and self._is_ours(arguments[0]) and self.tick("file"):
            _die()

    def _halved(self, write: Callable[..., Any], place: int) -> Callable[..., Any]:
        def writing(*arguments: Any, **keywords: Any) -> Any:
            result = write(*arguments, **keywords)
            path = arguments[place]
            if self._is_ours(path) and any(map(self.tick, _kinds(path))):
                os.truncate(path, int(os.path.getsize(path) * self._fate.share))
                _die()
            return result

        return writing

    def _is_ours(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._home)


class _Steps(RunProgress):
    def __init__(self, events: Events) -> None:
        self.events = events

    def step(self, done: int, total: int, scores: Any) -> None:
        if self.events.tick("step"):
            _die()


def _kinds(path: str | os.PathLike[str]) -> Iterator[str]:
    """Of a file that is written."""
    yield "half"
    if "cache" in Path(path).parts:
        yield "cache"
    if Path(path).name.startswith("backbone.safetensors"):
        yield "shared"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def forked(config: Path, home: Path, fate: Fate | None = None) -> int:
    """Train in a process of its own; its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _train(config, home, fate)
            code = 0
        finally:  # not the parent's way out
            os._exit(code)
    return os.waitstatus_to_exitcode(_waited(child, fate))


def _waited(child: int, fate: Fate | None) -> int:
    by_clock = fate is not None and fate.kind == "clock"
    end = time.monotonic() + (fate.number if by_clock else _MOST_SECONDS)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return status if by_clock else 1 << 8


def _train(config: Path, home: Path, fate: Fate | None) -> None:
    events = Events(fate, home)
    events.watch()
    pictures.leave_out(pytest.MonkeyPatch())
    found = load_config(config, [f"output={json.dumps(str(home / 'runs' / 'tiny'))}"])
    run(found, "killed", folds=[FOLD], progress=_Steps(events))
    if fate is None:
        told = json.dumps(events.counts)
        (home / "events.json").write_text(told, encoding="utf-8")


def _drawn(draw: random.Random, events: dict[str, int], seconds: float) -> Fate:
    kind = draw.choice(["step", "file", "file", "half", "half", "clock"])
    if kind == "clock":
        return Fate(kind, draw.uniform(0.1, seconds))
    return Fate(kind, draw.randint(1, events[kind]), draw.random())


def stories(config: Path, kills: int, draw: random.Random) -> list[dict[str, Any]]:
    """Trainings that are killed again and again until they end, until there were enough kills."""
    base = config.with_suffix("")
    began = time.monotonic()
    assert forked(config, base / "whole") == 0
    seconds = time.monotonic() - began
    events = json.loads((base / "whole" / "events.json").read_text(encoding="utf-8"))
    sure = [Fate(kind, events[kind]) for kind in ("shared", "cache") if kind in events]
    found = list[dict[str, Any]]()
    for number in count(1):
        left = kills - sum(len(one["kills"]) for one in found)
        if left <= 0:
            return found
        home, deaths, code = base / str(number), list[str](), -signal.SIGKILL
        while code == -signal.SIGKILL:
            fate = None
            if len(deaths) < left:
                fate = sure.pop() if sure else _drawn(draw, events, seconds)
            code = forked(config, home, fate)
            if code == -signal.SIGKILL:
                deaths.append(fate.kind)
        found.append({"home": str(home), "kills": deaths, "code": code})
        if code != 0:
            return found
    return found


if __name__ == "__main__":
    # trainings end with a collection, which would look through torch and transformers each time
    gc.freeze()
    place, wanted, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    told = {
        path.stem: stories(path, wanted // 2, random.Random(f"{seed} {path.stem}"))
        for path in sorted(place.glob("*.yaml"))
    }
    (place / "told.json").write_text(json.dumps(told), encoding="utf-8")
