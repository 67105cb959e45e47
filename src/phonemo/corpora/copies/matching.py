"""Match audio fingerprints: candidates from an inverted index, verified by their bit errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from phonemo.corpora.copies.fingerprint import QUIET, Words

#: Largest share of different bits in near-copies. Other recordings, the same sentence by the same
#: speaker included, differ in a third or more (benchmarks/near_copies.py).
MOST_BIT_ERRORS = 0.25
#: Fewest frames, and share of the shorter recording, that two near-copies have in common.
_FEWEST_FRAMES = 24
_LEAST_SHARE = 0.5
#: Equal keys at one alignment that make two recordings candidates.
_VOTES = 2
#: Entries of one key that are compared with each other; more common keys are less telling.
_NEIGHBORS = 16
_ALIGNED_FRAMES = 4
_INDEX_BITS, _SHIFT_BITS = 22, 20


@dataclass(frozen=True)
class Match:
    """Positions of two fingerprints of the same sound, and the share of bits that differ."""

    first: int
    second: int
    bit_errors: float


def match_fingerprints(prints: Sequence[Words]) -> list[Match]:
    """Return the pairs of near-copies, ordered by position."""
    if not sum(map(len, prints)):
        return []
    matches = []
    for pair, rows in groupby(_candidates(prints), lambda row: row[:2]):
        first, second = pair
        errors = [bit_errors(prints[first], prints[second], shift) for _, _, shift in rows]
        if min(errors) <= MOST_BIT_ERRORS:
            matches.append(Match(first, second, min(errors)))
    return matches


def bit_errors(first: Words, second: Words, shift: int) -> float:
    """Share of different bits with ``second`` moved by ``shift`` frames; 1 if they overlap little.

    Frames that are quiet in one of the two are not compared.
    """
    start = max(0, shift)
    stop = min(len(first), len(second) + shift)
    if stop - start < _FEWEST_FRAMES:
        return 1.0
    here, there = first[start:stop], second[start - shift : stop - shift]
    compared = (here != QUIET) & (there != QUIET)
    count = int(compared.sum())
    shorter = min(np.count_nonzero(first), np.count_nonzero(second))
    if count < max(_FEWEST_FRAMES, _LEAST_SHARE * shorter):
        return 1.0
    different = (here ^ there)[compared]
    return float(np.unpackbits(different.view(np.uint8)).sum()) / (32 * count)


def _candidates(prints: Sequence[Words]) -> Iterator[tuple[int, int, int]]:
    """Yield (first, second, shift in frames), ordered, near every shift at which keys agree."""
    votes = np.concatenate([_votes(*_entries(prints), byte) for byte in range(4)])
    places, counts = np.unique(votes, return_counts=True)
    for place in places[counts >= _VOTES].tolist():
        pair, slot = divmod(place, 1 << _SHIFT_BITS)
        first, second = divmod(pair, 1 << _INDEX_BITS)
        shift = (slot - (1 << _SHIFT_BITS - 1)) * _ALIGNED_FRAMES
        for exact in range(shift - 1, shift + _ALIGNED_FRAMES + 1):
            yield first, second, exact


Integers = NDArray[np.int64]


def _entries(prints: Sequence[Words]) -> tuple[Words, Integers, Integers]:
    """The words, indices and frames of all fingerprints, without quiet frames."""
    words = np.concatenate(prints)
    sizes = [len(words) for words in prints]
    owners = np.repeat(np.arange(len(prints)), sizes)
    frames = np.concatenate([np.arange(size) for size in sizes])
    kept = words != QUIET
    return words[kept], owners[kept], frames[kept]


def _votes(words: Words, owners: Integers, frames: Integers, byte: int) -> Integers:
    """Pair and shift, in one integer, of the words that agree in all bytes but one."""
    keys = words & np.uint32(~(0xFF << 8 * byte) & 0xFFFFFFFF)
    order = np.argsort(keys, kind="stable")
    keys, owners, frames = keys[order], owners[order], frames[order]
    votes = []
    for distance in range(1, _NEIGHBORS + 1):
        same = (keys[distance:] == keys[:-distance]) & (owners[distance:] != owners[:-distance])
        first, second = owners[:-distance][same], owners[distance:][same]
        shifts = (frames[:-distance][same] - frames[distance:][same]) // _ALIGNED_FRAMES
        pairs = (first << _INDEX_BITS) + second
        votes.append((pairs << _SHIFT_BITS) + shifts + (1 << _SHIFT_BITS - 1))
    return np.concatenate(votes)
