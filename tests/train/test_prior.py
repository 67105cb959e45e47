"""A head drawn towards another one: its limits, and the slope of what it minimises, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from phonemo.errors import LabelError, ModelError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.heads.head_prior import Linear, Prior, fit_towards, prior_from, prior_of
from phonemo.train.model_folder import save_trained
from tests.golden.make_tiny_bundle import LABELS, make_adaptable, make_network

C = 0.3


def reference(weight: np.ndarray, bias: np.ndarray) -> Reference:
    classes, width = weight.shape
    means = np.arange(classes * width).reshape(classes, width) / 10
    return Reference(np.zeros(width), np.ones(width), means, weight, bias, 2.0, 5.0, 0)


def start(classes: int, width: int = 3, known: tuple[int, ...] | None = None) -> Prior:
    """A prior with drawn weights, zero where it knows nothing."""
    draw = np.random.default_rng(5)
    weight, bias = draw.normal(0, 1, (classes, width)), draw.normal(0, 1, classes)
    has = np.isin(np.arange(classes), range(classes) if known is None else known)
    head = Linear(weight * has[:, None], bias * has)
    return Prior(head, has, np.zeros((classes, width)), reference(weight, bias))


def examples(classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(6)
    truth = np.arange(count) % classes
    return draw.normal(0, 1, (count, 3)) + truth[:, None] * [0.8, -0.5, 0.2], truth


def chances(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_without_strength_the_head_equals_the_plain_regression(classes):
    vectors, truth = examples(classes)
    head = fit_towards(vectors, truth, start(classes), 0.0, C)
    plain = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(vectors, truth)
    # of two classes scikit-learn penalises one row, of which each of ours is half
    plain = plain if classes > 2 else LogisticRegression(C=2 * C, tol=1e-8).fit(vectors, truth)
    expected = plain.predict_proba(vectors)
    np.testing.assert_allclose(chances(head.logits(vectors)), expected, atol=1e-4)


@pytest.mark.parametrize(("strength", "near"), [(np.inf, 0.0), (1e9, 1e-6)])
def test_with_infinite_strength_the_head_equals_the_start(strength, near):
    vectors, truth = examples(3)
    prior = start(3)
    head = fit_towards(vectors, truth, prior, strength, C)
    np.testing.assert_allclose(head.weight, prior.head.weight, atol=near)
    np.testing.assert_allclose(head.bias, prior.head.bias, atol=near)


def test_at_finite_strength_the_gradient_is_zero():
    """strength (W - W0) is what the examples pull: X^T (Y - P), and for a fresh one W / C."""
    vectors, truth = examples(3)
    prior = start(3, known=(0, 1))
    head = fit_towards(vectors, truth, prior, 7.0, C)
    pull = np.eye(3)[truth] - chances(head.logits(vectors))
    left_out = head.weight - prior.head.weight
    np.testing.assert_allclose(7.0 * left_out[:2], pull[:, :2].T @ vectors, atol=1e-4)
    np.testing.assert_allclose(head.weight[2] / C, pull[:, 2] @ vectors, atol=1e-4)
    up = head.bias - prior.head.bias
    np.testing.assert_allclose(7.0 * up[:2], pull[:, :2].sum(axis=0), atol=1e-4)
    assert pull[:, 2].sum() == pytest.approx(0, abs=1e-4)


def test_a_new_emotion_is_fitted_beside_a_fixed_start():
    vectors, truth = examples(3)
    prior = start(3, known=(0, 2))
    head = fit_towards(vectors, truth, prior, np.inf, C)
    np.testing.assert_array_equal(head.weight[[0, 2]], prior.head.weight[[0, 2]])
    assert np.abs(head.weight[1]).max() > 0.05
    assert (head.logits(vectors).argmax(axis=1) == 1).any()


def test_an_emotion_without_an_example_keeps_the_start():
    """The start's stays where the start has it; what nobody knows is never the answer."""
    vectors, truth = examples(2)
    prior = start(4, known=(0, 1, 2))
    head = fit_towards(vectors, truth, prior, 10.0, C)
    np.testing.assert_array_equal(head.weight[2], prior.head.weight[2])
    assert head.bias[2] == prior.head.bias[2]
    assert chances(head.logits(vectors))[:, 3].max() < 1e-6
    assert not np.allclose(head.weight[0], prior.head.weight[0], atol=1e-2)


def test_rows_are_matched_by_name():
    weight, bias = np.arange(6.0).reshape(3, 2), np.array([7.0, 8.0, 9.0])
    theirs, ours = LabelSet(("anger", "calm", "fear")), LabelSet(("fear", "glee", "anger"))
    prior = prior_from(reference(weight, bias), theirs, ours)
    assert prior.known.tolist() == [True, False, True]
    assert prior.head.weight.tolist() == [[4, 5], [0, 0], [0, 1]]
    assert prior.head.bias.tolist() == [9, 0, 7]
    np.testing.assert_allclose(prior.class_means, [[0.4, 0.5], [0, 0], [0, 0.1]])


def test_a_model_without_a_reference_is_no_prior(tmp_path):
    save_trained(tmp_path / "hidden", make_network("hidden"), LabelSet(LABELS))
    with pytest.raises(ModelError, match="expected a linear head that takes profiles"):
        prior_of(tmp_path / "hidden", LabelSet(LABELS))
    folder = make_adaptable(tmp_path / "linear")
    assert prior_of(folder, LabelSet(LABELS)).known.all()
    with pytest.raises(LabelError, match="expected two emotions or more"):
        prior_of(folder, LabelSet((LABELS[0], "glee")))
