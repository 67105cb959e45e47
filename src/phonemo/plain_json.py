"""JSON as it comes from anywhere, and as it can hold the name of any file."""

from __future__ import annotations

import json
from typing import Any


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
