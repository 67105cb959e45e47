"""The deadline of a request, which grows with the audio that it turns out to hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar


class Deadline:
    """The time until which a request is answered.

    Args:
        seconds: for a request without audio.
        per_audio_second: seconds that each second of audio adds.
        timeout: is moved when the deadline is.
    """

    def __init__(self, seconds: float, per_audio_second: float, timeout: asyncio.Timeout) -> None:
        self.seconds = seconds
        """From the last byte of the request."""
        self.audio_seconds = 0.0
        """Audio that is known so far."""
        self._per_audio_second, self._timeout = per_audio_second, timeout
        self._began = asyncio.get_running_loop().time()

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._began + self.seconds - asyncio.get_running_loop().time()

    def add_audio(self, seconds: float) -> None:
        """Move the deadline for so much audio."""
        self.audio_seconds += seconds
        self.seconds += seconds * self._per_audio_second
        if not self._timeout.expired():
            self._timeout.reschedule(self._began + self.seconds)


#: The deadline of the current request; None for the warm-up.
DEADLINE: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@asynccontextmanager
async def deadline(seconds: float, per_audio_second: float) -> AsyncIterator[Deadline]:
    """Set the deadline of the current request; TimeoutError past it."""
    async with asyncio.timeout(seconds) as timeout:
        made = Deadline(seconds, per_audio_second, timeout)
        token = DEADLINE.set(made)
        try:
            yield made
        finally:
            DEADLINE.reset(token)
