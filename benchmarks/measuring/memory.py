"""Peak memory of this process, in two ways that tell different things.

``resident`` is all that the system keeps for the process, pages of mapped files included, which it
can take back at any time; ``own`` is the anonymous part, which it cannot. The first is the kernel's
own mark (VmHWM): getrusage's ru_maxrss is not used, since a process begins with the mark of the
one that started it. The second has no such mark and is sampled.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType

SECONDS_BETWEEN = 0.005
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Watches while its block runs; megabytes afterwards."""

    def __init__(self) -> None:
        self.resident = 0.0
        self.own = 0.0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watch.join()
        self.resident = megabytes("VmHWM")

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.wait(SECONDS_BETWEEN)
            self.own = max(self.own, megabytes("RssAnon"))


def megabytes(name: str) -> float:
    """A line of this process' status."""
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{_STATUS} has no {name}: this benchmark needs Linux")
    return int(found[1]) * 1024 / 1e6
