"""The server under test, and its clients."""

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
#: For a server on a busy machine.
START_SECONDS = 300.0
#: Most wrong outcomes that are reported.
_MOST_ODD = 50
#: A server without processor time for a request refuses it: "busy" in its answers.
_BUSY = ("429", "503", "error 1013")


class Server:
    """phonemo serve with a separate folder for temporary files."""

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
        until = time.monotonic() + START_SECONDS
        while not (found := re.search(r"serving at http://.+:(\d+)/", self.said)):
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
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
        """Stop as an administrator would; anything left over is a fault."""
        if self.process.poll() is not None:
            self.faults.append(
                f"the server ended unexpectedly with status {self.process.returncode}"
            )
            return
        children = tree(self.process.pid)[1:]
        self.process.send_signal(signal.SIGTERM)
        if status := self.process.wait(PATIENCE_SECONDS):
            self.faults.append(f"the server exited with status {status}")
        self.faults += [f"{pid} is left" for pid in children if Path(f"/proc/{pid}").exists()]
        self.faults += [f"{path.name} is left" for path in self.temporary.rglob("*")]
        if more := self.said.strip().splitlines()[1:]:
            self.faults.append(f"the server's log has {len(more)} lines: {more[:40]}")


class Outcomes:
    """Counts of outcomes by kind of request, shared by threads.

    Args:
        loaded: other programs use the processors, so that refusals as busy are right.
    """

    def __init__(self, loaded: bool = False) -> None:
        self._more: tuple[str, ...] = _BUSY if loaded else ()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.odd: list[str] = []
        """The first wrong outcomes, with their time."""

    def note(self, kind: str, how: str, right: tuple[str, ...]) -> None:
        """Count an outcome."""
        with self._lock:
            self._counts[kind, how] += 1
            if how not in (*right, *self._more) and len(self.odd) < _MOST_ODD:
                self.odd.append(f"{time.strftime('%X')} {kind}: {how}")

    def counts(self) -> list[tuple[str, str, int]]:
        """Kind, outcome and count."""
        with self._lock:
            return [(kind, how, count) for (kind, how), count in sorted(self._counts.items())]

    @property
    def total(self) -> int:
        """All requests."""
        return sum(count for *_, count in self.counts())


class Client(threading.Thread):
    """Sends one request after the other; pauses while another thread holds ``turn``."""

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
                except Exception as error:  # reported as a wrong outcome
                    how = f"{type(error).__name__} {error}"
            self._outcomes.note(kind.__name__, how, right)
            ((kind, _, right),) = self._draw.choices(KINDS, weights)
