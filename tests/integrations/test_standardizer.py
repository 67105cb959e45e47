"""Standardised by source: by hand, as the runtime does it, and in scikit-learn's machinery."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import phonemo
from phonemo.errors import ModelError, UsageError
from phonemo.integrations.sklearn import (
    EmotionClassifier,
    PretrainedEmotionClassifier,
    SourceStandardizer,
    SpeechEmbedding,
)
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import Reference, affine, moments, shrink_towards
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip


@parametrize_with_checks([SourceStandardizer(), SourceStandardizer(k_mean=0, k_spread=0)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_estimator_passes_scikit_learns_checks(estimator, check):
    check(estimator)


def rooms(seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of two classes in three rooms that move and stretch them: X, y, rooms."""
    draw = np.random.default_rng(seed)
    y = np.tile([0, 1], 45)
    where = np.repeat([0, 1, 2], 30)
    plain = draw.normal(0, 1, (90, 4))
    plain[:, :2] += 2 * y[:, None]
    offset = np.array([[0.0], [6.0], [-5.0]])[where] + shift
    stretch = np.array([[1.0], [2.0], [0.5]])[where]
    return plain * stretch + offset, y, where


class TestByHand:
    def test_one_source_is_the_standard_scaler(self):
        x, _, _ = rooms(1)
        actual = SourceStandardizer().fit(x)
        np.testing.assert_allclose(actual.transform(x), StandardScaler().fit_transform(x))

    def test_training_sources_have_equal_weight(self):
        x = np.array([[0.0], [2.0], [10.0], [14.0], [10.0], [14.0]])
        result = SourceStandardizer().fit(x, groups=["a", "a", "b", "b", "b", "b"])
        assert result.centre_.tolist() == [(1 + 12) / 2]
        assert result.spread_.tolist() == [np.sqrt((1 + 4) / 2)]

    def test_a_group_is_shrunk_towards_the_training_sources(self):
        """n = 3, mean 4, sample variance 4; k_mean = 1, k_spread = 2; mean0 = 0, variance0 = 1."""
        standardizer = SourceStandardizer(k_mean=1, k_spread=2).fit(np.array([[-1.0], [1.0]]))
        result = standardizer.transform(np.array([[2.0], [4.0], [6.0]]), groups=[7, 7, 7])
        mean, variance = 3 / 4 * 4, (2 * 4 + 2 * 1) / 4
        expected = (np.array([2, 4, 6]) - mean) / np.sqrt(variance)
        np.testing.assert_allclose(result[:, 0], expected)

    def test_the_result_matches_the_runtime(self):
        x, _, where = rooms(2)
        standardizer = SourceStandardizer(3.0, 8.0).fit(x, groups=where)
        nothing = np.zeros((1, 4))
        reference = Reference(
            *(standardizer.centre_, standardizer.spread_, nothing, nothing, nothing[:, 0]),
            *(3.0, 8.0, 0),
        )
        result = standardizer.transform(x, where)
        for room in range(3):
            own = x[where == room]
            scale, shift = affine(shrink_towards(moments(own, reference), reference), reference)
            expected = (own * scale + shift - reference.centre) / reference.spread
            np.testing.assert_allclose(result[where == room], expected)

    def test_without_groups_vectors_are_independent_unless_adapt(self):
        x, _, where = rooms(3)
        standardizer = SourceStandardizer().fit(x, groups=where)
        alone = np.concatenate([standardizer.transform(row[None]) for row in x])
        np.testing.assert_allclose(standardizer.transform(x), alone)
        adapting = standardizer.set_params(adapt=True)
        np.testing.assert_allclose(
            adapting.transform(x), adapting.transform(x, groups=np.zeros(90))
        )

    def test_weights_count_as_copies(self):
        x, _, where = rooms(4)
        counts = np.arange(90) % 3
        weighted = SourceStandardizer().fit(x, groups=where, sample_weight=counts)
        copied = SourceStandardizer().fit(np.repeat(x, counts, 0), groups=np.repeat(where, counts))
        np.testing.assert_allclose(weighted.centre_, copied.centre_)
        np.testing.assert_allclose(weighted.spread_, copied.spread_)

    def test_a_source_without_weight_is_ignored(self):
        x, _, where = rooms(5)
        weighted = SourceStandardizer().fit(x, groups=where, sample_weight=where > 0)
        kept = SourceStandardizer().fit(x[where > 0], groups=where[where > 0])
        np.testing.assert_allclose(weighted.centre_, kept.centre_)


