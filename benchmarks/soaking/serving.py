"""The server that is soaked, and the clients that do it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from soaking.mix import KINDS, Target
from soaking.processes import tree

MOST_PAUSE_SECONDS, PATIENCE_SECONDS = 0.5, 60.0
#: So many outcomes that are not right are told.
_MOST_ODD = 50


class Server:
    """phonemo serve with a folder of its own for temporary files."""

    def __init__(self, home: Path) -> None:
        self.temporary, self._said = home / "server", home / "server.said"
        self.temporary.mkdir()
        self.faults: list[str] = []

    def __enter__(self) -> Server:
        with self._said.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "phonemo", "serve", "--port", "0"],
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(r"serving at http://.+:(\d+)/", self.said)):
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server does not start: {self.said}")
            time.sleep(0.05)
        self.port = int(found[1])
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def said(self) -> str:
        """Its standard output and error."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """As an administrator would; what is then left is a fault."""
        if self.process.poll() is not None:
            self.faults.append(f"the server ended by itself, status {self.process.returncode}")
            return
        children = tree(self.process.pid)[1:]
        self.process.send_signal(signal.SIGTERM)
        if status := self.process.wait(PATIENCE_SECONDS):
            self.faults.append(f"the server left with status {status}")
        self.faults += [f"{one} is left" for one in children if Path(f"/proc/{one}").exists()]
        self.faults += [f"{one.name} is left" for one in self.temporary.rglob("*")]
        if more := self.said.strip().splitlines()[1:]:
            self.faults.append(f"the server's log has {len(more)} lines: {more[:40]}")


class Outcomes:
    """How often each kind of request ended how; several threads tell."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.odd: list[str] = []
        """The first that were not right, with their time."""

    def note(self, kind: str, how: str, right: tuple[str, ...]) -> None:
        """One more."""
        with self._lock:
            self._counts[kind, how] += 1
            if how not in right and len(self.odd) < _MOST_ODD:
                self.odd.append(f"{time.strftime('%X')} {kind}: {how}")

    def counts(self) -> list[tuple[str, str, int]]:
        """Kind, outcome, how often."""
        with self._lock:
            return [(kind, how, count) for (kind, how), count in sorted(self._counts.items())]

    @property
    def total(self) -> int:
        """All requests."""
        return sum(count for *_, count in self.counts())


class Client(threading.Thread):
    """Does one thing after the other; holds still while somebody has its turn."""

    def __init__(self, number: int, target: Target, outcomes: Outcomes) -> None:
        super().__init__(daemon=True)
        self.turn, self.over = threading.Lock(), threading.Event()
        self._target, self._outcomes, self._draw = target, outcomes, random.Random(number)

    def run(self) -> None:
        weights = [weight for _, weight, _ in KINDS]
        kind, _, right = KINDS[0]
        while not self.over.wait(self._draw.uniform(0, MOST_PAUSE_SECONDS)):
            with self.turn:
                try:
                    how = kind(self._target, self._draw)
                except Exception as error:  # told with the outcomes, of which it is none
                    how = f"{type(error).__name__} {error}"
            self._outcomes.note(kind.__name__, how, right)
            ((kind, _, right),) = self._draw.choices(KINDS, weights)
