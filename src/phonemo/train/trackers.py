"""Experiment trackers: what a training says, told to MLflow, trackio or Weights & Biases.

Their public interfaces are used, not transformers' callbacks, which keep one global run a process:
here every fold with a seed is a run of its own, and ends with it. Nothing leaves the machine
unless the tracker's own environment variables say so.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from phonemo.config import RunConfig
from phonemo.errors import MissingExtraError

log = logging.getLogger(__name__)

#: What TensorBoard is called in train.loggers; it has a callback of its own.
TENSORBOARD = "tensorboard"
#: MLflow refuses longer values.
_LONGEST = 500


@dataclass(frozen=True)
class Named:
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

    def __init__(self, named: Named) -> None:
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

    def __init__(self, named: Named) -> None:
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

    def __init__(self, named: Named) -> None:
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


TRACKERS: dict[str, Callable[[Named], Tracker]] = {
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

    def __init__(self, names: Sequence[str], named: Named) -> None:
        self._open: dict[str, Tracker] = {}
        for name in names:
            with self._spared(name):
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
            with self._spared(name):
                tracker.log(numbers, step)

    def end(self) -> None:
        """Nothing follows."""
        for name, tracker in list(self._open.items()):
            with self._spared(name):
                tracker.end()
        self._open.clear()

    @contextmanager
    def _spared(self, name: str) -> Iterator[None]:
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
    tracking = Tracking(names, Named(config.name, run, Path(config.output), settings))
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
