"""Admission control: how many requests may arrive, wait and stream at the same time."""

from __future__ import annotations

import asyncio

from phonemo.server.api_errors import ApiError, too_many_requests
from phonemo.server.fairness.shares import FairShares
from phonemo.server.middleware import Meters
from phonemo.server.settings import ServeLimits

_MAX_RETRY_SECONDS = 600.0
_REFUSALS_PER_SECOND = 100.0
_MAX_DELAY_SECONDS = 1.0


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
    """The limits on requests in progress, shared by clients; each of them refuses with 429.

    Args:
        limits: server limits.
        workers: number of recordings that are recognized at the same time.
        meters: has the gauges of the places.
    """

    def __init__(self, limits: ServeLimits, workers: int, meters: Meters) -> None:
        self._workers = workers
        self.uploads = FairShares(
            limits.uploads, _uploads_full, meters.uploads, meters.yielded.labels("uploads").inc
        )
        """Requests whose body is being received; the slowest of a client yields first."""
        self.queue = FairShares(
            limits.queue + workers,
            self._queue_full,
            meters.in_flight,
            meters.yielded.labels("queue").inc,
        )
        """Requests that wait for a worker or are processed by one; the newest yields first."""
        self.streams = FairShares(
            limits.streams, _streams_full, meters.streams, meters.yielded.labels("streams").inc
        )
        """Open live streams; the one that is silent for longest yields first."""
        self.throttle = Throttle()
        """Paces the refusals, so that clients that retry at once do not starve the others."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return not (self.uploads.in_use or self.queue.in_use or self.streams.in_use)

    @property
    def total(self) -> int:
        """Requests and streams so far."""
        return self.queue.total + self.streams.total

    def _queue_full(self, queue: FairShares) -> ApiError:
        seconds = queue.in_use / self._workers * queue.mean_seconds
        message = f"{queue.in_use} recordings wait already; try again later"
        return too_many_requests("queue_full", message, min(_MAX_RETRY_SECONDS, seconds))


def _uploads_full(uploads: FairShares) -> ApiError:
    message = f"{uploads.in_use} requests are arriving already; try again later"
    return too_many_requests("queue_full", message, 1.0)


def _streams_full(streams: FairShares) -> ApiError:
    message = f"{streams.in_use} streams are open already; try again later"
    return too_many_requests("stream_limit", message, 5.0)
