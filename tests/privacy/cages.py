"""Programs in a cage: a library under them that ends whoever wants to reach another machine.

It stands between a program and the system, so that native code is in it as well as Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

CAUGHT = 86
_SOURCE = Path(__file__).with_name("cage.c")
_TELLTALES = ("proxy", "telemetry", "usage_stats", "offline", "phonemo")


@cache
def cage() -> Path:
    """The library; the test is skipped where it cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    target = Path(mkdtemp(prefix="phonemo-cage-")) / "cage.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return target


def caged(mode: str, home: Path) -> dict[str, str]:
    """An environment in the cage, as a user has it: nothing in it that asks for silence.

    Args:
        mode: "none", or "loopback" for a server.
        home: the user's folder, where caches would be.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(one in name.lower() for one in _TELLTALES) and not name.startswith("XDG_")
    }
    return kept | {"LD_PRELOAD": str(cage()), "CAGE": mode, "HOME": str(home)}


def run(arguments: Sequence[str | Path], home: Path) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in the cage that lets nothing through."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=caged("none", home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
