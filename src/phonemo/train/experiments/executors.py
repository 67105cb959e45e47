"""Cells of several runs, one after another or side by side.

Cells of several runs as tasks of Ray: side by side on this machine, or over a cluster.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from phonemo.config import RunConfig
from phonemo.errors import PhonemoError, RunError
from phonemo.runtime.workers import exit_with_parent, ignore_sigint, ray_session, terminate_children
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.fold import TrainableSystem
from phonemo.train.experiments.training_run import SYSTEMS, cells_of, ensure_trained, read_cell

_Job = TypeVar("_Job")


@dataclass(frozen=True)
class Cluster:
    """Where cells are trained."""

    address: str | None = None
    """Of a Ray cluster, whose machines share the folder of the command; None starts Ray here."""
    workers: int | None = None
    """Cells side by side at most; None is as many as there are processors for."""


def run_on_ray(
    jobs: Sequence[_Job],
    threads: int,
    do: Callable[[_Job], Any],
    cluster: Cluster,
    told: Callable[[_Job, Any], None],
) -> None:
    """Do jobs as tasks of Ray.

    Args:
        jobs: what is done; each goes to another process, perhaps of another machine.
        threads: processors for each.
        do: does one, and returns what came out or a PhonemoError.
        cluster: where.
        told: called for every job, in the order in which they end.

    Raises:
        RunError: Ray cannot be reached, or a machine does not see the folder.
        MissingExtraError: Ray is not installed.
    """
    here = None if cluster.workers is None else cluster.workers * threads
    with ray_session(cluster.address, here) as ray:
        task = ray.remote(num_cpus=threads)(_done_in)
        rest, running = iter(jobs), dict[Any, _Job]()
        most = cluster.workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        while True:
            while len(running) < most and (job := next(rest, None)) is not None:
                running[task.remote(os.getcwd(), do, job)] = job
            if not running:
                return
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            told(running.pop(ready), _result(ray, ready))


def _result(ray: Any, ready: Any) -> Any:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        return RunError(
            f"at Ray: {type(error.cause).__name__}: {' '.join(str(error.cause).split())}"
        )
    except ray.exceptions.RayError as error:
        return RunError(f"its process at Ray was lost again and again ({type(error).__name__})")


def _done_in(folder: str, do: Callable[[_Job], Any], job: _Job) -> Any:
    """In a process of Ray's, which may have begun in another folder."""
    logging.disable(logging.WARNING)  # what the parent has warned of is said once
    try:
        os.chdir(folder)
    except OSError as error:
        return RunError(
            f"{os.uname().nodename}: does not see {folder} ({error.strerror}); all machines of a "
            "cluster must share the folder of the command and those that its config names"
        )
    return do(job)


#: How many runs a process keeps open: their manifests, folds and kept features.
_OPEN = 4
_QUIET = RunProgress()
FAILURE = "failure.txt"
#: Told of every job that is done: the job and its metrics.json, or what stopped it.
Told = Callable[["Job", "dict[str, Any] | PhonemoError"], None]


@dataclass(frozen=True)
class Job:
    """One cell of a run whose folder is open already."""

    config: RunConfig
    fold: str
    seed: int

    @property
    def folder(self) -> Path:
        """Of the cell."""
        return Path(self.config.output) / f"seed-{self.seed}" / self.fold

    @property
    def done(self) -> bool:
        """Whether it is finished, and what it was trained with is cleared away."""
        return (self.folder / "metrics.json").is_file() and not (
            self.folder / "checkpoints"
        ).is_dir()


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    progress: RunProgress,
    told: Told,
    cluster: Cluster | None = None,
) -> None:
    """Do all jobs; one that fails leaves the others alone.

    Args:
        jobs: any number; those whose cell is finished cost next to nothing.
        workers: processes; 1 works in this one.
        progress: told of steps, where there is one process.
        told: called for every job, in the order in which they end.
        cluster: where Ray does them, instead of processes of this machine.

    Raises:
        RunError: a process was killed from outside, or Ray cannot be reached.
    """
    for job in jobs:
        if job.done:
            told(job, read_cell(job.folder))
    todo = [job for job in jobs if not job.done]
    if cluster is not None:
        if todo:
            most = max(job.config.threads for job in todo)
            run_on_ray(todo, most, _outcome, cluster, told)
        return
    if workers == 1 or len(todo) < 2:
        for job in todo:
            told(job, _outcome(job, progress))
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork with threads
    pool = ProcessPoolExecutor(workers, context, _set_up)
    try:
        with ignore_sigint():  # which the processes inherit, from their first moment on
            futures = {pool.submit(_outcome, job): job for job in todo}
        for future in as_completed(futures):
            told(futures[future], future.result())
    except BrokenProcessPool as error:
        raise RunError(
            "a training process was killed, perhaps for want of memory; run the same command "
            "again, with fewer --workers"
        ) from error
    finally:  # after Ctrl-C too, where some still train
        pool.shutdown(wait=False, cancel_futures=True)
        terminate_children(others)


def workers_for(threads: int) -> int:
    """As many processes as the machine has cores for."""
    return max(1, (os.cpu_count() or 1) // threads)


def _outcome(job: Job, progress: RunProgress = _QUIET) -> dict[str, Any] | PhonemoError:
    try:
        torch.set_num_threads(job.config.threads)
        experiment, system = _open_system(job.config.model_dump_json(), progress)
        (cell,) = cells_of(experiment, [job.fold], [job.seed])
        return ensure_trained(system, cell)
    except PhonemoError as error:
        return error
    except Exception as error:  # whatever stops this cell, the others go on
        job.folder.mkdir(parents=True, exist_ok=True)
        report = job.folder / FAILURE
        report.write_text(traceback.format_exc(), encoding="utf-8")
        return RunError(f"{type(error).__name__}: {error} ({report} has the whole of it)")


@lru_cache(maxsize=_OPEN)
def _open_system(config: str, progress: RunProgress) -> tuple[Experiment, TrainableSystem]:
    resolved = RunConfig.model_validate_json(config)
    experiment = prepare_experiment(resolved)
    return experiment, SYSTEMS[resolved.system](experiment, progress)


def _set_up() -> None:
    """What the parent has warned of is said once."""
    exit_with_parent()
    logging.disable(logging.WARNING)
