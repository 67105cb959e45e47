"""Intervals over speakers, and rank correlations of lists whose speakers are resampled."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from phonemo.evaluation.phonemes.phoneme_schema import Estimate
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64
from phonemo.train.experiments.phoneme_study.study_corpus import Integers

RESAMPLES = 1000
Groups = Sequence[str] | None
_PERMUTATIONS = 10_000


def speaker_weights(speakers: int, corpus: str, seed: int) -> Floats64:
    """How often each resample draws each speaker; the first has everyone once.

    Args:
        speakers: number of speakers.
        corpus: its name; each corpus has random numbers of its own.
        seed: of all corpora.

    Returns:
        (1 + resample, speaker).
    """
    draw = np.random.default_rng([seed, zlib.crc32(corpus.encode())])
    drawn = draw.multinomial(speakers, np.full(speakers, 1 / speakers), RESAMPLES)
    return np.vstack([np.ones(speakers), drawn])


def weighted_means(values: Floats64, speakers: Integers, weights: Floats64) -> Floats64:
    """The mean of values under each resample, (1 + resample,); values that are NaN are left out.

    Args:
        values: (example,).
        speakers: (example,).
        weights: as of :func:`speaker_weights`.
    """
    known = ~np.isnan(values)
    count = weights.shape[1]
    sums = np.bincount(speakers[known], weights=values[known], minlength=count)
    counts = np.bincount(speakers[known], minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ sums) / (weights @ counts))


def unweighted_accuracies(right: Floats64, every: Floats64, weights: Floats64) -> Floats64:
    """UA under each resample, (1 + resample,), of tables (speaker, emotion)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = (weights @ right) / (weights @ every)
    known = ~np.isnan(recalls)
    return np.asarray(np.where(known, recalls, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def estimate(values: Floats64, digits: int = 4) -> Estimate:
    """The first value, and the 95 % interval of the others."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    mean = float(values[0])
    return Estimate(
        mean=round(mean, digits), low=round(float(low), digits), high=round(float(high), digits)
    )


def ranks(values: Floats64) -> Floats64:
    """Ranks along the first axis from 0, ties at their mean."""
    less = (values[:, None] > values[None, :]).sum(axis=1)
    equal = (values[:, None] == values[None, :]).sum(axis=1)
    return np.asarray(less + (equal - 1) / 2)


def _relative(values: Floats64, groups: Groups) -> Floats64:
    """Ranks less the mean rank of their group."""
    relative = ranks(values)
    for rows in _rows_of(groups, len(values)):
        relative[rows] -= relative[rows].mean(axis=0)
    return relative


def _rows_of(groups: Groups, count: int) -> list[Integers]:
    names = np.zeros(count) if groups is None else np.asarray(groups)
    return [np.flatnonzero(names == name) for name in np.unique(names)]


def spearman(first: Floats64, second: Floats64, groups: Groups = None) -> Floats64:
    """Rank correlation of lists (phoneme,), or of each column (phoneme, column); 0 if constant.

    Args:
        first: a list.
        second: the other.
        groups: the group of each phoneme, (phoneme,), whose mean rank is subtracted, so that only
            the order within groups counts; None is one group.
    """
    one, two = _relative(first, groups), _relative(second, groups)
    size = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    return np.asarray((one * two).sum(axis=0) / np.where(size > 0, size, np.inf))


def permutation_p(first: Floats64, second: Floats64, seed: int, groups: Groups = None) -> float:
    """Two-sided p of ``spearman``: one list is permuted against the other, within groups."""
    draw = np.random.default_rng(seed)
    one, two = _relative(first, groups), _relative(second, groups)
    observed = abs(float(one @ two))
    orders = np.tile(two, (_PERMUTATIONS, 1))
    for rows in _rows_of(groups, len(two)):
        orders[:, rows] = draw.permuted(orders[:, rows], axis=1)
    return float((1 + (np.abs(orders @ one) >= observed - 1e-9).sum()) / (_PERMUTATIONS + 1))


def split_half(curves: Mapping[str, tuple[Floats64, Floats64]], seed: int) -> float:
    """Reliability of a list: the halves' mean rank correlation, corrected for length.

    Args:
        curves: phoneme -> sums and counts by speaker, each (speaker,).
        seed: of the twenty splits.
    """
    draw, found = np.random.default_rng(seed), []
    speakers = len(next(iter(curves.values()))[0])
    for _ in range(20):
        half = draw.permutation(speakers) < speakers // 2
        lists = [_list_of(curves, rows) for rows in (half, ~half)]
        known = ~np.isnan(lists[0]) & ~np.isnan(lists[1])
        found.append(float(spearman(lists[0][known], lists[1][known])))
    mean = float(np.mean(found))
    return round(2 * mean / (1 + mean), 4) if mean > -1 else -1.0


def _list_of(
    curves: Mapping[str, tuple[Floats64, Floats64]], rows: npt.NDArray[np.bool_]
) -> Floats64:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([sums[rows].sum() / counts[rows].sum() for sums, counts in curves.values()])
