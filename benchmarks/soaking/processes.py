"""What processes hold, as Linux tells it: memory, descriptors, threads, temporary files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

_DELETED = " (deleted)"


def tree(pid: int) -> list[int]:
    """A process, and all that it began in whichever of its threads, and they."""
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text(encoding="ascii").split():
                found += tree(int(child))
    return found


def held(pids: Iterable[int], folder: Path) -> dict[str, float]:
    """What processes hold together; ``folder`` is their TMPDIR.

    Megabytes: ``pss`` counts pages that are shared once in all, also with strangers, so that it
    falls when these begin; ``anonymous`` is what the processes have written themselves.
    """
    found = {"pss": 0.0, "rss": 0.0, "anonymous": 0.0, "fds": 0, "processes": 0, "threads": 0}
    named = sum(1 for _ in folder.rglob("*"))
    nameless = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it may end meanwhile
            one = megabytes(pid)
            links = descriptors(pid)
            threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
            for name, value in one.items():
                found[name] += value
            found["fds"] += len(links)
            found["threads"] += threads
            found["processes"] += 1
            nameless += sum(link.endswith(_DELETED) for link in links)
    return found | {"temporary": named + nameless}


def megabytes(pid: int | str) -> dict[str, float]:
    """By the names of ``held``; a process that ends has none."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    lines = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    return {name.lower(): int(lines[name]) * 1024 / 1e6 for name in ("Pss", "Rss", "Anonymous")}


def descriptors(pid: int | str) -> list[str]:
    """Where each open descriptor of a process leads."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists the folder
            found.append(str(one.readlink()))
    return found


def born(pid: int) -> str:
    """When a process began: with its number, who it is; nothing where it is no more."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
