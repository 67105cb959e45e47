"""Backbones from folders: their weights and wishes are kept, and what is wrong is one line."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from phonemo.config import ModelConfig
from phonemo.errors import ModelError
from phonemo.labels import LabelSet
from phonemo.model.backbone import BACKBONES, Backbone
from phonemo.model.masks import mask_of
from phonemo.model.pretrained import (
    build_network,
    feature_extractor,
    load_backbone,
    quiet_transformers,
)
from tests.tiny_nets import KINDS, make_backbone_folder, make_network

LABELS = LabelSet(("anger", "neutral"))
SYMBOLS = {"name": "phonemes", "alphabet": "ipa", "symbols": ["<blank>", "a", "b", "t"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A shared backbone folder; tests must not modify it."""
    return make_backbone_folder(tmp_path_factory.mktemp("whole") / "backbone")


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(whole, tmp_path / "backbone"))


def _model(folder: Path, **settings) -> ModelConfig:
    shape = {"width": 8, "attention_heads": 2, "hops": 2}
    return ModelConfig.model_validate({"backbone": str(folder)} | shape | settings)


def _fault(folder: Path | str, **settings) -> str:
    with pytest.raises(ModelError) as caught:
        build_network(_model(folder, **settings), LABELS, SYMBOLS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_the_folder(tmp_path, kind):
    folder = make_backbone_folder(tmp_path / "backbone", kind)
    model = build_network(_model(folder), LABELS, SYMBOLS)
    given = {k: v for k, v in make_network(kind).state_dict().items() if k != "masked_spec_embed"}
    result = model.backbone.network.state_dict()
    assert result.keys() == given.keys()
    for name, tensor in given.items():
        assert torch.equal(result[name], tensor), name


def test_the_config_describes_the_network(whole):
    model = build_network(_model(whole, fusion="gate", pooling="mean"), LABELS, SYMBOLS, 3)
    config = model.config
    assert config.id2label == {0: "anger", 1: "neutral"}
    assert config.label2id == {"anger": 0, "neutral": 1}
    assert (config.fusion, config.pooling, config.width, config.lora_rank) == ("gate", "mean", 8, 3)
    assert config.auxiliary["symbols"] == SYMBOLS["symbols"]
    assert config.auxiliary["alpha"] == 0.1
    assert config.backbone["model_type"] == "wav2vec2"
    assert str(whole) not in config.to_json_string()
    assert model.auxiliary.output.out_features == 4


@pytest.mark.parametrize("without", ["symbols", "auxiliary"])
def test_without_the_task_nothing_is_built_for_it(whole, without):
    settings = {"auxiliary": None} if without == "auxiliary" else {}
    symbols = None if without == "symbols" else SYMBOLS
    model = build_network(_model(whole, **settings), LABELS, symbols)
    assert model.auxiliary is None
    assert model.config.auxiliary is None


def test_pretraining_regularizers_are_disabled(folder):
    """They would drop layers at random, or mask a second time."""
    _change(folder / "config.json", layerdrop=0.5, mask_time_prob=0.5, mask_feature_prob=0.5)
    network, _ = load_backbone(str(folder))
    config = network.config
    assert (config.layerdrop, config.mask_time_prob, config.mask_feature_prob) == (0, 0, 0)
    assert not [name for name, _ in network.named_parameters() if "masked_spec_embed" in name]


@pytest.mark.parametrize("expected", [True, False])
def test_the_preprocessor_determines_normalization(folder, expected):
    _change(folder / "preprocessor_config.json", do_normalize=expected)
    model = build_network(_model(folder), LABELS, SYMBOLS).eval()
    assert model.backbone.normalise is expected
    assert model.config.normalise is expected
    clip = torch.randn(1, 900)
    with torch.no_grad():
        quiet, loud = model(clip).logits, model(4 * clip + 0.1).logits
    assert torch.allclose(quiet, loud, atol=1e-4) is expected


def test_without_a_preprocessor_clips_are_normalized_with_a_warning(folder, caplog):
    (folder / "preprocessor_config.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert load_backbone(str(folder))[1] is True
    assert "no preprocessor_config.json" in caplog.text


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group", "data2vec-audio"])
def test_the_first_layers_are_those_of_the_whole(tmp_path, kind):
    """Two of three; where a last norm follows, it follows the second layer now."""
    folder = str(make_backbone_folder(tmp_path / "backbone", kind))
    weights = load_file(Path(folder) / "model.safetensors")
    weights["encoder.layer_norm.weight"] += 1  # a norm with trained weights
    save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    networks = [load_backbone(folder, layers)[0] for layers in (None, 2)]
    whole, short = (Backbone(network, normalise=True).eval() for network in networks)
    assert (whole.depth, short.depth) == (3, 2)
    assert short.network.config.num_hidden_layers == 2
    clip, mask = torch.randn(1, 900), mask_of(torch.tensor([44]), 44)
    with torch.no_grad():
        states = []
        for backbone in (whole, short):
            cnn = backbone.convolve(clip, torch.tensor([900]))
            hidden = backbone.embed(backbone.project(cnn), mask)
            states.append(backbone.run(hidden, mask, 0, range(3)))
        expected = states[0][2]
        if short._norm_is_last():
            expected = whole.network.encoder.layer_norm(expected)
    torch.testing.assert_close(states[1][1], states[0][1])
    torch.testing.assert_close(states[1][2], expected)


def test_all_layers_can_be_selected_by_number(whole):
    assert len(load_backbone(str(whole), 3)[0].encoder.layers) == 3


# What is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no/such/folder", "somebody/not-here", "somebody/x@main"])
def test_a_missing_backbone_is_rejected(name, tmp_path):
    for item in (name, str(tmp_path / "absent")):
        assert "no such folder, and no model hub has it" in _fault(item)


@pytest.mark.parametrize("text", [None, "{nope", "{}", '{"model_type": "unheard-of"}'])
def test_a_folder_without_a_readable_config_is_rejected(folder, text):
    if text is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(text)
    assert "its config.json cannot be used" in _fault(folder)


@pytest.mark.parametrize("kind", ["bert", "whisper"])
def test_another_kind_of_model_is_rejected(folder, kind):
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    message = _fault(folder)
    assert f"expected one of {', '.join(BACKBONES)}, got {kind}" in message


def test_a_phonemo_model_without_its_fields_is_rejected(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "phonemo"}))
    assert "its weights cannot be read" in _fault(folder)


