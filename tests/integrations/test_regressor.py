"""Arousal and valence in scikit-learn and audformat."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.annotations.dimensions import Dimensions
from phonemo.annotations.prediction import Prediction
from tests.tiny_bundle import BUNDLE, RATE, make_clip


def test_a_regressor_learns_ratings_of_recordings():
    pytest.importorskip("sklearn")
    from phonemo.integrations.emotion_regressor import EmotionRegressor

    clips = [make_clip(7000 + 311 * n, 120.0 + 500 * (n % 2) + 7 * n) for n in range(12)]
    ratings = np.array([[0.2, 0.6], [0.8, 0.3]] * 6)
    regressor = EmotionRegressor(BUNDLE, rate=RATE, alpha=1.0).fit(clips, ratings)
    found = regressor.predict(clips)
    assert found.shape == (12, 2)
    assert (found[1::2, 0] > found[::2, 0]).all()
    assert (found[1::2, 1] < found[::2, 1]).all()
    single = EmotionRegressor(BUNDLE, rate=RATE, alpha=1.0).fit(clips, ratings[:, 0])
    assert single.predict(clips).shape == (12,)
    assert single.score(clips, ratings[:, 0]) > 0.5


def test_a_regressor_needs_finite_ratings():
    pytest.importorskip("sklearn")
    from phonemo.integrations.emotion_regressor import EmotionRegressor

    clips = [make_clip(7000, 120.0), make_clip(7000, 220.0)]
    with pytest.raises(ValueError, match="NaN"):
        EmotionRegressor(BUNDLE).fit(clips, [0.5, float("nan")])


def test_audformat_has_a_scheme_that_says_derived():
    pytest.importorskip("audformat")
    from phonemo.integrations.audformat import to_audformat

    dimensions = Dimensions({"arousal": 0.7, "valence": 0.2}, derived=True)
    found = Prediction("anger", {"anger": 0.9, "neutral": 0.1}, 1.5, dimensions=dimensions)
    database = to_audformat([("a.wav", found)])
    assert "derived" in database.schemes["dimension"].description
    assert database["emotion"].df["arousal"].tolist() == [0.7]
