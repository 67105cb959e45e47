"""Contrasts, the anchored regression, and what is known of RAVDESS' intensities."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.dimensions.anchored_regression import AnchorMoments
from phonemo.train.dimensions.contrasts import Recordings, contrasts_of
from phonemo.train.transfer.corpora import Rows


def recordings(emotions: list[str], strong: list[int], speakers: list[str]) -> Recordings:
    return Recordings(np.array(emotions), np.array(strong), np.array(speakers))


def test_an_auc_counts_pairs_in_the_expected_order():
    known = recordings(["anger", "fear", "sadness", "neutral"], [-1] * 4, ["a", "b", "a", "b"])
    values = np.array([[0.9, 0.5], [0.3, 0.5], [0.2, 0.5], [0.3, 0.5]])
    arousal = contrasts_of(known, values)["arousal"]
    assert arousal.auc == pytest.approx(3.5 / 4)  # fear and neutral are tied
    assert arousal.pairs == 4
    assert arousal.low <= arousal.auc <= arousal.high


def test_intensity_compares_one_emotion_of_one_speaker():
    known = recordings(
        ["anger", "anger", "fear", "fear", "anger"], [1, 0, 1, 0, 0], ["a", "a", "a", "a", "b"]
    )
    values = np.array([[0.9, 0], [0.1, 0], [0.2, 0], [0.3, 0], [1.0, 0]])
    intensity = contrasts_of(known, values)["intensity"]
    assert intensity.auc == pytest.approx(0.5)  # right for anger, wrong for fear; b is not compared
    assert intensity.pairs == 2


def test_a_contrast_that_a_corpus_lacks_is_absent():
    known = recordings(["anger", "anger"], [-1, -1], ["a", "b"])
    assert contrasts_of(known, np.zeros((2, 2))) == {}


def rows_of_two_sources() -> Rows:
    """Feature 0 separates two emotions, feature 1 is noise; sources have other offsets."""
    random = np.random.default_rng(1)
    truth = np.tile([0, 1], 100)
    source = np.repeat(["x", "y"], 100)
    vectors = random.normal(0, 0.1, (200, 2))
    vectors[:, 0] += 2.0 * truth
    vectors[source == "y"] += 5
    return Rows(vectors.astype(np.float32), truth, source, source, source)


def reference() -> Reference:
    zeros = np.zeros((2, 2))
    return Reference(np.array([1.0, 0.0]), np.array([1.0, 0.1]), zeros, zeros, zeros[0], 1.0, 1.0)


def test_the_regression_gives_emotions_their_anchors():
    rows = rows_of_two_sources()
    moments = AnchorMoments.of(rows, 2, np.full(200, -1))
    anchored = moments.fit(np.array([[0.2, 0.1], [0.8, 0.9], [0.0, 0.0]]), ridge=0.01)
    low, high = anchored.values(reference(), np.array([[0.0, 0.0], [2.0, 0.0]]), None)
    assert low == pytest.approx([0.2, 0.1], abs=0.05)
    assert high == pytest.approx([0.8, 0.9], abs=0.05)


def test_a_strong_intensity_raises_the_anchor_of_arousal():
    rows = rows_of_two_sources()
    strong = np.tile([1, 1, 0, 0], 50)
    rows.vectors[:, 1] = np.where(rows.source == "y", 5, 0) + 0.1 * (2 * strong - 1)
    anchors = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.0]])
    anchored = AnchorMoments.of(rows, 2, strong).fit(anchors, ridge=0.01)
    normal, intense = anchored.values(reference(), np.array([[1.0, -0.1], [1.0, 0.1]]), None)
    assert intense[0] - normal[0] == pytest.approx(0.2, abs=0.02)
    assert intense[1] == pytest.approx(0.5, abs=0.01)
