"""The discriminant against scikit-learn's, and against a regression that leans on the speaker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from phonemo.train.heads.classifiers import NEVER, SCALE, Problem, fit_discriminant
from phonemo.train.transfer.corpora import Rows
from phonemo.train.transfer.linear_heads import HeadOptions, balanced, fit_head
from phonemo.train.transfer.selection import choices_of
from phonemo.train.transfer.study_config import SystemConfig

OPTIONS = HeadOptions("discriminant", "source", "corpus", 0.001, 0.3, False, 3.0, 10.0, 0)


def _labelled(seed: int, count: int = 90, features: int = 6):
    draws = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    vectors = draws.normal(size=(count, features)) @ draws.normal(size=(features, features))
    return (vectors + draws.normal(size=(3, features))[truth]).astype(np.float32), truth


@pytest.mark.parametrize("ridge", [0.01, 0.3, 1.0])
def test_the_classifier_equals_that_of_scikit_learn(ridge):
    vectors, truth = _labelled(1)
    means = np.stack([vectors[truth == label].mean(axis=0, dtype=np.float64) for label in range(3)])
    problem = Problem(vectors, truth, np.ones(len(truth)), None, len(truth))
    classifier = fit_discriminant(problem, means, ridge)
    twin = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=ridge, priors=[1 / 3] * 3)
    twin.fit(vectors.astype(np.float64), truth)
    mine = (vectors @ classifier.weight.T + classifier.bias) / SCALE
    theirs = twin.decision_function(vectors)
    np.testing.assert_allclose(
        mine - mine.mean(axis=1, keepdims=True),
        theirs - theirs.mean(axis=1, keepdims=True),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_class_without_a_row_is_never_predicted():
    vectors, truth = _labelled(2)
    means = np.zeros((4, 6))
    means[:3] = [vectors[truth == label].mean(axis=0) for label in range(3)]
    classifier = fit_discriminant(Problem(vectors, truth, np.ones(90), None, 90), means, 0.1)
    assert classifier.bias[3] == NEVER
    assert not classifier.weight[3].any()
    assert np.abs(classifier.bias[:3]).max() < -NEVER


def _speakers(seed: int, speakers: int) -> Rows:
    """Emotion on one feature; on another each speaker has a place of their own for each emotion."""
    draws = np.random.default_rng(seed)
    number, truth = np.arange(speakers * 40) // 40, np.arange(speakers * 40) % 2
    vectors = draws.normal(size=(len(truth), 2))
    vectors[:, 0] += 1.5 * truth
    vectors[:, 1] += draws.normal(0, 6, size=(speakers, 2))[number, truth]
    names = np.array([f"s{index}" for index in number])
    corpus = np.full(len(truth), "one")
    return Rows(vectors.astype(np.float32), truth, corpus, corpus, names)


def test_features_that_differ_between_speakers_of_a_class_have_little_weight():
    heads = [fit_head(_speakers(seed, 4), 2, OPTIONS) for seed in range(9)]
    gaps = np.abs([head.weight[1] - head.weight[0] for head in heads])
    # a unit of the feature that is no speaker's own says more
    scales = np.array([head.spread for head in heads])
    assert np.median(gaps[:, 0] / scales[:, 0]) > 3 * np.median(gaps[:, 1] / scales[:, 1])


def test_corpora_have_equal_weights_or_weights_by_size():
    truth = np.array([0, 0, 1, 0, 1, 1, 1, 1])
    corpus = np.array(["a"] * 3 + ["b"] * 5)
    rows = Rows(np.zeros((8, 2), np.float32), truth, corpus, corpus, corpus)
    even, sized = balanced(rows), balanced(rows, "size")
    assert even[:3].sum() == pytest.approx(even[3:].sum())
    assert sized[:3].sum() / sized[3:].sum() == pytest.approx(3 / 5)
    assert sized[3] == pytest.approx(sized[4:].sum())


def test_the_inverse_penalty_does_not_affect_the_discriminant():
    rows = _speakers(4, 4)
    first, second = (fit_head(rows, 2, replace(OPTIONS, inverse_penalty=c)) for c in (1e-3, 1.0))
    np.testing.assert_array_equal(first.weight, second.weight)


def test_only_the_regularization_that_a_fit_reads_multiplies_its_choices() -> None:
    system = SystemConfig(
        network="backbone",
        statistics=(2,),
        fit=("discriminant", "logistic"),
        ridge=(0.1, 0.3),
        inverse_penalty=(0.001, 0.01),
    )
    heads = [choice.head for choice in choices_of(system)]
    assert [(head.fit, head.inverse_penalty, head.ridge) for head in heads] == [
        ("discriminant", 0.001, 0.1),
        ("discriminant", 0.001, 0.3),
        ("logistic", 0.001, 0.1),
        ("logistic", 0.01, 0.1),
    ]
