"""`phonemo serve` as a user starts it, on a free port."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """Where it is."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def serving(*options: str) -> Iterator[Serving]:
    """A warm server; it has to leave with status 0."""
    command = [sys.executable, "-m", "phonemo", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        while "warming up" in (line := process.stderr.readline()):
            continue
        found = re.search(r"http://\S+", line)
        assert found is not None, line + process.stderr.read()
        yield Serving(found[0], process)
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert said == "", said
