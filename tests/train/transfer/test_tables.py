"""Counts by speaker against the metrics, and intervals that resample speakers within corpora."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.errors import ProtocolError
from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import TemperatureScaling
from phonemo.train.transfer import study_summary
from phonemo.train.transfer.selection import NestedLogits, nested_calibration, score_of
from phonemo.train.transfer.testing import (
    Condition,
    counted,
    interval,
    mean_recalls,
    mean_ua,
    mean_wa,
)

RANDOM = np.random.default_rng(5)
TRUTH, GIVEN = RANDOM.integers(3, size=(2, 90))
SPEAKERS = np.array([f"s{number}" for number in RANDOM.integers(6, size=90)])


def test_counts_by_speaker_add_up_to_the_confusions() -> None:
    tables = counted(TRUTH, GIVEN, SPEAKERS, 3)
    expected = metrics.confusion_matrix(TRUTH, GIVEN, 3)
    np.testing.assert_array_equal(tables.sum(axis=0), expected)
    own = SPEAKERS == "s2"
    np.testing.assert_array_equal(tables[2], metrics.confusion_matrix(TRUTH[own], GIVEN[own], 3))


def test_means_over_runs_are_those_of_the_metrics() -> None:
    tables = np.stack(
        [metrics.confusion_matrix(TRUTH[part], GIVEN[part], 3) for part in (slice(40), slice(90))]
    )
    assert mean_ua(tables) == pytest.approx(
        np.mean([metrics.unweighted_accuracy(table) for table in tables])
    )
    assert mean_wa(tables) == pytest.approx(
        np.mean([metrics.weighted_accuracy(table) for table in tables])
    )
    recalls = [
        [class_score.recall for class_score in metrics.class_scores(table)] for table in tables
    ]
    np.testing.assert_allclose(mean_recalls(tables), np.mean(recalls, axis=0))


def test_a_class_without_utterances_has_no_recall() -> None:
    tables = np.array([[[3, 1, 0], [0, 2, 0], [0, 0, 0]]])
    assert mean_ua(tables) == pytest.approx((3 / 4 + 1) / 2)
    assert mean_recalls(tables) == [0.75, 1.0, None]


def test_the_interval_of_one_corpus_is_the_bootstrap_over_its_speakers() -> None:
    table = counted(TRUTH, GIVEN, SPEAKERS, 3)
    twin = metrics.bootstrap_interval(
        SPEAKERS.tolist(),
        lambda rows: metrics.unweighted_accuracy(
            metrics.confusion_matrix(TRUTH[rows], GIVEN[rows], 3)
        ),
    )
    assert interval([table[None]]) == pytest.approx((twin.low, twin.high))


def test_the_interval_of_a_mean_keeps_every_corpus_in_each_sample() -> None:
    """One corpus is always right and one always wrong: their mean is 1/2 whoever is drawn."""
    right = np.tile(np.eye(2, dtype=np.int64) * 5, (1, 3, 1, 1))
    wrong = np.tile(np.eye(2, dtype=np.int64)[::-1] * 5, (1, 4, 1, 1))
    assert interval([right, wrong]) == (0.5, 0.5)
    assert interval([right, wrong[:, :1]]) == (None, None)


def test_a_study_lists_the_mean_over_all_corpora_with_its_interval() -> None:
    parts = [counted(TRUTH, given, SPEAKERS, 3)[None] for given in (GIVEN, TRUTH)]
    score = study_summary._score(parts)
    assert (score["low"], score["high"]) == study_summary.interval(parts)
    assert score["low"] < score["mean"] < score["high"]
    assert score["high"] < study_summary.interval(parts[1:])[1] == 1


def test_strata_keep_their_number_of_speakers() -> None:
    strata = ["a", "a", "b", "b", "b"]
    seen = []

    def count(rows) -> float:
        names = [strata[row] for row in rows]
        seen.append((names.count("a"), names.count("b")))
        return 0.0

    metrics.bootstrap_interval(list("vwxyz"), count, samples=20, strata=strata)
    assert set(seen) == {(2, 3)}


# Nested scores ------------------------------------------------------------------------------------


def answers(truth: list[int], right: list[bool], taught=(True, True, True)) -> NestedLogits:
    logits = np.zeros((len(truth), 3))
    for row, (label, good) in enumerate(zip(truth, right, strict=True)):
        logits[row, label if good else (label + 1) % 3] = 5.0
    return NestedLogits(np.array(truth), (logits,), np.array(taught))


def test_the_score_is_the_mean_over_corpora_and_conditions() -> None:
    inner = {
        "a": {"single": answers([0, 1], [True, True]), "speaker": answers([0, 1], [True, False])},
        "b": {"single": answers([0, 1], [False] * 2), "speaker": answers([0, 1], [True, False])},
    }
    assert score_of(inner, ["single", "speaker"]) == pytest.approx((0.5 + 0.5) / 2)
    assert score_of(inner, ["single"]) == 0.5


def test_an_untaught_emotion_is_not_counted_in_nested_tests() -> None:
    nested = answers([0, 1, 2, 2], [True, True, False, False], (True, True, False))
    assert nested.ua == 1.0
    nothing = answers([2], [True], (True, True, False))
    assert nothing.ua is None
    with pytest.raises(ProtocolError, match="got single, for which a have"):
        score_of({"a": {"single": nothing}}, ["single"])


def test_every_corpus_calibrates_with_the_same_number_of_predictions() -> None:
    large = answers([0, 1] * 50, [True] * 100)
    small = answers([0, 1] * 5, [True, False] * 5)
    inner = {"large": {"single": large}, "small": {"single": small}}
    calibration = nested_calibration(inner, Condition("single"), 0.3)
    assert calibration.utterances == 20
    assert calibration.temperature > 1
    empty = NestedLogits(np.array([0]), (), np.array([True] * 3))
    assert (
        nested_calibration({"a": {"single": empty}}, Condition("single"), 0.1)
        == TemperatureScaling()
    )
