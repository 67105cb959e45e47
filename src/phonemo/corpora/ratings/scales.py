"""Scales of rated dimensions: conversion to 0..1, declaration in a table, and detection.

A release rates on a scale of its own, such as 1 to 5. A manifest stores 0 to 1 and keeps the scale,
so that ``scale[0] + value * (scale[1] - scale[0])`` is the release's value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from phonemo.corpora.manifest import Scale
from phonemo.errors import CorpusError, safe_name

#: Scales in use, from the narrowest, in the order in which detection tries them.
KNOWN: tuple[Scale, ...] = (
    *((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (1.0, 7.0), (1.0, 9.0)),
    *((0.0, 10.0), (0.0, 100.0), (-100.0, 100.0)),
)
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
#: "1-5", "1..5", "1 to 5", "-1:1", "[1, 5]"
_SCALE = re.compile(rf"[\[(]?\s*({_NUMBER})\s*(?:\.\.|to|-|:|,|;)\s*({_NUMBER})\s*[\])]?")


def to_unit(value: float, scale: Scale) -> float:
    """Convert a release's value to 0..1, rounded to six digits.

    Raises:
        CorpusError: the value is outside the scale.
    """
    low, high = scale
    if not low <= value <= high:
        raise CorpusError(
            f"expected a value from {low:g} to {high:g}, got {value:g}; declare another scale"
        )
    return round((value - low) / (high - low), 6)


def parse_scale(text: str) -> Scale:
    """Parse a declared scale such as "1-5", "-1..1" or "[1, 7]"; CorpusError for another text."""
    match = _SCALE.fullmatch(text.strip().lower())
    if match is None or not -math.inf < float(match[1]) < float(match[2]) < math.inf:
        raise CorpusError(f"expected a scale such as 1-5 or -1..1, got {safe_name(repr(text))}")
    return float(match[1]), float(match[2])


def detect_scale(values: Iterable[float]) -> Scale:
    """Return the narrowest known scale that holds all values; callers must say that it was chosen.

    Raises:
        CorpusError: no known scale holds them.
    """
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    for scale in KNOWN:
        if scale[0] <= low and high <= scale[1]:
            return scale
    raise CorpusError(
        f"expected values of a known scale, got {low:g} to {high:g}; add a column scale, such as "
        f"{math.floor(low)}..{math.ceil(high)}"
    )


def scale_text(scale: Scale) -> str:
    """A scale as a table declares it: "1..5"."""
    return f"{scale[0]:g}..{scale[1]:g}"
