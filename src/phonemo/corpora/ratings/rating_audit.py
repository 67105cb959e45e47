"""Audit of a manifest's ratings: counts, range, constants, correlations, votes and intensities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from phonemo.corpora.manifest import DIMENSIONS, Utterance
from phonemo.corpora.ratings.scales import scale_text

#: Absolute correlation above which two dimensions carry nearly the same information.
_NEARLY_SAME = 0.95


def rating_lines(utterances: Sequence[Utterance]) -> Iterator[str]:
    """Yield lines about the ratings; none where no utterance has any."""
    rated = [row.dimensions for row in utterances]
    names = [name for name in DIMENSIONS if any(name in row for row in rated)]
    scales = Counter(row.scale for row in utterances if row.dimensions)
    if names:
        found = ", ".join(f"{_scale(scale)} ({count})" for scale, count in scales.items())
        yield f"rated dimensions, shown from 0 to 1; scales of the release: {found}"
    for name in names:
        values = np.array([row[name] for row in rated if name in row])
        yield f"  {_dimension_line(name, values, len(rated) - len(values))}"
    for first, second in combinations(names, 2):
        pairs = np.array([(r[first], r[second]) for r in rated if first in r and second in r])
        if (line := _correlation_line(first, second, pairs)) is not None:
            yield f"  {line}"
    yield from _vote_lines(utterances)
    intensities = Counter(row.intensity for row in utterances if row.intensity)
    if intensities:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(intensities.items()))
        yield f"intensity: {counts}, unknown {len(utterances) - intensities.total()}"


def _scale(scale: tuple[float, float] | None) -> str:
    return "not stated" if scale is None else scale_text(scale)


def _dimension_line(name: str, values: np.ndarray, missing: int) -> str:
    line = (
        f"{name:<10}{len(values):>7} rated, {missing} missing, {values.min():.3f} to "
        f"{values.max():.3f}, mean {values.mean():.3f}, sd {values.std():.3f}"
    )
    constant = len(values) > 1 and values.min() == values.max()
    return f"{line}; WARNING: constant, nothing can be learned from it" if constant else line


def _correlation_line(first: str, second: str, pairs: np.ndarray) -> str | None:
    """Pearson's correlation of two dimensions; None where it is undefined."""
    if len(pairs) < 3 or (pairs.std(axis=0) == 0).any():
        return None
    value = float(np.corrcoef(pairs.T)[0, 1])
    note = "; WARNING: nearly the same" if abs(value) > _NEARLY_SAME else ""
    return f"correlation of {first} and {second}: {value:+.2f} ({len(pairs)} utterances){note}"


def _vote_lines(utterances: Sequence[Utterance]) -> Iterator[str]:
    voted = [row for row in utterances if row.votes]
    if not voted:
        return
    totals: Counter[str] = Counter()
    for row in voted:
        totals.update(row.votes)
    shares = ", ".join(f"{name} {count:g}" for name, count in totals.most_common())
    yield f"votes: {len(voted)} utterances, {len(utterances) - len(voted)} without; {shares}"
    labeled = [row for row in voted if row.emotion]
    agree = sum(
        max(row.votes or {}, key=(row.votes or {}).__getitem__) == row.emotion for row in labeled
    )
    if labeled:
        yield f"  the label has the most votes in {agree} of {len(labeled)} labeled utterances"
