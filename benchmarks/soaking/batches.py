"""Batches next to the server: the command repeatedly, and one process that runs many batches."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from soaking.asking import Answers
from soaking.processes import born, held, tree

DEADLY_EVERY = 6
LOOK_SECONDS, LINGER_SECONDS, PATIENCE_SECONDS = 0.25, 5.0, 240.0
#: Expected output of a command: its summary, and that a worker died.
_EXPECTED = re.compile(r": \d+ recordings|^  \w|^phonemo: a worker process died|^$")
#: On the batches' PYTHONPATH: a recording of this name kills the process that decodes it.
DEADLY = "deadly.wav"
HOOK = f"""
import os, signal, sys

if any("multiprocessing-fork" in one for one in sys.orig_argv):
    from phonemo.runtime import recognizer

    opened = recognizer.open_waveform

    def hooked(source, **keywords):
        if isinstance(source, str) and os.path.basename(source) == "{DEADLY}":
            os.kill(os.getpid(), signal.SIGKILL)
        return opened(source, **keywords)

    recognizer.open_waveform = hooked
"""


class Batches:
    """Shared parts of both kinds: recordings, a folder for temporary files, the hook."""

    def __init__(self, home: Path, good: list[str], bad: list[str], pause: float) -> None:
        self.home, self.good, self.bad, self.pause = home, good, bad, pause
        self.deadly = str(home / DEADLY)
        self.told: list[dict[str, Any]] = []
        """Measurements of each batch."""
        self.faults: list[str] = []
        self.temporary = home / "tmp"
        self.temporary.mkdir(parents=True)
        shutil.copy(good[0], self.deadly)
        hook = home / "hook"
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        path = os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(self.temporary)}
        self.began = time.monotonic()
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run_guarded, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the running batch."""
        self.over.set()
        self._thread.join(PATIENCE_SECONDS)

    def note(self, found: dict[str, Any]) -> None:
        """Store a batch's measurements with the time."""
        self.told.append(found | {"at": round(time.monotonic() - self.began, 2)})

    def _run_guarded(self) -> None:
        try:
            self.run()
        except Exception as error:  # reported, since a part of the soak test is now missing
            self.faults.append(f"ended early: {type(error).__name__} {error}")

    def run(self) -> None:
        """Run until stopped."""
        raise NotImplementedError


class Commands(Batches):
    """``phonemo batch``, with a new process and a new folder each time."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.answers = Answers()

    def run(self) -> None:
        draw, number = random.Random(5), 0
        while not self.over.is_set():
            files = draw.sample(self.good, 9) + draw.sample(self.bad, 3)
            deadly = number % DEADLY_EVERY == DEADLY_EVERY - 1
            files += [self.deadly] * deadly
            draw.shuffle(files)
            self.note(self._run_command(number, files) | {"deadly": deadly})
            number += 1
            self.over.wait(self.pause)

    def _run_command(self, number: int, files: list[str]) -> dict[str, Any]:
        output, said = self.home / f"out{number}", self.home / "said"
        options = ["-o", str(output), "--workers", "2", "--part-files", "4", "--quiet"]
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "phonemo", "batch", *files, *options],
                env=self.environment, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
            peaks, seen = self._watch(process)
        left = _count_alive(seen)
        self._check(number, process.returncode, output, files, said.read_text("utf-8"))
        half = sum(1 for _ in output.rglob(".*.part")) if output.is_dir() else 0
        temporary = sum(1 for _ in self.temporary.rglob("*"))
        shutil.rmtree(output, ignore_errors=True)
        return {**peaks, "left": left, "half_files": half, "temporary": temporary}

    def _watch(self, process: subprocess.Popen) -> tuple[dict[str, float], dict[int, str]]:
        """Return the peaks, and the processes that were seen."""
        peaks: dict[str, float] = {}
        seen: dict[int, str] = {}
        until = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None:
            pids = tree(process.pid)
            seen |= {pid: when for pid in pids if (when := born(pid))}
            for name, value in held(pids, self.temporary).items():
                peaks[name] = max(value, peaks.get(name, 0))
            if time.monotonic() > until:
                self.faults.append(f"a batch took more than {PATIENCE_SECONDS:g} s")
                process.kill()
            time.sleep(LOOK_SECONDS)
        return peaks, seen

    def _check(self, number: int, code: int, output: Path, files: list[str], said: str) -> None:
        """Check that every file occurs once, good ones with scores, bad ones with an error."""
        rows = [
            json.loads(line)
            for part in sorted((output / "parts").glob("part-*"))
            for line in part.read_text("utf-8").splitlines()
        ]
        failed = {row["file"] for row in rows if "error" in row}
        expected = (set(files) & {*self.bad, self.deadly}, sorted(files), 1)
        if (failed, sorted(row["file"] for row in rows), code) != expected:
            names = sorted(Path(name).name for name in failed ^ expected[0])
            self.faults.append(f"batch {number}: status {code}, {len(rows)} rows, {names}: {said}")
        unexpected = [line for line in said.splitlines() if not _EXPECTED.search(line)]
        if unexpected:
            self.faults.append(f"batch {number} printed {unexpected}")
        for row in rows:
            if "error" not in row:
                self.answers.scores(Path(row["file"]).name, row["scores"])


class Parent(Batches):
    """One process that calls run_batch repeatedly, and reports its resources in between."""

    process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        given = {name: getattr(self, name) for name in ("good", "bad", "deadly", "pause")}
        given["home"] = str(self.home)
        program = Path(__file__).with_name("parent.py")
        with (self.home / "said").open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, str(program), json.dumps(given)], env=self.environment,
                stdout=subprocess.PIPE, stderr=stream, text=True, start_new_session=True,
            )  # fmt: skip
            for line in self.process.stdout:
                self.note(json.loads(line))
        if code := self.process.wait(PATIENCE_SECONDS):
            said = (self.home / "said").read_text("utf-8")[-2000:]
            self.faults.append(f"the parent exited with status {code}: {said}")

    def stop(self) -> None:
        if self.process is None:
            return
        seen = {pid: born(pid) for pid in tree(self.process.pid)}
        (self.home / "stop").touch()
        super().stop()
        if self.process.poll() is None:
            self.faults.append("the parent did not stop")
            self.process.kill()
        if left := _count_alive(seen):
            self.faults.append(f"{left} processes of the parent are left")
        if names := [path.name for path in self.temporary.rglob("*")]:
            self.faults.append(f"temporary files of the parent are left: {names[:5]}")


def _count_alive(seen: dict[int, str]) -> int:
    """Count the processes that still exist after a grace period."""
    until = time.monotonic() + LINGER_SECONDS
    while left := sum(bool(when) and born(pid) == when for pid, when in seen.items()):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return left


def scratch_folder() -> tempfile.TemporaryDirectory:
    """Create the temporary folder of a soak test."""
    return tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True)
