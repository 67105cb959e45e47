"""Peak memory of this process, measured in two ways.

``resident`` is all memory resident for the process, including pages of mapped files, which the
system can reclaim; ``own`` is the anonymous part, which it cannot. The first is the kernel's peak
(VmHWM), not getrusage's ru_maxrss, since a process inherits that from its parent. The second has no
kernel peak and is sampled.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType

SECONDS_BETWEEN = 0.005
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measures while its block runs; values in megabytes."""

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
    """Read a line of this process' status in megabytes."""
    match = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit(f"{_STATUS} has no {name}; run this benchmark on Linux")
    return int(match[1]) * 1024 / 1e6
