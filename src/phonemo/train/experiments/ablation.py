"""Arms x folds x seeds of one experiment, resumable, and the tables that hold them together.

<output>/<arm>/ is a run folder as any other. Where a setting is tuned, each value has its run in
<output>/<arm>@<key>=<value>/, and <output>/<arm>/ has what each fold picked, with tuned.json.

The arms of an ablation: opened and checked before anything is trained, and what each picks.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phonemo.config import RunConfig, digest_of
from phonemo.errors import ConfigError, PhonemoError, RunError
from phonemo.evaluation.studies import table_rows
from phonemo.files import folder_lock, write_json
from phonemo.runtime.workers import Cluster
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.ablation_config import AblationConfig, arm_config
from phonemo.train.experiments.executors import FoldJob, run_jobs, workers_for
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import cells_of, open_system, pool_folds, read_cell
from phonemo.train.model_folder import link_or_copy
from phonemo.version import __version__


@dataclass(frozen=True)
class StudySelection:
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

    def cells(self, wanted: StudySelection) -> list[FoldSeed]:
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

    def jobs(self, cells: Sequence[tuple[str, int]], picked: Mapping[str, float]) -> list[FoldJob]:
        """The cells as work to do."""
        return [FoldJob(self._config(picked.get(fold)), fold, seed) for fold, seed in cells]

    def _config(self, value: float | None) -> RunConfig:
        return self.config if value is None else self.candidates[value]


def open_arm(config: AblationConfig, name: str, command: str, progress: RunProgress) -> Arm:
    """Refuse what cannot be trained before anything is."""
    experiment = prepare_experiment(arm_config(config, name))
    torch.set_num_threads(experiment.config.threads)
    open_system(experiment, command, progress)
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
            open_system(prepare_experiment(candidates[value]), command, progress)
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


def best_value(arm: Arm) -> dict[str, float]:
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


log = logging.getLogger(__name__)

ABLATION, TUNED = "ablation.json", "tuned.json"


def ablate(
    config: AblationConfig,
    command: str,
    folds: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: int | None = None,
    progress: RunProgress | None = None,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Train and test every arm on every fold with every seed; what is finished is left as it is.

    Args:
        config: the ablation.
        command: what was typed; written beside the results.
        folds: names of the folds to do; none means all.
        seeds: those of the config's seeds to do; none means all.
        workers: processes side by side; None takes as many as there are cores for.
        progress: told what happens.
        cluster: where Ray trains the cells; None trains them on this machine, without Ray.

    Returns:
        The content of ablation.json.

    Raises:
        RunError: an arm failed; the others were trained and written up first.
        PhonemoError: of any other kind, before anything is trained.
    """
    progress = progress or RunProgress()
    with folder_lock(Path(config.output)):
        arms = {name: open_arm(config, name, command, progress) for name in config.arms}
        check_comparable(config, arms)
        most = workers_for(max(arm.config.threads for arm in arms.values()))
        wanted = StudySelection(folds, seeds, workers or most, cluster)
        failed: list[str] = []
        picked = _train(list(arms.values()), wanted, progress, failed)
        found = _written_up(config, arms, picked, command)
        write_json(Path(config.output) / ABLATION, found)
    if failed:
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise RunError(f"{failed[0]}{others}; the tables have the arms that are finished")
    return found


def _train(
    arms: Sequence[Arm], wanted: StudySelection, progress: RunProgress, failed: list[str]
) -> dict[str, dict[str, float]]:
    """All cells; by arm and fold, the value that its validation part picked."""
    jobs: list[FoldJob] = []
    rest: list[FoldJob] = []
    for arm in arms:
        cells = [(cell.fold.name, cell.seed) for cell in arm.cells(wanted)]
        first = arm.config.seeds[0]
        tuned = list(dict.fromkeys((fold, first) for fold, _ in cells))
        for value in arm.candidates:
            jobs += arm.jobs(tuned, {fold: value for fold, _ in tuned})
        jobs += [] if arm.candidates else arm.jobs(cells, {})
    _run(jobs, wanted, progress, failed)
    picked = {arm.name: best_value(arm) for arm in arms}
    for arm in arms:
        own = picked[arm.name]
        later = [(c.fold.name, c.seed) for c in arm.cells(wanted) if c.seed != arm.config.seeds[0]]
        rest += arm.jobs([cell for cell in later if cell[0] in own], own)
    if rest:
        _run(rest, wanted, progress, failed)
    return picked


