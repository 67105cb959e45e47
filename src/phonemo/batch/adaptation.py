"""First pass of an adapted batch: a profile is made from a sample of the recordings.

The sample, and with it the profile, depends only on the set of recordings: not on their order, the
parts, the workers or the engine. A recording that crashes its process is left out.
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

#: Only the beginning of a longer recording is decoded: the rest adds little about its source.
LONGEST_SECONDS = 60.0
#: A process that died, and one that hangs.
_LOST = (BrokenProcessPool, TimeoutError)


def vectors_by_processes(
    work: WorkerSpec, items: Iterable[BatchItem], workers: int
) -> Generator[Vectors | None, None, None]:
    """Yield the vectors of each recording, in order; None for one that cannot be used.

    Each recording is processed unbatched and by one thread, so that its vectors do not depend on
    the number of processes. When a process is lost, each recording that it may have been
    processing is repeated in a separate process.

    Args:
        work: the model and the voice activity detector.
        items: recordings; the first ``LONGEST_SECONDS`` of each are decoded.
        workers: number of processes.

    Raises:
        PhonemoError: the model cannot be opened.
    """
    rest = deque(items)
    while rest:
        try:
            with closing(_in_parallel(work, tuple(rest), workers)) as results:
                for vectors in results:
                    rest.popleft()
                    yield vectors
        except _LOST:
            log.warning(
                "a process of the first pass was lost; its recordings are processed one by one"
            )
            for _ in range(min(AHEAD * workers, len(rest))):
                yield _isolated(work, rest.popleft())


def vectors_of_item(recognizer: Any, item: BatchItem) -> Vectors | None:
    """Return the vectors of the beginning of a recording; None if it cannot be used."""
    end = (item.start or 0.0) + LONGEST_SECONDS
    held = deque[Fetched]()
    try:
        start = replace(item, end=min(inf if item.end is None else item.end, end))
        (result,) = recognizer.vectors(fetched([start], held), jobs=1)
    except Exception as error:  # a bug here or in a library, triggered by one file
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
    with WorkerPool(_process_vectors, workers, _init_process, (work,)) as pool:
        yield from pool.ordered(items, ISOLATED_SECONDS)


def _isolated(work: WorkerSpec, item: BatchItem) -> Vectors | None:
    try:
        with closing(_in_parallel(work, [item], 1)) as results:
            return next(results)
    except _LOST:
        return None


#: State of a worker process: its task and, from its first recording on, the model.
_spec: WorkerSpec | None = None
_recognizer: Any = None


def _init_process(work: WorkerSpec) -> None:
    global _spec
    logging.basicConfig(level=logging.WARNING, format="phonemo: %(message)s")
    _spec = work


def _process_vectors(item: BatchItem) -> Vectors | None:
    """Open the model here and not at process start, so that its errors reach the parent."""
    global _recognizer
    assert _spec is not None
    _recognizer = _recognizer or open_recognizer(_spec.asked)
    return vectors_of_item(_recognizer, item)


#: Default size of the sample: more recordings improve the profile little.
SAMPLE = 300
#: The first pass ends at this number of vectors; with 1024 features they take 200 MB.
MOST_VECTORS = 6000
#: Parts of the plan that are read at the same time.
_READERS = 16
#: Called after every recording with the number done and the total.
ProgressFn = Callable[[int, int], None]


def sample_of(store: Store, parts: int, size: int) -> list[BatchItem]:
    """Return the planned recordings with the smallest keys (hashes), sorted by key.

    Args:
        store: the folder of the batch.
        parts: number of planned parts.
        size: most recordings in the sample.

    Raises:
        RunError: the plan cannot be read.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="plan") as threads:
        return heapq.nsmallest(
            size, _planned_items(store, parts, threads), key=lambda item: item.key
        )


def make_profile(
    store: Store,
    work: WorkerSpec,
    parts: int,
    workers: int,
    reference: Reference,
    progress: ProgressFn,
) -> Applied:
    """Make a profile from a sample and write it to the folder.

    Recordings without speech and those that cannot be used are left out and counted.

    Args:
        store: the folder of the batch.
        work: the options; ``work.asked.adapt`` is the size of the sample.
        parts: number of planned parts.
        workers: number of processes.
        reference: reference statistics of the model.
        progress: called after every recording.

    Raises:
        UsageError: no recording of the sample has speech.
        RunError: the folder cannot be read or written.
        PhonemoError: the model cannot be opened.
    """
    items = sample_of(store, parts, work.asked.adapt or SAMPLE)
    pool, done = VectorPool(reference), 0
    progress(0, len(items))
    with closing(vectors_by_processes(work, items, min(workers, len(items)))) as results:
        for done, vectors in enumerate(results, start=1):
            if vectors is None:
                pool.failed += 1
            else:
                pool.take(vectors)
            progress(done, len(items))
            if len(pool) >= MOST_VECTORS:
                break
    if not len(pool):
        raise UsageError(
            f"no speech in the sample of {done} recordings: {pool.silent} without speech, "
            f"{pool.failed} that cannot be used; use a larger --adapt-sample, or leave out --adapt"
        )
    return keep_profile(store, pool.profile(), done, pool.silent, pool.failed)


def _planned_items(store: Store, parts: int, threads: ThreadPoolExecutor) -> Iterator[BatchItem]:
    """Yield all planned recordings; parts are read in parallel, as object stores are slow."""
    for first in range(0, parts, _READERS):
        group = range(first, min(parts, first + _READERS))
        for items in threads.map(lambda part: read_part(store, part), group):
            yield from items
