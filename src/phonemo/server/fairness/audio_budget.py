"""A bound on the decoded audio that all requests together hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from phonemo.server.fairness.client_turns import FairQueue
from phonemo.server.fairness.clients import CLIENT


class AudioBudget:
    """Bytes of decoded audio, shared by all requests; who needs more than is left waits.

    Args:
        total: bytes; a request that needs more gets all of them.
        changed: called with the number of bytes in use.
    """

    def __init__(self, total: int, changed: Callable[[int], object] = lambda used: None) -> None:
        self.used = 0
        """Bytes that are reserved."""
        self._total, self._changed = total, changed
        self._waiting: FairQueue[tuple[int, asyncio.Future[None]]] = FairQueue()

    @property
    def waiting(self) -> int:
        """The number of requests that wait for bytes."""
        return len(self._waiting)

    def lease(self) -> AudioLease:
        """Return a lease of nothing, for a ``with`` block that may reserve bytes."""
        return AudioLease(self)

    async def take(self, size: int) -> int:
        """Wait for bytes, in turn with other clients; return how many were reserved."""
        size = min(size, self._total)
        if self._waiting or self.used + size > self._total:
            granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.put(CLIENT.get(), (size, granted))
            try:
                await granted
            except asyncio.CancelledError:
                self._abandon(size, granted)
                raise
        else:
            self._use(size)
        return size

    def give_back(self, size: int) -> None:
        """Return bytes, and grant them to those that wait."""
        self._use(-size)
        self._waiting.keep(lambda waiting: not waiting[1].done())  # cancelled in the same moment
        while (first := self._waiting.peek()) and self.used + first[0] <= self._total:
            size, granted = self._waiting.take()
            self._use(size)
            granted.set_result(None)

    def _abandon(self, size: int, granted: asyncio.Future[None]) -> None:
        if granted.done() and not granted.cancelled():
            self.give_back(size)
            return
        self._waiting.keep(lambda waiting: waiting[1] is not granted)
        self.give_back(0)  # a smaller one behind it may fit

    def _use(self, size: int) -> None:
        self.used += size
        self._changed(self.used)


class AudioLease:
    """Bytes of one request, returned at the end of a ``with`` block."""

    def __init__(self, budget: AudioBudget) -> None:
        self._budget, self._size = budget, 0

    def __enter__(self) -> AudioLease:
        return self

    def __exit__(self, *_: object) -> None:
        size, self._size = self._size, 0
        if size:
            self._budget.give_back(size)

    async def reserve(self, size: int) -> None:
        """Wait for bytes; a second call replaces the first."""
        self.__exit__()
        self._size = await self._budget.take(size)
