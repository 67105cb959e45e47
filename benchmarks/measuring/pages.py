"""Write benchmark results: JSON, and a table between two markers of a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phonemo.errors import UsageError
from phonemo.files import atomic_write_text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format markdown; the first column is text, the others are numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(
        path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def write_between(page: Path, name: str, text: str) -> None:
    """Replace the text between <!-- NAME:start --> and <!-- NAME:end -->.

    Raises:
        UsageError: a marker is missing or duplicated.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    content = page.read_text(encoding="utf-8")
    if content.count(start) != 1 or content.count(end) != 1:
        raise UsageError(f"{page}: expected {start} and {end}, once each; add them")
    before, _, rest = content.partition(start)
    atomic_write_text(page, f"{before}{start}\n{text}\n{end}{rest.partition(end)[2]}")


def points(value: float) -> str:
    """Format a share as a percentage with one decimal."""
    return f"{100 * value:.1f}"
