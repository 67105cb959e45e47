"""Admission control: how many requests may arrive, wait and stream at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Gauge

from phonemo.server.api_errors import ApiError, too_many_requests
from phonemo.server.middleware import Meters
from phonemo.server.settings import ServeLimits

_FIRST_MEAN_SECONDS = 0.1
_MEAN_WEIGHT = 0.1
_MAX_RETRY_SECONDS = 30.0
_REFUSALS_PER_SECOND = 100.0
_MAX_DELAY_SECONDS = 1.0


class Slots:
    """A limited number of slots, each held for the length of a ``with`` block.

    Args:
        limit: the number of slots.
        refusal: builds the error that is raised when all of them are in use.
        gauge: a metric that follows the number in use.
    """

    def __init__(
        self, limit: int, refusal: Callable[[Slots], ApiError], gauge: Gauge | None = None
    ) -> None:
        self.in_use = 0
        self.mean_seconds = _FIRST_MEAN_SECONDS
        """Running mean of how long a slot is held."""
        self._limit, self._refusal, self._gauge = limit, refusal, gauge

    def check_free(self) -> None:
        """Raise the refusal when all slots are in use."""
        if self.in_use >= self._limit:
            raise self._refusal(self)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot; raise the refusal when all of them are in use."""
        self.check_free()
        began = perf_counter()
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)
            self.mean_seconds += _MEAN_WEIGHT * (perf_counter() - began - self.mean_seconds)

    def _count(self, change: int) -> None:
        self.in_use += change
        if self._gauge is not None:
            self._gauge.inc(change)


class Throttle:
    """Spaces out callers evenly, each delayed by at most a second.

    Clients that were all refused at the same moment would all retry at the same moment.
    """

    def __init__(
        self,
        per_second: float = _REFUSALS_PER_SECOND,
        longest_seconds: float = _MAX_DELAY_SECONDS,
    ) -> None:
        self._step, self._longest = 1 / per_second, longest_seconds
        self._free_at = 0.0

    async def wait(self) -> None:
        """Wait for the caller's turn."""
        now = asyncio.get_running_loop().time()
        turn = min(max(now, self._free_at), now + self._longest)
        self._free_at = turn + self._step
        if turn > now:
            await asyncio.sleep(turn - now)


class Admission:
    """The limits on requests in progress; each of them refuses with 429.

    Args:
        limits: server limits.
        workers: number of recordings that are recognized at the same time.
        meters: has the gauges of the queue and of the streams.
    """

    def __init__(self, limits: ServeLimits, workers: int, meters: Meters) -> None:
        self._workers = workers
        self.uploads = Slots(limits.uploads, _uploads_full)
        """Requests whose body is being received."""
        self.queue = Slots(limits.queue + workers, self._queue_full, meters.in_flight)
        """Requests that wait for a worker or are processed by one."""
        self.streams = Slots(limits.streams, _streams_full, meters.streams)
        """Open live streams."""
        self.throttle = Throttle()
        """Paces the refusals, so that clients that retry at once do not starve the others."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return not (self.uploads.in_use or self.queue.in_use or self.streams.in_use)

    def _queue_full(self, queue: Slots) -> ApiError:
        seconds = queue.in_use / self._workers * queue.mean_seconds
        message = f"{queue.in_use} recordings wait already; try again later"
        return too_many_requests("queue_full", message, min(_MAX_RETRY_SECONDS, seconds))


def _uploads_full(uploads: Slots) -> ApiError:
    message = f"{uploads.in_use} requests are arriving already; try again later"
    return too_many_requests("queue_full", message, 1.0)


def _streams_full(streams: Slots) -> ApiError:
    message = f"{streams.in_use} streams are open already; try again later"
    return too_many_requests("stream_limit", message, 5.0)
