"""The threads that hear: waiting clips of like length are heard together."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from phonemo.annotations.prediction import Prediction
from phonemo.audio import RATE, Waveform
from phonemo.runtime.adaptation.adaptable import waveform_vectors, window_vectors
from phonemo.runtime.adaptation.pool import Vectors
from phonemo.runtime.batching import Outcome
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import Samples

Value = TypeVar("Value")
#: Threads that hear give way to the one that answers: on Linux threads have a priority each.
_NICE = 10


@dataclass(eq=False)
class _Job:
    """Something that waits for a thread."""

    call: Callable[[], Any]
    """What is done where it is alone."""
    future: asyncio.Future[Any]
    kind: Hashable = None
    """Clips of the same kind may be heard together; None is alone."""
    clip: Waveform | None = None
    together: Callable[[Sequence[Waveform]], Sequence[Outcome]] | None = None
    asked_at: float = field(default_factory=perf_counter)

    @property
    def samples(self) -> int:
        return 0 if self.clip is None else len(self.clip.samples)


class DynamicBatcher:
    """A few threads, and what waits for one.

    Nobody waits for company: whoever is there when a thread becomes free is heard with the oldest,
    if of like length and if the model says of each then what it says of it alone.

    Args:
        threads: how many recordings are heard at once.
        batch_seconds: how much audio is heard together, padding included.
        started: called with the number of clips that a thread takes, and how long each waited.
    """

    def __init__(
        self,
        threads: int,
        batch_seconds: float,
        started: Callable[[int, Sequence[float]], None] = lambda size, waited: None,
    ) -> None:
        self._free = threads
        self._closed = False
        self._most = int(batch_seconds * RATE)
        self._started = started
        self._waiting: deque[_Job] = deque()
        self._pool = ThreadPoolExecutor(threads, "hearer", initializer=_lower_priority)

    async def recognize(
        self, listener: EmotionRecognizer, clip: Waveform, shares: bool, timeline: bool
    ) -> Prediction:
        """The emotion of one recording; arguments as for EmotionRecognizer.predict.

        Raises:
            PhonemoError: it cannot be heard.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prediction] = loop.create_future()
        if clip.seconds > listener.whole_seconds:
            job = _Job(lambda: _recognize_long(listener, clip, shares, future.cancelled), future)
        else:
            kind = (id(listener), shares, timeline) if listener.supports_batching else None
            job = _Job(
                lambda: listener.predict_waveform(clip, shares=shares, timeline=timeline),
                future,
                kind,
                clip,
                lambda clips: listener.predict_together(clips, shares, timeline),
            )
        found: Prediction = await self._done(job)
        return found

    async def vectors(self, listener: EmotionRecognizer, clip: Waveform) -> Vectors:
        """What one recording adds to a pool, as EmotionRecognizer.vectors gives it.

        Raises:
            PhonemoError: the network fails.
        """
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        job = _Job(lambda: _vectors_of(listener, clip, future.cancelled), future)
        found: Vectors = await self._done(job)
        return found

    async def run(self, call: Callable[[], Value]) -> Value:
        """What a call gives, in one of the threads, after what waits already."""
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        found: Value = await self._done(_Job(call, future))
        return found

    def close(self) -> None:
        """Let what runs finish; what waits is left."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _done(self, job: _Job) -> Any:
        self._waiting.append(job)
        self._start()
        return await job.future

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and not self._closed and (jobs := self._next()):
            self._free -= 1
            now = perf_counter()
            self._started(len(jobs), [now - one.asked_at for one in jobs])
            running = loop.run_in_executor(self._pool, _outcomes, jobs)
            running.add_done_callback(partial(self._finish, jobs))

    def _next(self) -> list[_Job]:
        """The oldest that waits, and those that are heard with it."""
        self._waiting = deque(one for one in self._waiting if not one.future.done())
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        if first.kind is None:
            return [first]
        # others are left for the other free threads
        most = -(-(len(self._waiting) + 1) // self._free)
        chosen = [first, *self._batch_with(first, most - 1)]
        self._waiting = deque(one for one in self._waiting if one not in chosen)
        return chosen

    def _batch_with(self, first: _Job, most: int) -> list[_Job]:
        alike = [one for one in self._waiting if one.kind == first.kind]
        alike.sort(key=lambda one: abs(one.samples - first.samples))
        chosen: list[_Job] = []
        longest = first.samples
        for one in alike[:most]:
            longest = max(longest, one.samples)
            if longest * (len(chosen) + 2) > self._most:
                break
            chosen.append(one)
        return chosen

    def _finish(self, jobs: Sequence[_Job], done: asyncio.Future[list[Any]]) -> None:
        self._free += 1
        for job, outcome in zip(jobs, done.result(), strict=True):
            if job.future.done():  # cancelled meanwhile
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        self._start()


class _RequesterGoneError(Exception):
    """Whoever asked is gone."""


def _recognize_long(
    listener: EmotionRecognizer, clip: Waveform, shares: bool, cancelled: Callable[[], bool]
) -> Prediction:
    found = listener.predict_chunks(_pieces(clip.samples, cancelled), shares)
    return replace(found, warnings=(*clip.warnings, *found.warnings))


def _vectors_of(
    listener: EmotionRecognizer, clip: Waveform, cancelled: Callable[[], bool]
) -> Vectors:
    if clip.seconds > listener.whole_seconds:
        return window_vectors(listener, _pieces(clip.samples, cancelled))
    return waveform_vectors(listener, clip)


def _pieces(samples: Samples, cancelled: Callable[[], bool]) -> Iterator[Samples]:
    """The samples in pieces of a second, until nobody waits for the answer any more."""
    for start in range(0, len(samples), RATE):
        if cancelled():
            raise _RequesterGoneError
        yield samples[start : start + RATE]


def _outcomes(jobs: Sequence[_Job]) -> list[Any]:
    """The value of every job, or what it raised; runs in a thread."""
    together = jobs[0].together
    if len(jobs) > 1 and together is not None:
        found = _caught(lambda: together([one.clip for one in jobs if one.clip is not None]))
        if isinstance(found, list) and not any(isinstance(one, Exception) for one in found):
            return found
    return [_caught(one.call) for one in jobs]  # a bad one does its neighbours no harm


def _caught(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # whatever it is, whoever waits is told
        return error


def _lower_priority() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
