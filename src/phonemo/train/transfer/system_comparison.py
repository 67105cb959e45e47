"""Paired comparison of a study's systems on corpora left out: differences of UA over speakers.

Both systems test the same recordings with the same seeds and pools, so their counts are paired. The
unit is the speaker, as in phonemo.evaluation.significance, within each corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.evaluation.metrics import bootstrap_interval
from phonemo.evaluation.significance import Difference, draw_swaps, holm
from phonemo.train.transfer.testing import Counts, mean_ua, uas

#: Two differences this close are equal up to rounding.
_EQUAL = 1e-12
_SAMPLES = 1000

Pair = tuple[Counts, Counts]
Floats = npt.NDArray[np.float64]
#: Counts (run, speaker, emotion, emotion) by system, corpus and condition.
Tables = Mapping[tuple[str, str, str], Counts]


@dataclass(frozen=True)
class Compared:
    """One system against the first one, on one corpus or on the mean over corpora."""

    system: str
    against: str
    left_out: str | None
    """None is the mean over corpora."""
    condition: str
    difference: Difference


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
    means, single = [], []
    for system in systems[1:]:
        for condition in conditions:
            pairs = _pairs(systems[0], system, corpora, condition, tables)
            if pairs is None:
                continue
            ends = (system, systems[0])
            if len(pairs) > 1:
                means.append(Compared(*ends, None, condition, paired_difference(pairs)))
            for corpus, pair in zip(corpora, pairs, strict=True):
                single.append(Compared(*ends, corpus, condition, paired_difference([pair])))
    return [*_adjusted(means), *_adjusted(single)]


def paired_difference(pairs: Sequence[Pair]) -> Difference:
    """Compare two systems on the mean over corpora.

    Args:
        pairs: for each corpus the counts (run, speaker, emotion, emotion) of both systems.

    Returns:
        Mean UA of both; the interval is a bootstrap over the speakers of each corpus, and p the
        share of permutations, of whole speakers, with a difference at least as large. None where a
        corpus has a single speaker.
    """
    ours, theirs = (
        float(np.mean([mean_ua(pair[k].sum(axis=1)) for pair in pairs])) for k in (0, 1)
    )
    if any(first.shape[1] < 2 for first, _ in pairs):
        return Difference(ours, theirs, None, None, None)
    low, high = _interval(pairs)
    return Difference(ours, theirs, low, high, _swapped_share(pairs, abs(theirs - ours)))


def _pairs(
    first: str, second: str, corpora: Sequence[str], condition: str, tables: Tables
) -> list[Pair] | None:
    pairs = []
    for corpus in corpora:
        found = [tables.get((system, corpus, condition)) for system in (first, second)]
        ours, theirs = found
        if ours is None or theirs is None or ours.shape != theirs.shape or not len(ours):
            return None
        pairs.append((ours, theirs))
    return pairs


def _swapped_share(pairs: Sequence[Pair], observed: float) -> float:
    """Share of the permutations with a difference at least as large as the observed one."""
    signs, _ = draw_swaps(sum(ours.shape[1] for ours, _ in pairs))
    differences = np.mean([_swapped(pair, signs[:, part]) for pair, part in _parts(pairs)], axis=0)
    return float(np.mean(np.abs(differences) >= observed - _EQUAL))


def _swapped(pair: Pair, signs: npt.NDArray[np.bool_]) -> Floats:
    """Differences of the mean UA, (swap,), with the chosen speakers (swap, speaker) exchanged."""
    ours, theirs = (counts.astype(np.float64) for counts in pair)
    moved = np.einsum("ws,rsij->wrij", signs.astype(np.float64), theirs - ours)
    first, second = ours.sum(axis=1) + moved, theirs.sum(axis=1) - moved
    found: Floats = (uas(second) - uas(first)).mean(axis=1)
    return found


def _interval(pairs: Sequence[Pair]) -> tuple[float, float]:
    """The 95 % interval of the difference by a bootstrap over the speakers of each corpus."""
    parts = list(_parts(pairs))
    owner = [str(number) for number, (pair, _) in enumerate(parts) for _ in range(pair[0].shape[1])]

    def statistic(sample: npt.NDArray[np.int64]) -> float:
        found = []
        for pair, part in parts:
            own = sample[(sample >= part.start) & (sample < part.stop)] - part.start
            first, second = (mean_ua(counts[:, own].sum(axis=1)) for counts in pair)
            found.append(second - first)
        return float(np.mean(found))

    names = [f"{number:06d}" for number in range(len(owner))]
    drawn = bootstrap_interval(names, statistic, samples=_SAMPLES, strata=owner)
    return drawn.low, drawn.high


def _parts(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, slice]]:
    """Each corpus with the range of its speakers among all."""
    ends = [0, *accumulate(ours.shape[1] for ours, _ in pairs)]
    for pair, (start, stop) in zip(pairs, pairwise(ends), strict=True):
        yield pair, slice(start, stop)


def _adjusted(found: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    tested = [one for one in found if one.difference.p is not None]
    adjusted = iter(holm([one.difference.p or 0.0 for one in tested]))
    for one in found:
        scores = asdict(one.difference) | {"difference": one.difference.difference}
        p_holm = None if one.difference.p is None else next(adjusted)
        facts = {
            name: getattr(one, name) for name in ("system", "against", "left_out", "condition")
        }
        yield {**facts, **scores, "p_holm": p_holm}
