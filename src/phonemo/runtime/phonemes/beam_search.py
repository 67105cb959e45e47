"""CTC prefix beam search with a phoneme language model (Hannun et al. 2014), in plain Python.

Many paths spell the same phonemes; best-path decoding takes the best single path, a prefix beam
search sums over paths. Each prefix keeps the probability of its paths that end in a blank and of
those that do not, since a repeated phoneme needs a blank in between. Frames in which the blank is
almost certain, about half of them, extend no prefix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phonemo.runtime.phonemes.alignment import AlignedPhoneme, align
from phonemo.runtime.phonemes.language_model import PhonemeModel

#: Phonemes below this probability do not extend a prefix in a frame.
FLOOR = 0.003
_LEAST = 1e-300


@dataclass
class _Prefix:
    """A phoneme string: the score of its phonemes, and its continuations."""

    symbol: int
    parent: _Prefix | None
    context: int
    score: float
    """The language model's weighted log probability and the bonuses."""
    following: dict[int, _Prefix] = field(default_factory=dict)


#: Probabilities of a prefix's paths that end in a blank, and of the others.
_Beam = list[tuple[_Prefix, float, float]]


def search(log_posteriors: npt.ArrayLike, model: PhonemeModel) -> tuple[int, ...]:
    """The most probable phonemes given posteriors and language model.

    Args:
        log_posteriors: natural logarithms of probabilities, (frame, phoneme), the blank first.
        model: of the same inventory.

    Returns:
        Indices without blanks.
    """
    posteriors = np.exp(np.asarray(log_posteriors, dtype=np.float64))  # (frame, phoneme)
    beam: _Beam = [(_Prefix(0, None, 0, 0.0), 1.0, 0.0)]
    for frame in posteriors:
        beam = _step(beam, frame, model)
    weight, table = model.settings.weight, model.table
    best = max(beam, key=lambda row: _rank(*row) + weight * float(table[row[0].context, 0]))
    return _symbols(best[0])


def decode_with(log_posteriors: npt.ArrayLike, model: PhonemeModel) -> tuple[AlignedPhoneme, ...]:
    """``search``, and the frames that emit each phoneme (``align``)."""
    return align(log_posteriors, search(log_posteriors, model))


def _step(beam: _Beam, frame: npt.NDArray[np.float64], model: PhonemeModel) -> _Beam:
    """One frame further; the probabilities are scaled so that they never vanish."""
    likely = (np.flatnonzero(frame[1:] > FLOOR) + 1).tolist()
    blank = float(frame[0])
    paths: dict[int, list[float]] = {}
    prefixes: dict[int, _Prefix] = {}
    for prefix, ended, open_ in beam:
        total = ended + open_
        own = float(frame[prefix.symbol]) * open_ if prefix.symbol else 0.0
        _add(paths, prefixes, prefix, total * blank, own)
        for symbol in likely:
            before = ended if symbol == prefix.symbol else total
            if before > 0:
                longer = _extended(prefix, symbol, model)
                _add(paths, prefixes, longer, 0.0, before * float(frame[symbol]))
    rows = [(prefixes[key], pair[0], pair[1]) for key, pair in paths.items()]
    kept = sorted(rows, key=lambda row: -_rank(*row))[: model.settings.beam]
    scale = max(ended + open_ for _, ended, open_ in kept) or 1.0
    return [(prefix, ended / scale, open_ / scale) for prefix, ended, open_ in kept]


def _add(
    paths: dict[int, list[float]],
    prefixes: dict[int, _Prefix],
    prefix: _Prefix,
    ended: float,
    open_: float,
) -> None:
    key = id(prefix)
    prefixes[key] = prefix
    pair = paths.setdefault(key, [0.0, 0.0])
    pair[0] += ended
    pair[1] += open_


def _extended(prefix: _Prefix, symbol: int, model: PhonemeModel) -> _Prefix:
    if symbol not in prefix.following:
        settings = model.settings
        gain = settings.weight * float(model.table[prefix.context, symbol]) + settings.bonus
        context = model.context_after(prefix.context, symbol)
        prefix.following[symbol] = _Prefix(symbol, prefix, context, prefix.score + gain)
    return prefix.following[symbol]


def _rank(prefix: _Prefix, ended: float, open_: float) -> float:
    return math.log(max(ended + open_, _LEAST)) + prefix.score


def _symbols(prefix: _Prefix | None) -> tuple[int, ...]:
    symbols = []
    while prefix is not None and prefix.parent is not None:
        symbols.append(prefix.symbol)
        prefix = prefix.parent
    return tuple(reversed(symbols))
