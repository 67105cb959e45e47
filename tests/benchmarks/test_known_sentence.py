"""Sentences known in advance: what is taken off, and when it helps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import REPOSITORY

pytest.importorskip("torch")

from phonemo.train.transfer.corpora import Rows

assert REPOSITORY
import known_sentence as benchmark  # noqa: E402


def rows_of(vectors: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> Rows:
    names = speakers.astype(str)
    return Rows(vectors.astype(np.float32), truth, np.full(len(truth), "c"), names, names)


def drawn(by_sentence: float) -> tuple[Rows, np.ndarray]:
    """Four speakers, two emotions that shift one feature, and two sentences that shift it more."""
    draw = np.random.default_rng(0)
    truth, sentences, speakers = (part.ravel() for part in np.indices((2, 2, 40)))
    vectors = draw.normal(size=(160, 3)) * 0.3
    vectors[:, 0] += truth + by_sentence * sentences
    return rows_of(vectors, truth, speakers % 4), sentences.astype(str)


def test_means_are_those_of_the_training_part_and_emotions_weigh_the_same():
    vectors = np.array([[0.0], [2.0], [4.0], [9.0], [5.0]])
    rows = rows_of(vectors, np.array([0, 0, 1, 0, 1]), np.zeros(5))
    trained = np.array([True, True, True, False, True])
    found = benchmark.without_sentence(rows, np.array(["a", "a", "a", "a", "b"]), trained)
    mean_of_a, whole = (1 + 4) / 2, (0 + 2 + 4 + 5) / 4
    np.testing.assert_allclose(found[:4, 0], vectors[:4, 0] - mean_of_a + whole)
    assert found[4, 0] == pytest.approx(whole)


def test_a_sentence_that_was_not_trained_on_keeps_its_vectors():
    rows = rows_of(np.array([[1.0], [2.0], [7.0]]), np.array([0, 1, 0]), np.zeros(3))
    found = benchmark.without_sentence(
        rows, np.array(["a", "a", "new"]), np.array([True, True, False])
    )
    assert found[2, 0] == 7.0


def test_knowing_the_sentence_helps_where_it_hides_the_emotion(capsys):
    rows, sentences = drawn(by_sentence=1.0)
    benchmark._report(rows, sentences, 2)
    plain, known = (
        np.mean(benchmark.predict(rows, 2, given) == rows.truth) for given in (None, sentences)
    )
    assert known > plain + 0.1
    assert (
        f"UA {100 * plain:.1f}, with known sentences {100 * known:.1f}: +"
        in capsys.readouterr().out
    )


def test_nothing_changes_where_sentences_are_alike():
    rows, sentences = drawn(by_sentence=0.0)
    plain, known = (benchmark.predict(rows, 2, given) for given in (None, sentences))
    assert np.mean(plain == known) > 0.97
