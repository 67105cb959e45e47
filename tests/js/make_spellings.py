"""Writes js/src/spellings.ts, the spellings of emotions: python -m tests.js.make_spellings."""

from __future__ import annotations

import json
from pathlib import Path

from phonemo.labels import SPELLINGS

TARGET = Path(__file__).resolve().parents[2] / "js" / "src" / "spellings.ts"


def spellings_text() -> str:
    """The content of the file."""
    data = json.dumps(SPELLINGS, ensure_ascii=False, indent=2)
    return (
        "/** Spellings of the emotions, from phonemo/labels.py; "
        "written by tests/js/make_spellings.py. */\n"
        f"export const SPELLINGS: Record<string, string> = {data}\n"
    )


if __name__ == "__main__":
    TARGET.write_text(spellings_text(), encoding="utf-8")