class TestProfile:
    def test_a_profile_equals_its_group(self, tmp_path):
        x, _, where = rooms(6)
        standardizer = SourceStandardizer().fit(x, groups=where)
        room = x[where == 1]
        profile = standardizer.profile(room)
        assert profile.count == 30
        profile.save(tmp_path / "room.json")
        expected = standardizer.transform(room, groups=np.ones(30))
        for given in (profile, tmp_path / "room.json"):
            result = standardizer.transform(room, profile=given)
            np.testing.assert_allclose(result, expected, atol=1e-4)

    def test_another_standardizers_profile_is_rejected(self):
        x, _, _ = rooms(7)
        profile = SourceStandardizer().fit(x).profile(x)
        other = SourceStandardizer().fit(x + 1)
        with pytest.raises(UsageError, match="expected a profile of this standardizer"):
            other.transform(x, profile=profile)

    def test_groups_and_a_profile_are_mutually_exclusive(self):
        x, _, where = rooms(8)
        standardizer = SourceStandardizer().fit(x)
        with pytest.raises(UsageError, match="expected groups or profile, got both"):
            standardizer.transform(x, where, standardizer.profile(x))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            standardizer.transform(x, where[1:])
        with pytest.raises(UsageError, match="k_spread of at least 0, got -1"):
            SourceStandardizer(k_mean=-1).fit(x)


