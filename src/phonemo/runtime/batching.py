"""Batches of recordings: a few are opened ahead, and short ones of similar length share a batch.

Results keep the order of the recordings. Batches depend on that order only: the same list gives the
same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

from phonemo.annotations.prediction import Prediction
from phonemo.audio import Waveform
from phonemo.errors import PhonemoError

Outcome = Prediction | PhonemoError
_Item = TypeVar("_Item")
_Out = TypeVar("_Out")
_OutOf = TypeVar("_OutOf", covariant=True)

#: Recordings opened ahead, per job.
AHEAD = 8


@runtime_checkable
class Deferred(Protocol[_OutOf]):
    """A recording too long to be decoded completely before it is recognized."""

    def recognize(self) -> _OutOf:
        """Return the outcome; may be called once."""


Opened = Waveform | Deferred[Outcome] | Outcome


def map_ordered(
    items: Iterable[_Item],
    opened: Callable[[_Item], Waveform | Deferred[_Out] | _Out],
    recognize_batch: Callable[[Sequence[Waveform]], Sequence[_Out]],
    *,
    jobs: int,
    batch_samples: int,
) -> Iterator[_Out]:
    """Yield the outcome of every item in order, each as soon as the earlier ones are known.

    Items are taken in rounds that double from ``jobs`` to ``AHEAD`` x jobs; while the outcomes of
    one round are yielded, the next one is opened.

    Args:
        items: the items to open.
        opened: opens an item quickly, as audio; slow work is returned as ``Deferred``.
        recognize_batch: returns the outcomes of a batch.
        jobs: number of concurrent calls, each in a thread.
        batch_samples: samples per batch, padding included.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="phonemo")

    def submit(count: int) -> list[Future[Waveform | Deferred[_Out] | _Out]]:
        return [pool.submit(opened, item) for item in islice(source, count)]

    try:
        opening = submit(jobs)
        while opening:
            following: list[Future[Waveform | Deferred[_Out] | _Out]] = []
            for outcome in _round(pool, opening, recognize_batch, batch_samples):
                yield outcome
                following += submit(min(2, AHEAD * jobs - len(following)))
            opening = following
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def length_buckets(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Group the indices of clips of similar length, each group padded to at most ``most`` samples.

    Args:
        lengths: samples of each clip.
        most: samples per group, padding included; a longer clip forms its own group.
    """
    buckets: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        # ascending, so the current clip is the longest of its bucket
        if buckets and (len(buckets[-1]) + 1) * lengths[index] <= most:
            buckets[-1].append(index)
        else:
            buckets.append([index])
    return buckets


def _round(
    pool: ThreadPoolExecutor,
    opening: Sequence[Future[Waveform | Deferred[_Out] | _Out]],
    recognize: Callable[[Sequence[Waveform]], Sequence[_Out]],
    batch_samples: int,
) -> Iterator[_Out]:
    opened = [entry.result() for entry in opening]
    clips = {place: entry for place, entry in enumerate(opened) if isinstance(entry, Waveform)}
    running = _submit_buckets(pool, clips, recognize, batch_samples)
    for place, entry in enumerate(opened):
        if isinstance(entry, Deferred):
            running[place] = (pool.submit(_recognize_deferred, entry), 0)
    for place, entry in enumerate(opened):
        if isinstance(entry, Waveform | Deferred):
            future, row = running[place]
            yield future.result()[row]
        else:
            yield entry


def _submit_buckets(
    pool: ThreadPoolExecutor,
    clips: dict[int, Waveform],
    recognize: Callable[[Sequence[Waveform]], Sequence[_Out]],
    batch_samples: int,
) -> dict[int, tuple[Future[Sequence[_Out]], int]]:
    """Index -> (future of its bucket, row in the result); the first index's bucket runs first."""
    places = list(clips)
    running: dict[int, tuple[Future[Sequence[_Out]], int]] = {}
    for bucket in sorted(
        length_buckets([len(clips[place].samples) for place in places], most=batch_samples), key=min
    ):
        chosen = [places[index] for index in bucket]
        future = pool.submit(recognize, [clips[place] for place in chosen])
        running |= {place: (future, row) for row, place in enumerate(chosen)}
    return running


def _recognize_deferred(recording: Deferred[_Out]) -> list[_Out]:
    return [recording.recognize()]
