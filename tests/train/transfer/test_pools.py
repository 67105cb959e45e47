"""Pools of recordings: their size, the share of an emotion, and the same again with a seed."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.train.transfer.testing import Condition, conditions_of, draw
from tests.train.transfer.planted import Planted, study_of

#: 30 anger, 10 neutral, 20 sadness.
TRUTH = np.repeat([0, 1, 2], [30, 10, 20])
NEUTRAL = 1


def pool(name: str, seed: int = 1, n: int = 0, truth=TRUTH, corpus: str = "emodb"):
    return draw(Condition(name), corpus, truth, NEUTRAL, 3, seed, n)


@pytest.mark.parametrize("size", [1, 5, 20, 59])
def test_a_random_pool_has_its_size_without_repetitions(size: int) -> None:
    drawn = pool(f"pool-{size}")
    assert len(set(drawn.tolist())) == len(drawn) == size
    assert (np.diff(drawn) > 0).all()


def test_a_pool_larger_than_the_source_is_all_of_it() -> None:
    assert pool("pool-100").tolist() == list(range(60))


def test_draws_depend_on_seed_number_size_and_corpus_and_are_reproducible() -> None:
    first = pool("pool-20")
    assert (first == pool("pool-20")).all()
    others = [pool("pool-20", seed=2), pool("pool-20", n=1), pool("pool-20", corpus="nemo")]
    assert all((first != other).any() for other in others)


def test_a_random_pool_does_not_use_the_labels() -> None:
    assert (pool("pool-20") == pool("pool-20", truth=TRUTH[::-1])).all()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("50-per-cent-20", {5, 10}),  # 10 neutral, 5 and 5
        ("80-per-cent-10", {1, 8}),
        ("even-9", {3}),
    ],
)
def test_shares_match_a_calculation_by_hand(name: str, counts: set[int]) -> None:
    drawn_counts = np.bincount(TRUTH[pool(name)], minlength=3)
    assert set(drawn_counts.tolist()) == counts
    assert drawn_counts[NEUTRAL] == max(counts)
    assert drawn_counts.sum() == Condition(name).pool


def test_the_remainder_goes_to_different_classes() -> None:
    counts = [np.bincount(TRUTH[pool("even-10", n=n)], minlength=3) for n in range(20)]
    assert {tuple(sorted(row)) for row in counts} == {(3, 3, 4)}
    assert len({tuple(row) for row in counts}) > 1


def test_too_few_recordings_of_an_emotion_give_no_pool() -> None:
    assert pool("80-per-cent-20") is None  # 16 neutral of 10
    assert pool("even-60") is None


def test_even_shares_are_of_the_emotions_present() -> None:
    drawn = pool("even-10", truth=np.repeat([0, 1], 10))
    assert np.bincount(drawn // 10).tolist() == [5, 5]


def test_a_study_lists_its_conditions(tmp_path) -> None:
    config = study_of(tmp_path, [Planted("one", takes=1), Planted("two", takes=1)], ["one"])
    conditions = conditions_of(config)
    assert [condition.name for condition in conditions] == [
        *("single", "pool-1", "pool-5", "pool-20", "pool-all", "speaker"),
        *("even-20", "25-per-cent-20", "50-per-cent-20"),
    ]
    assert [condition.adapts for condition in conditions] == [False] + [True] * 8
    assert [condition.pool for condition in conditions] == [None, 1, 5, 20, None, None, 20, 20, 20]
    assert [condition.share for condition in conditions] == [None] * 6 + [0.0, 0.25, 0.5]
    bare = config.model_copy(update={"one_sided": None, "pools": (3,)})
    assert [condition.name for condition in conditions_of(bare)] == ["single", "pool-3", "speaker"]