def test_a_convolutional_adapter_is_rejected(folder):
    _change(folder / "config.json", add_adapter=True)
    assert "convolutional adapter is not supported" in _fault(folder)


def test_incomplete_weights_are_rejected(folder):
    weights = load_file(folder / "model.safetensors")
    for name in ("encoder.layers.1.attention.q_proj.bias", "encoder.layers.0.layer_norm.bias"):
        del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    message = _fault(folder)
    assert "2 weights are missing, such as 'encoder.layers.0.layer_norm.bias'" in message


@pytest.mark.parametrize("size", [0, 7, 3000, None])
def test_broken_or_missing_weights_are_rejected(folder, size):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(data[:size])
    assert "its weights cannot be read" in _fault(folder)


def test_weights_of_another_shape_are_rejected(folder):
    _change(folder / "config.json", hidden_size=32)
    assert "its weights cannot be read" in _fault(folder)


def test_too_many_layers_are_rejected(whole):
    assert "expected model.layers of at most 3, got 4" in _fault(whole, layers=4)


def test_a_width_that_the_heads_do_not_divide_is_rejected(whole):
    message = _fault(whole, width=10, attention_heads=4)
    assert message == "expected a width that is a multiple of attention_heads 4, got 10"


def test_a_backbone_with_another_rate_is_rejected(folder):
    _change(folder / "preprocessor_config.json", sampling_rate=8000)
    assert "expected a sampling rate of 16000 Hz, got 8000" in _fault(folder)


# The preprocessor, and quiet -----------------------------------------------------------------


def test_the_saved_preprocessor_does_not_change_the_samples():
    """The network normalizes its input; the preprocessor must not do so too."""
    samples = torch.arange(1.0, 5.0).numpy()
    result = feature_extractor()(samples, sampling_rate=16_000, return_tensors="np")
    assert result["input_values"].tolist() == [[1, 2, 3, 4]]
    assert result["attention_mask"].tolist() == [[1, 1, 1, 1]]


def test_the_log_level_of_transformers_is_restored():
    """After a failure too."""

    def fail() -> None:
        with quiet_transformers():
            assert transformers_logging.get_verbosity() == transformers_logging.ERROR
            raise RuntimeError

    before = transformers_logging.get_verbosity()
    with pytest.raises(RuntimeError):
        fail()
    assert transformers_logging.get_verbosity() == before
    assert transformers_logging.is_progress_bar_enabled()
