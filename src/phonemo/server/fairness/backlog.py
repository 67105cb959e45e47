"""Estimates of when a recording is done, from the measured speed and from what is queued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_WEIGHT = 0.02
"""Of a second of audio in the running mean; a minute or two are remembered."""


class WorkRate:
    """Measured seconds of work per second of audio, at present and at best."""

    def __init__(self) -> None:
        self.now = 0.0
        """Running mean; 0 before the first measurement."""
        self.best = 0.0
        """The lowest mean so far: the speed of this machine when nothing else runs on it."""
        self._audio_seconds = 0.0

    def measured(self, audio_seconds: float, seconds: float) -> None:
        """Count a piece of work."""
        if audio_seconds <= 0:
            return
        self._audio_seconds += audio_seconds
        # at first a plain mean, then one that forgets
        weight = min(1.0, max(_WEIGHT * audio_seconds, audio_seconds / self._audio_seconds))
        self.now += weight * (seconds / audio_seconds - self.now)
        if weight < 1 and (not self.best or self.now < self.best):
            self.best = self.now


@dataclass(eq=False)
class Remaining:
    """Audio of one request that is not processed yet."""

    client: str
    audio_seconds: float


class Backlog:
    """The audio of all requests that is not processed yet, by client.

    Args:
        workers: number of recordings that are processed at the same time.
        rate: the measured speed.
    """

    def __init__(self, workers: int, rate: WorkRate) -> None:
        self._workers, self._rate = workers, rate
        self._all: dict[Remaining, None] = {}

    @property
    def audio_seconds(self) -> float:
        """Of all requests together."""
        return sum(one.audio_seconds for one in self._all)

    @contextmanager
    def holding(self, client: str) -> Iterator[Remaining]:
        """Count a request; set its ``audio_seconds`` once they are known."""
        remaining = Remaining(client, 0.0)
        self._all[remaining] = None
        try:
            yield remaining
        finally:
            del self._all[remaining]

    def seconds_until_done(self, client: str, audio_seconds: float) -> float:
        """Estimate when a new recording of a client is done.

        Clients take turns, so a client delays another by no more work than that one has itself; its
        own recordings are processed in order.
        """
        queued: Counter[str] = Counter()
        for one in self._all:
            queued[one.client] += one.audio_seconds  # type: ignore[assignment]
        own = queued[client] + audio_seconds
        together = own + sum(min(queued[other], own) for other in queued if other != client)
        return max(audio_seconds, together / self._workers) * self._rate.now

    def seconds_alone(self, audio_seconds: float) -> float:
        """Estimate the time on this machine when it does nothing else."""
        return audio_seconds * self._rate.best
