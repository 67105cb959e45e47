"""Metrics: hand-computed answers, laws of bootstrap and edits, twins in scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from phonemo.errors import PhonemoError, ResultError
from phonemo.evaluation import metrics

TRUTH = [0, 0, 0, 0, 1, 1, 2, 2]
HEARD = [0, 0, 0, 1, 1, 0, 2, 1]


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    classes = draw(st.integers(2, 7))
    index = st.integers(0, classes - 1)
    pairs = draw(st.lists(st.tuples(index, index), min_size=1, max_size=40))
    return [item for item, _ in pairs], [other for _, other in pairs], classes


# hand-computed


def test_two_classes_by_hand() -> None:
    # truth 0: 3 of 4 right; truth 1: 1 of 2 right
    scores = metrics.score_emotions([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0], 2)
    assert scores.wa == pytest.approx(4 / 6)
    assert scores.ua == pytest.approx((3 / 4 + 1 / 2) / 2)
    # F1: 2*3 / (4 + 4) = 3/4 and 2*1 / (2 + 2) = 1/2
    assert scores.macro_f1 == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores.weighted_f1 == pytest.approx((4 * 3 / 4 + 2 * 1 / 2) / 6)


def test_three_classes_by_hand() -> None:
    confusion = metrics.confusion_matrix(TRUTH, HEARD, 3)
    assert confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert metrics.weighted_accuracy(confusion) == 5 / 8
    assert metrics.unweighted_accuracy(confusion) == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert metrics.class_scores(confusion)[1] == metrics.ClassScores(2, 1 / 3, 1 / 2, 2 / 5)


def test_an_absent_class_has_no_recall_and_does_not_lower_ua() -> None:
    scores = metrics.score_emotions([0, 0, 1], [0, 0, 2], 4)
    assert scores.ua == pytest.approx((1 + 0) / 2)
    assert scores.classes[2] == metrics.ClassScores(0, 0.0, None, 0.0)
    assert scores.classes[3] == metrics.ClassScores(0, None, None, None)


def test_chance_is_the_commonest_class_and_the_classes_present() -> None:
    assert metrics.chance_levels([0, 0, 0, 2], 5) == metrics.ChanceLevels(3 / 4, 1 / 2)


def test_phoneme_errors_by_hand() -> None:
    # "k ae t" -> "k ah t s": one substitution, one insertion; "d o g" -> "d g": one deletion
    references = [["k", "ae", "t"], ["d", "o", "g"]]
    errors = metrics.phoneme_errors(references, [["k", "ah", "t", "s"], ["d", "g"]])
    assert errors == metrics.PhonemeErrors(1, 1, 1, tokens=6)
    assert errors.rate == 3 / 6


def test_an_empty_hypothesis_deletes_and_an_empty_reference_inserts() -> None:
    assert metrics.phoneme_errors(["abc", ""], ["", "xy"]) == metrics.PhonemeErrors(0, 3, 2, 3)


def test_per_is_averaged_over_tokens_not_over_utterances() -> None:
    errors = metrics.phoneme_errors(["a", "bcdefghij"], ["x", "bcdefghij"])
    assert errors.rate == 1 / 10


def test_calibration_by_hand() -> None:
    # two bins: 0.5 falls into (0, 0.5], right; 0.7 and 0.9 into (0.5, 1], one of them right
    scores = [[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [0.0, 0.1, 0.9]]
    calibration = metrics.calibration(scores, [0, 0, 1], bins=2)
    low, high = calibration.bins
    assert (low.count, low.confidence, low.accuracy) == (1, 0.5, 1.0)
    assert (high.count, high.accuracy) == (2, 0.5)
    assert high.confidence == pytest.approx(0.8)
    assert calibration.ece == pytest.approx(1 / 3 * 0.5 + 2 / 3 * 0.3)
    brier = (0.25 + 0.09 + 0.04) + (0.09 + 0.04 + 0.01) + (0.0 + 0.81 + 0.81)
    assert calibration.brier == pytest.approx(brier / 3)
    assert calibration.nll == pytest.approx(-(math.log(0.5) + math.log(0.7) + math.log(0.1)) / 3)


def test_an_empty_bin_has_no_accuracy_and_a_certain_error_a_finite_nll() -> None:
    calibration = metrics.calibration([[1.0, 0.0]], [1])
    assert calibration.bins[0] == metrics.CalibrationBin(0.0, 1 / 15, 0, None, None)
    assert calibration.bins[-1].count == 1
    assert calibration.nll == pytest.approx(36.04, abs=0.01)
    assert calibration.ece == 1.0


def test_bootstrap_of_two_opposite_speakers_by_hand() -> None:
    # resamples: both right (1/4), one of each (1/2), both wrong (1/4)
    right = np.array([1.0, 1.0, 0.0, 0.0])
    interval = metrics.bootstrap_interval(list("aabb"), lambda rows: float(right[rows].mean()))
    assert (interval.estimate, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert (interval.clusters, interval.samples, interval.level) == (2, 1000, 0.95)


# laws


def test_copies_of_a_speaker_s_utterances_do_not_narrow_the_interval() -> None:
    right = np.random.default_rng(1).random(12)

    def interval(copies: int) -> metrics.ConfidenceInterval:
        values, names = np.repeat(right, copies), np.repeat(list("abcdefghijkl"), copies)
        return metrics.bootstrap_interval(names.tolist(), lambda rows: float(values[rows].mean()))

    assert interval(20).low == pytest.approx(interval(1).low)
    assert interval(20).high == pytest.approx(interval(1).high)


def test_bootstrap_depends_on_its_seed_and_not_on_the_order_of_rows() -> None:
    values = np.random.default_rng(2).random(30)
    names = [f"s{n % 6}" for n in range(30)]

    def low(order: Sequence[int], seed: int) -> float:
        picked = values[list(order)]
        owners = [names[n] for n in order]
        statistic: Callable[[metrics.Counts], float] = lambda rows: float(picked[rows].mean())  # noqa: E731
        return metrics.bootstrap_interval(owners, statistic, seed=seed).low

    assert low(range(30), 0) == pytest.approx(low(range(29, -1, -1), 0))
    assert low(range(30), 0) != low(range(30), 1)


@settings(deadline=None)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edits_are_the_fewest_and_then_the_fewest_unpaired(reference: str, hypothesis: str) -> None:
    errors = metrics.phoneme_errors([reference, "z"], [hypothesis, "z"])
    edits, unpaired = _reference_edits(reference, hypothesis)
    assert errors.substitutions + errors.deletions + errors.insertions == edits
    assert errors.deletions + errors.insertions == unpaired
    assert errors.insertions - errors.deletions == len(hypothesis) - len(reference)


def _reference_edits(reference: str, hypothesis: str) -> tuple[int, int]:
    """The textbook recursion, on pairs (edits, deletions and insertions)."""

    @cache
    def cost(n: int, m: int) -> tuple[int, int]:
        if n == 0 or m == 0:
            return n + m, n + m
        (edits, unpaired), wrong = cost(n - 1, m - 1), reference[n - 1] != hypothesis[m - 1]
        gaps = [(item + 1, two + 1) for item, two in (cost(n - 1, m), cost(n, m - 1))]
        return min((edits + wrong, unpaired), *gaps)

    return cost(len(reference), len(hypothesis))


# twins in scikit-learn


@settings(max_examples=60, deadline=None)
@given(answers())
def test_emotion_scores_equal_scikit_learn_s(case: tuple[list[int], list[int], int]) -> None:
    twin = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn as the twin")
    truth, predicted, classes = case
    scores = metrics.score_emotions(truth, predicted, classes)
    assert scores.wa == pytest.approx(twin.accuracy_score(truth, predicted))
    recalls = twin.recall_score(truth, predicted, labels=sorted(set(truth)), average="macro")
    assert scores.ua == pytest.approx(recalls)
    for name, average in (("macro_f1", "macro"), ("weighted_f1", "weighted")):
        assert getattr(scores, name) == pytest.approx(
            twin.f1_score(truth, predicted, average=average)
        )
    counts = twin.confusion_matrix(truth, predicted, labels=range(classes))
    assert metrics.confusion_matrix(truth, predicted, classes).tolist() == counts.tolist()


@settings(max_examples=40, deadline=None)
@given(answers())
def test_ua_is_scikit_learn_s_balanced_accuracy(case: tuple[list[int], list[int], int]) -> None:
    twin = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn as the twin")
    truth, predicted, classes = case
    # The twin warns about classes that were only predicted, and where there is only one class.
    truth, predicted = truth + predicted, predicted + predicted
    assume(len(set(truth)) > 1)
    expected = twin.balanced_accuracy_score(truth, predicted)
    assert metrics.score_emotions(truth, predicted, classes).ua == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(answers())
def test_class_scores_equal_scikit_learn_s(case: tuple[list[int], list[int], int]) -> None:
    twin = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn as the twin")
    truth, predicted, classes = case
    result = metrics.score_emotions(truth, predicted, classes).classes
    columns = twin.precision_recall_fscore_support(
        truth, predicted, labels=range(classes), zero_division=0
    )
    for item, precision, recall, f1, support in zip(result, *columns, strict=True):
        assert (item.precision or 0, item.recall or 0) == pytest.approx((precision, recall))
        assert (item.f1 or 0, item.support) == pytest.approx((f1, support))


def test_nll_and_brier_equal_scikit_learn_s() -> None:
    twin = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn as the twin")
    random = np.random.default_rng(3)
    scores, truth = random.dirichlet(np.ones(4), 200), random.integers(0, 4, 200)
    calibration = metrics.calibration(scores, truth)
    assert calibration.nll == pytest.approx(twin.log_loss(truth, scores, labels=range(4)))
    one_hot = np.eye(4)[truth]
    each = [twin.brier_score_loss(one_hot[:, n], scores[:, n], pos_label=1) for n in range(4)]
    assert calibration.brier == pytest.approx(sum(each))


def test_scores_with_a_rounded_sum_are_normalized() -> None:
    found = metrics.calibration([[0.7993, 0.1999]], [0])
    assert found.nll == pytest.approx(-math.log(0.7993 / 0.9992))


def test_speakers_of_one_utterance_have_an_interval_within_their_corpora() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    interval = metrics.bootstrap_interval(
        list("abcd"), lambda rows: float(values[rows].mean()), strata=list("xxyy")
    )
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_bins_equal_scikit_learn_s_calibration_curve() -> None:
    twin = pytest.importorskip("sklearn.calibration", reason="needs scikit-learn as the twin")
    random = np.random.default_rng(4)
    scores, truth = random.dirichlet(np.ones(3), 300), random.integers(0, 3, 300)
    right = scores.argmax(axis=1) == truth
    accuracy, confidence = twin.calibration_curve(right, scores.max(axis=1), n_bins=15)
    filled = [item for item in metrics.calibration(scores, truth).bins if item.count]
    assert [item.accuracy for item in filled] == pytest.approx(accuracy.tolist())
    assert [item.confidence for item in filled] == pytest.approx(confidence.tolist())


def test_one_utterance_a_speaker_equals_scipy_s_bootstrap() -> None:
    twin = pytest.importorskip("scipy.stats", reason="needs scipy as the twin")
    values = np.random.default_rng(5).normal(size=25)
    names = [str(n) for n in range(25)]
    interval = metrics.bootstrap_interval(
        names, lambda rows: float(values[rows].mean()), samples=4000, seed=7
    )
    expected = twin.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(8)
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.03)


# faults


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.score_emotions([], [], 2), "truth is empty"),
        (lambda: metrics.confusion_matrix([0, 1], [0], 2), "2 true and 1 predicted"),
        (lambda: metrics.confusion_matrix([0], [0, 1], 2), "1 true and 2 predicted"),
        (
            lambda: metrics.confusion_matrix([0, 2], [0, 1], 2),
            "expected classes from 0 to 1 in truth, got 2",
        ),
        (lambda: metrics.confusion_matrix([0, -1], [0, 1], 2), "in truth, got -1"),
        (lambda: metrics.confusion_matrix([0.5], [0], 2), "integer class indices"),
        (lambda: metrics.confusion_matrix([[0]], [0], 2), "2 axes"),
        (
            lambda: metrics.weighted_accuracy(np.zeros((2, 2), np.int64)),
            "confusion matrix is empty",
        ),
        (lambda: metrics.unweighted_accuracy(np.zeros((2, 2), np.int64)), "matrix is empty"),
        (lambda: metrics.macro_f1(np.zeros((2, 2), np.int64)), "matrix is empty"),
        (lambda: metrics.weighted_f1(np.zeros((2, 2), np.int64)), "matrix is empty"),
        (lambda: metrics.chance_levels([], 2), "truth is empty"),
        (lambda: metrics.phoneme_errors([], []), "at least one reference phoneme"),
        (lambda: metrics.phoneme_errors([""], ["a"]), "at least one reference phoneme"),
        (lambda: metrics.phoneme_errors(["a"], []), "1 references and 0 hypotheses"),
        (lambda: metrics.calibration(np.zeros((0, 2)), []), "(utterance, emotion)"),
        (lambda: metrics.calibration([[0.5, 0.5]], [0, 1]), "got 1 rows and 2 labels"),
        (lambda: metrics.calibration([[0.5, 0.6]], [0]), "got 1.1 in row 0"),
        (lambda: metrics.calibration([[0.5, 0.3], [0.1, 0.1]], [0, 0]), "got 0.2 in row 1"),
        (lambda: metrics.calibration([[float("nan"), 1.0]], [0]), "NaN"),
        (lambda: metrics.calibration([[-0.5, 1.5]], [0]), "negative"),
        (lambda: metrics.bootstrap_interval(["a", "a"], len), "at least two speakers"),
        (lambda: metrics.bootstrap_interval([], len), "for an interval, got 0"),
    ],
)
def test_impossible_input_is_one_clear_line(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ResultError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, PhonemoError)
