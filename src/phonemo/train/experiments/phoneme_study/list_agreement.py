"""Whether corpora agree on which phonemes carry the emotion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from phonemo.corpora.g2p.alphabets import CLASSES, IPA_CLASS, is_vowel
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
    """Rank correlations of each two lists: over all shared phonemes, within kinds, of classes.

    Args:
        lists: by the name of the corpus or the alignment.
        seed: of the permutations.
    """
    rows = [
        _agreement((first, second), over, one, two, seed)
        for first, second in combinations(lists, 2)
        for over, one, two in _parts(lists[first], lists[second])
        if len(one) >= _LEAST
    ]
    adjusted = holm([row.p for row in rows])
    return tuple(
        row.model_copy(update={"adjusted": round(p, 4)})
        for row, p in zip(rows, adjusted, strict=True)
    )


def _parts(first: Curves, second: Curves) -> Iterator[tuple[str, Floats64, Floats64]]:
    """Parts of the shared phonemes, each list as (phoneme, 1 + resample)."""
    shared = sorted(set(first) & set(second))
    vowels = [symbol for symbol in shared if is_vowel(symbol, IPA_CLASS)]
    consonants = [symbol for symbol in shared if symbol not in vowels]
    for over, symbols in (("all", shared), ("vowels", vowels), ("consonants", consonants)):
        yield over, _stack(first, symbols), _stack(second, symbols)
    names = [name for name in CLASSES if _of_class(first, name) and _of_class(second, name)]
    yield "classes", _class_means(first, names), _class_means(second, names)


def _of_class(curves: Curves, name: str) -> list[str]:
    return [symbol for symbol in curves if IPA_CLASS[symbol] == name]


def _class_means(curves: Curves, names: Sequence[str]) -> Floats64:
    means = [_stack(curves, _of_class(curves, name)).mean(axis=0) for name in names]
    return np.array(means)


def _stack(curves: Curves, symbols: Sequence[str]) -> Floats64:
    return np.array([curves[symbol] for symbol in symbols])


def _agreement(
    names: tuple[str, str], over: str, first: Floats64, second: Floats64, seed: int
) -> Agreement:
    # Speakers of two corpora are resampled apart; one corpus' readings share its resamples.
    rho = estimate(spearman(first, second))
    return Agreement.model_validate(
        {
            "first": names[0],
            "second": names[1],
            "over": over,
            "shared": len(first),
            "rho": rho.mean,
            "low": rho.low,
            "high": rho.high,
            "p": round(permutation_p(first[:, 0], second[:, 0], seed), 4),
            "adjusted": 1.0,
        }
    )
