"""Servers as processes of their own, and what Linux tells of one: memory, files, children."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.server.asking import post, wav
from tests.server.serving import Process, children, command

__all__ = [
    "Process",
    "children",
    "family",
    "heard",
    "memory_bytes",
    "open_files",
    "peak_bytes",
    "reset_peak",
    "server",
    "temporary_files",
]

#: Holds after each abuse: it is answered in a moment.
_ORDINARY = wav(0.5)


@contextlib.contextmanager
def server(*words: str, **environment: str) -> Iterator[Process]:
    """``phonemo serve`` with the golden bundle, once it is warm; it is killed afterwards.

    Args:
        words: of the command line, such as "--set", "limits.body_bytes=1000".
        environment: further variables, such as TMPDIR.
    """
    with command(*words, **environment) as found:
        assert found.port
        yield found


def heard(found: Process) -> None:
    """The next ordinary request is answered, by the same process."""
    answer = post(found.port, _ORDINARY)
    assert answer.status == 200, answer.body
    assert abs(sum(answer.data["scores"].values()) - 1) < 1e-4
    assert found.process.poll() is None


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    return [pid, *(int(one) for one in children(pid))]


def memory_bytes(pid: int) -> int:
    """What a process and its children hold in memory now."""
    return sum(_status_bytes(one, "VmRSS") for one in family(pid))


def peak_bytes(pid: int) -> int:
    """The most that each of them held since its start or ``reset_peak``, added up."""
    return sum(_status_bytes(one, "VmHWM") for one in family(pid))


def reset_peak(pid: int) -> None:
    """Begin anew with the peak of a process and its children."""
    for one in family(pid):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            Path(f"/proc/{one}/clear_refs").write_text("5", encoding="ascii")


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to; of this process alone."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(one))
    return found


def temporary_files(pid: int) -> list[str]:
    """Open files that have no name (any more), as uploads are kept in."""
    return [one for one in open_files(pid) if one.startswith("/") and one.endswith("(deleted)")]


def _status_bytes(pid: int, field: str) -> int:
    """A line of /proc/PID/status; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(one.split()[1]) * 1024 for one in lines if one.startswith(f"{field}:"))
