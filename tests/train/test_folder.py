"""Model folders: they open again, anywhere, with the same answers, or say why not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForAudioClassification, pipeline

import phonemo.model
from phonemo.errors import CheckpointError
from phonemo.files import CHECKSUMS, _write_checksums
from phonemo.labels import LabelSet
from phonemo.train import model_folder as folder_module
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.model_folder import convert_to_half, load_trained, save_trained
from phonemo.train.provenance import PROVENANCE, provenance_of
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.tiny_nets import KINDS
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import make_lively, save_untrained

RATE = 16_000
# transformers hands WavLM's attention a boolean padding mask beside a float bias
wavlm = pytest.mark.filterwarnings(
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return make_config(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def saved(config, tmp_path_factory) -> Path:
    """A model folder that nobody may change."""
    target = tmp_path_factory.mktemp("saved") / "model"
    save_untrained(config, target)
    return target


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def _clips() -> list[np.ndarray]:
    draw = np.random.default_rng(2)
    return [draw.normal(0, 0.1, size).astype(np.float32) for size in (900, 1600, 4000)]


def _logits(model) -> torch.Tensor:
    clip = torch.from_numpy(_clips()[2])[None]
    with torch.no_grad():
        return model(clip).logits


def _assert_same(first: torch.Tensor, second: torch.Tensor) -> None:
    """Not to the last bit: memory-mapped weights lie otherwise, and kernels follow alignment."""
    torch.testing.assert_close(first, second, atol=2e-6, rtol=0)


def _fault(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_trained(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def _reseal(folder: Path) -> None:
    """As if phonemo had saved it so: the seal is not what refuses."""
    (folder / CHECKSUMS).unlink()
    _write_checksums(folder)


@wavlm
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_of_every_backbone(tmp_path, kind):
    config = make_config(tmp_path, kind)
    model = save_untrained(config, tmp_path / "model")
    trained = load_trained(tmp_path / "model")
    assert trained.folder == tmp_path / "model"
    assert not trained.model.training
    _assert_same(_logits(trained.model), _logits(model))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"acoustic": "lower_mix", "semantic": "all_mix", "pooling": "attentive_statistics"},
        {"fusion": "acoustic", "pooling": "mean", "auxiliary": None},
        {"fusion": "gate", "semantic": "upper_mix", "layers": 2},
        {"auxiliary": {"inventory": "phoneme_x_emotion"}, "width": 12, "hops": 3},
    ],
)
def test_round_trip_of_other_shapes(config, tmp_path, changes):
    model = save_untrained(with_changes(config, model=changes), tmp_path / "model")
    trained = load_trained(tmp_path / "model")
    _assert_same(_logits(trained.model), _logits(model))
    assert (trained.inventory is None) == ("auxiliary" in changes and not changes["auxiliary"])


def test_labels_merges_and_inventory_come_back(config, tmp_path):
    labels = LabelSet(("anger", "neutral", "sadness"), {"rage": "anger", "Müdigkeit": "sadness"})
    save_untrained(config, tmp_path / "model", labels)
    trained = load_trained(str(tmp_path / "model"))
    assert trained.labels == labels
    assert trained.inventory == prepare_experiment(config).targets.inventory
    assert trained.model.config.id2label == {0: "anger", 1: "neutral", 2: "sadness"}


def test_a_frozen_backbone_is_stored_once(config, tmp_path):
    """Two folds share its file; each is complete when copied, and saving one leaves the other."""
    experiment, shared = prepare_experiment(config), tmp_path / "backbone.safetensors"
    models = [make_lively(experiment, seed) for seed in (1, 2)]
    for number, model in enumerate(models):
        save_trained(tmp_path / f"fold-{number}", model, experiment.targets.labels, shared)
    shards = [tmp_path / f"fold-{n}" / "model-00001-of-00002.safetensors" for n in (0, 1)]
    assert shared.samefile(shards[0])
    assert shared.samefile(shards[1])
    assert all(name.startswith("backbone.") for name in load_file(shards[0]))
    heads = load_file(tmp_path / "fold-0" / "model-00002-of-00002.safetensors")
    assert not [name for name in heads if name.startswith("backbone.")]
    moved = shutil.copytree(tmp_path / "fold-0", tmp_path / "elsewhere" / "copy")
    for path in (shared, *shards):
        path.unlink()
    _assert_same(_logits(load_trained(moved).model), _logits(models[0]))
    assert not torch.equal(_logits(models[0]), _logits(models[1]))


def test_without_hard_links_the_shard_is_copied(config, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    experiment, shared = prepare_experiment(config), tmp_path / "backbone.safetensors"
    model = make_lively(experiment)
    save_trained(tmp_path / "model", model, experiment.targets.labels, shared)
    assert not shared.samefile(tmp_path / "model" / "model-00001-of-00002.safetensors")
    _assert_same(_logits(load_trained(tmp_path / "model").model), _logits(model))


def test_a_full_disk_leaves_the_old_model(config, copy, monkeypatch):
    """Safetensors has an error of its own for it, which is no OSError."""

    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    experiment = prepare_experiment(config)
    before = _logits(load_trained(copy).model)
    monkeypatch.setattr(folder_module, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_trained(copy, make_lively(experiment, 2), experiment.targets.labels)
    _assert_same(_logits(load_trained(copy).model), before)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_folder_can_be_moved(saved, copy):
    _assert_same(_logits(load_trained(copy).model), _logits(load_trained(saved).model))
    assert str(saved.parent) not in (copy / "config.json").read_text()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "labels.json", "preprocessor_config.json"]
)
def test_a_flipped_byte_is_detected(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[-3] ^= 1
    (copy / name).write_bytes(data)
    if name == "config.json":  # may not be JSON any more, which is said first
        assert "config.json" in _fault(copy)
    else:
        assert f"{name}: changed since it was saved" in _fault(copy)


@pytest.mark.parametrize("name", ["labels.json", "model.safetensors", "preprocessor_config.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert f"{name!r} is missing" in _fault(copy)


def test_missing_checksums_are_refused(copy):
    (copy / CHECKSUMS).unlink()
    assert CHECKSUMS in _fault(copy)


@pytest.mark.parametrize("text", [None, "{nope", "[]", '{"names": ["anger"], "merge": {}}', "{}"])
def test_bad_labels_are_refused(copy, text):
    if text is None:
        (copy / "labels.json").unlink()
    else:
        (copy / "labels.json").write_text(text)
    _reseal(copy)
    assert "labels.json is missing or malformed" in _fault(copy)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"model_type": "wav2vec2"}', "expected a phonemo model, got a model of type 'wav2vec2'"),
        ("{}", "expected a phonemo model, got a model of type None"),
        ("{nope", "config.json: not JSON"),
        ("[1]", "config.json: not JSON"),
    ],
)
def test_another_config_is_refused(copy, text, expected):
    (copy / "config.json").write_text(text)
    _reseal(copy)
    assert expected in _fault(copy)


def test_other_folders_and_missing_folders_are_refused(tmp_path):
    assert "no such model folder" in _fault(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in _fault(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    assert "no such model folder" in _fault(tmp_path / "file")


@pytest.mark.parametrize("change", ["drop", "add", "shape"])
def test_weights_that_do_not_fit_are_refused(copy, change):
    """A head drawn anew at random would answer as if nothing had happened."""
    weights = load_file(copy / "model.safetensors")
    if change == "drop":
        del weights["head.layers.4.bias"]
    elif change == "add":
        weights["head.layers.9.bias"] = torch.zeros(2)
    else:
        weights["head.layers.4.bias"] = torch.zeros(7)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    _reseal(copy)
    assert "weights" in _fault(copy) or "cannot be read" in _fault(copy)


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_truncated_weights_with_valid_checksums_are_refused(copy, size):
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[:size])
    _reseal(copy)
    assert "cannot be read" in _fault(copy)


def test_another_number_of_labels_is_refused(copy):
    labels = {"names": ["anger", "neutral"], "merge": {}}
    (copy / "labels.json").write_text(json.dumps(labels))
    _reseal(copy)
    assert "that fit its config" in _fault(copy)


def test_transformers_gives_the_same_scores(saved):
    """After ``import phonemo.model`` the folder is an ordinary one for transformers."""
    assert phonemo.model.PhonemoForAudioClassification
    predictor = TorchRecognizer.load(saved)
    model = AutoModelForAudioClassification.from_pretrained(saved).eval()
    pipe = pipeline("audio-classification", model=str(saved))
    for clip in _clips():
        ours = predictor.predict(clip, RATE).scores
        with torch.no_grad():
            theirs = model(torch.from_numpy(clip)[None]).logits.softmax(1)[0]
        piped = {
            item["label"]: item["score"] for item in pipe({"raw": clip, "sampling_rate": RATE})
        }
        assert piped.keys() == ours.keys()
        for index, (name, score) in enumerate(ours.items()):
            assert float(theirs[index]) == pytest.approx(score, abs=1e-5)
            assert piped[name] == pytest.approx(score, abs=1e-5)
    spread = [predictor.predict(clip, RATE).scores["anger"] for clip in _clips()]
    assert max(spread) - min(spread) > 1e-3


def test_the_pipeline_takes_a_batch(saved):
    """Padded together by transformers, each scored as alone."""
    pipe = pipeline("audio-classification", model=str(saved), batch_size=3)
    predictor = TorchRecognizer.load(saved)
    predictions = pipe([{"raw": clip, "sampling_rate": RATE} for clip in _clips()])
    for clip, answer in zip(_clips(), predictions, strict=True):
        ours = predictor.predict(clip, RATE).scores
        for entry in answer:
            assert entry["score"] == pytest.approx(ours[entry["label"]], abs=1e-4)


def test_save_pretrained_of_a_loaded_model(saved, tmp_path):
    """Transformers' own way of saving keeps the answers too."""
    model = load_trained(saved).model
    model.save_pretrained(tmp_path / "again")
    again = AutoModelForAudioClassification.from_pretrained(tmp_path / "again").eval()
    _assert_same(_logits(again), _logits(model))


