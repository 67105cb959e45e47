"""Inference threads: short recordings have a lane and are batched, long ones go by windows."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import Prediction
from phonemo.audio import RATE, Waveform
from phonemo.runtime.adaptation.adaptable import waveform_vectors, window_vector_steps
from phonemo.runtime.adaptation.pool import Vectors
from phonemo.runtime.batching import Outcome
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import PredictOptions, Samples
from phonemo.server.fairness.client_turns import FairQueue
from phonemo.server.fairness.clients import CLIENT

Value = TypeVar("Value")
#: Work on a long recording: yields after each second of it, returns the result.
Steps = Generator[None, None, Value]
#: Of so many turns, one is a long recording's while some wait.
_SHORT_TURNS = 4
#: The threads of long recordings are nicer by so much.
_LONG_NICENESS = 5
#: The outcome of a step of a long recording that is not its last.
_UNFINISHED = object()


@dataclass(eq=False)
class _Job:
    """Work that waits for a thread."""

    call: Callable[[], Any]
    """Runs the job alone, or its next step."""
    future: asyncio.Future[Any]
    long: bool = False
    """Whether it takes several steps."""
    kind: Hashable = None
    """Jobs of the same kind can be batched; None cannot."""
    clip: Waveform | None = None
    batch_call: Callable[[Sequence[Waveform]], Sequence[Outcome]] | None = None
    step_done: Callable[[float], object] = lambda seconds: None
    """Called with the seconds of each run."""
    client: str = field(default_factory=CLIENT.get)
    queued_at: float = field(default_factory=perf_counter)
    begun: bool = False

    @property
    def samples(self) -> int:
        return 0 if self.clip is None else len(self.clip.samples)


class DynamicBatcher:
    """Threads with a queue in which clients take turns, and that batches jobs.

    Jobs never wait for a batch to fill: when a thread becomes free, the next job runs together with
    waiting jobs of similar length, if batching does not change the model's results. A long
    recording gives up its thread after each second, and a short one has a thread beside those that
    long ones occupy, so it waits for one window at most.

    Args:
        threads: number of jobs that run at once, not counting that one.
        batch_seconds: most audio in a batch, including padding.
        started: called with the number of clips in a batch, and how long each waited.
        niceness: added to that of the threads for long recordings; a fifth for the others.
    """

    def __init__(
        self,
        threads: int,
        batch_seconds: float,
        started: Callable[[int, Sequence[float]], None] = lambda size, waited: None,
        niceness: int = 5,
    ) -> None:
        self._threads = threads
        self._running = {False: 0, True: 0}
        self._closed = False
        self._max_samples = int(batch_seconds * RATE)
        self._started = started
        self._short: FairQueue[_Job] = FairQueue()
        self._long: FairQueue[_Job] = FairQueue()
        self._short_turns = 0
        self._pools = {
            long: ThreadPoolExecutor(threads, name, partial(_lower_priority, nice))
            for long, name, nice in (
                (False, "short", -(-niceness // _LONG_NICENESS)),
                (True, "long", niceness),
            )
        }

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return len(self._short) + len(self._long)

    async def recognize(
        self,
        recognizer: EmotionRecognizer,
        clip: Waveform,
        options: PredictOptions,
        progress: Callable[[float, float], object] = lambda audio_seconds, seconds: None,
    ) -> Prediction:
        """Recognize one recording; arguments as for EmotionRecognizer.predict.

        ``progress`` is called with the seconds of audio that were processed, and the time it took.

        Raises:
            PhonemoError: the recording cannot be recognized.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prediction] = loop.create_future()
        if clip.seconds > recognizer.whole_seconds:
            steps = _recognition_steps(recognizer, clip, options)
            step_done = partial(progress, 1.0)
            job = _Job(partial(_advance, steps), future, long=True, step_done=step_done)
        else:
            kind = (id(recognizer), options) if recognizer.supports_batching else None
            job = _Job(
                lambda: recognizer.predict_waveform(clip, options),
                future,
                kind=kind,
                clip=clip,
                batch_call=lambda clips: recognizer.predict_together(clips, options),
                step_done=partial(progress, clip.seconds),
            )
        prediction: Prediction = await self._enqueue(job)
        return prediction

    async def vectors(self, recognizer: EmotionRecognizer, clip: Waveform) -> Vectors:
        """Return the vectors of one recording for a profile, as EmotionRecognizer.vectors.

        Raises:
            PhonemoError: the network fails.
        """
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        if clip.seconds > recognizer.whole_seconds:
            steps = window_vector_steps(recognizer, _seconds_of(clip.samples))
            job = _Job(partial(_advance, steps), future, long=True)
        else:
            job = _Job(lambda: waveform_vectors(recognizer, clip), future)
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
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    async def _enqueue(self, job: _Job) -> Any:
        (self._long if job.long else self._short).put(job.client, job)
        future = job.future
        self._start()
        del job  # the frame of a failed call must not keep the audio
        return await future

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed and (jobs := self._take_batch()):
            long = jobs[0].long
            self._running[long] += 1
            self._count_started([job for job in jobs if not job.begun])
            running = loop.run_in_executor(self._pools[long], _run_jobs, jobs)
            running.add_done_callback(partial(self._finish, jobs))

    def _count_started(self, jobs: Sequence[_Job]) -> None:
        now = perf_counter()
        for job in jobs:
            job.begun = True
        if jobs:
            self._started(len(jobs), [now - job.queued_at for job in jobs])

    def _take_batch(self) -> list[_Job]:
        """Take the next job that a thread is free for, and those that are batched with it."""
        for lane in (self._short, self._long):
            lane.keep(lambda job: not job.future.done())
        free = self._threads - sum(self._running.values())
        short_free = min(self._threads - self._running[False], free + 1)
        turn_of_long = self._short_turns >= _SHORT_TURNS or not (self._short and short_free > 0)
        if self._long and free > 0 and turn_of_long:
            self._short_turns = 0
            return [self._long.take()]
        if not self._short or short_free <= 0:
            return []
        self._short_turns += 1
        first = self._short.take()
        if first.kind is None:
            return [first]
        # leave an equal share of the jobs to the other free threads
        limit = -(-(len(self._short) + 1) // short_free)
        chosen = [first, *self._batch_with(first, limit - 1)]
        self._short.keep(lambda job: job not in chosen)
        return chosen

    def _batch_with(self, first: _Job, limit: int) -> list[_Job]:
        candidates = [job for job in self._short if job.kind == first.kind]
        candidates.sort(key=lambda job: abs(job.samples - first.samples))
        chosen: list[_Job] = []
        longest = first.samples
        for job in candidates[:limit]:
            longest = max(longest, job.samples)
            if longest * (len(chosen) + 2) > self._max_samples:
                break
            chosen.append(job)
        return chosen

    def _finish(self, jobs: Sequence[_Job], done: asyncio.Future[_Ran]) -> None:
        self._running[jobs[0].long] -= 1
        if done.cancelled():  # the server stops at once, before a thread has begun
            for job in jobs:
                job.future.cancel()
            return
        ran = done.result()
        for job, outcome in zip(jobs, ran.outcomes, strict=True):
            job.step_done(ran.seconds / len(jobs))
            if job.future.done():  # cancelled meanwhile
                continue
            if outcome is _UNFINISHED:
                self._long.put_back(job.client, job)
            elif isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        self._start()


@dataclass(frozen=True)
class _Ran:
    """Jobs that were run."""

    outcomes: Sequence[Any]
    """The value of each, the error it raised, or _UNFINISHED."""
    seconds: float


def _advance(steps: Steps[Any]) -> Any:
    """Run the next step; return the result after the last one."""
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    return _UNFINISHED


def _recognition_steps(
    recognizer: EmotionRecognizer, clip: Waveform, options: PredictOptions
) -> Steps[Prediction]:
    """As EmotionRecognizer.predict_chunks."""
    inference = recognizer.sliding_inference(options)
    for piece in _seconds_of(clip.samples):
        inference.push(piece)
        yield
    inference.finish()
    return with_doubt(inference.answer(clip.warnings), recognizer.abstain_below)


def _seconds_of(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), RATE):
        yield samples[start : start + RATE]


def _run_jobs(jobs: Sequence[_Job]) -> _Ran:
    """Run jobs, together if they can be; runs in a thread."""
    began = perf_counter()
    outcomes = _outcomes(jobs)
    return _Ran(outcomes, perf_counter() - began)


def _outcomes(jobs: Sequence[_Job]) -> Sequence[Any]:
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


def _lower_priority(niceness: int) -> None:
    """Linux has priorities for single threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        lowest = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, lowest + niceness)
