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
def test_scikit_learn_checks_it(estimator, check):
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
        ours = SourceStandardizer().fit(x)
        np.testing.assert_allclose(ours.transform(x), StandardScaler().fit_transform(x))

    def test_the_training_sources_count_alike(self):
        x = np.array([[0.0], [2.0], [10.0], [14.0], [10.0], [14.0]])
        found = SourceStandardizer().fit(x, groups=["a", "a", "b", "b", "b", "b"])
        assert found.centre_.tolist() == [(1 + 12) / 2]
        assert found.spread_.tolist() == [np.sqrt((1 + 4) / 2)]

    def test_a_group_is_drawn_towards_them(self):
        """n = 3, mean 4, sample variance 4; k_mean = 1, k_spread = 2; mean0 = 0, variance0 = 1."""
        standardizer = SourceStandardizer(k_mean=1, k_spread=2).fit(np.array([[-1.0], [1.0]]))
        found = standardizer.transform(np.array([[2.0], [4.0], [6.0]]), groups=[7, 7, 7])
        mean, variance = 3 / 4 * 4, (2 * 4 + 2 * 1) / 4
        wanted = (np.array([2, 4, 6]) - mean) / np.sqrt(variance)
        np.testing.assert_allclose(found[:, 0], wanted)

    def test_it_is_what_the_runtime_does(self):
        x, _, where = rooms(2)
        standardizer = SourceStandardizer(3.0, 8.0).fit(x, groups=where)
        nothing = np.zeros((1, 4))
        reference = Reference(
            *(standardizer.centre_, standardizer.spread_, nothing, nothing, nothing[:, 0]),
            *(3.0, 8.0, 0),
        )
        found = standardizer.transform(x, where)
        for room in range(3):
            own = x[where == room]
            scale, shift = affine(shrink_towards(moments(own, reference), reference), reference)
            wanted = (own * scale + shift - reference.centre) / reference.spread
            np.testing.assert_allclose(found[where == room], wanted)

    def test_without_groups_a_vector_stands_alone_unless_adapt(self):
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

    def test_a_source_without_weight_is_left_out(self):
        x, _, where = rooms(5)
        weighted = SourceStandardizer().fit(x, groups=where, sample_weight=where > 0)
        kept = SourceStandardizer().fit(x[where > 0], groups=where[where > 0])
        np.testing.assert_allclose(weighted.centre_, kept.centre_)


class TestProfile:
    def test_a_profile_is_its_group(self, tmp_path):
        x, _, where = rooms(6)
        standardizer = SourceStandardizer().fit(x, groups=where)
        room = x[where == 1]
        profile = standardizer.profile(room)
        assert profile.count == 30
        profile.save(tmp_path / "room.json")
        wanted = standardizer.transform(room, groups=np.ones(30))
        for given in (profile, tmp_path / "room.json"):
            found = standardizer.transform(room, profile=given)
            np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_one_of_another_standardizer_is_refused(self):
        x, _, _ = rooms(7)
        profile = SourceStandardizer().fit(x).profile(x)
        other = SourceStandardizer().fit(x + 1)
        with pytest.raises(UsageError, match="expected a profile of this standardizer"):
            other.transform(x, profile=profile)

    def test_groups_or_a_profile(self):
        x, _, where = rooms(8)
        standardizer = SourceStandardizer().fit(x)
        with pytest.raises(UsageError, match="expected groups or profile, got both"):
            standardizer.transform(x, where, standardizer.profile(x))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            standardizer.transform(x, where[1:])
        with pytest.raises(UsageError, match="k_spread of at least 0, got -1"):
            SourceStandardizer(k_mean=-1).fit(x)


