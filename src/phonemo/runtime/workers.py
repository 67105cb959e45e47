"""Worker processes: Ray sessions (local or an existing cluster) and child processes.

Child processes ignore Ctrl-C and exit with their parent.
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

_TIMEOUT_SECONDS = 5.0
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


@contextmanager
def ray_session(address: str | None, cpus: int | None) -> Iterator[Any]:
    """Connect to Ray; an instance started here is stopped at the end.

    Ray listens on all addresses of a machine and runs code for every client. An instance started
    here therefore requires a token that this process generates; it has no dashboard and sends no
    usage reports. Standard output is redirected to standard error meanwhile.

    Args:
        address: of a cluster: "auto", HOST:PORT or ray://HOST:PORT; None starts Ray here.
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
        socket.create_connection((host, int(port)), _TIMEOUT_SECONDS).close()
    except OSError as error:
        raise RunError(
            f"no Ray at {address} ({error.strerror or error}); ray start --head starts a cluster "
            "and prints its address"
        ) from error


def needs_ray(address: str | None = None) -> Any:
    """Import ray with usage reports disabled; MissingExtraError where it is not installed.

    Args:
        address: as for ``ray_session``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would hide the GPUs from tasks that request none, and warns that this will change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    decided = "ray" in sys.modules or any(name in os.environ for name in _AUTHENTICATION)
    if address is None and not decided:  # Ray reads them once, when it is imported
        os.environ |= dict(zip(_AUTHENTICATION, ("token", secrets.token_hex(32)), strict=True))
    if address is None:  # Ray otherwise logs a harmless line about its own arguments (ray 57733)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "batch") from error
    return ray


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Child processes started inside this context ignore SIGINT.

    The parent has to stop the processes that it started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def exit_with_parent() -> None:
    """Call at the start of a child process: ignore Ctrl-C and exit when the parent exits.

    A killed parent does not stop its children: two jobs would then write to one folder.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python has set its own handler at startup
    threading.Thread(target=_end_with_parent, daemon=True).start()


def terminate_children(others: set[multiprocessing.process.BaseProcess]) -> None:
    """Terminate all multiprocessing children except ``others``, and wait for them."""
    ours = set(multiprocessing.active_children()) - others
    for child in ours:
        child.terminate()
    for child in ours:
        child.join(_TIMEOUT_SECONDS)
        if child.is_alive():
            child.kill()
            child.join()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def available_cpus() -> int:
    """Number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
