"""The result of a command, for the tests of the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Exit status, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def table(self) -> list[dict]:
        """Standard output as CSV."""
        return list(csv.DictReader(io.StringIO(self.out)))
