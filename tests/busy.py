"""Run tests beside busy processes: ``python -m tests.busy`` is ``make test-busy``.

A machine with other work makes programs slow, and that is no fault of theirs: whatever waits for
seconds instead of for a condition fails here first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from phonemo.runtime.workers import available_cpus

ROOMS = ("tests/server", "tests/batch", "tests/abuse")
_TEST_SECONDS = 1800
#: Ends with its parent, which may be killed.
_BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    sum(range(10**6))"


def main(words: Sequence[str] | None = None) -> int:
    """Run the rooms several times; the exit status is that of the first failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.busy", description=__doc__)
    parser.add_argument("--per-core", type=int, default=2, help="busy processes for each core")
    parser.add_argument("--times", type=int, default=2, help="runs in a row")
    options, arguments = parser.parse_known_args(words)
    command = [sys.executable, "-m", "pytest", "-q", f"--timeout={_TEST_SECONDS}"]
    command += arguments or ROOMS
    with busy(options.per_core * available_cpus()) as count:
        for place in range(options.times):
            began = time.monotonic()
            status = subprocess.run(command, check=False).returncode
            took, load = time.monotonic() - began, os.getloadavg()[0]
            beside = f"run {place + 1} beside {count} busy processes"
            print(f"{beside}: status {status}, {took:.0f} s, load {load:.1f}", flush=True)
            if status:
                return status
    return 0


@contextlib.contextmanager
def busy(count: int) -> Iterator[int]:
    """So many processes that compute without a pause; they end with the context."""
    command = [sys.executable, "-c", _BUSY, str(os.getpid())]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield count
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
