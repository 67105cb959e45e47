"""JSON as it comes from anywhere, and as it can hold the name of any file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phonemo.errors import RunError
from phonemo.whole import write_whole


def parsed(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, or nested so deeply that Python's parser gives up; bytes that are
            no UTF-8.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parsed_lines(text: str) -> list[Any]:
    """What JSON lines say; blank ones are left out.

    Not cut by splitlines, which also cuts at U+2028, and JSON allows that inside a string.

    Raises:
        ValueError: as for ``parsed``.
    """
    return [parsed(line) for line in text.split("\n") if line]


def json_text(data: Any, indent: int | None = None, encoding: str = "utf-8") -> str:
    """JSON that an encoding can hold.

    Everything is written as it is, unless a letter does not fit (a file's name may be any bytes on
    some systems, nor is every terminal UTF-8): then all that is not ASCII is escaped.

    Raises:
        ValueError: a number that JSON does not have.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(data, indent=indent, allow_nan=False)
    return text


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines, whole or not at all."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(path, text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What ``write_rows`` wrote."""
    try:
        return parsed_lines(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: not prediction rows that can be read; train or evaluate again"
        ) from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
