"""A watch over a worker: one that gets no further ends its process, for a hang has no exception."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

#: For one file; hours of audio take minutes.
SECONDS = 3600.0


class Watch:
    """While it is open, ``late`` is called once, in a thread, when nothing was done for so long.

    Args:
        seconds: how long.
        late: what to do then.
    """

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds, self._late = seconds, late
        self._done = threading.Condition()
        self._count, self._open = 0, True

    def tick(self) -> None:
        """Something was done."""
        with self._done:
            self._count += 1
            self._done.notify()

    def __enter__(self) -> Watch:
        threading.Thread(target=self._look, name="watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._done:
            self._open = False
            self._done.notify()

    def _look(self) -> None:
        with self._done:
            while self._open:
                before = self._count
                self._done.wait(self._seconds)
                if self._stands_at(before):
                    self._late()
                    return

    def _stands_at(self, before: int) -> bool:
        return self._open and self._count == before
