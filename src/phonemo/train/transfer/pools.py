"""Pools of unlabelled recordings of one source, drawn at random and the same again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from phonemo.config import TransferConfig
from phonemo.config.transfer import CONDITION
from phonemo.train.transfer.rows import Indices


@dataclass(frozen=True)
class Condition:
    """How a source is tested.

    Attributes:
        name: "single", "speaker", "pool-20", "pool-all", "even-20" (as many of each emotion) or
            "80-per-cent-20" (80 % of one emotion in a pool of 20).
    """

    name: str

    @property
    def adapts(self) -> bool:
        """Whether unlabelled recordings are used."""
        return self.name != "single"

    @property
    def pool(self) -> int | None:
        """How many of them; None where all are taken, or none."""
        last = self.name.rpartition("-")[2]
        return int(last) if last.isdecimal() else None

    @property
    def share(self) -> float | None:
        """The share of one emotion, 0 for even shares of all; None where chance decides."""
        if self.name.startswith("even-"):
            return 0.0
        found = CONDITION.match(self.name)
        return int(found[3]) / 100 if found is not None and found[3] else None

    @property
    def drawn(self) -> bool:
        """Whether it depends on what is drawn."""
        return self.pool is not None


def conditions_of(config: TransferConfig) -> tuple[Condition, ...]:
    """All that a study tests, in the order of its tables."""
    names = ["single", *(f"pool-{size}" for size in config.pools), "speaker"]
    if config.one_sided is not None:
        for size in config.one_sided.pools:
            names.append(f"even-{size}")
            names += [f"{round(100 * one)}-per-cent-{size}" for one in config.one_sided.shares]
    return tuple(Condition(name) for name in names)


def draw(
    condition: Condition, corpus: str, truth: Indices, emotion: int, classes: int, seed: int, n: int
) -> Indices | None:
    """Places of the recordings of a pool, each once.

    Args:
        condition: one with a pool of some size.
        corpus: whose.
        truth: class indices (utterance,); read only where a pool has shares of emotions.
        emotion: the class whose share is given.
        classes: how many emotions there are.
        seed: of the study's.
        n: which draw.

    Returns:
        (recording,), all of them where the corpus has no more; None where it has too few of an
        emotion for the shares.
    """
    assert condition.pool is not None
    random = np.random.default_rng(
        [seed, n, condition.pool, zlib.crc32(f"{corpus} {condition.share}".encode())]
    )
    if condition.share is None:
        count = min(condition.pool, len(truth))
        return np.sort(random.choice(len(truth), count, replace=False))
    there = [number for number in range(classes) if (truth == number).any()]
    wanted = _wanted(condition, emotion, there, random)
    if any((truth == number).sum() < count for number, count in wanted.items()):
        return None
    parts = [
        random.choice(np.flatnonzero(truth == number), count, replace=False)
        for number, count in wanted.items()
    ]
    return np.sort(np.concatenate(parts))


def _wanted(
    condition: Condition, emotion: int, there: list[int], random: np.random.Generator
) -> dict[int, int]:
    """By class, how many recordings; what does not divide falls to classes by chance."""
    assert condition.pool is not None
    wanted: dict[int, int] = {}
    others = list(there)
    if condition.share:
        wanted[emotion] = round(condition.share * condition.pool)
        others = [number for number in there if number != emotion]
    left = condition.pool - sum(wanted.values())
    each, more = divmod(left, max(1, len(others)))
    luckier = random.permutation(len(others))[:more]
    for place, number in enumerate(others):
        wanted[number] = each + int(place in luckier)
    return wanted
