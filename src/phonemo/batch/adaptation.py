"""The first pass of an adapting batch: a sample of its recordings becomes its profile.

The sample, and so the profile, depends only on the set of recordings: not on their order, nor on
parts, workers or engine. Recordings are decoded in processes; one that crashes its process is left
out of the profile.
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
    from phonemo.audio import Channels
    from phonemo.runtime.adaptation.pool import Vectors


log = logging.getLogger(__name__)

#: Longer recordings are decoded up to here: the rest adds little about the source.
LONGEST_SECONDS = 60.0
#: A process that died or hangs.
_LOST = (BrokenProcessPool, TimeoutError)


def vectors_by_processes(
    work: WorkerSpec, items: Iterable[BatchItem], workers: int
) -> Generator[Vectors | None, None, None]:
    """Yield each recording's vectors for a pool, in order; None for one that cannot be used.

    Every vector is computed alone in one thread, so that it does not depend on the number of
    processes. After a process is lost, the recordings that it may have been decoding are decoded
    in one new process each.

    Args:
        work: the model and the voice activity.
        items: recordings; the first ``LONGEST_SECONDS`` of each are decoded.
        workers: number of processes.

    Raises:
        PhonemoError: the model cannot be opened.
    """
    rest = deque(items)
    while rest:
        try:
            with closing(_in_parallel(work, tuple(rest), workers)) as running:
                for vectors in running:
                    rest.popleft()
                    yield vectors
        except _LOST:
            log.warning("a process of the first pass was lost; its recordings are decoded alone")
            for _ in range(min(AHEAD * workers, len(rest))):
                yield _isolated(work, rest.popleft())


def vectors_of_item(recognizer: Any, item: BatchItem, channels: Channels = "mix") -> Vectors | None:
    """Return the vectors of a recording's beginning; None if it cannot be used."""
    end = (item.start or 0.0) + LONGEST_SECONDS
    held = deque[Fetched]()
    try:
        start = replace(item, end=min(inf if item.end is None else item.end, end))
        (result,) = recognizer.vectors(fetched([start], held), jobs=1, channels=channels)
    except Exception as error:  # a bug, here or in a library, that one file triggers
        message = "%s: %s; it is left out of the profile"
        log.warning(message, safe_name(item.file), error_line(error), exc_info=True)
        return None
    finally:
        for source in held:
            release(source)
    if isinstance(result, PhonemoError) or not np.isfinite(result.rows).all():
        return None
    vectors: Vectors = result
    return vectors


def _in_parallel(
    work: WorkerSpec, items: Iterable[BatchItem], workers: int
) -> Generator[Vectors | None, None, None]:
    with WorkerPool(_vectors, workers, _set_up, (work,)) as pool:
        yield from pool.ordered(items, ISOLATED_SECONDS)


def _isolated(work: WorkerSpec, item: BatchItem) -> Vectors | None:
    try:
        with closing(_in_parallel(work, [item], 1)) as running:
            return next(running)
    except _LOST:
        return None


#: In a worker process: its batch and, from its first recording on, its model.
_spec: WorkerSpec | None = None
_recognizer: Any = None


def _set_up(work: WorkerSpec) -> None:
    global _spec
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _spec = work


def _vectors(item: BatchItem) -> Vectors | None:
    """Decode a recording; the model is opened here, where its errors reach the parent."""
    global _recognizer
    assert _spec is not None
    _recognizer = _recognizer or open_recognizer(_spec.options)
    return vectors_of_item(_recognizer, item, _spec.options.channels)


#: Default number of recordings in the sample; more gain little.
SAMPLE = 300
#: The first pass ends at this number of vectors, which take 200 MB with 1024 features.
MOST_VECTORS = 6000
#: Plan files that are read at once.
_READERS = 16
#: Called with (done, total) recordings.
Report = Callable[[int, int], None]


def sample_of(store: Store, parts: int, size: int) -> list[BatchItem]:
    """Return the planned recordings with the smallest keys, which are hashes, sorted by key.

    Args:
        store: the batch folder.
        parts: number of planned parts.
        size: number of recordings; all of them if there are fewer.

    Raises:
        RunError: the plan cannot be read.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="plan") as threads:
        return heapq.nsmallest(size, _planned(store, parts, threads), key=lambda item: item.key)


def make_profile(
    store: Store, work: WorkerSpec, parts: int, workers: int, reference: Reference, report: Report
) -> Applied:
    """Make the profile of a sample and write it to the folder.

    Recordings that have no speech or cannot be used are left out and counted.

    Args:
        store: the batch folder.
        work: the batch; ``work.options.adapt`` is the size of the sample.
        parts: number of planned parts.
        workers: number of decoding processes.
        reference: the model's reference statistics.
        report: called with the progress.

    Raises:
        UsageError: no recording of the sample has speech.
        RunError: the folder cannot be read or written.
        PhonemoError: the model cannot be opened.
    """
    items = sample_of(store, parts, work.options.adapt or SAMPLE)
    pool, done = VectorPool(reference), 0
    report(0, len(items))
    with closing(vectors_by_processes(work, items, min(workers, len(items)))) as running:
        for done, vectors in enumerate(running, start=1):
            if vectors is None:
                pool.failed += 1
            else:
                pool.take(vectors)
            report(done, len(items))
            if len(pool) >= MOST_VECTORS:
                break
    if not len(pool):
        raise UsageError(
            f"no speech in the sample of {done} recordings: {pool.silent} without speech, "
            f"{pool.failed} unusable; use a larger --adapt-sample, or omit --adapt"
        )
    return keep_profile(store, pool.profile(), done, pool.silent, pool.failed)


def _planned(store: Store, parts: int, threads: ThreadPoolExecutor) -> Iterator[BatchItem]:
    """Yield all planned recordings; files are read ahead, as object stores are slow for each."""
    for first in range(0, parts, _READERS):
        numbers = range(first, min(parts, first + _READERS))
        for items in threads.map(lambda part: read_part(store, part), numbers):
            yield from items
