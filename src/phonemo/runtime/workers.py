"""Ray on this machine, or a cluster that runs already: the one way in.

Processes that work for this one: deaf to its Ctrl-C, and gone when it is.
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
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from phonemo.errors import MissingExtraError, RunError

_PATIENCE_SECONDS = 5.0
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


@contextmanager
def ray_session(address: str | None, cpus: int | None) -> Iterator[Any]:
    """Ray, connected; what was started here is stopped at the end.

    Ray listens on all addresses of a machine, and whoever may speak to it may run code. Started
    here it therefore wants a token, which this process makes up; it has no dashboard, and reports
    nothing to anybody.

    Meanwhile what is printed goes to standard error.

    Args:
        address: of a cluster: "auto", HOST:PORT or ray://HOST:PORT; None starts Ray here.
        cpus: how many tasks of one processor Ray may run, where it is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no cluster at the address, or Ray does not start.
    """
    ray = needs_ray(address)
    _check_there(address)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    try:
        if address is None:
            with _muted():
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise RunError(
            f"no Ray {where} ({' '.join(str(error).split())[:200]}); ray start --head starts a "
            "cluster, and --address names it"
        ) from error
    with redirect_stdout(sys.stderr):  # Ray tells of workers that it lost, at its end too
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _muted() -> Iterator[None]:
    """Without the line in which Ray's C++ side says how much it will log."""
    try:
        kept = os.dup(2)
    except OSError:  # closed: nobody would hear it
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_there(address: str | None) -> None:
    """Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()
    except OSError as error:
        raise RunError(
            f"no Ray at {address} ({error.strerror or error}); ray start --head starts a cluster "
            "and says its address"
        ) from error


def needs_ray(address: str | None = None) -> Any:
    """The package, told to report nothing; MissingExtraError where it is not installed.

    Args:
        address: as for ``ray_session``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would set CUDA_VISIBLE_DEVICES of what asks for no GPU, and warns that this will change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    decided = "ray" in sys.modules or any(name in os.environ for name in _AUTHENTICATION)
    if address is None and not decided:  # Ray reads them once, when it is imported
        os.environ |= dict(zip(_AUTHENTICATION, ("token", secrets.token_hex(32)), strict=True))
    if address is None:  # or it speaks of arguments of its own, which does no harm (ray 57733)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "batch") from error
    return ray


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Processes that are begun in here do not hear Ctrl-C, from their first moment on.

    It is for the parent, which then ends the processes that it began.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may set signals, nor hears them
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def exit_with_parent() -> None:
    """For the beginning of a process: leave Ctrl-C to the parent, and end when that ends.

    A parent that was killed ends nobody: two jobs would work in one folder.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's start has set its own
    threading.Thread(target=_end_with_parent, daemon=True).start()


def terminate_children(others: set[multiprocessing.process.BaseProcess]) -> None:
    """End all processes that multiprocessing began, but the ``others``, and wait for it."""
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
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
