"""Many recordings: a few are opened ahead, short ones of like length are heard together.

The order of the answers is that of the recordings, and which are heard together follows from their
order alone: the same list gives the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from phonemo.audio import Waveform
from phonemo.errors import PhonemoError
from phonemo.prediction import Prediction

Outcome = Prediction | PhonemoError
_Item = TypeVar("_Item")

#: Recordings that are opened at once, for each job.
AHEAD = 16


def in_order(
    items: Iterable[_Item],
    opened: Callable[[_Item], Waveform | Outcome],
    heard: Callable[[Sequence[Waveform]], Sequence[Outcome]],
    *,
    jobs: int,
    batch_samples: int,
) -> Iterator[Outcome]:
    """The outcome of every item, in order.

    Args:
        items: what is opened; it is read no further ahead than two rounds of ``AHEAD`` x jobs.
        opened: an item as audio to be heard, or already as its outcome.
        heard: the outcomes of several of them.
        jobs: how many calls run at once, each in a thread.
        batch_samples: how much audio is heard together, padding included.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="phonemo")

    def submit() -> list[Future[Waveform | Outcome]]:
        return [pool.submit(opened, one) for one in islice(source, AHEAD * jobs)]

    try:
        opening = submit()
        while opening:
            following = submit()  # opened while these are heard
            yield from _round(pool, [one.result() for one in opening], heard, batch_samples)
            opening = following
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def buckets(lengths: Sequence[int], most: int) -> list[list[int]]:
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
    opened: Sequence[Waveform | Outcome],
    heard: Callable[[Sequence[Waveform]], Sequence[Outcome]],
    most: int,
) -> Iterator[Outcome]:
    clips = {place: one for place, one in enumerate(opened) if isinstance(one, Waveform)}
    places = list(clips)
    together = buckets([len(clips[place].samples) for place in places], most)
    running: dict[int, tuple[Future[Sequence[Outcome]], int]] = {}
    for bucket in together:
        chosen = [places[one] for one in bucket]
        future = pool.submit(heard, [clips[place] for place in chosen])
        running |= {place: (future, row) for row, place in enumerate(chosen)}
    for place, one in enumerate(opened):
        if isinstance(one, Waveform):
            future, row = running[place]
            yield future.result()[row]
        else:
            yield one
