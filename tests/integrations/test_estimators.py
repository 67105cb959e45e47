"""phonemo as scikit-learn estimators: its own checks, and the numbers of the networks."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn")

import sklearn.base
from sklearn.model_selection import GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import phonemo
from phonemo.audio import Excerpt
from phonemo.errors import AudioError, LabelError, UsageError
from phonemo.integrations.sklearn import (
    EmotionClassifier,
    PretrainedEmotionClassifier,
    SpeechEmbedding,
)
from tests.laws import REPOSITORY
from tests.tiny_bundle import BUNDLE, RATE, make_clip
from tests.voices import spoken

SMALL = REPOSITORY / "models" / "phonemo-small"


@parametrize_with_checks(
    [
        SpeechEmbedding(BUNDLE),
        SpeechEmbedding(BUNDLE, layer="phonemes", statistics="mean"),
        EmotionClassifier(BUNDLE),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_estimators_pass_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_packaged_model_fits_scikit_learns_blobs():
    """Rows of three numbers, as sound; with the penalty made for thousands of features, too few."""
    from sklearn.utils.estimator_checks import check_classifiers_train

    check_classifiers_train("EmotionClassifier", EmotionClassifier(C=1.0))


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Twelve buzzes, six low and six high, of different lengths."""
    return [make_clip(7000 + 311 * n, 120.0 + 500 * (n % 2) + 7 * n) for n in range(12)]


@pytest.fixture(scope="module")
def moods() -> np.ndarray:
    return np.array([("low", "high")[n % 2] for n in range(12)])


class TestEmbedding:
    def test_all_kinds_of_recordings_give_equal_vectors(self, tmp_path):
        clip = make_clip(16_000, 200.0)
        path = tmp_path / "clip.wav"
        soundfile.write(path, clip, RATE, subtype="FLOAT")
        longer = np.concatenate([np.zeros(RATE, np.float32), clip, clip])
        given = [path, str(path), path.read_bytes(), clip, (clip, RATE), Excerpt(longer, 1.0, 2.0)]
        result = SpeechEmbedding(BUNDLE).fit(given[:1])
        expected = result.transform([path])
        for item in given[:-1]:
            np.testing.assert_allclose(result.transform([item]), expected, atol=1e-6)
        with path.open("rb") as stream:
            np.testing.assert_allclose(result.transform([stream]), expected, atol=1e-6)
        series = pytest.importorskip("pandas").Series([str(path)])
        np.testing.assert_allclose(result.transform(series), expected, atol=1e-6)
        np.testing.assert_allclose(result.transform(clip[None]), expected, atol=1e-6)

    def test_the_embedding_is_the_mean_and_deviation_of_the_frames(self, clips):
        recognizer = phonemo.load(BUNDLE)
        result = SpeechEmbedding(BUNDLE).fit_transform(clips)
        for clip, row in zip(clips, result, strict=True):
            frames = recognizer.logits(clip).features
            np.testing.assert_allclose(row[: frames.shape[1]], frames.mean(0), atol=1e-5)
            np.testing.assert_allclose(row[frames.shape[1] :], frames.std(0), atol=1e-5)
        assert result.dtype == np.float32

    def test_features_have_names_and_a_frame(self, clips):
        pandas = pytest.importorskip("pandas")
        embedding = SpeechEmbedding(BUNDLE, layer="emotions", statistics="mean")
        frame = embedding.set_output(transform="pandas").fit_transform(clips)
        assert isinstance(frame, pandas.DataFrame)
        labels = phonemo.load(BUNDLE).labels
        assert list(frame.columns) == [f"emotions_mean_{n}" for n in range(len(labels))]

    def test_a_long_recording_is_split(self):
        embedding = SpeechEmbedding(BUNDLE).fit([make_clip(8000, 200.0)])
        once = make_clip(16_000 * 20, 200.0)
        twice = np.concatenate([once, once])  # 40 s: two stretches of 20 s
        np.testing.assert_allclose(
            embedding.transform([twice]), embedding.transform([once]), atol=1e-4
        )

    def test_an_unknown_layer_is_an_error_that_lists_the_layers(self):
        with pytest.raises(
            UsageError, match=r"expected a layer of features, phonemes, emotions, got 'layer.3'"
        ):
            SpeechEmbedding(BUNDLE, layer="layer.3").fit(["a.wav"])
        with pytest.raises(UsageError, match="expected statistics mean or mean_std, got"):
            SpeechEmbedding(BUNDLE, statistics="median").fit(["a.wav"])

    def test_a_recording_that_cannot_be_used_is_named(self, tmp_path):
        (tmp_path / "bad.wav").write_bytes(b"no audio")
        embedding = SpeechEmbedding(BUNDLE).fit(["a.wav"])
        with pytest.raises(AudioError, match=r"bad\.wav"):
            embedding.transform([make_clip(8000, 200.0), tmp_path / "bad.wav"])

    @pytest.mark.parametrize("given", ["a.wav", b"RIFF", []])
    def test_input_that_is_not_a_list_of_recordings_is_rejected(self, given):
        with pytest.raises(UsageError, match=r"expected .* recordings?, got"):
            SpeechEmbedding(BUNDLE).fit(given)


