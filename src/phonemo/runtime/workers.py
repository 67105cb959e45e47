"""Work in other processes: a local pool, or Ray on this machine or a cluster.

Processes of the pool ignore Ctrl-C, which the parent handles, and end when the parent ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any, Generic, TypeVar

from phonemo.errors import MissingExtraError, RunError

Job = TypeVar("Job")
Result = TypeVar("Result")
#: Jobs queued per process, so that none waits for the next.
AHEAD = 2
_PATIENCE_SECONDS = 5.0
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


class WorkerPool(Generic[Job, Result]):
    """A pool of processes that call one function with jobs; leaving its context terminates them.

    Args:
        function: called with a job, in a process; a module-level function, as it is pickled.
        workers: number of processes.
        set_up: called once in each process, with ``arguments``.
        arguments: the arguments of ``set_up``.
    """

    def __init__(
        self,
        function: Callable[[Job], Result],
        workers: int,
        set_up: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
    ) -> None:
        self._function, self._most = function, AHEAD * workers
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")  # torch does not survive a fork with threads
        self._pool = ProcessPoolExecutor(workers, context, _start, (set_up, tuple(arguments)))

    def __enter__(self) -> WorkerPool[Job, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Terminate the processes, even busy ones; jobs that have not started are dropped."""
        terminate_children(self._others)
        self._pool.shutdown(cancel_futures=True)  # fast by now, and frees the locks at once

    def start(self) -> None:
        """Wait until a process runs, so that a job's time limit does not include its start."""
        with ignore_sigint():
            self._pool.submit(int).result()

    def submit(self, job: Job) -> Future[Result]:
        """Submit a job; BrokenProcessPool if a process died."""
        with ignore_sigint():  # inherited by the processes from their first moment on
            return self._pool.submit(self._function, job)

    def completed(
        self, jobs: Iterable[Job], poll_seconds: float | None = None
    ) -> Generator[tuple[Job, Result] | None, None, None]:
        """Yield jobs with their results, in order of completion.

        Args:
            jobs: taken as processes become free.
            poll_seconds: None is yielded after this time without a result, for progress reports.

        Raises:
            BrokenProcessPool: a process died; raised after the results of the others.
        """
        rest, running = iter(jobs), dict[Future[Result], Job]()
        while True:
            for job in islice(rest, self._most - len(running)):
                running[self.submit(job)] = job
            if not running:
                return
            ended, _ = wait(running, poll_seconds, FIRST_COMPLETED)
            # results first: a process that died is an exception of all its jobs
            for future in sorted(ended, key=lambda future: future.exception() is not None):
                yield running.pop(future), future.result()
            if not ended:
                yield None

    def ordered(self, jobs: Iterable[Job], seconds: float) -> Generator[Result, None, None]:
        """Yield the results of jobs, in their order.

        Raises:
            BrokenProcessPool: a process died.
            TimeoutError: a job took longer than ``seconds``.
        """
        rest, running = iter(jobs), deque[Future[Result]]()
        while True:
            running.extend(map(self.submit, islice(rest, self._most - len(running))))
            if not running:
                return
            yield running.popleft().result(seconds)


def _start(set_up: Callable[..., None] | None, arguments: Sequence[Any]) -> None:
    exit_with_parent()
    if set_up is not None:
        set_up(*arguments)


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Child processes started inside this context ignore SIGINT, from their first moment on.

    It is for the parent, which terminates them, and which gets its own SIGINT at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
    elif hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which would unblock SIGINT when it starts
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)


