"""The result of a command, for the tests of the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any


def without_nulls(value: Any) -> Any:
    """Plain data without empty fields, at any depth: Parquet has the columns of all rows."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(item) for name, item in value.items() if item is not None}


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
