"""The arms of an ablation: opened and checked before anything is trained, and what each picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from phonemo.config import AblationConfig, RunConfig, arm_config
from phonemo.errors import ConfigError
from phonemo.train.callbacks import Progress
from phonemo.train.experiment import Experiment, prepare_experiment
from phonemo.train.on_ray import Cluster
from phonemo.train.pool import Job
from phonemo.train.records import Cell
from phonemo.train.runner import cells_of, opened, read_cell


@dataclass(frozen=True)
class Wanted:
    """What a session is asked to do."""

    folds: Sequence[str]
    seeds: Sequence[int]
    workers: int
    cluster: Cluster | None = None
    """None: on this machine, without Ray."""


@dataclass(frozen=True)
class Arm:
    """One arm: its experiment, and where a setting is tuned, one run for each value."""

    name: str
    experiment: Experiment
    candidates: Mapping[float, RunConfig]

    @property
    def config(self) -> RunConfig:
        """As it is without tuning."""
        return self.experiment.config

    def cells(self, wanted: Wanted) -> list[Cell]:
        """Those that a session is asked for."""
        return cells_of(self.experiment, wanted.folds, wanted.seeds)

    def home(self, fold: str, seed: int, picked: Mapping[str, float]) -> Path | None:
        """Where a cell is trained; None where its fold has not picked yet."""
        if self.candidates and fold not in picked:
            return None
        return Path(self._config(picked.get(fold)).output) / f"seed-{seed}" / fold

    def finished(self, picked: Mapping[str, float]) -> dict[tuple[str, int], Path]:
        """By fold and seed, the cells that are finished."""
        found = {}
        for cell in cells_of(self.experiment):
            home = self.home(cell.fold.name, cell.seed, picked)
            if home is not None and (home / "metrics.json").is_file():
                found[cell.fold.name, cell.seed] = home
        return found

    def jobs(self, cells: Sequence[tuple[str, int]], picked: Mapping[str, float]) -> list[Job]:
        """The cells as work to do."""
        return [Job(self._config(picked.get(fold)), fold, seed) for fold, seed in cells]

    def _config(self, value: float | None) -> RunConfig:
        return self.config if value is None else self.candidates[value]


def open_arm(config: AblationConfig, name: str, command: str, progress: Progress) -> Arm:
    """Refuse what cannot be trained before anything is."""
    experiment = prepare_experiment(arm_config(config, name))
    torch.set_num_threads(experiment.config.threads)
    opened(experiment, command, progress)
    candidates = {}
    if config.tune is not None and name in config.tuned:
        train = experiment.config.train
        if not train.selects or train.strategy == "logistic":
            raise ConfigError(
                f"arm {name!r} of {config.name}: {config.tune.key} is tuned by a validation score, "
                "which train.select_by last and train.strategy logistic do not have; leave the "
                "arm out of tune.arms"
            )
        for value in config.tune.values:
            candidates[value] = arm_config(config, name, {config.tune.key: value})
            opened(prepare_experiment(candidates[value]), command, progress)
    return Arm(name, experiment, candidates)


def check_comparable(config: AblationConfig, arms: Mapping[str, Arm]) -> None:
    """What would make a table's p-values meaningless is said before hours of training."""
    for table in config.tables:
        first = arms[table.baseline].config
        for other in (arms[name].config for name in table.arms):
            for key in ("manifest", "labels", "protocol", "seeds"):
                if getattr(first, key) != getattr(other, key):
                    name = other.name.removeprefix(f"{config.name}-")
                    raise ConfigError(
                        f"table {table.title!r} of {config.name}: {name!r} has another {key} than "
                        f"{table.baseline!r}; arms of a table are compared answer by answer"
                    )


def picked_by(arm: Arm) -> dict[str, float]:
    """By fold, the value with the best validation score of the first seed; the first of equals.

    Folds of which a value is not trained yet are left out.
    """
    sign = -1.0 if arm.config.train.select_by == "loss" else 1.0
    names = [fold.name for fold in arm.experiment.split.folds] if arm.candidates else []
    picked = {}
    for fold in names:
        homes = {
            value: Path(config.output) / f"seed-{config.seeds[0]}" / fold
            for value, config in arm.candidates.items()
        }
        if all((home / "metrics.json").is_file() for home in homes.values()):
            scores = {v: sign * read_cell(home)["best_validation"] for v, home in homes.items()}
            picked[fold] = max(scores, key=scores.__getitem__)
    return picked
