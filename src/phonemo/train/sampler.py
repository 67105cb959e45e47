"""Batches of similar length, in an order that is drawn by (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from torch.utils.data import Sampler


class LengthGroupedSampler(Sampler[int]):
    """Indices so ordered that each run of ``batch_size`` has similar lengths.

    The whole is shuffled, cut into pools of ``pool_batches`` batches, each pool is sorted by
    length, and the batches of all pools are shuffled.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, pool_batches: int = 8
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.pool = batch_size * pool_batches
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        order = draw.permutation(len(self.lengths))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), self.pool):
            pool = order[start : start + self.pool]
            pool = pool[np.argsort(-self.lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        # the one short batch stays last, or every batch behind it would be cut out of step
        short = [batch for batch in batches if len(batch) < self.batch_size]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        draw.shuffle(whole)
        return iter([int(index) for batch in whole + short for index in batch])


class StandIn(int):
    """The index of an utterance that is heard and teaches nothing: of a rank without a row."""


class Shares(Sampler[list[int]]):
    """One process' share of each batch: the rows that are its turn, so that lengths stay similar.

    The batches are those of one process that has ``sampler`` to itself. Where the last holds
    fewer utterances than there are processes, those without one get a stand-in, since all must
    take every step.

    Args:
        sampler: gives the same indices in the same order to all processes.
        rank: which process this is.
        world: how many there are.
    """

    def __init__(self, sampler: LengthGroupedSampler, rank: int, world: int) -> None:
        self.sampler = sampler
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.sampler.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in batched(self.sampler, self.sampler.batch_size):
            yield batch[self.rank :: self.world] or [StandIn(batch[-1])]


def batched(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    """Runs of ``size`` indices; the last may be shorter."""
    rest = iter(indices)
    while batch := list(islice(rest, size)):
        yield batch
