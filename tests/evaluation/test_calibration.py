"""Calibration: temperatures that are known, thresholds and curves by hand, twins elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.errors import PhonemoError, ResultError
from phonemo.evaluation import calibration
from phonemo.evaluation.calibration import COLDEST, COVERAGES, HOTTEST, Point, TemperatureScaling

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Surest first: right at 0.9, wrong at 0.8, right at 0.7, wrong at 0.6.
FOUR = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]
FOUR_TRUE = [0, 0, 0, 0]


def drawn(temperature: float, rows: int = 6000, classes: int = 4) -> tuple[Floats, Indices]:
    """Logits, and truths drawn from their probabilities after division by the temperature."""
    random = np.random.default_rng(7)
    logits = random.normal(scale=3, size=(rows, classes))
    shares = calibration.softmax(logits / temperature)
    truth = (shares.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)
    return logits, np.minimum(truth, classes - 1)


def mean_loss(logits: Floats, truth: Indices, temperature: float) -> float:
    shares = calibration.softmax(logits / temperature)
    return float(-np.log(shares[np.arange(len(truth)), truth]).mean())


def two_sided(confidences: list[float], right: list[bool]) -> tuple[list[list[float]], list[int]]:
    """Rows of two scores of which the first is the highest, and what is true."""
    return [[confidence, 1 - confidence] for confidence in confidences], [
        0 if item else 1 for item in right
    ]


@st.composite
def answers(draw: st.DrawFn) -> tuple[Floats, Indices]:
    """Scores in tenths, so that many tie."""
    sure = draw(st.lists(st.integers(5, 10), min_size=1, max_size=25))
    right = draw(st.lists(st.booleans(), min_size=len(sure), max_size=len(sure)))
    scores, truth = two_sided([item / 10 for item in sure], right)
    return np.array(scores), np.array(truth)


# the temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_true_temperature_is_recovered(temperature: float) -> None:
    result = calibration.fit_temperature(*drawn(temperature))
    assert result == pytest.approx(temperature, rel=0.05)


def test_a_temperature_by_hand() -> None:
    # Three of four are right at a logit of 6 more: 1 / (1 + exp(-6 / T)) = 3/4, so T = 6 / ln 3.
    result = calibration.fit_temperature([[6.0, 0.0]] * 4, [0, 0, 0, 1])
    assert result == pytest.approx(6 / math.log(3), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_no_neighboring_temperature_has_a_lower_loss(temperature: float) -> None:
    logits, truth = drawn(temperature, rows=500)
    result = calibration.fit_temperature(logits, truth)
    least = mean_loss(logits, truth, result)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert least < mean_loss(logits, truth, result * factor)


def test_without_errors_the_coldest_temperature_is_returned() -> None:
    result = calibration.fit_temperature([[2.0, 0.0, 1.0], [0.0, 0.0, 0.5]], [0, 2])
    assert result == pytest.approx(COLDEST, rel=1e-5)


def test_useless_logits_get_the_hottest_temperature() -> None:
    assert calibration.fit_temperature([[2.0, 0.0]] * 3, [1, 1, 1]) == pytest.approx(HOTTEST)
    half = calibration.fit_temperature([[2.0, 0.0]] * 2, [0, 1])
    assert half == pytest.approx(HOTTEST, rel=1e-4)


def test_hotter_logits_have_a_hotter_temperature_and_a_constant_changes_nothing() -> None:
    logits, truth = drawn(1.5, rows=500)
    result = calibration.fit_temperature(logits, truth)
    assert calibration.fit_temperature(3 * logits, truth) == pytest.approx(3 * result, rel=1e-4)
    shifts = np.linspace(-50, 900, len(logits))[:, None]
    moved = calibration.fit_temperature(logits + shifts, truth)
    assert moved == pytest.approx(result, rel=1e-4)


def test_classes_with_score_minus_infinity_are_ignored() -> None:
    logits, truth = drawn(2.0, rows=500, classes=3)
    wider = np.concatenate([logits, np.full((len(logits), 1), -np.inf)], axis=1)
    result = calibration.fit_temperature(logits, truth)
    assert calibration.fit_temperature(wider, truth) == pytest.approx(result, rel=1e-9)
    assert calibration.calibrate(wider, truth) == calibration.calibrate(logits, truth)


def test_two_classes_equal_scikit_learn_s_logistic_regression() -> None:
    twin = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn as the twin")
    logits, truth = drawn(1.7, rows=400, classes=2)
    apart = logits[:, 1:] - logits[:, :1]
    fitted = twin.LogisticRegression(C=1e10, fit_intercept=False, tol=1e-10).fit(apart, truth)
    result = calibration.fit_temperature(logits, truth)
    assert 1 / result == pytest.approx(fitted.coef_.item(), rel=1e-4)


def test_the_loss_is_lowest_by_scikit_learn_s_measure_too() -> None:
    twin = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn as the twin")
    logits, truth = drawn(3.0, rows=400)
    result = calibration.fit_temperature(logits, truth)
    least, *others = (
        twin.log_loss(truth, calibration.softmax(logits / heat), labels=range(4))
        for heat in (result, 0.97 * result, 1.03 * result, 1.0)
    )
    assert least < min(others)


# both together


def test_calibration_keeps_labels_and_records_its_utterances() -> None:
    logits, truth = drawn(2.5, rows=300)
    scaling = calibration.calibrate(logits, truth)
    assert scaling.utterances == 300
    scores = calibration.softmax(logits / scaling.temperature)
    assert scores.argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()
    assert not np.allclose(scores, calibration.softmax(logits), atol=0.1)


@pytest.mark.parametrize("risk", [0.1, 0.2])
def test_the_threshold_is_one_of_the_scaled_scores(risk: float) -> None:
    logits, truth = drawn(2.5, rows=2000)
    scaling = calibration.calibrate(logits, truth, risk)
    scores = calibration.softmax(logits / scaling.temperature)
    assert scaling.abstain_below == calibration.abstention(scores, truth, risk)
    given_ones = scores.max(axis=1) >= scaling.abstain_below
    wrong = scores.argmax(axis=1) != truth
    assert wrong.mean() > risk, "the law would be empty"
    assert 0 < wrong[given_ones].mean() <= risk
    assert 0.02 < given_ones.mean() < 1


def test_the_default_risk_is_one_tenth() -> None:
    logits, truth = drawn(3.0, rows=300)
    assert calibration.calibrate(logits, truth) == calibration.calibrate(logits, truth, 0.1)
    assert calibration.calibrate(logits, truth) != calibration.calibrate(logits, truth, 0.2)


def test_uncalibrated_changes_nothing() -> None:
    assert TemperatureScaling(1.0, 0.0, 0) == calibration.UNCALIBRATED


# from some speakers to others


def test_a_single_speaker_is_not_calibrated() -> None:
    logits, truth = drawn(3.0, rows=100)
    assert calibration.calibrate_grouped(logits, truth, ["a"] * 100) == calibration.UNCALIBRATED


def test_a_temperature_that_helps_every_speaker_is_kept() -> None:
    logits, truth = drawn(3.0, rows=900)
    speakers = [f"s{number % 3}" for number in range(900)]
    scaling = calibration.calibrate_grouped(logits, truth, speakers)
    assert scaling == calibration.calibrate(logits, truth)
    assert scaling.temperature > 2


def test_a_mild_temperature_is_kept_although_equal_scores_would_be_worse() -> None:
    logits, truth = drawn(1.6, rows=900)
    speakers = [f"s{number % 3}" for number in range(900)]
    uniform = math.log(4)
    assert mean_loss(logits, truth, 1.0) < uniform
    assert calibration.calibrate_grouped(logits, truth, speakers).temperature > 1.3


def test_a_temperature_that_helps_one_speaker_is_dropped() -> None:
    """The first speaker is overconfident; a colder temperature helps the second far more."""
    logits, truth = drawn(4.0, rows=200)
    cold, cold_truth = drawn(0.2, rows=200)
    both = np.concatenate([logits, cold])
    truths = np.concatenate([truth, cold_truth])
    scaling = calibration.calibrate_grouped(both, truths, ["a"] * 200 + ["b"] * 200, 0.2)
    assert scaling.temperature == 1
    assert scaling.utterances == 400
    assert scaling.abstain_below == calibration.abstention(calibration.softmax(both), truths, 0.2)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (4, 4), (2, 3, 4)])
def test_log_softmax_is_the_logarithm_of_softmax(shape: tuple[int, ...]) -> None:
    logits = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    result = calibration.log_softmax(logits)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, np.log(calibration.softmax(logits)), atol=1e-12)


@pytest.mark.parametrize(
    ("vector", "divisor"), [([3.0, 1.0], 1.0), ([2.0, 0.0], 1.0), ([6.0, 2.0], 16.0)]
)
def test_logits_far_outside_are_divided_by_the_fourth_power_of_the_distance(
    vector: list[float], divisor: float
) -> None:
    """The distance is the root mean square: 5 ** 0.5 of (3, 1), which is the radius here."""
    result = calibration.flattened([[4.0, -2.0]], [vector], 5**0.5)
    np.testing.assert_allclose(result, [[4.0 / divisor, -2.0 / divisor]])
    np.testing.assert_allclose(calibration.flattened([4.0, -2.0], vector, 5**0.5), result[0])


def test_a_temperature_that_gains_nothing_stays_one() -> None:
    scaling = calibration.calibrate_grouped(np.zeros((4, 2)), [0, 1, 0, 1], ["a", "a", "b", "b"])
    assert scaling.temperature == 1


def test_speakers_are_left_out_in_ten_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, truth = drawn(2.5, rows=600)
    sizes = []
    fit = calibration.fit_temperature

    def counted(logits: np.ndarray, truth: np.ndarray) -> float:
        sizes.append(len(logits))
        return fit(logits, truth)

    monkeypatch.setattr(calibration, "fit_temperature", counted)
    calibration.calibrate_grouped(logits, truth, [f"s{number % 40:02}" for number in range(600)])
    assert sorted(sizes) == [540] * 10 + [600]


def test_more_speakers_than_parts_are_left_out_together() -> None:
    logits, truth = drawn(3.0, rows=600)
    speakers = [f"s{number % 40}" for number in range(600)]
    assert calibration.calibrate_grouped(logits, truth, speakers).temperature > 2


# the threshold


@pytest.mark.parametrize(
    ("risk", "threshold"),
    [
        (0.0, 0.9),  # only the most confident
        (0.3, 0.9),  # 1/2 and 1/3 are too many
        (0.34, 0.7),  # 1 of 3, although 1 of 2 was too many
        (0.49, 0.7),
        (0.5, 0.0),  # 2 of 4: all are given
        (1.0, 0.0),
    ],
)
def test_a_threshold_by_hand(risk: float, threshold: float) -> None:
    assert calibration.abstention(FOUR, FOUR_TRUE, risk) == threshold


def test_scores_that_tie_are_given_together_or_not_at_all() -> None:
    # 0.9 right; 0.8 three times, of which one is wrong: 1 of 4 or nothing of it
    scores, truth = two_sided([0.9, 0.8, 0.8, 0.8, 0.6], [True, True, True, False, False])
    assert calibration.abstention(scores, truth, 0.2) == 0.9
    assert calibration.abstention(scores, truth, 0.25) == 0.8
    for order in ([3, 1, 0, 2, 4], [4, 3, 2, 1, 0]):
        turned = [scores[n] for n in order], [truth[n] for n in order]
        assert calibration.abstention(*turned, 0.2) == 0.9
        assert calibration.abstention(*turned, 0.25) == 0.8


def test_equal_scores_are_answered_all_or_none() -> None:
    scores, truth = two_sided([0.8] * 4, [True, True, True, False])
    assert calibration.abstention(scores, truth, 0.25) == 0.0
    assert calibration.abstention(scores, truth, 0.2) == 0.8


def test_without_a_wrong_answer_all_are_given_even_at_no_risk() -> None:
    scores, truth = two_sided([0.9, 0.5], [True, True])
    assert calibration.abstention(scores, truth, 0.0) == 0.0


def test_a_risk_out_of_reach_gives_the_highest_score() -> None:
    scores, truth = two_sided([0.6, 0.95, 0.7], [True, False, True])
    assert calibration.abstention(scores, truth, 0.3) == 0.95
    assert calibration.abstention(scores, truth, 0.34) == 0.0


@settings(max_examples=150, deadline=None)
@given(answers(), st.integers(0, 10))
def test_the_threshold_is_the_lowest_that_keeps_the_risk(
    case: tuple[Floats, Indices], tenths: int
) -> None:
    scores, truth = case
    sure, wrong = scores.max(axis=1), scores.argmax(axis=1) != truth
    fits = [item for item in np.unique(sure) if wrong[sure >= item].mean() <= tenths / 10]
    expected = sure.max() if not fits else 0.0 if fits[0] == sure.min() else fits[0]
    assert calibration.abstention(scores, truth, tenths / 10) == expected


@pytest.mark.parametrize("risk", [-0.01, 1.01, 10.0, math.nan])
def test_a_risk_outside_0_to_1_is_rejected(risk: float) -> None:
    with pytest.raises(ResultError, match="expected a risk from 0 to 1, got "):
        calibration.abstention(FOUR, FOUR_TRUE, risk)
    with pytest.raises(ResultError, match="expected a risk from 0 to 1"):
        calibration.calibrate(FOUR, FOUR_TRUE, risk)


# the curve


def test_a_curve_by_hand() -> None:
    # Of four answers a coverage of 1/20 is one answer, and each point is there once.
    assert calibration.risk_coverage(FOUR, FOUR_TRUE) == (
        Point(1 / 4, 0.0, 0.9),
        Point(2 / 4, 1 / 2, 0.8),
        Point(3 / 4, 1 / 3, 0.7),
        Point(4 / 4, 2 / 4, 0.6),
    )
    assert calibration.aurc(FOUR, FOUR_TRUE) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_one_answer_is_one_point() -> None:
    assert calibration.risk_coverage([[0.2, 0.8]], [0]) == (Point(1.0, 1.0, 0.8),)
    assert calibration.aurc([[0.2, 0.8]], [0]) == 1.0
    assert calibration.aurc([[0.2, 0.8]], [1]) == 0.0


def test_the_area_uses_every_answer_and_not_the_points() -> None:
    # 200 answers; only the most confident is wrong: its risk falls as 1/1, 1/2, 1/3 ...
    sure = np.linspace(0.99, 0.51, 200)
    scores, truth = two_sided(sure.tolist(), [False] + [True] * 199)
    harmonic = sum(1 / n for n in range(1, 201))
    assert calibration.aurc(scores, truth) == pytest.approx(harmonic / 200)


def test_more_confident_right_answers_give_a_smaller_area() -> None:
    sure = [0.9, 0.8, 0.7, 0.6]
    best = calibration.aurc(*two_sided(sure, [True, True, True, False]))
    worst = calibration.aurc(*two_sided(sure, [False, True, True, True]))
    assert best == pytest.approx(1 / 16)
    assert worst == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_points_are_those_of_the_definition() -> None:
    logits, truth = drawn(2.0, rows=400)
    scores = calibration.softmax(logits)
    sure, wrong = scores.max(axis=1), scores.argmax(axis=1) != truth
    points = calibration.risk_coverage(scores, truth)
    assert [point.coverage for point in points] == pytest.approx(COVERAGES)
    for value in points:
        given_ones = sure >= value.threshold
        assert given_ones.mean() == pytest.approx(value.coverage)
        assert wrong[given_ones].mean() == pytest.approx(value.risk)
    every = [wrong[sure >= item].mean() for item in sure]
    assert calibration.aurc(scores, truth) == pytest.approx(np.mean(every))


# softmax and back


def test_softmax_by_hand() -> None:
    logits = np.log([[1.0, 3.0], [2.0, 2.0]])
    assert calibration.softmax(logits).tolist() == [
        pytest.approx([0.25, 0.75]),
        pytest.approx([0.5, 0.5]),
    ]
    assert calibration.softmax([1.0, -np.inf, 1.0]).tolist() == [0.5, 0.0, 0.5]


def test_softmax_does_not_overflow_and_is_in_double_precision() -> None:
    probabilities = calibration.softmax(np.array([[1e4, 0.0], [-1e4, -1e4]], dtype=np.float32))
    assert probabilities.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert probabilities.dtype == np.float64


def test_softmax_equals_scipy_s() -> None:
    twin = pytest.importorskip("scipy.special", reason="needs scipy as the twin")
    logits = np.random.default_rng(1).normal(scale=20, size=(5, 4, 3))
    np.testing.assert_allclose(calibration.softmax(logits), twin.softmax(logits, axis=-1))


def test_undoing_a_temperature_by_hand() -> None:
    # 3 to 1 at a temperature of 2 was 9 to 1 before; a temperature of 1 changes nothing
    undone = calibration.undo_temperature([[0.75, 0.25], [0.75, 0.25]], [2.0, 1.0])
    np.testing.assert_allclose(undone, [[0.9, 0.1], [0.75, 0.25]])


def test_undoing_temperatures_works_row_by_row() -> None:
    random = np.random.default_rng(2)
    logits, heats = random.normal(size=(50, 4)), random.uniform(0.3, 5, size=50)
    scaled = calibration.softmax(logits / heats[:, None])
    np.testing.assert_allclose(
        calibration.undo_temperature(scaled, heats), calibration.softmax(logits)
    )


def test_scores_rounded_to_zero_stay_zero() -> None:
    undone = calibration.undo_temperature([[0.8, 0.2, 0.0]], [0.5])
    # the square roots of 0.8 and 0.2 are as 2 to 1
    np.testing.assert_allclose(undone, [[2 / 3, 1 / 3, 0.0]])


# faults


CALLS: dict[str, Callable[..., object]] = {
    "calibrate": calibration.calibrate,
    "fit_temperature": calibration.fit_temperature,
    "abstention": calibration.abstention,
    "risk_coverage": calibration.risk_coverage,
    "area": calibration.aurc,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        (np.zeros((0, 3)), [], r"got shapes \(0, 3\) and \(0,\)"),
        ([0.5, 0.5], [0, 1], r"got shapes \(2,\) and"),
        ([[[0.5, 0.5]]], [0], r"got shapes \(1, 1, 2\) and"),
        ([[0.5, 0.5]], [0, 1], r"got shapes \(1, 2\) and \(2,\)"),
        ([[0.5, 0.5]], [[0]], r"got shapes .* and \(1, 1\)"),
        ([[0.5, 0.5]], 0, r"got shapes .* and \(\)"),
    ],
)
def test_other_shapes_are_one_clear_line(
    name: str, scores: object, truth: object, words: str
) -> None:
    with pytest.raises(ResultError, match=words) as caught:
        CALLS[name](scores, truth)
    assert "(utterance, emotion) and (utterance,)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, PhonemoError)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("truth", [[0, 2], [0, -1], [0, 9], [0.0, 1.0], [True, False]])
def test_other_class_indices_are_refused(name: str, truth: list[object]) -> None:
    with pytest.raises(ResultError, match=r"expected class indices from 0 to 1 in truth$"):
        CALLS[name]([[0.6, 0.4], [0.5, 0.5]], truth)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("scores", [[math.nan, 0.5], [-math.inf, 0.5], [math.inf, 0.5]])
def test_scores_without_a_number_for_the_true_class_are_refused(
    name: str, scores: list[float]
) -> None:
    with pytest.raises(ResultError, match="got NaN or infinity"):
        CALLS[name]([scores, [0.5, 0.5]], [0, 1])
