"""Refusals at a steady pace: clients that ask again at once take no time from the others."""

from __future__ import annotations

import asyncio

_PER_SECOND = 100.0
_LONGEST_SECONDS = 1.0


class Pace:
    """Lets callers through one after the other, each at most a second late.

    A crowd that was refused at the same moment would also come back at the same moment.
    """

    def __init__(
        self, per_second: float = _PER_SECOND, longest_seconds: float = _LONGEST_SECONDS
    ) -> None:
        self._step, self._longest = 1 / per_second, longest_seconds
        self._free_at = 0.0

    async def wait(self) -> None:
        """Until it is the caller's turn."""
        now = asyncio.get_running_loop().time()
        turn = min(max(now, self._free_at), now + self._longest)
        self._free_at = turn + self._step
        if turn > now:
            await asyncio.sleep(turn - now)
