"""Callbacks of a training: JSON lines, TensorBoard, a progress display, experiment trackers.

MLflow, trackio and Weights & Biases are reached through accelerate's trackers, not transformers'
callbacks, which keep one global run per process: here every fold with a seed is a run of its own
and ends with it. Nothing leaves the machine unless the tracker's own environment variables say so.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, MLflowTracker, TrackioTracker, WandBTracker
from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback

from phonemo.config import RunConfig
from phonemo.errors import MissingExtraError
from phonemo.files import atomic_write_text, loads_json

log = logging.getLogger(__name__)


class RunProgress:
    """Callbacks for run progress; this base class ignores them."""

    def recordings(self, done: int, total: int) -> None:
        """Count recordings that were compared, to find copies."""

    def features(self, done: int, total: int) -> None:
        """Count utterances that have passed the frozen layers."""

    def cell(self, number: int, total: int, name: str) -> None:
        """Begin a fold with a seed."""

    def step(self, done: int, total: int, scores: Mapping[str, float]) -> None:
        """Count training steps; ``scores`` are the newest validation scores."""

    def scores(self, metrics: Mapping[str, Any]) -> None:
        """Finish a fold with a seed, now or in an earlier session."""


class JsonLines(TrainerCallback):
    """Appends every log line to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop lines of steps that a resumed training repeats."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_log(self.path) if row.get("step", 0) <= state.global_step]
        atomic_write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One line with the step."""
        row = {"step": state.global_step, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


class Steps(TrainerCallback):
    """Passes steps and validation scores on to a RunProgress."""

    def __init__(self, progress: RunProgress) -> None:
        self.progress = progress
        self.newest: dict[str, float] = {}

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Keep the newest scores."""
        self.newest = {name.removeprefix("eval_"): value for name, value in (metrics or {}).items()}
        self.progress.step(state.global_step, state.max_steps, self.newest)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the step."""
        self.progress.step(state.global_step, state.max_steps, self.newest)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a log; a line that was truncated by a kill is left out, with a warning."""
    if not path.is_file():
        return []
    rows = []
    for line in filter(None, path.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            rows.append(loads_json(line))
        except ValueError:
            log.warning("%s: a truncated line is left out", path)
    return [row for row in rows if isinstance(row, dict)]


def tensorboard(folder: Path) -> TrainerCallback:
    """TensorBoard's files in a folder of their own."""
    callback = TensorBoardCallback()
    callback.logging_dir = str(folder)
    return callback


#: The name of TensorBoard in train.loggers; it has a callback of its own.
TENSORBOARD = "tensorboard"
#: MLflow refuses longer values, and accelerate then drops them.
_LONGEST = 500


@dataclass(frozen=True)
class RunInfo:
    """The names and settings that a tracker shows of a run."""

    project: str
    """The run's name, of phonemo."""
    run: str
    """The fold and the seed."""
    home: Path
    """The run folder."""
    settings: Mapping[str, Any]
    """The config, with dotted keys."""


def _mlflow(info: RunInfo) -> GeneralTracker:
    """To MLFLOW_TRACKING_URI, or mlflow.db in the run folder (``mlflow ui`` shows it)."""
    home = info.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
    _package("mlflow", "mlflow").set_tracking_uri(uri)
    return MLflowTracker(info.project, run_name=info.run)


def _trackio(info: RunInfo) -> GeneralTracker:
    """To TRACKIO_DIR, or trackio's folder in the user's cache (``trackio show`` shows it)."""
    return _QuietTrackioTracker(
        info.project,
        name=info.run,
        config=dict(info.settings),
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )


def _wandb(info: RunInfo) -> GeneralTracker:
    """To the run folder, offline (``wandb sync`` sends it); online where WANDB_API_KEY is set."""
    wandb, home = _package("wandb", "wandb"), info.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    online = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    return WandBTracker(
        os.environ.get("WANDB_PROJECT") or "phonemo",
        group=info.project,
        name=f"{info.project} {info.run}",
        config=dict(info.settings),
        dir=str(home),
        mode=os.environ.get("WANDB_MODE") or online,
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
    )


class _QuietTrackioTracker(TrackioTracker):  # type: ignore[misc]
    """Prints nothing to standard output, where trackio announces its start and end."""

    def start(self) -> None:
        with redirect_stdout(sys.stderr):
            super().start()

    def finish(self) -> None:
        # not the run's own finish, as accelerate's: trackio would end the run again at exit
        with redirect_stdout(sys.stderr):
            _package("trackio", "trackio").finish()


#: Trackers that have the settings from the start; accelerate's way to add them later is for a
#: process's only run.
_CONFIGURED = ("trackio", "wandb")
TRACKERS: dict[str, Callable[[RunInfo], GeneralTracker]] = {
    "mlflow": _mlflow,
    "trackio": _trackio,
    "wandb": _wandb,
}


class Tracking(TrainerCallback):
    """The trackers of one fold with one seed; one that fails is logged once and dropped.

    Args:
        names: keys of TRACKERS.
        info: names and settings of the run.
    """

    def __init__(self, names: Sequence[str], info: RunInfo) -> None:
        self._open: dict[str, GeneralTracker] = {}
        if names:
            PartialState()  # without which accelerate's trackers cannot log
        settings = {name: str(value)[:_LONGEST] for name, value in info.settings.items()}
        for name in names:
            with self._drop_on_error(name):
                tracker = TRACKERS[name](info)
                tracker.start()
                self._open[name] = tracker
                if name not in _CONFIGURED:
                    tracker.store_init_configuration(settings)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Pass on every line of the log, with its step."""
        self.log(logs or {}, state.global_step)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Pass on the numbers among these values."""
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, tracker in list(self._open.items()):
            with self._drop_on_error(name):
                tracker.log(numbers, step)

    def end(self) -> None:
        """Finish all runs."""
        for name, tracker in list(self._open.items()):
            with self._drop_on_error(name):
                tracker.finish()
        self._open.clear()

    @contextmanager
    def _drop_on_error(self, name: str) -> Iterator[None]:
        """A failing tracker is disabled; it must never abort the training."""
        try:
            yield
        except MissingExtraError:
            raise
        except Exception as error:
            self._open.pop(name, None)
            reason = " ".join(str(error).split())[:200]
            log.warning("%s is disabled from here on: %s: %s", name, type(error).__name__, reason)


def trackers_of(config: RunConfig) -> list[str]:
    """The names in train.loggers but TensorBoard's.

    Raises:
        MissingExtraError: the package of one is not installed.
    """
    names: list[str] = [name for name in config.train.loggers if name != TENSORBOARD]
    for name in names:
        _package(name, name)
    return names


@contextmanager
def tracked(names: Sequence[str], config: RunConfig, run: str) -> Iterator[Tracking]:
    """Trackers that are finished when the context ends, for whatever reason."""
    settings = dict(_flat(config.model_dump(mode="json")))
    tracking = Tracking(names, RunInfo(config.name, run, Path(config.output), settings))
    try:
        yield tracking
    finally:
        tracking.end()


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _package(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"train.loggers={extra}", extra) from error
