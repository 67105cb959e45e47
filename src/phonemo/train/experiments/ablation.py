"""Ablations: the arms x folds x seeds of an experiment, resumable, and the tables over them.

<output>/<arm>/ is an ordinary run folder. If a setting is tuned, each value has its run in
<output>/<arm>@<key>=<value>/, and <output>/<arm>/ has each fold's selected cell, with tuned.json.
All arms are opened and checked before anything is trained.
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
from phonemo.evaluation.studies.study_tables import TUNED, table_rows
from phonemo.files import folder_lock, write_json
from phonemo.runtime.workers import Cluster
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.ablation_config import AblationConfig, arm_config, with_arms
from phonemo.train.experiments.executors import FoldJob, run_jobs, workers_for
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.run_folder import FoldSeed
from phonemo.train.experiments.training_run import cells_of, open_system, pool_folds, read_cell
from phonemo.train.model_folder import link_or_copy
from phonemo.version import __version__


@dataclass(frozen=True)
class StudySelection:
    """The cells to train in a session, and where."""

    folds: Sequence[str]
    seeds: Sequence[int]
    workers: int
    cluster: Cluster | None = None
    """None trains on this machine, without Ray."""


@dataclass(frozen=True)
class Arm:
    """An arm: its experiment and, if a setting is tuned, a run for each value."""

    name: str
    experiment: Experiment
    candidates: Mapping[float, RunConfig]

    @property
    def config(self) -> RunConfig:
        """The arm's config without tuning."""
        return self.experiment.config

    def cells(self, selection: StudySelection) -> list[FoldSeed]:
        """Return the selected cells."""
        return cells_of(self.experiment, selection.folds, selection.seeds)

    def home(self, fold: str, seed: int, picked: Mapping[str, float]) -> Path | None:
        """Return a cell's folder; None if no value was selected for its fold yet."""
        if self.candidates and fold not in picked:
            return None
        return Path(self._config(picked.get(fold)).output) / f"seed-{seed}" / fold

    def finished(self, picked: Mapping[str, float]) -> dict[tuple[str, int], Path]:
        """Return the folders of the finished cells, by fold and seed."""
        folders = {}
        for cell in cells_of(self.experiment):
            folder = self.home(cell.fold.name, cell.seed, picked)
            if folder is not None and (folder / "metrics.json").is_file():
                folders[cell.fold.name, cell.seed] = folder
        return folders

    def jobs(self, cells: Sequence[tuple[str, int]], picked: Mapping[str, float]) -> list[FoldJob]:
        """Return jobs that train the cells."""
        return [FoldJob(self._config(picked.get(fold)), fold, seed) for fold, seed in cells]

    def _config(self, value: float | None) -> RunConfig:
        return self.config if value is None else self.candidates[value]


def open_arm(config: AblationConfig, name: str, command: str, progress: RunProgress) -> Arm:
    """Open an arm; raise its errors before anything is trained."""
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
    """Refuse tables whose p-values would be meaningless, before hours of training."""
    for table in config.tables:
        first = arms[table.baseline].config
        for other in (arms[name].config for name in table.arms):
            for key in ("manifest", "labels", "protocol", "seeds"):
                if getattr(first, key) != getattr(other, key):
                    name = other.name.removeprefix(f"{config.name}-")
                    raise ConfigError(
                        f"table {table.title!r} of {config.name}: {name!r} has another {key} than "
                        f"{table.baseline!r}; arms of a table are compared utterance by utterance"
                    )


def best_value(arm: Arm) -> dict[str, float]:
    """Return by fold the value with the first seed's best validation score, or the first of equals.

    Folds for which a value is not trained yet are omitted.
    """
    sign = -1.0 if arm.config.train.select_by == "loss" else 1.0
    names = [fold.name for fold in arm.experiment.split.folds] if arm.candidates else []
    picked = {}
    for fold in names:
        folders = {
            value: Path(config.output) / f"seed-{config.seeds[0]}" / fold
            for value, config in arm.candidates.items()
        }
        if all((folder / "metrics.json").is_file() for folder in folders.values()):
            scores = {
                value: sign * read_cell(folder)["best_validation"]
                for value, folder in folders.items()
            }
            picked[fold] = max(scores, key=scores.__getitem__)
    return picked


log = logging.getLogger(__name__)

ABLATION = "ablation.json"