def _run(
    jobs: Sequence[FoldJob], wanted: StudySelection, progress: RunProgress, failed: list[str]
) -> None:
    """Run jobs and report them; what fails is added to ``failed`` and leaves the others alone."""
    # fold by fold over all arms, so that an unfinished ablation can be compared already; the seeds
    # of an arm together, so that what they share is opened once
    folds = list(dict.fromkeys(job.fold for job in jobs))
    ordered = sorted(jobs, key=lambda job: folds.index(job.fold))
    outcomes = run_jobs(ordered, wanted.workers, progress, wanted.cluster)
    for number, (job, outcome) in enumerate(outcomes, start=1):
        arm = Path(job.config.output).name
        name = f"{arm} {job.fold} seed {job.seed}"
        progress.cell(number, len(ordered), name)
        if isinstance(outcome, PhonemoError):
            log.warning("%s failed: %s", name, outcome)
            failed.append(f"{name}: {outcome}")
        else:
            progress.scores(outcome | {"fold": f"{arm} {job.fold}"})


def _gather(
    config: AblationConfig,
    arm: Arm,
    picked: Mapping[str, float],
    common: Sequence[tuple[str, int]],
    command: str,
) -> None:
    """An arm's answers on the cells that all arms have."""
    notes = []
    homes = {cell: home for cell, home in arm.finished(picked).items() if cell in common}
    if config.tune is not None and arm.candidates:
        values = ", ".join(f"{value:g}" for value in config.tune.values)
        notes = [f"{config.tune.key} is picked among {values} by each fold's validation part"]
        write_json(Path(arm.config.output) / TUNED, {"key": config.tune.key, "folds": dict(picked)})
        for (fold, seed), home in homes.items():
            _take(home, Path(arm.config.output) / f"seed-{seed}" / fold)
    pool_folds(arm.experiment, command, homes, notes)


def _take(cell: Path, target: Path) -> None:
    """A picked cell into its arm, so that the arm is a run like any other."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(cell, target, copy_function=link_or_copy)


def _written_up(
    config: AblationConfig,
    arms: Mapping[str, Arm],
    picked: Mapping[str, Mapping[str, float]],
    command: str,
) -> dict[str, Any]:
    """Every arm's run folder and the content of ablation.json, of what is finished.

    Arms without any finished cell are left out, and of the others the cells that all have count:
    answers are paired.

    Raises:
        RunError: no two arms of a table have a cell in common.
    """
    cells = {name: set(arm.finished(picked[name])) for name, arm in arms.items()}
    begun = [name for name in arms if cells[name]]
    common = sorted(set.intersection(*(cells[name] for name in begun))) if begun else []
    if not common:
        raise RunError(f"{config.output}: no fold and seed is finished by all arms that have begun")
    for name in begun:
        _gather(config, arms[name], picked[name], common, command)
    folders = {name: Path(arms[name].config.output) for name in begun}
    return {
        "name": config.name,
        "command": command,
        "config": digest_of(config, {"output": True}),
        "phonemo": __version__,
        "cores": os.cpu_count(),
        "missing": [name for name in arms if name not in begun],
        "tables": [
            {
                "title": table.title,
                "baseline": table.baseline,
                "rows": table_rows(
                    folders,
                    config.arms,
                    table.baseline,
                    [name for name in table.arms if name in begun],
                ),
            }
            for table in config.tables
            if table.baseline in begun
        ],
    }
