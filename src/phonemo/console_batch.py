"""What a batch shows: how far it is, how quickly it goes and when it will be over."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from phonemo import console

if TYPE_CHECKING:
    from phonemo.batch.run import Progress
    from phonemo.batch.summary import Totals

#: The rate is that of the last so many seconds.
_WINDOW_SECONDS = 60.0
#: Where nobody looks, a line is written so often, for the log of a long job.
LINE_SECONDS = 30.0
_SHOWN = 4


class Pace:
    """How quickly something goes, from its counts.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def tell(self, count: int) -> None:
        """So many are done now."""
        now = self._clock()
        if self._seen:  # what a lost worker had done is done again
            count = max(count, self._seen[-1][1])
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Of late; 0 while nothing is known."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now > began else 0.0

    def left(self, total: int) -> float | None:
        """Seconds until all are done; None while nothing is known."""
        rate = self.per_second
        return (total - self._seen[-1][1]) / rate if rate > 0 else None


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A bar for a person, a line now and then for a log; neither when quiet."""
    from phonemo.batch.run import Progress

    began, pace = time.monotonic(), Pace()
    line = began

    class Shown(Progress):
        def listing(self, found: int) -> None:
            bars.update(task, description="listing", completed=found, total=None)

        def sampled(self, done: int, total: int) -> None:
            bars.update(task, description="profile", completed=done, total=total)
            logged(f"{done} of {total} recordings for the profile")

        def begin(self, done: int, total: int) -> None:
            nonlocal began
            began = time.monotonic()
            pace.tell(done)
            bars.update(task, description="hearing", completed=done, total=total)
            if done and not quiet:
                bars.console.print(f"{done} of {total} were heard before", highlight=False)

        def heard(self, done: int, total: int, totals: Totals) -> None:
            pace.tell(done)
            note = _note(pace, total, totals, time.monotonic() - began)
            bars.update(task, completed=done, note=note)
            logged(f"{done} of {total} recordings; {note}")

    def logged(text: str) -> None:
        nonlocal line
        if logs and time.monotonic() - line >= LINE_SECONDS:
            line = time.monotonic()
            print(f"phonemo: {text}", file=sys.stderr, flush=True)

    with console.bars(quiet, left=False) as bars:
        logs = not quiet and not bars.console.is_terminal
        task = bars.add_task("listing", total=None, note="")
        yield Shown()


def lines(found: Mapping[str, Any], output: str) -> Iterator[str]:
    """What a batch prints at its end."""
    from phonemo.errors import shown

    files, now = found["files"], found["now"]
    before = files["planned"] - now["files"]
    again = f" ({before} in earlier runs)" if before else ""
    yield f"{shown(output)}: {files['planned']} recordings{again}, {found['audio_hours']:.2f} h"
    if found["labels"]:
        yield f"  {_counted(found['labels'])}"
    if "profile" in found:
        yield f"  {_profile(found['profile'])}"
    if files["failed"]:
        yield f"  failed: {files['failed']} ({_counted(found['errors'])}); their rows say why"
    if files["named_again"]:
        yield f"  named more than once: {files['named_again']}; each is heard once"
    if files["named_no_more"]:
        yield f"  named no more: {files['named_no_more']}; their rows stay"


def _profile(one: Mapping[str, Any]) -> str:
    """Which profile every row was made with, and of what a first pass made it."""
    if "recordings" not in one:
        return f"profile {one['hash']} ({one['count']} vectors)"
    lost = {"without speech": one["silent"], "that cannot be used": one["failed"]}
    left = " and ".join(f"{count} {kind}" for kind, count in lost.items() if count)
    out = f"; {left} are left out" if left else ""
    return f"profile {one['hash']} of {one['recordings']} recordings ({one['count']} vectors){out}"


def _note(pace: Pace, total: int, totals: Totals, seconds: float) -> str:
    parts = [f"{pace.per_second:.1f} a second"]
    if totals.audio_seconds and seconds > 0:
        parts.append(f"{totals.audio_seconds / seconds:.0f} x real time")
    if (left := pace.left(total)) is not None:
        parts.append(f"{_clock(left)} left")
    if totals.failed:
        parts.append(f"{totals.failed} failed")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _counted(counts: Mapping[str, int]) -> str:
    first = [f"{name} {count}" for name, count in list(counts.items())[:_SHOWN]]
    more = len(counts) - len(first)
    return ", ".join([*first, *([f"{more} more kinds"] if more > 0 else [])])