def ablate(
    config: AblationConfig,
    command: str,
    folds: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: int | None = None,
    progress: RunProgress | None = None,
    cluster: Cluster | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Train and test every arm on every fold with every seed; finished cells are kept.

    Args:
        config: the ablation.
        command: the command line, written to the results.
        folds: names of the folds to train; empty for all.
        seeds: seeds to train, among the config's; empty for all.
        workers: parallel processes; None for as many as there are cores for.
        progress: receives the progress.
        cluster: the Ray cluster that trains the cells; None trains on this machine, without Ray.
        names: arms to train and compare; empty for all. The others, finished or not, are left out.

    Returns:
        The content of ablation.json.

    Raises:
        RunError: an arm failed; the others are trained and reported first.
        PhonemoError: an error found before anything is trained.
    """
    progress = progress or RunProgress()
    with folder_lock(Path(config.output)):
        chosen = with_arms(config, names)
        arms = {name: open_arm(config, name, command, progress) for name in chosen.arms}
        check_comparable(chosen, arms)
        most = workers_for(max(arm.config.threads for arm in arms.values()))
        selection = StudySelection(folds, seeds, workers or most, cluster)
        failed: list[str] = []
        picked = _train(list(arms.values()), selection, progress, failed)
        content = _write_results(config, arms, picked, command)
        write_json(Path(config.output) / ABLATION, content)
    if failed:
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise RunError(f"{failed[0]}{others}; the tables have the arms that are finished")
    return content


def _train(
    arms: Sequence[Arm], selection: StudySelection, progress: RunProgress, failed: list[str]
) -> dict[str, dict[str, float]]:
    """Train all cells; return by arm and fold the value selected on validation."""
    jobs: list[FoldJob] = []
    rest: list[FoldJob] = []
    for arm in arms:
        cells = [(cell.fold.name, cell.seed) for cell in arm.cells(selection)]
        first = arm.config.seeds[0]
        tuned = list(dict.fromkeys((fold, first) for fold, _ in cells))
        for value in arm.candidates:
            jobs += arm.jobs(tuned, {fold: value for fold, _ in tuned})
        jobs += [] if arm.candidates else arm.jobs(cells, {})
    _run(jobs, selection, progress, failed)
    picked = {arm.name: best_value(arm) for arm in arms}
    for arm in arms:
        values, first = picked[arm.name], arm.config.seeds[0]
        cells = [(cell.fold.name, cell.seed) for cell in arm.cells(selection)]
        later = [(fold, seed) for fold, seed in cells if seed != first and fold in values]
        rest += arm.jobs(later, values)
    if rest:
        _run(rest, selection, progress, failed)
    return picked


def _run(
    jobs: Sequence[FoldJob], selection: StudySelection, progress: RunProgress, failed: list[str]
) -> None:
    """Run jobs and report them; failures are added to ``failed`` and do not stop the others."""
    # fold by fold over all arms, so that an unfinished ablation can be compared; an arm's seeds
    # together, so that their shared data is opened once
    folds = list(dict.fromkeys(job.fold for job in jobs))
    ordered = sorted(jobs, key=lambda job: folds.index(job.fold))
    outcomes = run_jobs(ordered, selection.workers, progress, selection.cluster)
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
    """Pool an arm's predictions on the cells that all arms have."""
    notes = []
    folders = {cell: folder for cell, folder in arm.finished(picked).items() if cell in common}
    if config.tune is not None and arm.candidates:
        values = ", ".join(f"{value:g}" for value in config.tune.values)
        notes = [f"{config.tune.key} is picked among {values} by each fold's validation part"]
        write_json(Path(arm.config.output) / TUNED, {"key": config.tune.key, "folds": dict(picked)})
        for (fold, seed), folder in folders.items():
            _copy_cell(folder, Path(arm.config.output) / f"seed-{seed}" / fold)
    pool_folds(arm.experiment, command, folders, notes)


def _copy_cell(cell: Path, target: Path) -> None:
    """Copy a selected cell into its arm, so that the arm is an ordinary run."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(cell, target, copy_function=link_or_copy)


def _write_results(
    config: AblationConfig,
    arms: Mapping[str, Arm],
    picked: Mapping[str, Mapping[str, float]],
    command: str,
) -> dict[str, Any]:
    """Write the run folders of the arms; return the content of ablation.json.

    Arms without finished cells are omitted, and only cells that all other arms have are counted,
    since predictions are paired.

    Raises:
        RunError: no cell is finished by all arms that have started.
    """
    cells = {name: set(arm.finished(picked[name])) for name, arm in arms.items()}
    begun = [name for name in arms if cells[name]]
    common = sorted(set.intersection(*(cells[name] for name in begun))) if begun else []
    if not common:
        raise RunError(
            f"{config.output}: no fold and seed is finished by all arms that have started; run "
            "the same command again"
        )
    for name in begun:
        _gather(config, arms[name], picked[name], common, command)
    folders = {name: Path(arms[name].config.output) for name in begun}
    return {
        "name": config.name,
        "command": command,
        "config": digest_of(config, {"output": True}),
        "phonemo": __version__,
        "cores": os.cpu_count(),
        "missing": [name for name in config.arms if name not in begun],
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
            for table in with_arms(config, list(arms)).tables
            if table.baseline in begun
        ],
    }
