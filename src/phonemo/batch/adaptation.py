"""The first pass of a batch that adapts: a sample of its recordings becomes its profile.

The sample follows from the set of recordings alone, and so does the profile: neither the order of
the recordings nor parts, workers and engine have an influence.

Vectors of recordings by processes that may die of one: that recording then adds nothing.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from phonemo.batch.fetch import Fetched, fetched, release
from phonemo.batch.job import Applied
from phonemo.batch.job_profile import keep_profile
from phonemo.batch.plan import BatchItem, read_part
from phonemo.batch.stores import Store
from phonemo.batch.worker import ISOLATED_SECONDS, WorkerSpec, error_line, open_recognizer
from phonemo.errors import PhonemoError, UsageError, safe_name
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.workers import AHEAD, WorkerPool

if TYPE_CHECKING:
    from phonemo.runtime.adaptation.pool import Vectors


log = logging.getLogger(__name__)

#: Of a longer recording the beginning is decoded: hours of one say little more of its source.
LONGEST_SECONDS = 60.0
#: A process that died, and one that gets no further.
_LOST = (BrokenProcessPool, TimeoutError)


def vectors_by_processes(
    work: WorkerSpec, items: Iterable[BatchItem], workers: int
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
            for _ in range(min(AHEAD * workers, len(rest))):
                yield _alone(work, rest.popleft())


def vectors_of_item(listener: Any, item: BatchItem) -> Vectors | None:
    """What the beginning of one recording adds to a pool; None where it cannot be used."""
    end = (item.start or 0.0) + LONGEST_SECONDS
    held = deque[Fetched]()
    try:
        start = replace(item, end=min(inf if item.end is None else item.end, end))
        (found,) = listener.vectors(fetched([start], held), jobs=1)
    except Exception as error:  # a fault of ours, or of a library, that one file calls up
        message = "%s: %s; it is left out of the profile"
        log.warning(message, safe_name(item.file), error_line(error), exc_info=True)
        return None
    finally:
        for source in held:
            release(source)
    if isinstance(found, PhonemoError) or not np.isfinite(found.rows).all():
        return None
    vectors: Vectors = found
    return vectors


def _side_by_side(
    work: WorkerSpec, items: Iterable[BatchItem], workers: int
) -> Generator[Vectors | None, None, None]:
    with WorkerPool(_vectors, workers, _set_up, (work,)) as pool:
        yield from pool.ordered(items, ISOLATED_SECONDS)


def _alone(work: WorkerSpec, item: BatchItem) -> Vectors | None:
    try:
        with closing(_side_by_side(work, [item], 1)) as running:
            return next(running)
    except _LOST:
        return None


#: In a process: its batch, and from its first recording on the model.
_spec: WorkerSpec | None = None
_recognizer: Any = None


def _set_up(work: WorkerSpec) -> None:
    global _spec
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _spec = work


def _vectors(item: BatchItem) -> Vectors | None:
    """The model is opened here, where an error of it reaches the parent."""
    global _recognizer
    assert _spec is not None
    _recognizer = _recognizer or open_recognizer(_spec.asked)
    return vectors_of_item(_recognizer, item)


#: Recordings of a sample, unless another number is wanted: more gain little.
SAMPLE = 300
#: The first pass ends when it has so many vectors; with 1024 features they take 200 MB then.
MOST_VECTORS = 6000
#: Plans that are read at once.
_READERS = 16
#: Told of every recording: how many are done, and of how many.
Told = Callable[[int, int], None]


def sample_of(store: Store, parts: int, size: int) -> list[BatchItem]:
    """The planned recordings whose keys, which are hashes, are smallest; in that order.

    Args:
        store: the folder of the batch.
        parts: how many were planned.
        size: recordings of the sample; all where there are no more.

    Raises:
        RunError: the plan cannot be read.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="plan") as threads:
        return heapq.nsmallest(size, _planned(store, parts, threads), key=lambda one: one.key)


def make_profile(
    store: Store, work: WorkerSpec, parts: int, workers: int, reference: Reference, told: Told
) -> Applied:
    """The profile of a sample, in the folder.

    Recordings without speech and those that cannot be used are left out and counted.

    Args:
        store: the folder of the batch.
        work: what is wanted; ``work.asked.adapt`` is the size of the sample.
        parts: how many were planned.
        workers: how many processes decode.
        reference: of the model.
        told: how far it is.

    Raises:
        UsageError: no recording of the sample has speech.
        RunError: the folder cannot be read or written.
        PhonemoError: of the model.
    """
    items = sample_of(store, parts, work.asked.adapt or SAMPLE)
    pool, done = VectorPool(reference), 0
    told(0, len(items))
    with closing(vectors_by_processes(work, items, min(workers, len(items)))) as running:
        for done, found in enumerate(running, start=1):
            if found is None:
                pool.failed += 1
            else:
                pool.take(found)
            told(done, len(items))
            if len(pool) >= MOST_VECTORS:
                break
    if not len(pool):
        raise UsageError(
            f"no speech in the sample of {done} recordings: {pool.silent} without speech, "
            f"{pool.failed} that cannot be used; take a larger --adapt-sample, or leave --adapt out"
        )
    return keep_profile(store, pool.profile(), done, pool.silent, pool.failed)


def _planned(store: Store, parts: int, threads: ThreadPoolExecutor) -> Iterator[BatchItem]:
    """All planned recordings; an object store takes its time for each file."""
    for first in range(0, parts, _READERS):
        some = range(first, min(parts, first + _READERS))
        for items in threads.map(lambda part: read_part(store, part), some):
            yield from items
