"""Resources of processes on Linux: memory, descriptors, threads, temporary files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

_DELETED = " (deleted)"


def tree(pid: int) -> list[int]:
    """List a process and all its descendants, of any thread."""
    pids = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text(encoding="ascii").split():
                pids += tree(int(child))
    return pids


def held(pids: Iterable[int], folder: Path) -> dict[str, float]:
    """Sum the resources of processes; ``folder`` is their TMPDIR.

    In megabytes: ``pss`` divides shared pages among all processes that share them, so it falls when
    others start; ``anonymous`` is memory written by the processes themselves.
    """
    totals = {"pss": 0.0, "rss": 0.0, "anonymous": 0.0, "fds": 0, "processes": 0, "threads": 0}
    files = sum(1 for _ in folder.rglob("*"))
    deleted = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # the process may end meanwhile
            memory = megabytes(pid)
            links = descriptors(pid)
            threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
            for name, value in memory.items():
                totals[name] += value
            totals["fds"] += len(links)
            totals["threads"] += threads
            totals["processes"] += 1
            deleted += sum(link.endswith(_DELETED) for link in links)
    return totals | {"temporary": files + deleted}


def megabytes(pid: int | str) -> dict[str, float]:
    """Read memory by the names of ``held``; a process that has ended has none."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    lines = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    return {name.lower(): int(lines[name]) * 1024 / 1e6 for name in ("Pss", "Rss", "Anonymous")}


def descriptors(pid: int | str) -> list[str]:
    """List the targets of a process' open descriptors."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this listing
            found.append(str(link.readlink()))
    return found


def born(pid: int) -> str:
    """Read a process' start time, which identifies it with its id; empty if it has ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