class TestInPipelines:
    def test_emotions_are_classified_in_unseen_rooms(self):
        """The offset of a room is larger than what the class moves."""
        x, y, where = rooms(9)
        cv, given = GroupKFold(3), {"groups": where}
        plain = make_pipeline(StandardScaler(), LogisticRegression())
        with sklearn.config_context(enable_metadata_routing=True):
            standardizer = SourceStandardizer(1, 1, adapt=True)
            standardizer.set_fit_request(groups=True).set_transform_request(groups=True)
            actual = make_pipeline(standardizer, LogisticRegression())
            before, after = (
                cross_val_score(item, x, y, params=given, cv=cv).mean() for item in (plain, actual)
            )
        assert after > before + 0.1

    def test_groups_are_routed(self):
        x, y, where = rooms(10)
        with sklearn.config_context(enable_metadata_routing=True):
            standardizer = SourceStandardizer(1, 1)
            standardizer.set_fit_request(groups=True).set_transform_request(groups=True)
            pipeline = make_pipeline(standardizer, LogisticRegression()).fit(x, y, groups=where)
            result = pipeline.predict_proba(x, groups=where)
        by_hand = SourceStandardizer(1, 1).fit_transform(x, groups=where)
        expected = LogisticRegression().fit(by_hand, y).predict_proba(by_hand)
        np.testing.assert_allclose(result, expected)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Twelve buzzes, six low and six high."""
    return [make_clip(7000 + 311 * n, 120.0 + 500 * (n % 2) + 7 * n) for n in range(12)]


@pytest.fixture(scope="module")
def moods() -> np.ndarray:
    return np.array([("low", "high")[n % 2] for n in range(12)])


class TestClassifier:
    def test_groups_standardize_training_and_test_data(self, clips, moods):
        rooms = np.arange(12) // 6
        result = EmotionClassifier(BUNDLE).fit(clips, moods, groups=rooms)
        vectors = SpeechEmbedding(BUNDLE).fit_transform(clips).astype(float)
        standardised = SourceStandardizer().fit_transform(vectors, groups=rooms)
        plain = LogisticRegression(C=0.01, max_iter=5000).fit(standardised, moods)
        expected = plain.predict_proba(standardised)
        np.testing.assert_allclose(result.predict_proba(clips, groups=rooms), expected, atol=1e-8)
        assert np.abs(result.predict_proba(clips) - expected).max() > 1e-3

    def test_adapt_equals_a_profile_of_the_input(self, clips, moods, tmp_path):
        result = EmotionClassifier(BUNDLE).fit(clips, moods)
        profile = result.profile(clips[:7])
        profile.save(tmp_path / "p.json")
        expected = result.decision_function(clips[:7], profile=tmp_path / "p.json")
        np.testing.assert_allclose(
            result.decision_function(clips[:7], adapt=True), expected, atol=1e-4
        )
        assert np.abs(result.decision_function(clips[:7]) - expected).max() > 1e-3
        always = EmotionClassifier(BUNDLE, adapt=True).fit(clips, moods)
        np.testing.assert_allclose(always.decision_function(clips[:7]), expected, atol=1e-4)
        np.testing.assert_allclose(
            always.decision_function(clips[:7], adapt=False), result.decision_function(clips[:7])
        )
        with pytest.raises(UsageError, match="expected one of adapt, groups and profile"):
            result.predict(clips, profile=profile, adapt=True)

    def test_cross_validation_can_adapt(self, clips, moods):
        speakers = [n // 2 % 3 for n in range(12)]
        classifier = EmotionClassifier(BUNDLE, adapt=True)
        scores = cross_val_score(classifier, clips, moods, groups=speakers, cv=GroupKFold(3))
        assert len(scores) == 3

    def test_groups_are_routed_to_fit(self, clips, moods):
        speakers = [n // 2 % 3 for n in range(12)]
        with sklearn.config_context(enable_metadata_routing=True):
            classifier = EmotionClassifier(BUNDLE, adapt=True).set_fit_request(groups=True)
            given = {"groups": speakers}
            scores = cross_val_score(classifier, clips, moods, params=given, cv=GroupKFold(3))
        assert len(scores) == 3


class TestReady:
    def test_a_profile_matches_the_models(self, clips):
        listener = phonemo.load(ADAPTABLE)
        profile = listener.profile(clips, RATE)
        adapted = listener.with_profile(profile)
        ready = PretrainedEmotionClassifier(ADAPTABLE)
        expected = [list(adapted.predict(clip, RATE).scores.values()) for clip in clips]
        order = [list(listener.labels).index(name) for name in ready.classes_]
        for result in (
            ready.predict_proba(clips, profile=profile),
            ready.predict_proba(clips, adapt=True),
            PretrainedEmotionClassifier(ADAPTABLE, profile=profile).predict_proba(clips),
            PretrainedEmotionClassifier(ADAPTABLE, adapt=True).predict_proba(clips),
        ):
            np.testing.assert_allclose(result, np.array(expected)[:, order], atol=1e-6)
        assert np.abs(ready.predict_proba(clips) - result).max() > 1e-3
        assert list(ready.predict(clips, adapt=True)) == list(ready.classes_[result.argmax(axis=1)])

    def test_conflicting_options_are_rejected(self, clips):
        with pytest.raises(ModelError, match="takes no profile"):
            PretrainedEmotionClassifier(BUNDLE, adapt=True).predict(clips)
        profile = phonemo.load(ADAPTABLE).profile(clips, RATE)
        with pytest.raises(UsageError, match="expected adapt or profile, got both"):
            PretrainedEmotionClassifier(ADAPTABLE, profile=profile).predict(clips, adapt=True)
        with pytest.raises(UsageError, match="no such file"):
            PretrainedEmotionClassifier(ADAPTABLE, profile="absent.json").predict(clips)


def test_a_models_profile_does_not_fit_a_classifier(clips, moods):
    result = EmotionClassifier(ADAPTABLE).fit(clips, moods)
    reference = phonemo.load(ADAPTABLE).profile(clips, RATE)
    assert isinstance(reference, Profile)
    with pytest.raises(UsageError, match="standardizer's profile method"):
        result.predict(clips, profile=reference)