def test_half_precision_halves_the_size_and_opens_the_same(saved, tmp_path):
    convert_to_half(saved, tmp_path / "small")
    weights = "model.safetensors"
    before, after = (load_file(folder / weights) for folder in (saved, tmp_path / "small"))
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    sizes = [(folder / weights).stat().st_size for folder in (saved, tmp_path / "small")]
    assert sizes[1] < 0.6 * sizes[0]
    trained = load_trained(tmp_path / "small")
    assert {parameter.dtype for parameter in trained.model.parameters()} == {torch.float32}
    for name, tensor in before.items():
        torch.testing.assert_close(trained.model.state_dict()[name], tensor.half().float())
    torch.testing.assert_close(
        _logits(trained.model), _logits(load_trained(saved).model), atol=5e-3, rtol=0
    )
    opened = AutoModelForAudioClassification.from_pretrained(tmp_path / "small")
    assert opened.dtype == torch.float32


def test_shrinking_keeps_the_provenance_and_overwrites_nothing(saved, tmp_path):
    provenance = Path(shutil.copytree(saved, tmp_path / "past"))
    (provenance / PROVENANCE).write_text(json.dumps({"heard": ["beeps"], "corpora": {}}))
    _reseal(provenance)
    convert_to_half(provenance, tmp_path / "small")
    assert provenance_of(tmp_path / "small").trained_on == {"beeps"}
    with pytest.raises(CheckpointError, match="expected a new folder, got an existing one"):
        convert_to_half(provenance, tmp_path / "small")


def test_a_weight_beyond_half_precision_is_refused(config, tmp_path):
    model = make_lively(prepare_experiment(config))
    with torch.no_grad():
        next(model.head.parameters())[0] = 1e6
    save_trained(tmp_path / "large", model, LabelSet(config.labels.names))
    with pytest.raises(CheckpointError, match="within half precision, got 1e\\+06"):
        convert_to_half(tmp_path / "large", tmp_path / "small")
    assert not (tmp_path / "small").exists()
