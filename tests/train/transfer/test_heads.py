"""Linear heads: the regression against scikit-learn's, weights and statistics by hand, views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from phonemo.errors import ProtocolError
from phonemo.evaluation.calibration import flattened
from phonemo.runtime.adaptation.statistics import (
    Reference,
    Statistics,
    adapt_logits,
    estimate,
    logits_of,
)
from phonemo.train.heads.classifiers import NEVER, Problem, fit_softmax
from phonemo.train.transfer.corpora import Rows, concatenate_rows
from phonemo.train.transfer.linear_heads import (
    HeadOptions,
    adjusted,
    balanced,
    fit_head,
    places_of,
    radius_of,
    speaker_statistics,
)
from phonemo.train.transfer.testing import by_speaker

OPTIONS = HeadOptions("logistic", "source", "corpus", 0.1, 0.5, False, 3.0, 10.0, 0)


def rows_of(
    corpus: str, truth: list[int], vectors: np.ndarray, speakers: list[str] | None = None
) -> Rows:
    names = np.full(len(truth), corpus)
    owners = (
        names if speakers is None else np.array([f"{corpus}/{speaker}" for speaker in speakers])
    )
    return Rows(vectors.astype(np.float32), np.array(truth), names, names, owners)


def random_rows(corpus: str, seed: int, shift: float = 0.0, count: int = 60) -> Rows:
    random = np.random.default_rng(seed)
    truth = random.integers(3, size=count)
    vectors = random.normal(0, 1, (count, 4)) + np.eye(3, 4)[truth] * 2
    vectors[:, 0] += shift  # the place of the first class
    return rows_of(corpus, truth.tolist(), vectors, [f"s{n % 4}" for n in range(count)])


# The regression -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_the_regression_equals_that_of_scikit_learn(strength: float) -> None:
    rows = random_rows("one", 1)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, len(rows))
    weights *= len(rows) / weights.sum()
    classifier = fit_softmax(
        Problem(rows.vectors, rows.truth, weights, None, len(rows)), 3, strength
    )
    twin = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
    twin.fit(rows.vectors, rows.truth, sample_weight=weights)
    np.testing.assert_allclose(classifier.weight, twin.coef_, atol=2e-3)
    np.testing.assert_allclose(
        classifier.bias - classifier.bias.mean(),
        twin.intercept_ - twin.intercept_.mean(),
        atol=2e-3,
    )


def test_a_class_without_a_row_is_never_predicted() -> None:
    rows = random_rows("one", 1)
    classifier = fit_softmax(Problem(rows.vectors, rows.truth, balanced(rows), None, 60), 5, 1.0)
    assert (classifier.weight[3:] == 0).all()
    assert classifier.bias[3:].tolist() == [NEVER, NEVER]
    assert (rows.vectors @ classifier.weight.T + classifier.bias).argmax(axis=1).max() == 2


def test_a_masked_row_does_not_affect_classes_that_its_corpus_lacks() -> None:
    """The second corpus has no class 2: masked, it does not push class 2 away from its place."""
    first, second = random_rows("one", 1), random_rows("two", 2)
    second = second.where(second.truth != 2)
    beside = rows_of("two", second.truth.tolist(), second.vectors + np.eye(3, 4)[2] * 2)
    rows = concatenate_rows([first, beside])
    plain, masked = (
        fit_head(rows, 3, replace(OPTIONS, mask=mask, standardise="none")) for mask in (False, True)
    )
    present = first.where(first.truth == 2)
    shares = [
        (logits_of(head, present.vectors, None).argmax(axis=1) == 2).mean()
        for head in (plain, masked)
    ]
    assert shares[1] > shares[0]


# Weights and statistics by hand -------------------------------------------------------------------


def test_every_class_of_every_corpus_has_the_same_weight() -> None:
    rows = concatenate_rows(
        [
            rows_of("a", [0, 0, 0, 1], np.zeros((4, 1))),
            rows_of("b", [1, 1], np.zeros((2, 1))),
        ]
    )
    np.testing.assert_allclose(balanced(rows), [1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2])


def test_a_sources_mean_does_not_depend_on_class_frequencies() -> None:
    """Class 0 at 1 (three times) and class 1 at 5: even classes have the mean 3, deviation 2."""
    rows = rows_of("a", [0, 0, 0, 1], np.array([[1.0], [1.0], [1.0], [5.0]]))
    places = places_of(rows, 2)
    assert places.sources["a"].mean.tolist() == [3.0]
    assert places.sources["a"].count == 4
    np.testing.assert_allclose(places.sources["a"].deviation, [2.0])
    np.testing.assert_allclose(places.class_means, [[-1.0], [1.0]])


def test_a_class_that_a_source_lacks_is_imputed_from_the_others() -> None:
    """Two sources of the same shape, one moved by 100; it lacks the class at the far end."""
    vectors = np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0]])
    first = rows_of("a", [0, 0, 1, 1, 2, 2], vectors)
    second = rows_of("b", [0, 0, 1, 1], vectors[:4] + 100)
    places = places_of(concatenate_rows([first, second]), 3)
    distance = places.sources["b"].mean - places.sources["a"].mean
    np.testing.assert_allclose(distance, [100.0], atol=0.7)
    plain = second.vectors.mean() - first.vectors.mean()
    assert abs(plain - 100) > 2.5


def test_center_and_spread_weight_the_sources_equally() -> None:
    first = rows_of("a", [0, 1], np.array([[-1.0], [1.0]]))
    second = rows_of("b", [0, 1] * 50, np.tile([[7.0], [13.0]], (50, 1)))
    places = places_of(concatenate_rows([first, second]), 2)
    np.testing.assert_allclose(places.centre, [5.0])  # of 0 and 10
    np.testing.assert_allclose(places.spread, [np.sqrt((1 + 9) / 2)])


def test_the_radius_is_measured_on_left_out_sources() -> None:
    """One of three lies far away, and does not decide: the median is of the other two."""
    parts = [random_rows(name, seed) for seed, name in enumerate("abc")]
    parts[2] = replace(parts[2], vectors=parts[2].vectors + 8)
    every = concatenate_rows(parts)
    radius = radius_of(every, places_of(every, 3))
    expected = []
    for left_out in range(3):
        places = places_of(concatenate_rows(parts[:left_out] + parts[left_out + 1 :]), 3)
        centred = (parts[left_out].vectors - places.centre) / places.spread
        expected.append(np.quantile(np.sqrt(np.square(centred).mean(axis=1)), 0.95))
    assert radius == pytest.approx(sorted(expected)[1], rel=1e-4)
    assert fit_head(every, 3, OPTIONS).radius == radius


def test_the_radius_of_one_source_is_measured_on_its_speakers() -> None:
    rows = random_rows("a", 1)
    alone = radius_of(rows, places_of(rows, 3))
    speakers = replace(rows, source=rows.speaker)
    assert alone == radius_of(speakers, places_of(speakers, 3))
    assert 1 < alone < 3
    single_speaker = rows.where(rows.speaker == "a/s0")
    assert np.isinf(radius_of(single_speaker, places_of(single_speaker, 3)))


def test_a_speakers_statistics_are_shrunk_towards_the_source() -> None:
    rows = random_rows("a", 3, count=80)
    moved = Rows(
        rows.vectors + 4 * (rows.speaker == "a/s0")[:, None].astype(np.float32),
        *(rows.truth, rows.corpus, rows.source, rows.speaker),
    )
    places = places_of(moved, 3)
    reference = fit_head(moved, 3, OPTIONS)
    trusted, doubted = (
        speaker_statistics(moved, places, replace(reference, k_mean=k))["a/s0"].mean
        for k in (0.0, 20.0)
    )
    source = places.sources["a"].mean
    np.testing.assert_allclose(doubted - source, (trusted - source) / 2, atol=1e-6)
    np.testing.assert_allclose(trusted - source, 3.0, atol=0.6)  # 4 less what it moves the source


def test_a_constant_feature_is_harmless() -> None:
    rows = random_rows("a", 4)
    still = Rows(
        np.concatenate([rows.vectors, np.ones((len(rows), 1), np.float32)], axis=1),
        *(rows.truth, rows.corpus, rows.source, rows.speaker),
    )
    head = fit_head(still, 3, OPTIONS)
    assert np.isfinite(head.weight).all()
    assert (head.spread > 0).all()
    assert np.isfinite(estimate(still.vectors, head).mean).all()


# Views and tests ----------------------------------------------------------------------------------


def accuracy(head: Reference, rows: Rows, source: Statistics | None) -> float:
    return float((logits_of(head, rows.vectors, source).argmax(axis=1) == rows.truth).mean())


@pytest.mark.parametrize("standardise", ["source", "mixture", "all"])
def test_heads_on_standardized_sources_recognize_a_shifted_source(standardise) -> None:
    rows = concatenate_rows([random_rows("a", 1, -5.0, 200), random_rows("b", 2, 5.0, 200)])
    head = fit_head(rows, 3, replace(OPTIONS, standardise=standardise))
    new = random_rows("c", 3, 20.0, 200)
    assert accuracy(head, new, adapt_logits(head, new.vectors)) > 0.75
    assert accuracy(head, new, None) < 0.5


def test_the_mixture_view_works_for_single_and_adapted_recordings() -> None:
    rows = concatenate_rows([random_rows("a", 1, -1.0, 200), random_rows("b", 2, 1.0, 200)])
    head = fit_head(rows, 3, replace(OPTIONS, standardise="mixture"))
    new = random_rows("c", 3, 0.0, 200)
    assert accuracy(head, new, None) > 0.7
    assert accuracy(head, new, adapt_logits(head, new.vectors)) > 0.75


def test_logits_of_an_adapted_source_equal_those_of_mapped_vectors() -> None:
    rows = concatenate_rows([random_rows("a", 1), random_rows("b", 2)])
    head = fit_head(rows, 3, OPTIONS)
    source = adapt_logits(head, random_rows("c", 3, 4.0).vectors)
    vectors = random_rows("c", 3, 4.0).vectors.astype(np.float64)
    mapped = (vectors - source.mean) * head.spread / source.deviation + head.centre
    standardised = (mapped - head.centre) / head.spread
    by_hand = standardised @ head.weight.T + head.bias
    by_hand = flattened(by_hand, standardised, head.radius)
    np.testing.assert_allclose(logits_of(head, vectors, source), by_hand, atol=1e-9)


def test_by_speaker_adapts_each_speaker_separately() -> None:
    rows = concatenate_rows([random_rows("a", 1), random_rows("b", 2)])
    head = fit_head(rows, 3, OPTIONS)
    new = random_rows("c", 3, 4.0)
    logits = by_speaker(head, new, None)
    own = new.speaker == "c/s1"
    expected = logits_of(head, new.vectors[own], adapt_logits(head, new.vectors[own]))
    np.testing.assert_array_equal(logits[own], expected)


def test_adaptation_constants_do_not_refit_the_head() -> None:
    changed = replace(OPTIONS, k_mean=7.0, em_iterations=5)
    assert changed.fitting() == OPTIONS.fitting()
    assert (
        replace(changed, standardise="speaker").fitting()
        != replace(OPTIONS, standardise="speaker").fitting()
    )
    head = fit_head(random_rows("a", 1), 3, OPTIONS)
    assert adjusted(head, changed).k_mean == 7.0
    assert adjusted(head, changed).em_iterations == 5


def test_one_emotion_is_refused() -> None:
    with pytest.raises(ProtocolError, match="expected two emotions or more"):
        fit_head(rows_of("a", [1, 1], np.ones((2, 3))), 3, OPTIONS)