class TestInPipelines:
    def test_rooms_that_were_never_seen_are_told_apart(self):
        """The offset of a room is larger than what the class moves."""
        x, y, where = rooms(9)
        cv, given = GroupKFold(3), {"groups": where}
        plain = make_pipeline(StandardScaler(), LogisticRegression())
        with sklearn.config_context(enable_metadata_routing=True):
            standardizer = SourceStandardizer(1, 1, adapt=True)
            standardizer.set_fit_request(groups=True).set_transform_request(groups=True)
            ours = make_pipeline(standardizer, LogisticRegression())
            before, after = (
                cross_val_score(one, x, y, params=given, cv=cv).mean() for one in (plain, ours)
            )
        assert after > before + 0.1

    def test_groups_are_routed(self):
        x, y, where = rooms(10)
        with sklearn.config_context(enable_metadata_routing=True):
            standardizer = SourceStandardizer(1, 1)
            standardizer.set_fit_request(groups=True).set_transform_request(groups=True)
            pipeline = make_pipeline(standardizer, LogisticRegression()).fit(x, y, groups=where)
            found = pipeline.predict_proba(x, groups=where)
        by_hand = SourceStandardizer(1, 1).fit_transform(x, groups=where)
        wanted = LogisticRegression().fit(by_hand, y).predict_proba(by_hand)
        np.testing.assert_allclose(found, wanted)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Twelve buzzes, six low and six high."""
    return [make_clip(7000 + 311 * n, 120.0 + 500 * (n % 2) + 7 * n) for n in range(12)]


@pytest.fixture(scope="module")
def moods() -> np.ndarray:
    return np.array([("low", "high")[n % 2] for n in range(12)])


class TestClassifier:
    def test_groups_standardise_what_it_learns_and_what_it_recognizes(self, clips, moods):
        rooms = np.arange(12) // 6
        found = EmotionClassifier(BUNDLE).fit(clips, moods, groups=rooms)
        vectors = SpeechEmbedding(BUNDLE).fit_transform(clips).astype(float)
        standardised = SourceStandardizer().fit_transform(vectors, groups=rooms)
        plain = LogisticRegression(C=0.01, max_iter=5000).fit(standardised, moods)
        wanted = plain.predict_proba(standardised)
        np.testing.assert_allclose(found.predict_proba(clips, groups=rooms), wanted, atol=1e-8)
        assert np.abs(found.predict_proba(clips) - wanted).max() > 1e-3

    def test_adapt_is_a_profile_of_what_is_given(self, clips, moods, tmp_path):
        found = EmotionClassifier(BUNDLE).fit(clips, moods)
        profile = found.profile(clips[:7])
        profile.save(tmp_path / "p.json")
        wanted = found.decision_function(clips[:7], profile=tmp_path / "p.json")
        np.testing.assert_allclose(
            found.decision_function(clips[:7], adapt=True), wanted, atol=1e-4
        )
        assert np.abs(found.decision_function(clips[:7]) - wanted).max() > 1e-3
        always = EmotionClassifier(BUNDLE, adapt=True).fit(clips, moods)
        np.testing.assert_allclose(always.decision_function(clips[:7]), wanted, atol=1e-4)
        np.testing.assert_allclose(
            always.decision_function(clips[:7], adapt=False), found.decision_function(clips[:7])
        )
        with pytest.raises(UsageError, match="expected one of adapt, groups and profile"):
            found.predict(clips, profile=profile, adapt=True)

    def test_it_goes_through_cross_validation_adapted(self, clips, moods):
        speakers = [n // 2 % 3 for n in range(12)]
        classifier = EmotionClassifier(BUNDLE, adapt=True)
        scores = cross_val_score(classifier, clips, moods, groups=speakers, cv=GroupKFold(3))
        assert len(scores) == 3

    def test_groups_are_routed_to_its_fit(self, clips, moods):
        speakers = [n // 2 % 3 for n in range(12)]
        with sklearn.config_context(enable_metadata_routing=True):
            classifier = EmotionClassifier(BUNDLE, adapt=True).set_fit_request(groups=True)
            given = {"groups": speakers}
            scores = cross_val_score(classifier, clips, moods, params=given, cv=GroupKFold(3))
        assert len(scores) == 3


class TestReady:
    def test_a_profile_is_that_of_the_model(self, clips):
        listener = phonemo.load(ADAPTABLE)
        profile = listener.profile(clips, RATE)
        adapted = listener.with_profile(profile)
        ready = PretrainedEmotionClassifier(ADAPTABLE)
        wanted = [list(adapted.predict(one, RATE).scores.values()) for one in clips]
        order = [list(listener.labels).index(name) for name in ready.classes_]
        for found in (
            ready.predict_proba(clips, profile=profile),
            ready.predict_proba(clips, adapt=True),
            PretrainedEmotionClassifier(ADAPTABLE, profile=profile).predict_proba(clips),
            PretrainedEmotionClassifier(ADAPTABLE, adapt=True).predict_proba(clips),
        ):
            np.testing.assert_allclose(found, np.array(wanted)[:, order], atol=1e-6)
        assert np.abs(ready.predict_proba(clips) - found).max() > 1e-3
        assert list(ready.predict(clips, adapt=True)) == list(ready.classes_[found.argmax(axis=1)])

    def test_what_does_not_go_together_is_refused(self, clips):
        with pytest.raises(ModelError, match="takes no profile"):
            PretrainedEmotionClassifier(BUNDLE, adapt=True).predict(clips)
        profile = phonemo.load(ADAPTABLE).profile(clips, RATE)
        with pytest.raises(UsageError, match="expected adapt or profile, got both"):
            PretrainedEmotionClassifier(ADAPTABLE, profile=profile).predict(clips, adapt=True)
        with pytest.raises(UsageError, match="no such file"):
            PretrainedEmotionClassifier(ADAPTABLE, profile="absent.json").predict(clips)


def test_a_profile_of_the_model_is_none_of_a_classifier(clips, moods):
    found = EmotionClassifier(ADAPTABLE).fit(clips, moods)
    theirs = phonemo.load(ADAPTABLE).profile(clips, RATE)
    assert isinstance(theirs, Profile)
    with pytest.raises(UsageError, match="standardizer's profile method"):
        found.predict(clips, profile=theirs)
