"""What a training tells the world: JSON lines, TensorBoard, and a progress display."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback

from phonemo.plain_json import parsed
from phonemo.whole import write_whole

log = logging.getLogger(__name__)


class Progress:
    """Hears what a run does; this one keeps quiet, the command line shows it."""

    def features(self, done: int, total: int) -> None:
        """So many utterances have gone through the frozen layers."""

    def cell(self, number: int, total: int, name: str) -> None:
        """A fold with a seed begins."""

    def step(self, done: int, total: int, scores: Mapping[str, float]) -> None:
        """A training step is done; ``scores`` are the newest validation scores."""

    def scores(self, metrics: Mapping[str, Any]) -> None:
        """A fold with a seed is finished, now or in an earlier session."""


class JsonLines(TrainerCallback):
    """Appends every log line to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop lines of steps that will be done again after a resume."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_log(self.path) if row.get("step", 0) <= state.global_step]
        write_whole(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One line with the step."""
        row = {"step": state.global_step, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


class Steps(TrainerCallback):
    """Hands steps and validation scores on to a Progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.newest: dict[str, float] = {}

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Keep the newest scores."""
        self.newest = {name.removeprefix("eval_"): value for name, value in (metrics or {}).items()}
        self.progress.step(state.global_step, state.max_steps, self.newest)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell the step."""
        self.progress.step(state.global_step, state.max_steps, self.newest)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in filter(None, path.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            rows.append(parsed(line))
        except ValueError:
            log.warning("%s: a broken line is left out", path)
    return [row for row in rows if isinstance(row, dict)]


def tensorboard(folder: Path) -> TrainerCallback:
    """TensorBoard's files in a folder of their own."""
    callback = TensorBoardCallback()
    callback.logging_dir = str(folder)
    return callback
