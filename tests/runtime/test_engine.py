"""A bundle answers without torch, the same for a clip wherever it stands."""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.errors import AudioError, CheckpointError, UsageError
from phonemo.evaluation.calibration import log_softmax
from phonemo.runtime.bundle import open_bundle, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import Graph
from tests.tiny_bundle import BUNDLE, CLIPS, EXPECTED, RATE, alike, make_clip


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE, threads=1)


def changed(folder: Path, **values: object) -> Path:
    """The bundle with another card."""
    bundle = open_bundle(BUNDLE)
    write_bundle(
        folder, bundle.model, bundle.card.model_dump(exclude={"sha256", "head_sha256"}) | values
    )
    return folder


@pytest.mark.parametrize("name", CLIPS)
def test_it_says_what_torch_said(recognizer, name):
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))[name]
    prediction = recognizer.predict(make_clip(*CLIPS[name]), RATE)
    assert max(prediction.scores, key=prediction.scores.get) == expected["label"]
    assert prediction.label in (expected["label"], None), "the short one has no speech"
    assert list(prediction.scores) == list(expected["scores"])
    for label, score in expected["scores"].items():
        assert prediction.scores[label] == pytest.approx(score, abs=0.02)
    assert sum(prediction.scores.values()) == pytest.approx(1)
    assert alike(prediction.phonemes, expected["phonemes"])
    assert prediction.seconds == CLIPS[name][0] / RATE


def test_path_bytes_stream_and_array_give_the_same_result(recognizer, tmp_path):
    path = tmp_path / "one.wav"
    soundfile.write(path, make_clip(*CLIPS["odd"]), RATE, subtype="PCM_16")
    array, _ = soundfile.read(path, dtype="float32")
    data = path.read_bytes()
    sources = [path, str(path), data, io.BytesIO(data)]
    answers = list(recognizer.predict_many(sources, batch_seconds=0))
    assert answers == [recognizer.predict(array, RATE)] * 4


def test_neighboring_clips_have_no_effect(recognizer):
    clips = [make_clip(*clip) for clip in CLIPS.values()]
    alone = [recognizer.predict(clip, RATE) for clip in clips]
    assert list(recognizer.predict_many(clips, RATE, batch_seconds=0)) == alone
    assert list(recognizer.predict_many(clips[::-1], RATE, batch_seconds=0)) == alone[::-1]
    assert list(recognizer.predict_many([])) == []


def test_padding_has_no_effect():
    """Inside the graph: more zeros behind a clip than it needs, or anything else."""
    bundle = open_bundle(BUNDLE)
    graph = Graph(bundle.model, threads=1)
    clip = make_clip(*CLIPS["odd"])
    alone = graph.recognize(clip, bundle.card.fewest_samples)
    longer = graph.recognize(clip, len(clip) + 5000)
    assert len(alone.frame_weights) == len(longer.frame_weights)
    assert alone.phonemes.shape == longer.phonemes.shape
    assert alone.frame_weights.sum() == pytest.approx(1)
    padded = np.full((1, len(clip) + 5000), np.nan, dtype=np.float32)
    padded[0, : len(clip)] = clip
    noisy = graph.run(padded, np.array([len(clip)]))["emotion_logits"][0]
    np.testing.assert_array_equal(noisy, longer.emotions)
    # int8's scale is taken over what the convolutions make of the padding, too
    np.testing.assert_allclose(longer.emotions, alone.emotions, atol=0.02)


def test_a_long_recording_is_processed_in_windows(recognizer, tmp_path):
    """By hand: four windows of a second out of 2.5, all of them spoken."""
    clip = make_clip(40_000, 440.0)
    model = OnnxRecognizer.load(changed(tmp_path / "short", window_seconds=1.0), threads=1)
    model.window_seconds = 1.0
    prediction = model.predict(clip, RATE)
    parts = [
        recognizer.predict(clip[start : start + RATE], RATE) for start in range(0, 32_000, 8000)
    ]
    spoken = [
        31,
        24_000 // 512 - 8000 // 512,
        32_000 // 512 - RATE // 512,
        40_000 // 512 - 24_000 // 512,
    ]
    assert len(parts) == len(spoken) == 4
    for name, score in prediction.scores.items():
        expected = np.average([part.scores[name] for part in parts], weights=spoken)
        assert score == pytest.approx(expected, abs=1e-6)
    assert prediction.seconds == 2.5
    assert prediction.warnings == ("windowed",)
    assert prediction.segments[0].start == 0
    assert prediction.segments[-1].end == pytest.approx(2.5, abs=0.04)


def test_temperature_flattens_the_scores(recognizer, tmp_path):
    clip = make_clip(*CLIPS["odd"])
    sharp = np.array(list(recognizer.predict(clip, RATE).scores.values()))
    warm = OnnxRecognizer.load(changed(tmp_path / "warm", temperature=2.0), threads=1)
    result = np.array(list(warm.predict(clip, RATE).scores.values()))
    np.testing.assert_allclose(result, np.sqrt(sharp) / np.sqrt(sharp).sum(), atol=1e-6)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("temperature", [0.25, 4.0])
