"""JSON in which the names of files, which need not be text, survive."""

from __future__ import annotations

import json
from typing import Any


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
