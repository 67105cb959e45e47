"""Arms x folds x seeds of one experiment, resumable, and the tables that hold them together.

<output>/<arm>/ is a run folder as any other. Where a setting is tuned, each value has its run in
<output>/<arm>@<key>=<value>/, and <output>/<arm>/ has what each fold picked, with tuned.json.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.ablated import table_rows
from phonemo.config import AblationConfig, RunConfig, arm_config
from phonemo.config.section import digest_of
from phonemo.errors import ConfigError, PhonemoError, RunError
from phonemo.train.callbacks import Progress
from phonemo.train.experiment import Experiment, prepare_experiment
from phonemo.train.pool import Job, work, workers_for
from phonemo.train.records import write_json
from phonemo.train.runner import cells_of, collect, opened, read_cell
from phonemo.version import __version__
from phonemo.whole import locked

log = logging.getLogger(__name__)

ABLATION, TUNED = "ablation.json", "tuned.json"


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

    def homes(self, picked: Mapping[str, float]) -> dict[tuple[str, int], Path]:
        """By fold and seed, where its cell lies; ``picked`` has a value for each tuned fold."""
        return {
            (cell.fold.name, cell.seed): Path(self._config(picked.get(cell.fold.name)).output)
            / f"seed-{cell.seed}"
            / cell.fold.name
            for cell in cells_of(self.experiment)
            if not self.candidates or cell.fold.name in picked
        }

    def jobs(self, cells: Sequence[tuple[str, int]], picked: Mapping[str, float]) -> list[Job]:
        """The cells as work to do."""
        return [Job(self._config(picked.get(fold)), fold, seed) for fold, seed in cells]

    def _config(self, value: float | None) -> RunConfig:
        return self.config if value is None else self.candidates[value]


@dataclass(frozen=True)
class _Wanted:
    """What a session is asked to do."""

    folds: Sequence[str]
    seeds: Sequence[int]
    workers: int
    command: str


def ablate(
    config: AblationConfig,
    command: str,
    folds: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test every arm on every fold with every seed; what is finished is left as it is.

    Args:
        config: the ablation.
        command: what was typed; written beside the results.
        folds: names of the folds to do; none means all.
        seeds: those of the config's seeds to do; none means all.
        workers: processes side by side; None takes as many as there are cores for.
        progress: told what happens.

    Returns:
        The content of ablation.json.

    Raises:
        RunError: an arm failed; the others were trained first, and what was finished stays.
        PhonemoError: of any other kind, before anything is trained.
    """
    progress = progress or Progress()
    with locked(Path(config.output)):
        arms = [_open(config, name, command, progress) for name in config.arms]
        most = workers_for(max(arm.config.threads for arm in arms))
        wanted = _Wanted(folds, seeds, workers or most, command)
        picked = _train(config, arms, wanted, progress)
        for arm in arms:
            _gather(config, arm, picked[arm.name], command)
        found = _written_up(config, arms, command)
        write_json(Path(config.output) / ABLATION, found)
    return found


def _open(config: AblationConfig, name: str, command: str, progress: Progress) -> Arm:
    """Refuse what cannot be trained before anything is."""
    experiment = prepare_experiment(arm_config(config, name))
    opened(experiment, command, progress)
    candidates = {}
    if config.tune is not None and name in config.tuned:
        if not experiment.config.train.selects:
            raise ConfigError(
                f"arm {name!r} of {config.name}: {config.tune.key} is tuned on validation data, "
                "which train.select_by last learns from; leave the arm out of tune.arms"
            )
        for value in config.tune.values:
            candidates[value] = arm_config(config, name, {config.tune.key: value})
            opened(prepare_experiment(candidates[value]), command, progress)
    return Arm(name, experiment, candidates)


def _train(
    config: AblationConfig, arms: Sequence[Arm], wanted: _Wanted, progress: Progress
) -> dict[str, dict[str, float]]:
    """All cells; by arm and fold, the value that its validation part picked."""
    jobs: dict[str, list[Job]] = {}
    for arm in arms:
        cells = cells_of(arm.experiment, wanted.folds, wanted.seeds)
        tuned = dict.fromkeys((cell.fold.name, arm.config.seeds[0]) for cell in cells)
        plain = [(cell.fold.name, cell.seed) for cell in cells]
        values = [{fold: value for fold, _ in plain} for value in arm.candidates]
        of_arm = [arm.jobs(list(tuned), one) for one in values] or [arm.jobs(plain, {})]
        jobs[arm.name] = list(itertools.chain.from_iterable(of_arm))
    _do(jobs, wanted, progress)
    picked = {arm.name: _picked(arm) for arm in arms}
    rest = {
        arm.name: arm.jobs(
            [
                (cell.fold.name, cell.seed)
                for cell in cells_of(arm.experiment, wanted.folds, wanted.seeds)
                if cell.seed != arm.config.seeds[0]
            ],
            picked[arm.name],
        )
        for arm in arms
        if arm.candidates
    }
    if rest:
        _do(rest, wanted, progress)
    return picked


def _do(jobs: Mapping[str, Sequence[Job]], wanted: _Wanted, progress: Progress) -> None:
    """Work, and tell of it; failures are told together when all else is done."""
    # fold by fold over all arms, so that an unfinished ablation can be compared already
    ordered = [
        job for row in itertools.zip_longest(*jobs.values()) for job in row if job is not None
    ]
    failed: list[str] = []
    done = itertools.count(1)

    def told(job: Job, outcome: dict[str, Any] | PhonemoError) -> None:
        arm = Path(job.config.output).name
        name = f"{arm} {job.fold} seed {job.seed}"
        progress.cell(next(done), len(ordered), name)
        if isinstance(outcome, PhonemoError):
            log.warning("%s failed: %s", name, outcome)
            failed.append(f"{name}: {outcome}")
        else:
            progress.scores(outcome | {"fold": f"{arm} {job.fold}"})

    work(ordered, wanted.workers, progress, told)
    if failed:
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise RunError(f"{failed[0]}{others}; what is finished is kept")


def _picked(arm: Arm) -> dict[str, float]:
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


def _gather(config: AblationConfig, arm: Arm, picked: Mapping[str, float], command: str) -> None:
    notes = []
    if config.tune is not None and arm.candidates:
        values = ", ".join(f"{value:g}" for value in config.tune.values)
        notes = [f"{config.tune.key} is picked among {values} by each fold's validation part"]
        write_json(Path(arm.config.output) / TUNED, {"key": config.tune.key, "folds": dict(picked)})
    collect(arm.experiment, command, arm.homes(picked), notes)


def _written_up(config: AblationConfig, arms: Sequence[Arm], command: str) -> dict[str, Any]:
    """The content of ablation.json."""
    folders = {arm.name: Path(arm.config.output) for arm in arms}
    configs = [arm.config.digest for arm in arms]
    return {
        "name": config.name,
        "command": command,
        "config": digest_of(config, {"output": True}),
        "configs": dict(zip(folders, configs, strict=True)),
        "phonemo": __version__,
        "cores": os.cpu_count(),
        "tables": [
            {
                "title": table.title,
                "baseline": table.baseline,
                "rows": table_rows(folders, config.arms, table.baseline, table.arms),
            }
            for table in config.tables
        ],
    }
