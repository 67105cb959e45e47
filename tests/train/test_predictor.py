"""One recording in, one answer out: the same from a path, bytes or an array, however long."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoModel

from phonemo.errors import AudioError, CheckpointError, DeviceError, UsageError
from phonemo.runtime.vad import EnergyVad, VadTrack
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.torch_recognizer import TorchRecognizer, torch_device
from tests.tiny_nets import make_backbone_folder, make_network
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import save_untrained

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A backbone with frames of 40 ms, so that a minute is not fifty thousand of them."""
    model_folder = tmp_path_factory.mktemp("predictor")
    make_backbone_folder(model_folder / "backbone-wav2vec2-layer")
    torch.manual_seed(5)
    shape = make_network("wav2vec2-layer").config
    shape.conv_kernel, shape.conv_stride = [20, 8, 4], [20, 8, 4]
    network = AutoModel.from_config(shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    network.save_pretrained(model_folder / "backbone-wav2vec2-layer")
    return model_folder


@pytest.fixture(scope="module")
def predictor(folder) -> TorchRecognizer:
    save_untrained(make_config(folder), folder / "model")
    return TorchRecognizer.load(str(folder / "model"))


def _noise(seconds: float, seed: int = 1) -> np.ndarray:
    """Louder towards the end, so that its parts differ."""
    count = round(seconds * RATE)
    noise = np.random.default_rng(seed).normal(0, 0.05, count) * np.linspace(0.2, 2, count)
    return noise.astype(np.float32)


def test_path_bytes_stream_and_array_give_the_same_prediction(predictor, tmp_path):
    """In 16 bit: the array is what the file holds."""
    path = tmp_path / "one.wav"
    soundfile.write(path, _noise(1.0), RATE, subtype="PCM_16")
    array, _ = soundfile.read(path, dtype="float32")
    data = path.read_bytes()
    answers = [
        predictor.predict(path),
        predictor.predict(str(path)),
        predictor.predict(data),
        predictor.predict(io.BytesIO(data)),
        predictor.predict(array, RATE),
        predictor.predict(np.stack([array, array]), rate=RATE),
    ]
    for answer in answers[1:]:
        assert answer.label == answers[0].label
        assert answer.phonemes == answers[0].phonemes
        assert answer.seconds == 1.0
        assert answer.warnings == ()
        for name, score in answers[0].scores.items():
            assert answer.scores[name] == pytest.approx(score, abs=1e-6)


def test_another_rate_is_resampled(predictor):
    """A rate that is not told would make another voice of it."""
    time = np.arange(48_000) / 48_000
    high = (0.3 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    low = (0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)).astype(np.float32)
    answer = predictor.predict(high, 48_000)
    assert answer.seconds == 1.0
    for name, score in predictor.predict(low, RATE).scores.items():
        assert answer.scores[name] == pytest.approx(score, abs=1e-2)


def test_a_prediction_has_all_fields(predictor):
    answer = predictor.predict(_noise(1.0), RATE)
    assert tuple(answer.scores) == ("anger", "neutral", "sadness")
    assert sum(answer.scores.values()) == pytest.approx(1)
    assert answer.label == max(answer.scores, key=answer.scores.get)
    assert set(answer.phonemes) <= set(predictor.trained.inventory.symbols[1:])
    other = predictor.predict(_noise(1.0, seed=2), RATE)
    assert other.scores != answer.scores
    assert predictor.predict(_noise(1.0), RATE) == answer


def test_without_a_phoneme_head_there_are_no_phonemes(folder):
    config = with_changes(make_config(folder), model={"auxiliary": None})
    save_untrained(config, folder / "single")
    assert TorchRecognizer.load(folder / "single").predict(_noise(1.0), RATE).phonemes is None


def test_a_minute_is_processed_in_windows(predictor):
    """Windows of 3 s every 1.5 s; their scores are averaged, weighted by their speech."""
    syllables = np.sin(20 * np.arange(65 * RATE) / RATE) > 0  # a steady hiss is no speech
    samples = _noise(65) * syllables.astype(np.float32)
    answer = predictor.predict(samples, RATE)
    assert answer.warnings == ("windowed",)
    assert answer.seconds == 65.0
    assert sum(answer.scores.values()) == pytest.approx(1)
    hop = 3 * RATE // 2
    starts = range(0, 65 * RATE - hop, hop)
    parts = [predictor.predict(samples[start : start + 2 * hop], RATE) for start in starts]
    track = VadTrack(EnergyVad())
    track.push(samples)
    weights = [track.seconds(start, min(len(samples), start + 2 * hop)) for start in starts]
    for name, score in answer.scores.items():
        expected = np.average([part.scores[name] for part in parts], weights=weights)
        assert score == pytest.approx(expected, abs=1e-6)
    assert len({round(part.scores["anger"], 4) for part in parts}) > 3


def test_audio_warnings_are_kept(predictor):
    loud = np.clip(_noise(31) * 100, -1, 1)
    assert predictor.predict(loud, RATE).warnings == ("clipped", "windowed")
    assert predictor.predict(np.zeros(RATE, np.float32), RATE).warnings == ("silent", "no_speech")


def test_prediction_does_not_change_the_model(predictor):
    before = {k: v.clone() for k, v in predictor.trained.model.state_dict().items()}
    predictor.predict(_noise(1.0), RATE)
    assert not predictor.trained.model.training
    for name, tensor in predictor.trained.model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.grad is None


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        ("nowhere.wav", "missing_file"),
        (b"", "empty_audio"),
        (b"this is no audio at all", "unsupported_audio"),
        (np.zeros(10, np.float32), "too_short"),
        (np.full(RATE, np.nan, np.float32), "invalid_audio"),
    ],
)
def test_audio_errors_pass_through(predictor, audio, code):
    rate = RATE if isinstance(audio, np.ndarray) else None
    with pytest.raises(AudioError) as caught:
        predictor.predict(audio, rate)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_text_file_named_wav_is_refused(predictor, tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"text\.wav"):
        predictor.predict(tmp_path / "text.wav")


def test_an_array_needs_its_rate(predictor):
    with pytest.raises(UsageError, match="rate"):
        predictor.predict(_noise(1.0))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no config"):
        TorchRecognizer.load(tmp_path)


def test_the_predictions_equal_those_of_evaluation(folder, predictor):
    """A file through the predictor and through a batch of the evaluation: the same scores."""
    from phonemo.train.evaluate import outputs_of
    from tests.train.tiny_training import make_dataset

    experiment = prepare_experiment(make_config(folder))
    dataset = make_dataset(experiment)
    shares = outputs_of(predictor.trained.model, dataset, 24).logits.softmax(1)
    for index, item in enumerate(dataset.utterances):
        answer = predictor.predict(dataset.manifest.audio_path(item))
        assert list(answer.scores.values()) == pytest.approx(shares[index].tolist(), abs=1e-4)


def test_a_card_that_torch_does_not_find_is_an_error(folder, predictor, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"for device cuda, got none from torch .*nvidia-smi"):
        TorchRecognizer.load(folder / "model", device="cuda")
    auto = TorchRecognizer.load(folder / "model", device="auto")
    assert (auto.device, predictor.device) == ("cpu", "cpu")
    assert auto.predict(_noise(1.0), RATE) == predictor.predict(_noise(1.0), RATE)


def test_cards_are_counted_from_0(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert torch_device("auto") == "cuda"
    assert torch_device("cuda:1") == "cuda:1"
    with pytest.raises(DeviceError, match="for device cuda:2, got 2 from torch"):
        torch_device("cuda:2")
