"""Vectors of recordings by processes that may die of one: that recording then adds nothing."""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from phonemo.batch.fetching import Fetched, fetched, release
from phonemo.batch.hearing import Work, open_listener
from phonemo.batch.items import Item
from phonemo.batch.watching import SECONDS
from phonemo.errors import PhonemoError, shown
from phonemo.processes import deaf_to_interrupts, end_children, serve_parent

if TYPE_CHECKING:
    from phonemo.runtime.pool import Vectors

log = logging.getLogger(__name__)

#: Of a longer recording the beginning is decoded: hours of one say little more of its source.
LONGEST_SECONDS = 60.0
#: Recordings that each process is given at once.
_AHEAD = 2
#: A process that died, and one that gets no further.
_LOST = (BrokenProcessPool, TimeoutError)


def vectors_by_processes(
    work: Work, items: Iterable[Item], workers: int
) -> Generator[Vectors | None, None, None]:
    """What each recording adds to a pool, in their order; None for one that cannot be used.

    Every vector is computed by one thread and by itself, so that it is the same with any number
    of processes. Where a process is lost, the recordings that it may have been at are decoded in
    a process of their own each.

    Args:
        work: the model and the voice activity.
        items: recordings; of each, the first ``LONGEST_SECONDS`` are decoded.
        workers: how many processes.

    Raises:
        PhonemoError: of the model.
    """
    rest = deque(items)
    while rest:
        try:
            with closing(_side_by_side(work, tuple(rest), workers)) as running:
                for found in running:
                    rest.popleft()
                    yield found
        except _LOST:
            log.warning("a process of the first pass was lost; its recordings are decoded alone")
            for _ in range(min(_AHEAD * workers, len(rest))):
                yield _alone(work, rest.popleft())


def vectors_of_item(listener: Any, item: Item) -> Vectors | None:
    """What the beginning of one recording adds to a pool; None where it cannot be used."""
    end = (item.start or 0.0) + LONGEST_SECONDS
    held = deque[Fetched]()
    try:
        start = replace(item, end=min(inf if item.end is None else item.end, end))
        (found,) = listener.vectors(fetched([start], held), jobs=1)
    except Exception as error:  # a fault of ours, or of a library, that one file calls up
        told = f"{type(error).__name__} {' '.join(str(error).split())}"
        log.warning("%s: %s; it is left out of the profile", shown(item.file), told)
        return None
    finally:
        for source in held:
            release(source)
    if isinstance(found, PhonemoError) or not np.isfinite(found.rows).all():
        return None
    vectors: Vectors = found
    return vectors


def _side_by_side(
    work: Work, items: Iterable[Item], workers: int
) -> Generator[Vectors | None, None, None]:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _set_up, (work,))
    rest, running = iter(items), deque[Future["Vectors | None"]]()
    try:
        while True:
            with deaf_to_interrupts():  # which the processes inherit, from their first moment on
                free = _AHEAD * workers - len(running)
                running.extend(pool.submit(_vectors, one) for one in islice(rest, free))
            if not running:
                return
            yield running.popleft().result(SECONDS)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        end_children(others)


def _alone(work: Work, item: Item) -> Vectors | None:
    try:
        with closing(_side_by_side(work, [item], 1)) as running:
            return next(running)
    except _LOST:
        return None


#: In a process: what it was told, and from its first recording on the model.
_told: Work | None = None
_listener: Any = None


def _set_up(work: Work) -> None:
    global _told
    serve_parent()
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _told = work


def _vectors(item: Item) -> Vectors | None:
    """The model is opened here, where an error of it reaches the parent."""
    global _listener
    assert _told is not None
    _listener = _listener or open_listener(_told.asked)
    return vectors_of_item(_listener, item)
