"""The matrix of corpora for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def cross_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What ``phonemo.train.cross.cross`` gave: UA with its interval, a row a training corpus."""
    labels = found["labels"]
    yield f"UA %, {len(labels)} emotions: {', '.join(labels)} (chance {100 / len(labels):.1f})"
    if found["merge"]:
        merged = ", ".join(f"{old} as {new}" for old, new in sorted(found["merge"].items()))
        yield f"counted together: {merged}"
    tests = list(dict.fromkeys(cell["test"] for cell in found["cells"]))
    width = max(len("trained on"), *(len(cell["train"]) for cell in found["cells"])) + 2
    yield f"{'trained on':<{width}}" + "".join(f"  {name:>24}" for name in tests)
    for name in dict.fromkeys(cell["train"] for cell in found["cells"]):
        cells = {cell["test"]: cell for cell in found["cells"] if cell["train"] == name}
        yield f"{name:<{width}}" + "".join(f"  {_text(cells[test]):>24}" for test in tests)
    yield "*: its own folds; the others: every model on the whole corpus"
    for cell in found["cells"]:
        if cell.get("heard") and cell["train"] != cell["test"]:
            yield f"note: what {cell['run']} is made of heard {cell['test']}, without labels"


def _text(cell: Mapping[str, Any]) -> str:
    score = cell["ua"]
    own = "*" if cell["train"] == cell["test"] else ""
    leaky = " LEAKY" if cell["leaky"] else ""
    mean = f"{100 * score['mean']:.1f}{own}"
    if score["low"] is None:
        return mean + leaky
    return f"{mean} ({100 * score['low']:.1f}-{100 * score['high']:.1f}){leaky}"