def test_temperature_changes_the_confidence_and_not_the_label(
    recognizer, tmp_path, name, temperature
):
    clip = make_clip(*CLIPS[name])
    cold = recognizer.predict(clip, RATE)
    folder = changed(tmp_path / "other", temperature=temperature)
    prediction = OnnxRecognizer.load(folder, threads=1).predict(clip, RATE)
    assert prediction.label == cold.label
    assert (prediction.phonemes, prediction.warnings) == (cold.phonemes, cold.warnings)
    assert sum(prediction.scores.values()) == pytest.approx(1)
    sure, before = max(prediction.scores.values()), max(cold.scores.values())
    assert sure < before - 1e-3 if temperature > 1 else sure > before + 1e-3


def test_an_answer_below_the_threshold_is_unsure_and_at_it_is_not(recognizer, tmp_path):
    clip = make_clip(*CLIPS["odd"])
    answer = recognizer.predict(clip, RATE)
    assert answer.warnings == ()
    sure = max(answer.scores.values())
    cases = {sure / 2: (), sure: (), math.nextafter(sure, 1): ("unsure",), 1.0: ("unsure",)}
    for number, (threshold, warnings) in enumerate(cases.items()):
        folder = changed(tmp_path / str(number), abstain_below=threshold, calibrated_on=10)
        prediction = OnnxRecognizer.load(folder, threads=1).predict(clip, RATE)
        assert prediction.warnings == warnings
        assert (prediction.label, prediction.scores, prediction.spans) == (
            answer.label,
            answer.scores,
            answer.spans,
        )


def test_the_threshold_is_compared_with_the_scaled_scores(recognizer, tmp_path):
    clip = make_clip(*CLIPS["odd"])
    sure = max(recognizer.predict(clip, RATE).scores.values())
    says = {"temperature": 4.0, "abstain_below": sure}
    warm = OnnxRecognizer.load(changed(tmp_path / "warm", **says), threads=1).predict(clip, RATE)
    assert max(warm.scores.values()) < sure
    assert warm.warnings == ("unsure",)


def test_the_threshold_is_compared_with_the_mean_of_the_windows(recognizer, tmp_path):
    clip = make_clip(*CLIPS["long"])
    parts = [recognizer.predict(part, RATE) for part in np.array_split(clip, 4)]
    surest = max(max(part.scores.values()) for part in parts)
    says = {"window_seconds": 1.0, "abstain_below": surest}
    answer = OnnxRecognizer.load(changed(tmp_path / "short", **says), threads=1).predict(clip, RATE)
    assert max(answer.scores.values()) < surest, "one window alone would be sure enough"
    assert answer.warnings == ("windowed", "unsure")


def test_a_quiet_clip_scores_like_a_loud_one(recognizer):
    """The graph normalizes its input, so callers need not."""
    clip = make_clip(*CLIPS["odd"])
    loud, quiet = recognizer.predict(clip, RATE), recognizer.predict(clip * 0.1 + 0.01, RATE)
    for name, score in loud.scores.items():
        assert quiet.scores[name] == pytest.approx(score, abs=0.02)


def test_log_softmax_by_hand():
    result = np.exp(log_softmax(np.log(np.array([[1.0, 3.0], [1e4, 1e4]], dtype=np.float32))))
    np.testing.assert_allclose(result, [[0.25, 0.75], [0.5, 0.5]], atol=1e-6)
    assert log_softmax(np.array([1e4, 0.0], np.float32)).tolist() == [0.0, -1e4]


@pytest.mark.parametrize(
    ("values", "fragments"),
    [
        ({"labels": ("anger", "neutral")}, ("2 labels", "a network of 3")),
        ({"inventory": None}, ("no phonemes", "and 5")),
        (
            {"inventory": {"name": "phonemes", "alphabet": "ipa", "symbols": ("<blank>", "a")}},
            ("2 phonemes", "5"),
        ),
    ],
)
def test_a_card_that_does_not_match_its_network_is_rejected(tmp_path, values, fragments):
    with pytest.raises(CheckpointError) as caught:
        OnnxRecognizer.load(changed(tmp_path / "odd", **values))
    for fragment in (*fragments, str(tmp_path / "odd")):
        assert fragment in str(caught.value)


def test_an_invalid_network_is_rejected_in_one_line(tmp_path):
    card = open_bundle(BUNDLE).card.model_dump(exclude={"sha256", "head_sha256"})
    write_bundle(tmp_path / "text", b"this is no network", card)
    with pytest.raises(CheckpointError, match="cannot open the network") as caught:
        OnnxRecognizer.load(tmp_path / "text")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "text") in str(caught.value)


def test_errors_of_the_audio_and_the_caller(recognizer):
    with pytest.raises(AudioError, match="no such file"):
        recognizer.predict("nowhere.wav")
    with pytest.raises(AudioError, match="got 100"):
        recognizer.predict(np.zeros(100, np.float32), RATE)
    with pytest.raises(UsageError, match="threads=0"):
        OnnxRecognizer.load(BUNDLE, threads=0)


def test_load_without_a_name_takes_the_packaged_one(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "phonemo-small"
    shutil.copytree(BUNDLE, folder)
    monkeypatch.setattr("phonemo.runtime.bundle.resources.files", lambda package: tmp_path)
    assert OnnxRecognizer.load(threads=1).card.name == "tiny-bundle"
