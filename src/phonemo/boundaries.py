"""How far the ends of aligned phonemes lie from hand-made ones: times in, errors out.

What counts as a boundary is decided by the reference alone, so that every alignment of an
utterance is asked for the same ones:

- where two reference phonemes touch, one boundary: the end of the first is the start of the
  second. An alignment that leaves a gap there has two answers, and their mean error counts;
- beside a pause, and at both ends of the utterance, the edge of the phoneme is a boundary of its
  own: the end before the pause, the start after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import ResultError

Times = Sequence[tuple[float, float]]
Floats = npt.NDArray[np.float64]

#: Reference phonemes less than this apart touch; hand-made times are rounded.
TOUCH_SECONDS = 1e-3


@dataclass(frozen=True)
class BoundaryErrors:
    """The errors of many boundaries, in few numbers."""

    boundaries: int
    median_seconds: float
    within_20_ms: float
    """Share of errors of at most 20 ms, 0 to 1."""
    within_40_ms: float


def boundary_errors(reference: Times, aligned: Times) -> Floats:
    """Absolute errors in seconds, one for each boundary of the reference in its order.

    Args:
        reference: start and end of each phoneme in seconds.
        aligned: the same of the same phonemes, one for one: the aligned string is the reference.

    Returns:
        (boundary,); empty for no phonemes.

    Raises:
        ResultError: unequal numbers of phonemes.
    """
    if len(reference) != len(aligned):
        raise ResultError(
            f"{len(reference)} phonemes with hand-made times and {len(aligned)} aligned ones; "
            "align the reference string itself"
        )
    wanted = np.array(reference, dtype=np.float64).reshape(-1, 2)  # (phoneme, start and end)
    errors = np.abs(np.array(aligned, dtype=np.float64).reshape(-1, 2) - wanted)
    touching = np.abs(wanted[1:, 0] - wanted[:-1, 1]) < TOUCH_SECONDS
    inner = np.stack([errors[:-1, 1], errors[1:, 0]], axis=1)  # (pair, end and start)
    pairs = [
        [end_start.mean()] if touch else end_start.tolist()
        for end_start, touch in zip(inner, touching, strict=True)
    ]
    return np.array([*errors[:1, 0], *(one for pair in pairs for one in pair), *errors[-1:, 1]])


def summarise_errors(errors: Iterable[float]) -> BoundaryErrors:
    """Median and shares of errors in seconds, pooled; ResultError where there is none."""
    seconds = np.array(list(errors), dtype=np.float64)
    if len(seconds) == 0:
        raise ResultError("no boundary errors; a median needs at least one")
    return BoundaryErrors(
        boundaries=len(seconds),
        median_seconds=float(np.median(seconds)),
        within_20_ms=_share(seconds, 0.020),
        within_40_ms=_share(seconds, 0.040),
    )


def _share(seconds: Floats, most: float) -> float:
    return float(np.mean(seconds <= most + 1e-9))  # 20 ms must not fail by its last binary digit
