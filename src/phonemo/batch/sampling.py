"""The first pass of a batch that adapts: a sample of its recordings becomes its profile.

The sample follows from the set of recordings alone, and so does the profile: neither the order of
the recordings nor parts, workers and engine have an influence.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from phonemo.batch.asked import Applied
from phonemo.batch.hearing import Work
from phonemo.batch.items import Item
from phonemo.batch.plan import read_part
from phonemo.batch.profiles import keep_profile
from phonemo.batch.stores import Store
from phonemo.batch.vectors import vectors_by_processes
from phonemo.errors import UsageError
from phonemo.runtime.adaptation import Reference
from phonemo.runtime.pool import Pool

#: Recordings of a sample, unless another number is wanted: more gain little.
SAMPLE = 300
#: The first pass ends when it has so many vectors; with 1024 features they take 200 MB then.
MOST_VECTORS = 6000
#: Plans that are read at once.
_READERS = 16
#: Told of every recording: how many are done, and of how many.
Told = Callable[[int, int], None]


def sample_of(store: Store, parts: int, size: int) -> list[Item]:
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
    store: Store, work: Work, parts: int, workers: int, reference: Reference, told: Told
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
    pool, done = Pool(reference), 0
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


def _planned(store: Store, parts: int, threads: ThreadPoolExecutor) -> Iterator[Item]:
    """All planned recordings; an object store takes its time for each file."""
    for first in range(0, parts, _READERS):
        some = range(first, min(parts, first + _READERS))
        for items in threads.map(lambda part: read_part(store, part), some):
            yield from items