def exit_with_parent() -> None:
    """At the beginning of a process: leave Ctrl-C to the parent, and exit when that ends.

    A killed parent cannot terminate anything: two jobs would work in one folder.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's start has set its own
    threading.Thread(target=_end_with_parent, daemon=True).start()


def terminate_children(others: set[multiprocessing.process.BaseProcess]) -> None:
    """Terminate and join all processes of multiprocessing but the ``others``."""
    ours = set(multiprocessing.active_children()) - others
    for child in ours:
        child.terminate()
    for child in ours:
        child.join(_PATIENCE_SECONDS)
        if child.is_alive():
            child.kill()
            child.join()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def available_cpus() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(frozen=True)
class Cluster:
    """Where Ray runs jobs."""

    address: str | None = None
    """Address of a Ray cluster whose machines share the working folder; None starts Ray here."""
    workers: int | None = None
    """Maximum number of parallel jobs; None for as many as there are processors for."""


def run_on_ray(
    function: Callable[[Job], Result], jobs: Iterable[Job], threads: int, cluster: Cluster
) -> Generator[tuple[Job, Result | RunError], None, None]:
    """Run jobs as Ray tasks; yield them with their results, in order of completion.

    Args:
        function: called with a job, in another process, possibly on another machine.
        jobs: taken as processors become free.
        threads: processors per job.
        cluster: the Ray cluster.

    Raises:
        RunError: Ray cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    cpus = None if cluster.workers is None else cluster.workers * threads
    with ray_session(cluster.address, cpus) as ray:
        task = ray.remote(num_cpus=threads)(_call_in_folder)
        rest, running = iter(jobs), dict[Any, Job]()
        most = cluster.workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        while True:
            for job in islice(rest, most - len(running)):
                running[task.remote(os.getcwd(), function, job)] = job
            if not running:
                return
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(ready), _ray_result(ray, ready)


def _ray_result(ray: Any, ready: Any) -> Any:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        return RunError(
            f"on Ray: {type(error.cause).__name__}: {' '.join(str(error.cause).split())}"
        )
    except ray.exceptions.RayError as error:
        return RunError(f"its Ray process was lost repeatedly ({type(error).__name__})")


def _call_in_folder(folder: str, function: Callable[[Job], Result], job: Job) -> Result | RunError:
    """Run a job in a Ray process, which may have started in another folder."""
    logging.disable(logging.WARNING)  # logged by the parent
    try:
        os.chdir(folder)
    except OSError as error:
        return RunError(
            f"{os.uname().nodename}: {folder} is not accessible ({error.strerror}); all machines "
            "of a cluster must share the folder of the command and those that its config names"
        )
    return function(job)


@contextmanager
def ray_session(address: str | None, cpus: int | None) -> Iterator[Any]:
    """Connect to Ray; an instance started here is stopped at the end.

    Ray listens on all addresses of a machine and runs code for every client. An instance started
    here therefore requires a token that this process generates; it has no dashboard and sends no
    usage reports. Standard output is redirected to standard error meanwhile.

    Args:
        address: a cluster's: "auto", HOST:PORT or ray://HOST:PORT; None starts Ray here.
        cpus: number of one-processor tasks that Ray may run, where it is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no cluster at the address, or Ray does not start.
    """
    ray = needs_ray(address)
    _check_reachable(address)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    try:
        if address is None:
            with _mute_stderr():
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise RunError(
            f"no Ray {where} ({' '.join(str(error).split())[:200]}); ray start --head starts a "
            "cluster, and --address names it"
        ) from error
    with redirect_stdout(sys.stderr):  # Ray prints about lost workers, also while shutting down
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _mute_stderr() -> Iterator[None]:
    """Suppress the line that Ray's C++ side prints about its logging."""
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)


def _check_reachable(address: str | None) -> None:
    """Fail early: Ray itself would retry for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()
    except OSError as error:
        raise RunError(
            f"no Ray at {address} ({error.strerror or error}); ray start --head starts a cluster "
            "and prints its address"
        ) from error


def needs_ray(address: str | None = None) -> Any:
    """Import ray with usage reports disabled; MissingExtraError if it is not installed.

    Args:
        address: as for ``ray_session``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would hide the GPUs from tasks that request none, and warn that this will change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    decided = "ray" in sys.modules or any(name in os.environ for name in _AUTHENTICATION)
    if address is None and not decided:  # Ray reads these variables once, on import
        os.environ |= dict(zip(_AUTHENTICATION, ("token", secrets.token_hex(32)), strict=True))
    if address is None:  # Ray otherwise logs a harmless line about its own arguments (ray 57733)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "batch") from error
    return ray
