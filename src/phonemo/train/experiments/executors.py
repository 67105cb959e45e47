"""Train cells of several runs: sequentially, in parallel processes, or as Ray tasks."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from phonemo.config import RunConfig
from phonemo.errors import PhonemoError, RunError
from phonemo.runtime.workers import Cluster, WorkerPool, run_on_ray
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.fold import TrainableSystem
from phonemo.train.experiments.training_run import SYSTEMS, cells_of, ensure_trained, read_cell

#: Number of runs that a process keeps open: their manifests, folds and cached features.
_OPEN = 4
_QUIET = RunProgress()
FAILURE = "failure.txt"
#: A fold's metrics.json, or its error.
Outcome = dict[str, Any] | PhonemoError


@dataclass(frozen=True)
class FoldJob:
    """A cell of a run whose folder exists."""

    config: RunConfig
    fold: str
    seed: int

    @property
    def folder(self) -> Path:
        """The cell's folder."""
        return Path(self.config.output) / f"seed-{self.seed}" / self.fold

    @property
    def done(self) -> bool:
        """Whether the cell is finished and its checkpoints are removed."""
        return (self.folder / "metrics.json").is_file() and not (
            self.folder / "checkpoints"
        ).is_dir()


def run_jobs(
    jobs: Sequence[FoldJob],
    workers: int,
    progress: RunProgress,
    cluster: Cluster | None = None,
) -> Iterator[tuple[FoldJob, Outcome]]:
    """Run jobs; yield them with their outcomes, in order of completion; failures are outcomes.

    Args:
        jobs: the jobs; finished ones cost next to nothing.
        workers: number of processes; 1 runs in this process.
        progress: receives the steps, if there is one process.
        cluster: the Ray cluster to use instead of local processes.

    Raises:
        RunError: a process was killed, or Ray cannot be reached.
    """
    for job in jobs:
        if job.done:
            yield job, read_cell(job.folder)
    todo = [job for job in jobs if not job.done]
    if cluster is not None and todo:
        yield from run_on_ray(_outcome, todo, max(job.config.threads for job in todo), cluster)
    elif workers == 1 or len(todo) < 2:
        yield from ((job, _outcome(job, progress)) for job in todo)
    else:
        yield from _run_pool(todo, workers)


def _run_pool(jobs: Sequence[FoldJob], workers: int) -> Iterator[tuple[FoldJob, Outcome]]:
    try:
        with WorkerPool(_outcome, workers, logging.disable, (logging.WARNING,)) as pool:
            yield from filter(None, pool.completed(jobs))
    except BrokenProcessPool as error:
        raise RunError(
            "a training process was killed, perhaps for lack of memory; run the same command "
            "again with fewer --workers"
        ) from error


def workers_for(threads: int) -> int:
    """Return the number of processes that the machine has cores for."""
    return max(1, (os.cpu_count() or 1) // threads)


def _outcome(job: FoldJob, progress: RunProgress = _QUIET) -> Outcome:
    try:
        torch.set_num_threads(job.config.threads)
        experiment, system = _open_system(job.config.model_dump_json(), progress)
        (cell,) = cells_of(experiment, [job.fold], [job.seed])
        return ensure_trained(system, cell)
    except PhonemoError as error:
        return error
    except Exception as error:  # a failing fold must not stop the others
        job.folder.mkdir(parents=True, exist_ok=True)
        report = job.folder / FAILURE
        report.write_text(traceback.format_exc(), encoding="utf-8")
        return RunError(f"{type(error).__name__}: {error} (traceback in {report})")


@lru_cache(maxsize=_OPEN)
def _open_system(config: str, progress: RunProgress) -> tuple[Experiment, TrainableSystem]:
    resolved = RunConfig.model_validate_json(config)
    experiment = prepare_experiment(resolved)
    return experiment, SYSTEMS[resolved.system](experiment, progress)
