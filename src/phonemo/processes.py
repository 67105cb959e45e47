"""Processes that work for this one: deaf to its Ctrl-C, and gone when it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 5.0


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
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


def serve_parent() -> None:
    """For the beginning of a process: leave Ctrl-C to the parent, and end when that ends.

    A parent that was killed ends nobody: two jobs would work in one folder.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's start has set its own
    threading.Thread(target=_end_with_parent, daemon=True).start()


def end_children(others: set[multiprocessing.process.BaseProcess]) -> None:
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
