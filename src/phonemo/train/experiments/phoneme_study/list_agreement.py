"""Whether corpora agree on which phonemes carry the emotion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from phonemo.corpora.g2p.alphabets import CLASSES, IPA_CLASS, is_vowel
from phonemo.evaluation.phonemes.ipa_places import sonority_of
from phonemo.evaluation.phonemes.phoneme_schema import Agreement
from phonemo.evaluation.significance import holm
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64
from phonemo.train.experiments.phoneme_study.speaker_bootstrap import (
    estimate,
    permutation_p,
    spearman,
)

#: With fewer shared phonemes no correlation is given.
_LEAST = 4
#: Phoneme -> its value in every resample of the speakers, (1 + resample,).
Curves = Mapping[str, Floats64]


def agreements(lists: Mapping[str, Curves], seed: int) -> tuple[Agreement, ...]:
    """Rank correlations of each two lists: of shared phonemes, within groups, and of classes.

    Args:
        lists: by the name of the corpus or the alignment.
        seed: of the permutations.
    """
    rows = [
        _agreement((first, second), part, seed)
        for first, second in combinations(lists, 2)
        for part in _parts(lists[first], lists[second])
        if len(part.first) >= _LEAST
    ]
    adjusted = holm([row.p for row in rows])
    return tuple(
        row.model_copy(update={"adjusted": round(p, 4)})
        for row, p in zip(rows, adjusted, strict=True)
    )


class _Part(NamedTuple):
    """What is correlated of two lists, each (phoneme or class, 1 + resample)."""

    over: str
    first: Floats64
    second: Floats64
    groups: Sequence[str] | None = None
    """Of each phoneme; only the order within groups counts."""


def _parts(first: Curves, second: Curves) -> Iterator[_Part]:
    shared = sorted(set(first) & set(second))
    vowels = [symbol for symbol in shared if is_vowel(symbol, IPA_CLASS)]
    consonants = [symbol for symbol in shared if symbol not in vowels]
    for over, symbols in (("all", shared), ("vowels", vowels), ("consonants", consonants)):
        yield _Part(over, _stack(first, symbols), _stack(second, symbols))
    groups = [sonority_of(symbol) for symbol in shared]
    yield _Part("within sonority", _stack(first, shared), _stack(second, shared), groups)
    names = [name for name in CLASSES if _of_class(first, name) and _of_class(second, name)]
    yield _Part("classes", _class_means(first, names), _class_means(second, names))


def _of_class(curves: Curves, name: str) -> list[str]:
    return [symbol for symbol in curves if IPA_CLASS[symbol] == name]


def _class_means(curves: Curves, names: Sequence[str]) -> Floats64:
    means = [_stack(curves, _of_class(curves, name)).mean(axis=0) for name in names]
    return np.array(means)


def _stack(curves: Curves, symbols: Sequence[str]) -> Floats64:
    return np.array([curves[symbol] for symbol in symbols])


def _agreement(names: tuple[str, str], part: _Part, seed: int) -> Agreement:
    # Speakers of two corpora are resampled apart; one corpus' readings share its resamples.
    rho = estimate(spearman(part.first, part.second, part.groups))
    p = permutation_p(part.first[:, 0], part.second[:, 0], seed, part.groups)
    return Agreement.model_validate(
        {
            "first": names[0],
            "second": names[1],
            "over": part.over,
            "shared": len(part.first),
            "rho": rho.mean,
            "low": rho.low,
            "high": rho.high,
            "p": round(p, 4),
            "adjusted": 1.0,
        }
    )
