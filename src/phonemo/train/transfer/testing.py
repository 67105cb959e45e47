"""A head on a source that it has not learnt from: one recording at a time, and adapted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.runtime.adaptation import Reference, Statistics, adapted, logits_of
from phonemo.train.transfer.pools import Condition, draw
from phonemo.train.transfer.rows import Indices, Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """The rows of one source, and how pools of it are drawn.

    Attributes:
        rows: all of it.
        name: of the source.
        emotion: the class that one-sided pools are mostly of.
        classes: how many emotions there are.
        seed: of the draws.
        draws: how many there are of each.
    """

    rows: Rows
    name: str
    emotion: int
    classes: int
    seed: int
    draws: int


def tested(reference: Reference, source: Source, condition: Condition) -> Iterator[Floats]:
    """Logits (utterance, emotion) of all of a source, for every draw; none where it has no pool.

    Recordings that are in a pool are tested too: their labels are not used.
    """
    vectors = source.rows.vectors
    if not condition.adapts:
        yield logits_of(reference, vectors, None)
    elif condition.name == "speaker":
        yield by_speaker(reference, source.rows, adapted(reference, vectors))
    elif not condition.drawn:
        yield logits_of(reference, vectors, adapted(reference, vectors))
    else:
        for pool in _pools(source, condition):
            yield logits_of(reference, vectors, adapted(reference, vectors[pool]))


def by_speaker(reference: Reference, rows: Rows, towards: Statistics | None) -> Floats:
    """Logits with each speaker's own statistics, from all of the speaker's recordings.

    Args:
        reference: the head.
        rows: of any speakers.
        towards: of the source that the speakers are part of; None is the training sources.
    """
    found = np.empty((len(rows), len(reference.bias)))
    for speaker in np.unique(rows.speaker):
        own = rows.speaker == speaker
        vectors = rows.vectors[own]
        found[own] = logits_of(reference, vectors, adapted(reference, vectors, towards))
    return found


def _pools(source: Source, condition: Condition) -> Iterator[Indices]:
    for number in range(source.draws):
        pool = draw(
            condition,
            source.name,
            source.rows.truth,
            source.emotion,
            source.classes,
            source.seed,
            number,
        )
        if pool is not None:
            yield pool
