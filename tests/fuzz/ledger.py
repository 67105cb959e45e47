"""What all runs did so far, by the source they ran on: python -m tests.fuzz.ledger [--folder PATH].

A run adds a line for each target to ledger.jsonl. Executions on another source than today's are
counted apart: they say nothing of what has been changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: What findings depend on: the package. Targets are only added or made stricter.
_SOURCE = ROOT / "src" / "phonemo"
_DIGITS = 12


@dataclass(frozen=True)
class Entry:
    """One target of one run."""

    source: str
    target: str
    engine: str
    executions: int
    seconds: float
    cover: int
    """Covered branches of the instrumented packages; 0 without atheris."""
    features: int
    findings: int
    time: str


class Ledger:
    """The lines of a folder."""

    def __init__(self, folder: Path, source: str | None = None) -> None:
        self._path = folder / "ledger.jsonl"
        self._source = source or source_digest()

    def add(self, target: str, engine: str, **numbers: Any) -> None:
        """Append what a target did."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = Entry(self._source, target, engine, time=now, **numbers)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(entry)) + "\n")

    def entries(self) -> list[Entry]:
        """All of them, in order; a line that was cut off when the machine stopped is left out."""
        return list(self._entries())

    def seconds(self, target: str) -> float:
        """How long a target ran on this source."""
        here = (one for one in self.entries() if one.source == self._source)
        return sum(one.seconds for one in here if one.target == target)

    def table(self) -> Iterator[str]:
        """A line for each target, and the sums."""
        entries = self.entries()
        here = [one for one in entries if one.source == self._source]
        yield f"source {self._source}"
        yield f"{'target':<18}{'executions':>12}{'minutes':>9}{'cov':>7}{'ft':>7}{'findings':>10}"
        for name in dict.fromkeys(one.target for one in here):
            mine = [one for one in here if one.target == name]
            cover, features = max(one.cover for one in mine), max(one.features for one in mine)
            numbers = f"{cover or '-':>7}{features or '-':>7}{mine[-1].findings:>10}"
            minutes = sum(one.seconds for one in mine) / 60
            yield f"{name:<18}{_sum(mine):>12,}{minutes:>9.1f}{numbers}"
        yield f"{'together':<18}{_sum(here):>12,}"
        if others := _sum(entries) - _sum(here):
            sources = len({one.source for one in entries} - {self._source})
            yield f"on {sources} earlier sources: {others:,}"

    def _entries(self) -> Iterator[Entry]:
        if not self._path.is_file():
            return
        for line in self._path.read_text("utf-8").splitlines():
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError):
                continue


def _sum(entries: Sequence[Entry]) -> int:
    return sum(one.executions for one in entries)


def source_digest(folder: Path = _SOURCE) -> str:
    """The beginning of a SHA-256 over the names and contents of all Python files below."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_DIGITS]


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.ledger", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    for line in Ledger(parser.parse_args(words).folder).table():
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
