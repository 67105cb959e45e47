"""Statistics, shrinkage and the map by hand; a planted shift is found in a one-sided pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phonemo.errors import UsageError
from phonemo.runtime.adaptation.statistics import (
    LEAST_DEVIATION,
    LEAST_POOL,
    Affine,
    Reference,
    Statistics,
    affine,
    estimate,
    moments,
    shrink_towards,
)

#: Two features, two emotions that lie apart on the first feature only.
REFERENCE = Reference(
    centre=np.array([1.0, 2.0]),
    spread=np.array([2.0, 4.0]),
    class_means=np.array([[0.8, 0.0], [-0.8, 0.0]]),
    weight=np.array([[2.0, 0.0], [-2.0, 0.0]]),
    bias=np.zeros(2),
    k_mean=3.0,
    k_spread=1.0,
)
POOL = np.array([[3.0, 10.0], [7.0, 2.0]])


def test_moments_of_two_vectors_by_hand():
    statistics = moments(POOL, REFERENCE)
    assert statistics.count == 2
    np.testing.assert_allclose(statistics.mean, [5, 6])
    np.testing.assert_allclose(statistics.deviation, np.sqrt([8, 32]))  # squares over n - 1


def test_one_vector_has_the_deviation_of_training():
    statistics = moments(POOL[:1], REFERENCE)
    assert (statistics.count, statistics.deviation.tolist()) == (1, [2.0, 4.0])


def test_a_constant_feature_has_a_bounded_deviation():
    statistics = moments(np.array([[3.0, 1.0], [3.0, 9.0]]), REFERENCE)
    assert statistics.deviation[0] == pytest.approx(2 * LEAST_DEVIATION)


def test_shrinkage_by_hand():
    statistics = shrink_towards(moments(POOL, REFERENCE), REFERENCE)
    # n = 2 against k = 3 for means; n - 1 = 1 against k = 1 for variances
    np.testing.assert_allclose(statistics.mean, [(2 * 5 + 3 * 1) / 5, (2 * 6 + 3 * 2) / 5])
    np.testing.assert_allclose(statistics.deviation, np.sqrt([(8 + 4) / 2, (32 + 16) / 2]))


def test_shrinkage_towards_a_wider_source_by_hand():
    wider = Statistics(100, np.array([11.0, 0.0]), np.array([1.0, 3.0]))
    statistics = shrink_towards(moments(POOL, REFERENCE), REFERENCE, towards=wider)
    np.testing.assert_allclose(statistics.mean, [(2 * 5 + 3 * 11) / 5, (2 * 6 + 0) / 5])
    np.testing.assert_allclose(statistics.deviation, np.sqrt([(8 + 1) / 2, (32 + 9) / 2]))


def test_without_shrinkage_a_pool_is_unchanged():
    free = replace(REFERENCE, k_mean=0.0, k_spread=0.0)
    statistics = shrink_towards(moments(POOL, free), free)
    np.testing.assert_allclose(statistics.mean, [5, 6])
    np.testing.assert_allclose(statistics.deviation, np.sqrt([8, 32]))
    np.testing.assert_allclose(shrink_towards(moments(POOL[:1], free), free).deviation, [2, 4])


def test_the_map_gives_a_source_the_moments_of_training():
    scale, shift = affine(moments(POOL, REFERENCE), REFERENCE)
    mapped = POOL * scale + shift
    np.testing.assert_allclose(mapped.mean(axis=0), REFERENCE.centre)
    np.testing.assert_allclose(mapped.std(axis=0, ddof=1), REFERENCE.spread)


def test_the_map_of_the_training_sources_changes_nothing():
    scale, shift = affine(REFERENCE.statistics, REFERENCE)
    assert (scale.tolist(), shift.tolist()) == ([1, 1], [0, 0])


@given(arrays(np.float64, 2, elements=st.floats(-1e3, 1e3)), st.floats(0.5, 100))
def test_one_vector_moves_the_mean_by_its_share_and_stretches_nothing(vector, k):
    reference = replace(REFERENCE, k_mean=k)
    statistics = shrink_towards(estimate(vector[None], reference), reference)
    moved = np.abs(statistics.mean - reference.centre)
    assert (moved <= np.abs(vector - reference.centre) / (1 + k) + 1e-9).all()
    assert affine(statistics, reference).scale.tolist() == [1, 1]


def test_many_vectors_outweigh_the_training_sources():
    draws = np.random.default_rng(1).normal([5, -3], [1, 2], (4000, 2))
    statistics = shrink_towards(moments(draws, REFERENCE), REFERENCE)
    np.testing.assert_allclose(statistics.mean, [5, -3], atol=0.15)
    np.testing.assert_allclose(statistics.deviation, [1, 2], rtol=0.05)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_order_of_a_pool_does_not_matter(size):
    draws = np.random.default_rng(2).normal(0, 3, (size, 2))
    forward, backward = (estimate(rows, REFERENCE) for rows in (draws, draws[::-1]))
    assert forward.mean.tobytes() == backward.mean.tobytes()
    assert forward.deviation.tobytes() == backward.deviation.tobytes()


def world(features: int, seed: int):
    """A reference of four classes, and a source that is shifted and stretched against it.

    Gives the reference, the source's true statistics, and a function that draws its vectors with
    given class shares, and their classes.
    """
    draws = np.random.default_rng(seed)
    means = draws.normal(0, 0.6, (4, features))
    means -= means.mean(axis=0)
    within = np.sqrt(np.maximum(1 - (means**2).mean(axis=0), 0.2))
    weight = means / within**2
    bias = -0.5 * ((means / within) ** 2).sum(axis=1)
    centre, spread = draws.normal(0, 3, features), draws.uniform(0.5, 2, features)
    reference = Reference(centre, spread, means, weight, bias, k_mean=5, k_spread=20)
    shift, stretch = draws.normal(0, 1, features), draws.uniform(0.6, 1.5, features)
    truth = Statistics(np.inf, centre + spread * shift, spread * stretch)

    def source(size, shares):
        classes = draws.choice(4, size, p=shares)
        noise = within * draws.normal(size=(size, features))
        return centre + spread * (shift + stretch * (means[classes] + noise)), classes

    return reference, truth, source


def distance(statistics: Statistics, truth: Statistics, reference: Reference) -> float:
    """Root mean square of the error of the mean, in deviations of training."""
    return float(np.sqrt(np.mean(((statistics.mean - truth.mean) / reference.spread) ** 2)))


def recall(statistics: Statistics, reference: Reference, rows, classes) -> float:
    """Mean recall of the head under the map."""
    scale, shift = affine(shrink_towards(statistics, reference), reference)
    standardised = (rows * scale + shift - reference.centre) / reference.spread
    best = (standardised @ reference.weight.T + reference.bias).argmax(axis=1)
    return float(np.mean([(best[classes == number] == number).mean() for number in range(4)]))


@pytest.mark.parametrize("seed", range(4))
def test_a_one_sided_pool_is_not_centered_on_its_class(seed):
    reference, truth, source = world(16, seed)
    rows, _ = source(200, [0.8, 0.1, 0.05, 0.05])
    plain, result = moments(rows, reference), estimate(rows, reference)
    assert distance(result, truth, reference) < 0.75 * distance(plain, truth, reference)
    test, classes = source(2000, [0.25] * 4)
    best = recall(result, reference, test, classes)
    assert best > recall(plain, reference, test, classes) + 0.03
    assert best > recall(reference.statistics, reference, test, classes) - 0.02
    assert best > recall(truth, reference, test, classes) - 0.08


@pytest.mark.parametrize("seed", range(4))
def test_a_balanced_pool_loses_little_by_the_estimate(seed):
    reference, _, source = world(16, seed)
    rows, _ = source(200, [0.25] * 4)
    test, classes = source(2000, [0.25] * 4)
    plain, result = (
        recall(make(rows, reference), reference, test, classes) for make in (moments, estimate)
    )
    assert result > plain - 0.06


def test_shares_and_mean_by_hand():
    # far apart on the first feature: six vectors of the first class, two of the second, and a prior
    # of half the pool that is even: shares (3/4 + 1/4) / 1.5 and (1/4 + 1/4) / 1.5
    # (class means without symmetry, so that shares must sum to one)
    means = np.array([[0.8, 0.0], [-0.3, 0.0]])
    reference = replace(REFERENCE, weight=REFERENCE.weight * 1e3, class_means=means)
    rows = np.array([[3.0, 2.0]] * 4 + [[-1.0, 2.0]] * 2 + [[3.0, 2.0]] * 2)
    plain, result = moments(rows, reference), estimate(rows, reference)
    uneven = 2 / 3 - 1 / 2
    expected = plain.mean[0] - plain.deviation[0] * (uneven * 0.8 + -uneven * -0.3)
    np.testing.assert_allclose(result.mean, [expected, plain.mean[1]])
    np.testing.assert_array_equal(result.deviation, plain.deviation)


def test_posteriors_are_those_of_half_the_logits():
    """Of one step: logits of 2 and -2 count as 1 and -1 (a temperature of 2)."""
    reference = replace(REFERENCE, em_iterations=1, bias=np.zeros(2))
    column = np.flatnonzero(reference.weight[0] - reference.weight[1])[0]
    unit = 4 / (reference.weight[0] - reference.weight[1])[column]
    row = reference.centre.copy()
    row[column] += unit * reference.spread[column]
    share = (1 / (1 + np.exp(-2.0)) * 8 + 4 * 0.5) / 12
    expected = moments(np.array([row] * 8), reference)
    moved = expected.mean - expected.deviation * (
        np.array([share - 0.5, 0.5 - share]) @ reference.class_means
    )
    np.testing.assert_allclose(estimate(np.array([row] * 8), reference).mean, moved)


def test_it_departs_from_moments_by_a_mixture_of_class_means():
    reference, _, source = world(8, 3)
    rows, _ = source(50, [0.9, 0.1, 0, 0])
    plain, result = moments(rows, reference), estimate(rows, reference)
    moved = np.abs(result.mean - plain.mean) / plain.deviation
    assert (moved <= np.abs(reference.class_means).max(axis=0)).all()


def test_small_pools_and_zero_steps_have_plain_moments():
    reference, _, source = world(8, 1)
    rows, _ = source(50, [0.9, 0.1, 0, 0])
    for pool, known in (
        (rows[: LEAST_POOL - 1], reference),
        (rows, replace(reference, em_iterations=0)),
    ):
        plain, result = moments(pool, known), estimate(pool, known)
        assert plain.mean.tobytes() == result.mean.tobytes()
        assert plain.deviation.tobytes() == result.deviation.tobytes()
    assert not np.allclose(moments(rows, reference).mean, estimate(rows, reference).mean)


@pytest.mark.parametrize(
    ("vectors", "what"),
    [
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.zeros((3, 5)), r"\(vector, 2\)"),
        (np.array([[1.0, np.nan]]), "expected finite vectors"),
        (np.array([[1.0, np.inf]]), "expected finite vectors"),
    ],
)
@pytest.mark.parametrize("make", [moments, estimate])
def test_invalid_pools_are_rejected(make, vectors, what):
    with pytest.raises(UsageError, match=what):
        make(vectors, REFERENCE)


def test_distant_vectors_have_flatter_logits():
    """Two radii away the logits are a sixteenth of what they are within one."""
    near, far = np.array([[1.0, 1.0]]), np.array([[2.0, 2.0]])
    plain = Reference(
        *(np.zeros(2), np.ones(2), np.zeros((2, 2)), np.array([[1.0, 0], [0, 2]]), np.zeros(2)),
        *(1.0, 1.0),
    )
    bounded = replace(plain, radius=1.0)
    assert bounded.logits(near).tolist() == [[1.0, 2.0]]
    assert bounded.logits(far).tolist() == [[2.0 / 16, 4.0 / 16]]
    assert plain.logits(far).tolist() == [[2.0, 4.0]]
    halved = Affine(np.full(2, 0.5), np.zeros(2))
    assert bounded.logits(far, halved).tolist() == [[1.0, 2.0]], "the map comes first"


def test_a_radius_changes_no_profile():
    rows = np.random.default_rng(0).normal(3, 2, (30, 2))
    plain = estimate(rows, REFERENCE)
    bounded = estimate(rows, replace(REFERENCE, radius=0.1))
    assert bounded.mean.tolist() == plain.mean.tolist()
    assert replace(REFERENCE, radius=0.1).digest == REFERENCE.digest


def test_the_digest_covers_the_space_and_not_the_shrinkage():
    assert len(REFERENCE.digest) == 64
    assert replace(REFERENCE, k_mean=9.0, em_iterations=0).digest == REFERENCE.digest
    assert replace(REFERENCE, centre=REFERENCE.centre + 1e-3).digest != REFERENCE.digest
    rounded = replace(REFERENCE, weight=REFERENCE.weight.astype(np.float32).astype(np.float64))
    assert rounded.digest == REFERENCE.digest
