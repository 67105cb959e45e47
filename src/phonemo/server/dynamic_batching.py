"""Dynamic batching: inference threads that process waiting clips of similar length together."""

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
from phonemo.runtime.windows import PredictOptions, Samples

Value = TypeVar("Value")
#: Inference threads run at a lower priority than the event loop; Linux has per-thread priorities.
_NICE = 10


@dataclass(eq=False)
class _Job:
    """Work that waits for a thread."""

    call: Callable[[], Any]
    """Runs the job alone."""
    future: asyncio.Future[Any]
    kind: Hashable = None
    """Jobs of the same kind can be batched; None cannot."""
    clip: Waveform | None = None
    batch_call: Callable[[Sequence[Waveform]], Sequence[Outcome]] | None = None
    queued_at: float = field(default_factory=perf_counter)

    @property
    def samples(self) -> int:
        return 0 if self.clip is None else len(self.clip.samples)


class DynamicBatcher:
    """A thread pool with a queue that batches jobs.

    Jobs never wait for a batch to fill: when a thread becomes free, the oldest job runs together
    with waiting jobs of similar length, if batching does not change the model's results.

    Args:
        threads: number of threads.
        batch_seconds: most audio in a batch, including padding.
        started: called with the number of clips in a batch, and how long each waited.
    """

    def __init__(
        self,
        threads: int,
        batch_seconds: float,
        started: Callable[[int, Sequence[float]], None] = lambda size, waited: None,
    ) -> None:
        self._free = threads
        self._closed = False
        self._max_samples = int(batch_seconds * RATE)
        self._started = started
        self._waiting: deque[_Job] = deque()
        self._pool = ThreadPoolExecutor(threads, "inference", initializer=_lower_priority)

    async def recognize(
        self, recognizer: EmotionRecognizer, clip: Waveform, options: PredictOptions
    ) -> Prediction:
        """Recognize one recording; arguments as for EmotionRecognizer.predict.

        Raises:
            PhonemoError: the recording cannot be recognized.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prediction] = loop.create_future()
        if clip.seconds > recognizer.whole_seconds:
            job = _Job(lambda: _recognize_long(recognizer, clip, options, future.cancelled), future)
        else:
            kind = (id(recognizer), options) if recognizer.supports_batching else None
            job = _Job(
                lambda: recognizer.predict_waveform(clip, options),
                future,
                kind,
                clip,
                lambda clips: recognizer.predict_together(clips, options),
            )
        prediction: Prediction = await self._enqueue(job)
        return prediction

    async def vectors(self, recognizer: EmotionRecognizer, clip: Waveform) -> Vectors:
        """Return the vectors of one recording for a profile, as EmotionRecognizer.vectors.

        Raises:
            PhonemoError: the network fails.
        """
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        job = _Job(lambda: _vectors_of(recognizer, clip, future.cancelled), future)
        vectors: Vectors = await self._enqueue(job)
        return vectors

    async def run(self, call: Callable[[], Value]) -> Value:
        """Run a call in one of the threads, after the jobs that already wait."""
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        value: Value = await self._enqueue(_Job(call, future))
        return value

    def close(self) -> None:
        """Wait for running jobs; waiting jobs are dropped."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _enqueue(self, job: _Job) -> Any:
        self._waiting.append(job)
        self._start()
        return await job.future

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and not self._closed and (jobs := self._take_batch()):
            self._free -= 1
            now = perf_counter()
            self._started(len(jobs), [now - job.queued_at for job in jobs])
            running = loop.run_in_executor(self._pool, _run_jobs, jobs)
            running.add_done_callback(partial(self._finish, jobs))

    def _take_batch(self) -> list[_Job]:
        """Take the oldest job, and those that are batched with it."""
        self._waiting = deque(job for job in self._waiting if not job.future.done())
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        if first.kind is None:
            return [first]
        # leave an equal share of the jobs to the other free threads
        limit = -(-(len(self._waiting) + 1) // self._free)
        chosen = [first, *self._batch_with(first, limit - 1)]
        self._waiting = deque(job for job in self._waiting if job not in chosen)
        return chosen

    def _batch_with(self, first: _Job, limit: int) -> list[_Job]:
        candidates = [job for job in self._waiting if job.kind == first.kind]
        candidates.sort(key=lambda job: abs(job.samples - first.samples))
        chosen: list[_Job] = []
        longest = first.samples
        for job in candidates[:limit]:
            longest = max(longest, job.samples)
            if longest * (len(chosen) + 2) > self._max_samples:
                break
            chosen.append(job)
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


class _CancelledError(Exception):
    """The job's future was cancelled."""


def _recognize_long(
    recognizer: EmotionRecognizer,
    clip: Waveform,
    options: PredictOptions,
    cancelled: Callable[[], bool],
) -> Prediction:
    prediction = recognizer.predict_chunks(_chunks(clip.samples, cancelled), options)
    return replace(prediction, warnings=(*clip.warnings, *prediction.warnings))


def _vectors_of(
    recognizer: EmotionRecognizer, clip: Waveform, cancelled: Callable[[], bool]
) -> Vectors:
    if clip.seconds > recognizer.whole_seconds:
        return window_vectors(recognizer, _chunks(clip.samples, cancelled))
    return waveform_vectors(recognizer, clip)


def _chunks(samples: Samples, cancelled: Callable[[], bool]) -> Iterator[Samples]:
    """Yield the samples in chunks of a second; stop when the job is cancelled."""
    for start in range(0, len(samples), RATE):
        if cancelled():
            raise _CancelledError
        yield samples[start : start + RATE]


def _run_jobs(jobs: Sequence[_Job]) -> list[Any]:
    """Return the value of every job, or the error it raised; runs in a thread."""
    batch_call = jobs[0].batch_call
    if len(jobs) > 1 and batch_call is not None:
        clips = [job.clip for job in jobs if job.clip is not None]
        results = _catch(lambda: batch_call(clips))
        if isinstance(results, list) and not any(isinstance(one, Exception) for one in results):
            return results
    return [_catch(job.call) for job in jobs]  # alone, so that one error affects no other job


def _catch(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # of any kind: it is passed to the caller
        return error


def _lower_priority() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
