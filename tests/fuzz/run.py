"""Every target for its share of the time: python -m tests.fuzz.run --minutes 10 [--target NAME].

What grows lies under build/fuzz: inputs that reached new lines, logs, and findings. The exit status
is 1 where there are findings. Ctrl-C ends the processes and shows the table so far. Runs add up:
what ran least comes first, and tests.fuzz.ledger prints the sums.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.fuzz.ledger import Ledger
from tests.fuzz.targets import TARGETS, target_of
from tests.fuzz.worker import BEFORE

ROOT = Path(__file__).resolve().parents[2]
_SIDE_BY_SIDE = 2
_LEAST_SECONDS = 3
_MOST_STARTS = 20  # a native crash ends a process; another one then goes on
_PATIENCE_SECONDS = 90
_LOST = "it ended without a word"


@dataclass
class Tally:
    """What became of one target."""

    name: str
    executions: int = 0
    seconds: float = 0.0
    cover: str = "-"
    features: str = "-"
    trouble: str = ""
    """Why nothing ran, though it should have."""
    left_out: str = ""
    """What is not installed, so that nothing ran."""
    findings: list[Path] = field(default_factory=list)


class Fuzzing:
    """All targets, two side by side."""

    def __init__(self, engine: str, folder: Path, seed: int) -> None:
        self._engine, self._folder, self._seed = engine, folder, seed
        self._ledger = Ledger(folder)
        self._stopped = threading.Event()
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, names: Sequence[str], minutes: float) -> list[Tally]:
        """One tally a target; those that ran least so far come first."""
        side = min(_SIDE_BY_SIDE, len(names))
        share = max(_LEAST_SECONDS, minutes * 60 * side / len(names))
        tallies = [Tally(name) for name in sorted(names, key=self._ledger.seconds)]
        with ThreadPoolExecutor(side) as pool:
            try:
                for done in [pool.submit(self._fuzz, one, share) for one in tallies]:
                    done.result()
            except KeyboardInterrupt:
                self._stop()
        return tallies

    def _stop(self) -> None:
        self._stopped.set()
        for process in list(self._running):
            process.terminate()

    def _fuzz(self, tally: Tally, share: float) -> None:
        tally.left_out = ", ".join(target_of(tally.name).missing)
        if not tally.left_out:
            self._try(tally, share)
        if tally.executions:
            self._note(tally)
        say(line_of(tally))

    def _note(self, tally: Tally) -> None:
        self._ledger.add(
            tally.name,
            self._engine,
            executions=tally.executions,
            seconds=round(tally.seconds, 1),
            cover=_number(tally.cover),
            features=_number(tally.features),
            findings=len(tally.findings),
        )

    def _try(self, tally: Tally, share: float) -> None:
        end = time.monotonic() + share
        place = self._folder / re.sub(r"\W+", "-", tally.name)
        _put_aside(place)
        for start in range(_MOST_STARTS):
            left = int(end - time.monotonic())
            if self._stopped.is_set() or (start and left < _LEAST_SECONDS):
                break
            if not self._once(tally, place, max(_LEAST_SECONDS, left), self._seed + start):
                break
        tally.findings = _found(place)

    def _once(self, tally: Tally, place: Path, seconds: int, seed: int) -> bool:
        """One process; whether another may go on where it ended."""
        place.mkdir(parents=True, exist_ok=True)
        log = place / f"log-{seed}.txt"
        words = [self._engine, tally.name, str(place), str(seconds), str(seed)]
        began = time.monotonic()
        with log.open("wb") as target:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", *words],
                cwd=ROOT,
                stdout=target,
                stderr=subprocess.STDOUT,
            )
            self._running.add(process)
            status = _ended(process, seconds + _PATIENCE_SECONDS)
            self._running.discard(process)
        tally.seconds += time.monotonic() - began
        executions = _count(tally, log.read_text("utf-8", "replace"))
        if status and not executions:
            tally.trouble = _last_line(log)
        return bool(status) and bool(executions)


def _put_aside(place: Path) -> None:
    """What earlier runs noted is tried again, and noted again where it still fails."""
    (place / BEFORE).mkdir(parents=True, exist_ok=True)
    for path in [*(place / "findings").glob("*"), *(place / "artifacts").glob("*")]:
        path.replace(place / BEFORE / path.name)


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _count(tally: Tally, log: str) -> int:
    """Executions of one process: the final count, or the last one that was told."""
    final = re.findall(r"stat::number_of_executed_units: +(\d+)", log)
    told = re.findall(r"^#(\d+)\t", log, re.MULTILINE) + re.findall(r"^executions (\d+)", log, re.M)
    executions = int((final or told or ["0"])[-1])
    tally.executions += executions
    for name, value in re.findall(r"\b(cov|ft): (\d+)", log)[-2:]:
        setattr(tally, "cover" if name == "cov" else "features", value)
    return executions


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines() or [_LOST]
    return lines[-1][:120]


def _found(place: Path) -> list[Path]:
    """Inputs of faults, by our own account and by libFuzzer's."""
    noted = sorted(one for one in (place / "findings").glob("*") if one.suffix != ".txt")
    return noted + sorted((place / "artifacts").glob("*-*"))


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line_of(tally: Tally) -> str:
    """One line of the table."""
    speed = tally.executions / tally.seconds if tally.seconds else 0.0
    why = f"left out: needs {tally.left_out}" if tally.left_out else tally.trouble
    numbers = f"{tally.executions:>11}{speed:>9.0f}{tally.cover:>7}{tally.features:>7}"
    return f"{tally.name:<18}{numbers}{len(tally.findings):>9}  {why}".rstrip()


def show(tallies: Sequence[Tally]) -> int:
    """The sum, and what to do with the findings; the exit status."""
    total = sum(one.executions for one in tallies)
    say(f"{'together':<18}{total:>11}")
    missing = [one for one in tallies if one.trouble]
    found = [(one, path) for one in tallies for path in one.findings]
    for one, path in found:
        text = path.with_suffix(".txt")
        mark = text.read_text("utf-8").splitlines()[0] if text.is_file() else path.name
        say(f"\n{one.name}: {mark}\n  {path}\n  {text}")
        say(f"  a test of it: cp {path} tests/fuzz/crashes/{one.name}/WHAT-IT-IS")
    return 1 if found or missing else 0


def main(words: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--target", action="append", help=f"among {', '.join(TARGETS)}")
    parser.add_argument("--engine", choices=["atheris", "hypothesis"], default=_best())
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    names = asked.target or list(TARGETS)
    if strays := [one for one in names if one not in TARGETS and ":" not in one]:
        parser.error(f"no target {strays[0]!r}; targets: {', '.join(TARGETS)}")
    missing = "" if asked.engine == "atheris" else " (atheris would see which lines run)"
    say(f"{asked.engine}{missing}: {len(names)} targets, {asked.minutes:g} minutes")
    say(f"{'target':<18}{'executions':>11}{'a second':>9}{'cov':>7}{'ft':>7}{'findings':>9}")
    status = show(Fuzzing(asked.engine, asked.folder, asked.seed).run(names, asked.minutes))
    say("\nall runs")
    for line in Ledger(asked.folder).table():
        say(line)
    return status


def _best() -> str:
    try:
        version("atheris")
    except PackageNotFoundError:
        return "hypothesis"
    return "atheris"


if __name__ == "__main__":
    sys.exit(main())
