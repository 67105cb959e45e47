"""The order of an epoch: every index once, similar lengths together, drawn by (seed, epoch)."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.train.dataset import DistributedBatchSampler, LengthGroupedSampler, PaddingIndex

LENGTHS = np.random.default_rng(4).integers(100, 10_000, 205).tolist()


def _order(epoch: int = 0, size: int = 8, seed: int = 1, lengths=LENGTHS) -> list[int]:
    sampler = LengthGroupedSampler(lengths, size, seed)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(lengths)
    return list(sampler)


def _spread(order: list[int], size: int = 8) -> float:
    """Mean over batches of the longest less the shortest."""
    lengths = [LENGTHS[index] for index in order]
    batches = [lengths[i : i + size] for i in range(0, len(lengths), size)]
    return float(np.mean([max(batch) - min(batch) for batch in batches]))


@pytest.mark.parametrize("count", [1, 7, 8, 63, 64, 65, 205])
@pytest.mark.parametrize("size", [1, 3, 8, 300])
def test_every_index_occurs_once(count, size):
    order = _order(2, size, lengths=LENGTHS[:count])
    assert sorted(order) == list(range(count))
    assert all(type(index) is int for index in order)


def test_batches_have_similar_lengths():
    shuffled = np.random.default_rng(0).permutation(len(LENGTHS)).tolist()
    assert _spread(_order()) < 0.25 * _spread(shuffled)


def test_an_epochs_order_is_reproducible():
    assert _order(3) == _order(3)
    np.random.seed(5)
    sampler = LengthGroupedSampler(LENGTHS, 8, 1)
    sampler.set_epoch(3)
    assert list(sampler) == list(sampler) == _order(3)


def test_epochs_and_seeds_differ():
    orders = [_order(0), _order(1), _order(2), _order(0, seed=2)]
    assert len({tuple(order) for order in orders}) == 4
    # not only the batches are moved: they are made of other utterances
    batches = [{frozenset(order[i : i + 8]) for i in range(0, 200, 8)} for order in orders[:2]]
    assert len(batches[0] & batches[1]) < 3


def test_the_global_random_state_is_not_changed():
    before = np.random.get_state()[1].tolist()
    _order()
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("epoch", range(6))
def test_the_short_batch_is_last(epoch):
    """205 = 25 * 8 + 5: anywhere else it would cut the sorted batches behind it in two."""
    order = _order(epoch)
    lengths = [LENGTHS[index] for index in order]
    for start in range(0, len(order), 8):
        batch = lengths[start : start + 8]
        assert batch == sorted(batch, reverse=True)


def test_long_batches_are_not_always_first():
    longest = int(np.argmax(LENGTHS))
    places = [_order(epoch).index(longest) // 8 for epoch in range(10)]
    assert len(set(places)) > 4


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("count", [16, 17, 205])
def test_the_processes_rows_make_up_the_batches_of_one_process(world, count):
    """Each row once; in the last batch, who has none gets the shortest of it, to no effect."""
    lengths = LENGTHS[:count]
    order = _order(2, lengths=lengths)
    shares = [
        DistributedBatchSampler(LengthGroupedSampler(lengths, 8, 1), rank, world)
        for rank in range(world)
    ]
    for share in shares:
        share.sampler.set_epoch(2)
    steps = list(zip(*shares, strict=True))
    assert len(steps) == len(shares[0]) == -(-count // 8)
    for number, rows in enumerate(steps):
        batch = order[8 * number : 8 * number + 8]
        given = [index for row in rows for index in row if type(index) is int]
        assert sorted(given) == sorted(batch)
        assert max(map(len, rows)) - min(map(len, rows)) <= 1
        spare = [row for row in rows if isinstance(row[0], PaddingIndex)]
        assert spare == [[batch[-1]]] * max(0, world - len(batch))
