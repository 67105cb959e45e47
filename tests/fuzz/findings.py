"""What fell out: a file for each fault, as small as some tries make it, and its trace."""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

Run = Callable[[bytes], None]
#: An execution that takes longer is a fault.
SLOW_SECONDS = 5.0
_MINIMISING_SECONDS = 2.0


class TooLongError(BaseException):
    """An execution took longer than it may; no parser catches it."""


class Findings:
    """The faults of one target, each once: by its kind and the line of phonemo that let it out."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._smallest: dict[str, int] = {}

    def __call__(self, data: bytes) -> None:
        """One execution; whatever it raises is noted."""
        mark = marked(self._run, data)
        if mark is not None and len(data) < self._smallest.get(mark, sys.maxsize):
            new = mark not in self._smallest
            small = smaller(self._run, data, mark) if new else data
            self._smallest[mark] = len(small)
            self._note(mark, small)

    def _note(self, mark: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z]+", "-", mark).strip("-")[:60]
        path = self._folder / f"{name}-{hashlib.sha256(mark.encode()).hexdigest()[:8]}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"{mark}\n\n{_trace(self._run, data)}", "utf-8")


def marked(run: Run, data: bytes) -> str | None:
    """What tells a fault from others; None where there is none.

    The processor's time counts: on a busy machine everything takes long by the clock.
    """
    began = time.process_time()
    try:
        run(data)
    except (Exception, TooLongError) as error:
        return _mark(error)
    return "slow" if time.process_time() - began > SLOW_SECONDS else None


def _mark(error: BaseException) -> str:
    """Its kind, and the line of phonemo that it, or the error that it complains of, comes from."""
    for one in (error, error.__context__):
        walk = list(traceback.walk_tb(one.__traceback__)) if one is not None else []
        ours = [(frame, line) for frame, line in walk if _package(frame) == "phonemo"]
        if ours:
            break
    frame, line = (ours or list(traceback.walk_tb(error.__traceback__)))[-1]
    place = f"{frame.f_code.co_name}, {Path(frame.f_code.co_filename).name} {line}"
    return f"{type(error).__name__} in {place}"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _trace(run: Run, data: bytes) -> str:
    try:
        run(data)
    except (Exception, TooLongError) as error:
        return "".join(traceback.format_exception(error, limit=-6))
    return "it does not happen again"


def smaller(run: Run, data: bytes, mark: str) -> bytes:
    """The data with whatever can be left out left out: halves first, then single bytes."""
    size, end = len(data) // 2, time.monotonic() + _MINIMISING_SECONDS
    while size:
        at = 0
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            if marked(run, shorter) == mark:
                data = shorter
            else:
                at += size
        size //= 2
    return data


@contextlib.contextmanager
def bounded(seconds: float, more_bytes: int) -> Iterator[None]:
    """Time and memory of an execution: TooLongError, MemoryError. On Linux; elsewhere neither."""
    if sys.platform != "linux":
        yield
        return
    with _memory(more_bytes), _clock(seconds):
        yield


@contextlib.contextmanager
def _memory(more_bytes: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _clock(seconds: float) -> Iterator[None]:
    """The processor's: a busy machine is no hang, and pytest-timeout has the other one."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"longer than {seconds:g} s")

    handler = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
