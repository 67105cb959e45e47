"""Seeded changes to an input, where no coverage tells what is worth changing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.targets import spelled

_MOST_CHANGES = 4
_ODD = (0, 1, 10, 13, 34, 44, 127, 128, 254, 255)


def mutated(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    """A few changes, one after the other.

    Args:
        data: the input.
        others: the target's seeds, parts of which may come in.
        words: the target's words, likewise.
        random: what draws.
    """
    for _ in range(random.randint(1, _MOST_CHANGES)):
        data = random.choice(_CHANGES)(data, others, words, random)
    return data


def _flipped(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    if not data:
        return bytes([random.randrange(256)])
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _replaced(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + bytes([random.choice(_ODD)]) + data[at + 1 :]


def _without(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    first, last = _stretch(data, random)
    return data[:first] + data[last:]


def _again(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    first, last = _stretch(data, random)
    return data[:last] + data[first:]


def _spoken(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    first, last = _stretch(data, random)
    word = spelled(random.choice(words)) if words else b"\0"
    return data[:first] + word + data[random.choice((first, last)) :]


def _crossed(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    other = random.choice(others) if others else data
    first, last = _stretch(other, random)
    at = random.randint(0, len(data))
    return data[:at] + other[first:last] + data[at:]


def _cut_off(data: bytes, others: Sequence[bytes], words: Sequence[str], random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _stretch(data: bytes, random: Random) -> tuple[int, int]:
    first = random.randint(0, len(data))
    return first, min(len(data), first + 2 ** random.randrange(8))


_Change = Callable[[bytes, Sequence[bytes], Sequence[str], Random], bytes]
_CHANGES: tuple[_Change, ...] = (
    *(_flipped, _replaced, _without, _again, _spoken, _spoken, _crossed, _cut_off),
)
