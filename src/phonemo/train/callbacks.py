"""What a training tells the world: JSON lines, TensorBoard, and a progress display.

Experiment trackers: what a training says, told to MLflow, trackio or Weights & Biases.

Their public interfaces are used, not transformers' callbacks, which keep one global run a process:
here every fold with a seed is a run of its own, and ends with it. Nothing leaves the machine
unless the tracker's own environment variables say so.
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
from typing import Any, Protocol

from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback

from phonemo.config import RunConfig
from phonemo.errors import MissingExtraError
from phonemo.files import atomic_write_text, loads_json

log = logging.getLogger(__name__)


class RunProgress:
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
        atomic_write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One line with the step."""
        row = {"step": state.global_step, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


class Steps(TrainerCallback):
    """Hands steps and validation scores on to a Progress."""

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
        """Tell the step."""
        self.progress.step(state.global_step, state.max_steps, self.newest)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in filter(None, path.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            rows.append(loads_json(line))
        except ValueError:
            log.warning("%s: a broken line is left out", path)
    return [row for row in rows if isinstance(row, dict)]


def tensorboard(folder: Path) -> TrainerCallback:
    """TensorBoard's files in a folder of their own."""
    callback = TensorBoardCallback()
    callback.logging_dir = str(folder)
    return callback


#: What TensorBoard is called in train.loggers; it has a callback of its own.
TENSORBOARD = "tensorboard"
#: MLflow refuses longer values.
_LONGEST = 500


@dataclass(frozen=True)
class RunInfo:
    """What a run is called in a tracker."""

    project: str
    """The run's name, of phonemo."""
    run: str
    """The fold and the seed."""
    home: Path
    """The run folder."""
    settings: Mapping[str, Any]
    """The config, with dotted keys."""


class Tracker(Protocol):
    """One run of a tracker, begun when it is made."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values at a step."""

    def end(self) -> None:
        """Nothing follows."""


class MlflowTracker:
    """Into MLFLOW_TRACKING_URI, or mlflow.db in the run folder (``mlflow ui`` shows it)."""

    def __init__(self, named: RunInfo) -> None:
        tracking = _package("mlflow.tracking", "mlflow")
        home = named.home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        where = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
        self._client = tracking.MlflowClient(tracking_uri=where)
        known = self._client.get_experiment_by_name(named.project)
        experiment = known.experiment_id if known else self._client.create_experiment(named.project)
        run = self._client.create_run(experiment, run_name=named.run)
        self._run = run.info.run_id
        for name, value in named.settings.items():
            self._client.log_param(self._run, name, str(value)[:_LONGEST])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """As metrics."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self) -> None:
        """Mark it finished."""
        self._client.set_terminated(self._run)


class TrackioTracker:
    """Into TRACKIO_DIR, or trackio's folder in the user's cache (``trackio show`` shows it)."""

    def __init__(self, named: RunInfo) -> None:
        trackio = _package("trackio", "trackio")
        with redirect_stdout(sys.stderr):
            self._finish = trackio.finish
            self._run = trackio.init(
                named.project,
                name=named.run,
                config=dict(named.settings),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """As metrics."""
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        """Write what is left."""
        with redirect_stdout(sys.stderr):
            self._finish()  # not the run's own, which trackio would end again, aloud, at the exit


class WandbTracker:
    """Into the run folder, offline (``wandb sync`` sends it); online where WANDB_API_KEY is set."""

    def __init__(self, named: RunInfo) -> None:
        wandb = _package("wandb", "wandb")
        home = named.home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        online = "online" if os.environ.get("WANDB_API_KEY") else "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "phonemo",
            group=named.project,
            name=f"{named.project} {named.run}",
            config=dict(named.settings),
            dir=str(home),
            mode=os.environ.get("WANDB_MODE") or online,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """As metrics."""
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        """Write what is left."""
        self._run.finish()


TRACKERS: dict[str, Callable[[RunInfo], Tracker]] = {
    "mlflow": MlflowTracker,
    "trackio": TrackioTracker,
    "wandb": WandbTracker,
}
_PACKAGES = {"mlflow": "mlflow", "trackio": "trackio", "wandb": "wandb"}


class Tracking(TrainerCallback):
    """The trackers of one fold with one seed; one that fails is told once and left out.

    Args:
        names: keys of TRACKERS.
        named: what the run is called.
    """

    def __init__(self, names: Sequence[str], named: RunInfo) -> None:
        self._open: dict[str, Tracker] = {}
        for name in names:
            with self._drop_on_error(name):
                self._open[name] = TRACKERS[name](named)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Every line of the log, with its step."""
        self.log(logs or {}, state.global_step)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """The numbers among these values."""
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for name, tracker in list(self._open.items()):
            with self._drop_on_error(name):
                tracker.log(numbers, step)

    def end(self) -> None:
        """Nothing follows."""
        for name, tracker in list(self._open.items()):
            with self._drop_on_error(name):
                tracker.end()
        self._open.clear()

    @contextmanager
    def _drop_on_error(self, name: str) -> Iterator[None]:
        """Trackers raise what they like, and none of it is worth a training."""
        try:
            yield
        except MissingExtraError:
            raise
        except Exception as error:
            self._open.pop(name, None)
            reason = " ".join(str(error).split())[:200]
            log.warning("%s is left out from here on: %s: %s", name, type(error).__name__, reason)


def trackers_of(config: RunConfig) -> list[str]:
    """Those of train.loggers that are not TensorBoard.

    Raises:
        MissingExtraError: the package of one is not installed.
    """
    names: list[str] = [name for name in config.train.loggers if name != TENSORBOARD]
    for name in names:
        _package(_PACKAGES[name], name)
    return names


@contextmanager
def tracked(names: Sequence[str], config: RunConfig, run: str) -> Iterator[Tracking]:
    """Trackers that end with the context, whatever ends it."""
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