class TestLayers:
    """Of networks in torch, every layer."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        pytest.importorskip("torch")

    def test_names_are_listed_lowest_first(self):
        backbone = REPOSITORY / "models" / "phonemo-small-backbone"
        hidden = ("cnn", *(f"layer.{number}" for number in range(5)))
        assert SpeechEmbedding.layers(backbone) == hidden
        above = ("features", "fusion", "pooled", "emotions", "phonemes")
        assert SpeechEmbedding.layers(SMALL) == (*hidden, *above)

    def test_layers_match_the_network(self):
        import torch

        from phonemo.train.model_folder import load_trained

        clip = make_clip(30_000, 150.0)
        model = load_trained(SMALL).model.eval()
        with torch.no_grad():
            output = model(torch.from_numpy(clip)[None], calibrated=False)
        expected = {
            "pooled": output.vector[0],
            "emotions": output.logits[0],
            "fusion": output.features[0, :, : model.config.width].mean(0),
            "phonemes": output.phoneme_logits[0].mean(0),
        }
        for layer, values in expected.items():
            (result,) = SpeechEmbedding(SMALL, layer, "mean").fit_transform([clip])
            np.testing.assert_allclose(result, values.numpy(), atol=1e-4, err_msg=layer)

    def test_a_backbone_matches_transformers(self):
        import torch
        from transformers import AutoFeatureExtractor, AutoModel

        folder = REPOSITORY / "models" / "phonemo-small-backbone"
        import phonemo.model  # its kind of network

        assert phonemo.model
        clip = make_clip(20_000, 150.0)
        with torch.no_grad():
            model = AutoModel.from_pretrained(folder).float().eval()
            extractor = AutoFeatureExtractor.from_pretrained(folder)
            inputs = extractor(clip, sampling_rate=RATE, return_tensors="pt")
            output = model(inputs.input_values, output_hidden_states=True)
        # theirs of the top lacks the norm behind it
        expected = [*output.hidden_states[:-1], output.last_hidden_state]
        for number in (0, 1, 4):
            layer = SpeechEmbedding(folder, f"layer.{number}", "mean")
            (result,) = layer.fit_transform([clip])
            np.testing.assert_allclose(result, expected[number][0].mean(0).numpy(), atol=1e-4)

    def test_bundle_and_folder_agree(self, tmp_path):
        """The bundle is in int8: nearly the same."""
        path = spoken(tmp_path / "voice.wav")
        reference, actual = (SpeechEmbedding(item).fit_transform([path]) for item in (SMALL, None))
        assert np.corrcoef(reference[0], actual[0])[0, 1] > 0.99


class TestClassifier:
    def test_the_classifier_fits_and_its_probabilities_sum_to_one(self, clips, moods):
        result = EmotionClassifier().fit(clips, moods)
        assert list(result.classes_) == ["high", "low"]
        assert result.score(clips, moods) == 1.0
        chances = result.predict_proba(clips)
        np.testing.assert_allclose(chances.sum(axis=1), 1)
        assert list(result.classes_[chances.argmax(axis=1)]) == list(result.predict(clips))

    def test_the_classifier_is_an_embedding_and_a_regression(self, clips, moods):
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        vectors = SpeechEmbedding(BUNDLE).fit_transform(clips).astype(float)
        plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))
        expected = plain.fit(vectors, moods).predict_proba(vectors)
        actual = EmotionClassifier(BUNDLE).fit(clips, moods).predict_proba(clips)
        np.testing.assert_allclose(actual, expected, atol=1e-8)

    def test_cross_validation_by_speaker_works(self, clips, moods):
        speakers = [n // 2 % 3 for n in range(12)]
        cv = GroupKFold(3)
        scores = cross_val_score(EmotionClassifier(BUNDLE), clips, moods, groups=speakers, cv=cv)
        assert len(scores) == 3
        given = cross_val_predict(EmotionClassifier(BUNDLE), clips, moods, groups=speakers, cv=cv)
        assert len(given) == 12

    def test_the_embedding_works_in_a_pipeline(self, clips, moods):
        pipeline = make_pipeline(SpeechEmbedding(), StandardScaler(), LinearSVC())
        assert cross_val_score(pipeline, clips, moods, cv=3).mean() > 0.5
        pipeline.set_params(speechembedding__layer="phonemes")
        assert pipeline.fit(clips, moods).score(clips, moods) > 0.5

    def test_parameters_follow_scikit_learn(self):
        actual = EmotionClassifier(BUNDLE, "phonemes", "mean", 8000, C=3.0, class_weight="balanced")
        assert sklearn.base.clone(actual).get_params() == actual.get_params()

    def test_emotions_and_recordings_must_have_equal_length(self, clips, moods):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            EmotionClassifier(BUNDLE).fit(clips, moods[:-1])


class TestReady:
    def test_scores_match_the_model(self, clips):
        listener, ready = phonemo.load(BUNDLE), PretrainedEmotionClassifier(BUNDLE)
        assert set(ready.classes_) == set(listener.labels)
        for row, clip in zip(ready.predict_proba(clips), clips, strict=True):
            expected = listener.predict(clip, rate=RATE).scores
            assert dict(zip(ready.classes_, row, strict=True)) == pytest.approx(expected)

    def test_labels_restrict_the_choice(self, clips):
        names = sorted(phonemo.load(BUNDLE).labels)[:2]
        ready = PretrainedEmotionClassifier(BUNDLE, labels=names)
        np.testing.assert_allclose(ready.predict_proba(clips).sum(axis=1), 1)
        assert set(ready.predict(clips)) <= set(names)

    def test_unknown_emotions_are_an_error(self):
        with pytest.raises(LabelError, match=r"expected the model's emotions .*, got glee"):
            PretrainedEmotionClassifier(BUNDLE).fit(None, ["glee"])

    def test_a_table_is_rejected(self):
        with pytest.raises(UsageError, match="a list of recordings"):
            PretrainedEmotionClassifier(BUNDLE).predict(np.zeros((2, 8000)))


def test_fitted_estimators_contain_no_network(clips, moods):
    """What a user sends to another process is small: the model's name, and the head."""
    fitted = EmotionClassifier(BUNDLE).fit(clips, moods)
    held = [*vars(fitted).values(), *vars(fitted.embedding_).values()]
    kinds = {type(item).__module__.partition(".")[0] for item in held}
    assert kinds <= {"builtins", "numpy", "pathlib", "sklearn", "phonemo"}
    assert [item for item in held if type(item).__module__.startswith("phonemo")] == [
        fitted.embedding_
    ]
