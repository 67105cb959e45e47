"""Permutation tests of paired runs: whole units, such as speakers, are swapped between the runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.evaluation.metrics import Counts
from phonemo.evaluation.prediction_rows import PredictionTable

SWAPS = 10_000
"""Maximum number of permutations; where fewer exist, all are used."""
Signs = npt.NDArray[np.bool_]
#: Differences this close are equal up to rounding of sums in another order.
_EQUAL = 1e-12


@dataclass(frozen=True)
class PairedCounts:
    """Both runs' predictions by the unit that permutations swap."""

    first: Counts
    """(unit, seed, emotion, emotion)."""
    second: Counts
    signs: Signs
    """(swap, unit), True where swapped."""
    exact: bool
    """Whether these are all permutations."""

    @property
    def units(self) -> int:
        """Number of units; with one there is nothing to test."""
        return len(self.first)

    def p(self, statistic: Callable[[Counts], float], observed: float) -> float | None:
        """Share of the permutations with a difference at least as large; None for one unit.

        Args:
            statistic: score of a confusion matrix; a permutation's seeds are averaged.
            observed: the difference of the runs.
        """
        if self.units < 2:
            return None
        mixed = _summed(~self.signs, self.first) + _summed(self.signs, self.second)
        rest = _summed(self.signs, self.first) + _summed(~self.signs, self.second)

        def score(table: Counts) -> float:
            return float(np.mean([statistic(one) for one in table if one.any()]))

        extreme = [
            abs(score(two) - score(one)) >= abs(observed) - _EQUAL
            for one, two in zip(mixed, rest, strict=True)
        ]
        return float(np.mean(extreme))


def paired_counts(
    first: PredictionTable, second: PredictionTable, units: Sequence[str]
) -> PairedCounts:
    """Count the predictions of two paired runs.

    Args:
        first: the reference run.
        second: the other run, with the same utterances.
        units: the unit of each row, such as its speaker.
    """
    signs, exact = draw_swaps(len(set(units)))
    return PairedCounts(_by_unit(first, units), _by_unit(second, units), signs, exact)


def draw_swaps(units: int) -> tuple[Signs, bool]:
    """Draw the units that a permutation swaps; the first one swaps none.

    Args:
        units: number of speakers, or folds.

    Returns:
        (swap, unit), True where swapped, and whether these are all permutations.
    """
    if 2**units <= SWAPS:
        return np.array(list(itertools.product((False, True), repeat=units))), True
    signs = np.random.default_rng(0).integers(2, size=(SWAPS, units)).astype(bool)
    signs[0] = False  # the observed labeling is one of the permutations (Phipson and Smyth 2010)
    return signs, False


def _by_unit(run: PredictionTable, units: Sequence[str]) -> Counts:
    owner = np.unique(np.asarray(units, dtype=np.str_), return_inverse=True)[1]
    shape = (int(owner.max()) + 1, len(run.seeds), run.classes, run.classes)
    cell = np.ravel_multi_index((owner, run.seed, run.truth, run.predicted), shape)
    counts: Counts = np.bincount(cell, minlength=math.prod(shape)).astype(np.int64)
    return counts.reshape(shape)


def _summed(weights: Signs, tables: Counts) -> Counts:
    """Sum counts (unit, ...) over the units selected in (swap, unit): (swap, ...)."""
    total = np.tensordot(weights.astype(np.float64), tables.astype(np.float64), axes=1)
    return np.rint(total).astype(np.int64)
