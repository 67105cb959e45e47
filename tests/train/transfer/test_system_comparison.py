"""Systems compared on corpora left out: paired by speaker, as phonemo compare does it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phonemo.evaluation import metrics
from phonemo.evaluation.significance import holm
from phonemo.train.transfer.system_comparison import compare_systems, paired_difference
from phonemo.train.transfer.testing import counted, mean_ua

RANDOM = np.random.default_rng(11)
TRUTH = RANDOM.integers(3, size=240)
SPEAKERS = np.array([f"s{number}" for number in RANDOM.integers(7, size=240)])


def answers(right: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.where(draw.random(len(TRUTH)) < right, TRUTH, draw.integers(3, size=len(TRUTH)))


def counts(right: float, *seeds: int) -> np.ndarray:
    return np.stack([counted(TRUTH, answers(right, seed), SPEAKERS, 3) for seed in seeds])


def test_the_difference_is_that_of_the_metrics_and_p_counts_all_exchanges_of_speakers() -> None:
    ours, theirs = counts(0.4, 1), counts(0.6, 2)
    found = paired_difference([(ours, theirs)])
    assert found.first == pytest.approx(mean_ua(ours.sum(axis=1)))
    assert found.difference == pytest.approx(
        metrics.unweighted_accuracy(theirs[0].sum(axis=0))
        - metrics.unweighted_accuracy(ours[0].sum(axis=0))
    )
    extreme = 0
    for swap in itertools.product((False, True), repeat=7):
        chosen = np.array(swap)[:, None, None]
        first = np.where(chosen, theirs[0], ours[0]).sum(axis=0)
        second = np.where(chosen, ours[0], theirs[0]).sum(axis=0)
        difference = metrics.unweighted_accuracy(second) - metrics.unweighted_accuracy(first)
        extreme += abs(difference) >= found.difference - 1e-12
    assert found.p == pytest.approx(extreme / 2**7)
    assert found.low < found.difference < found.high


def test_the_same_system_twice_does_not_differ() -> None:
    ours = counts(0.5, 1, 2)
    found = paired_difference([(ours, ours), (ours[:, :4], ours[:, :4])])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_exchanges_are_within_corpora_and_the_mean_weighs_them_alike() -> None:
    """A gain on a small corpus counts as much as a loss on a large one."""
    small, large = np.zeros((1, 2, 2, 2), int), np.zeros((1, 3, 2, 2), int)
    small[..., 0, 0] = small[..., 1, 1] = 1
    large[..., 0, 0] = large[..., 1, 1] = 50
    wrong_small, wrong_large = small[..., ::-1], large[..., ::-1]
    found = paired_difference([(wrong_small, small), (large, wrong_large)])
    assert found.difference == 0
    better = paired_difference([(wrong_small, small), (wrong_large, large)])
    assert (better.difference, better.low, better.high) == (1, 1, 1)
    assert better.p == 2 / 2**5  # none exchanged, or all


def test_a_corpus_of_one_speaker_has_no_interval() -> None:
    one = counts(0.5, 1)[:, :1]
    found = paired_difference([(one, one)])
    assert (found.low, found.high, found.p) == (None, None, None)


def tables(**changes: np.ndarray) -> dict:
    corpora, names = ("a", "b"), ("single", "speaker")
    found = {
        (system, corpus, name): counts(right, place, place + 9)
        for system, right in (("first", 0.5), ("second", 0.7), ("third", 0.5))
        for place, (corpus, name) in enumerate(itertools.product(corpora, names))
    }
    return found | {tuple(key.split("_")): value for key, value in changes.items()}


def test_every_system_is_compared_with_the_first_and_p_is_adjusted_by_family() -> None:
    rows = compare_systems(
        ("first", "second", "third"), ("a", "b"), ("single", "speaker"), tables()
    )
    means = [row for row in rows if row["left_out"] is None]
    single = [row for row in rows if row["left_out"] is not None]
    assert [(row["system"], row["condition"]) for row in means] == [
        ("second", "single"),
        ("second", "speaker"),
        ("third", "single"),
        ("third", "speaker"),
    ]
    assert len(single) == 8
    for family in (means, single):
        assert [row["p_holm"] for row in family] == holm([row["p"] for row in family])
        assert {row["against"] for row in family} == {"first"}
    assert means[0]["difference"] == pytest.approx(np.mean([r["difference"] for r in single[:2]]))
    assert means[0]["p_holm"] < 0.05 < means[2]["p_holm"]


def test_what_is_not_paired_is_left_out() -> None:
    unlike = tables(second_a_single=counts(0.5, 1))
    unlike.pop(("third", "b", "speaker"))
    rows = compare_systems(("first", "second", "third"), ("a", "b"), ("single", "speaker"), unlike)
    found = {(row["system"], row["condition"]) for row in rows}
    assert found == {("second", "speaker"), ("third", "single")}


def test_one_corpus_has_no_mean() -> None:
    rows = compare_systems(("first", "second"), ("a",), ("single",), tables())
    assert [row["left_out"] for row in rows] == ["a"]
