"""Paired comparison of a study's systems on corpora left out: differences of UA over speakers.

Both systems test the same recordings with the same seeds and pools, so their counts are paired. The
unit is the speaker, as in phonemo.evaluation.significance, within each corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.evaluation.permutation import draw_swaps
from phonemo.evaluation.significance import Difference, adjusted
from phonemo.evaluation.studies.study_tables import versus_data
from phonemo.train.transfer.corpora import Indices
from phonemo.train.transfer.testing import Counts, mean_ua, resampled_interval, uas

#: Two differences this close are equal up to rounding.
_EQUAL = 1e-12

Pair = tuple[Counts, Counts]
Floats = npt.NDArray[np.float64]
#: Counts (run, speaker, emotion, emotion) by system, corpus and condition.
Tables = Mapping[tuple[str, str, str], Counts]
#: Differences by system, condition and corpus; None is the mean over corpora.
Family = dict[tuple[str, str, str | None], Difference]


def compare_systems(
    systems: Sequence[str], corpora: Sequence[str], conditions: Sequence[str], tables: Tables
) -> list[dict[str, Any]]:
    """Compare every system with the first one.

    Args:
        systems: their names, in the order of the study.
        corpora: the corpora of the mean.
        conditions: names of conditions that both systems tested with the same pools.
        tables: the counts; comparisons whose counts are missing or differ in shape are left out.

    Returns:
        Differences with intervals and p-values. Holm's adjustment is over all means, and over all
        differences on single corpora.
    """
    means: Family = {}
    single: Family = {}
    for system in systems[1:]:
        for condition in conditions:
            pairs = _pairs(systems[0], system, corpora, condition, tables)
            if len(pairs) > 1:
                means[system, condition, None] = paired_difference(pairs)
            for corpus, pair in zip(corpora, pairs, strict=False):  # no pair, or one for each
                single[system, condition, corpus] = paired_difference([pair])
    return [row for family in (means, single) for row in _rows(systems[0], family)]


def paired_difference(pairs: Sequence[Pair]) -> Difference:
    """Compare two systems on the mean over corpora.

    Args:
        pairs: for each corpus the counts (run, speaker, emotion, emotion) of both systems.

    Returns:
        Mean UA of both; the interval is a bootstrap over the speakers of each corpus, and p the
        share of permutations, of whole speakers, with a difference at least as large. None where a
        corpus has a single speaker.
    """

    def score(number: int, speakers: Indices) -> float:
        first, second = (mean_ua(counts[:, speakers].sum(axis=1)) for counts in pairs[number])
        return second - first

    ours, theirs = (
        float(np.mean([mean_ua(pair[k].sum(axis=1)) for pair in pairs])) for k in (0, 1)
    )
    low, high = resampled_interval([first.shape[1] for first, _ in pairs], score)
    if low is None:
        return Difference(ours, theirs, None, None, None)
    return Difference(ours, theirs, low, high, _swapped_share(pairs, abs(theirs - ours)))


def _pairs(
    first: str, second: str, corpora: Sequence[str], condition: str, tables: Tables
) -> list[Pair]:
    """The counts of both systems for each corpus; none if they are not paired on one of them."""
    pairs = []
    for corpus in corpora:
        ours, theirs = (tables.get((system, corpus, condition)) for system in (first, second))
        if ours is None or theirs is None or ours.shape != theirs.shape or not len(ours):
            return []
        pairs.append((ours, theirs))
    return pairs


def _swapped_share(pairs: Sequence[Pair], observed: float) -> float:
    """Share of the permutations with a difference at least as large as the observed one."""
    sizes = [ours.shape[1] for ours, _ in pairs]
    signs = np.split(draw_swaps(sum(sizes))[0], np.cumsum(sizes)[:-1], axis=1)
    differences = np.mean([_swapped(*both) for both in zip(pairs, signs, strict=True)], axis=0)
    return float(np.mean(np.abs(differences) >= observed - _EQUAL))


def _swapped(pair: Pair, signs: npt.NDArray[np.bool_]) -> Floats:
    """Differences of the mean UA, (swap,), with the chosen speakers (swap, speaker) exchanged."""
    ours, theirs = (counts.astype(np.float64) for counts in pair)
    moved = np.einsum("ws,rsij->wrij", signs.astype(np.float64), theirs - ours)
    first, second = ours.sum(axis=1) + moved, theirs.sum(axis=1) - moved
    found: Floats = (uas(second) - uas(first)).mean(axis=1)
    return found


def _rows(against: str, family: Family) -> list[dict[str, Any]]:
    """The content of each SystemDifference of phonemo.evaluation.transfer.transfer_schema."""
    p_holm = adjusted(family)
    return [
        {
            "system": key[0],
            "against": against,
            "left_out": key[2],
            "condition": key[1],
            "first": found.first,
            "second": found.second,
            **versus_data(found, p_holm.get(key)),
        }
        for key, found in family.items()
    ]
