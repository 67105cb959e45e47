"""Many recordings: a few are opened ahead, short ones of like length are heard together.

The order of the answers is that of the recordings, and which are heard together follows from their
order alone: the same list gives the same answers.
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

#: Recordings that are opened at once, for each job.
AHEAD = 8


@runtime_checkable
class Deferred(Protocol[_OutOf]):
    """A recording that is too long to be opened first and heard then."""

    def recognize(self) -> _OutOf:
        """Its outcome; once."""


Opened = Waveform | Deferred[Outcome] | Outcome


def map_ordered(
    items: Iterable[_Item],
    opened: Callable[[_Item], Waveform | Deferred[_Out] | _Out],
    heard: Callable[[Sequence[Waveform]], Sequence[_Out]],
    *,
    jobs: int,
    batch_samples: int,
) -> Iterator[_Out]:
    """The outcome of every item, in order, each as soon as it and those before it are known.

    The items are taken in rounds that double from ``jobs`` to ``AHEAD`` x jobs; while the outcomes
    of one are given, the next one is opened.

    Args:
        items: what is opened.
        opened: an item as audio to be heard, soon: what takes long is done ``Deferred``.
        heard: the outcomes of several of them.
        jobs: how many calls run at once, each in a thread.
        batch_samples: how much audio is heard together, padding included.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="phonemo")

    def submit(count: int) -> list[Future[Waveform | Deferred[_Out] | _Out]]:
        return [pool.submit(opened, one) for one in islice(source, count)]

    try:
        opening = submit(jobs)
        while opening:
            following: list[Future[Waveform | Deferred[_Out] | _Out]] = []
            for outcome in _round(pool, opening, heard, batch_samples):
                yield outcome
                following += submit(min(2, AHEAD * jobs - len(following)))
            opening = following
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def length_buckets(lengths: Sequence[int], most: int) -> list[list[int]]:
    """The places of clips that are heard together: of like length, padded to at most ``most``.

    Args:
        lengths: samples of each clip.
        most: samples of a bucket, padding included; a longer clip is alone.
    """
    made: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda one: lengths[one]):
        # sorted, so that the last one is the longest
        if made and (len(made[-1]) + 1) * lengths[place] <= most:
            made[-1].append(place)
        else:
            made.append([place])
    return made


def _round(
    pool: ThreadPoolExecutor,
    opening: Sequence[Future[Waveform | Deferred[_Out] | _Out]],
    heard: Callable[[Sequence[Waveform]], Sequence[_Out]],
    most: int,
) -> Iterator[_Out]:
    opened = [one.result() for one in opening]
    clips = {place: one for place, one in enumerate(opened) if isinstance(one, Waveform)}
    running = _together(pool, clips, heard, most)
    for place, one in enumerate(opened):
        if isinstance(one, Deferred):
            running[place] = (pool.submit(_alone, one), 0)
    for place, one in enumerate(opened):
        if isinstance(one, Waveform | Deferred):
            future, row = running[place]
            yield future.result()[row]
        else:
            yield one


def _together(
    pool: ThreadPoolExecutor,
    clips: dict[int, Waveform],
    heard: Callable[[Sequence[Waveform]], Sequence[_Out]],
    most: int,
) -> dict[int, tuple[Future[Sequence[_Out]], int]]:
    """Place -> what hears its bucket, and its row in that; the bucket of the first place first."""
    places = list(clips)
    running: dict[int, tuple[Future[Sequence[_Out]], int]] = {}
    for bucket in sorted(
        length_buckets([len(clips[one].samples) for one in places], most), key=min
    ):
        chosen = [places[one] for one in bucket]
        future = pool.submit(heard, [clips[place] for place in chosen])
        running |= {place: (future, row) for row, place in enumerate(chosen)}
    return running


def _alone(one: Deferred[_Out]) -> list[_Out]:
    return [one.recognize()]
