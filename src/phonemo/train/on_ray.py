"""Cells of several runs as tasks of Ray: side by side on this machine, or over a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from phonemo.clusters import ray_session
from phonemo.errors import RunError

_Job = TypeVar("_Job")


@dataclass(frozen=True)
class Cluster:
    """Where cells are trained."""

    address: str | None = None
    """Of a Ray cluster, whose machines share the folder of the command; None starts Ray here."""
    workers: int | None = None
    """Cells side by side at most; None is as many as there are processors for."""


def spread(
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
