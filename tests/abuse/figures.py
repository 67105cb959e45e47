"""What the suite measures beside what it asserts: a JSON line a figure, for the table in the docs.

PHONEMO_FIGURES=work/abuse.jsonl python -m pytest tests/abuse
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def figure(case: int, what: str, value: float, unit: str, bar: float | None = None) -> None:
    """Note what was measured; nothing is written unless PHONEMO_FIGURES names a file.

    Args:
        case: its number in the table, 1 to 26.
        what: in a few words, such as "memory grew by".
        value: what was measured.
        unit: such as "MB", "s" or "ms".
        bar: what it should stay below, in the same unit, where the table states one. Seconds are
            told here and never asserted: a slow machine is no fault.
    """
    path = os.environ.get("PHONEMO_FIGURES")
    if not path:
        return
    row = {"case": case, "what": what, "value": float(f"{value:.4g}"), "unit": unit, "bar": bar}
    line = json.dumps(row, ensure_ascii=False) + "\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(line)
