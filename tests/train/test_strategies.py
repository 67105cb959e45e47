"""What learns, what stays as it was to the last bit, and what is in evaluation mode meanwhile."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from phonemo.config import TrainConfig
from phonemo.errors import ConfigError
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.freezing import (
    STRATEGIES,
    FrozenDepth,
    freeze,
    frozen_depth,
    trainable_parameters,
)
from phonemo.train.model_folder import load_trained, save_trained
from tests.tiny_nets import KINDS
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import Watch, changed, copy_state, make_network, make_trainer

BELOW = "backbone.network."
LAYERS = BELOW + "encoder.layers."
#: Strategy (top_k is 2 of 3 layers) -> what its first epoch changes in the backbone.
LEARNS = {
    "frozen": lambda name: False,
    "freeze_cnn": lambda name: not name.startswith(BELOW + "feature_extractor."),
    "full": lambda name: True,
    "top_k": lambda name: name.startswith((f"{LAYERS}1.", f"{LAYERS}2.", f"{BELOW}encoder.layer_")),
    "gradual": lambda name: False,
    "lora": lambda name: ".lora_" in name,
}
SETTINGS = {"epochs": 1, "top_k": 2, "rate_backbone": 1e-2, "batch_size": 6}
LORA_TARGETS = {
    "wav2vec2-layer": ("attention.q_proj", "attention.v_proj"),
    "wavlm-layer": ("feed_forward.intermediate_dense", "feed_forward.output_dense"),
}
# transformers hands WavLM's attention a boolean padding mask beside a float bias
wavlm = pytest.mark.filterwarnings(
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("strategies")


def _modes(model: PhonemoForAudioClassification) -> dict[str, bool]:
    """What dropout would act: names of the leaves of the backbone -> in training mode?"""
    network = model.backbone.network
    return {
        name: item.training for name, item in network.named_modules() if not list(item.children())
    }


def _fresh(folder: Path, kind: str = "wav2vec2-layer", **train) -> PhonemoForAudioClassification:
    return make_network(prepare_experiment(make_config(folder, kind, **SETTINGS | train)))


def test_every_strategy_is_tested():
    """logistic trains nothing by gradient; test_logistic.py has it."""
    assert {*LEARNS, "logistic"} == STRATEGIES.keys()


@pytest.mark.parametrize("name", LEARNS)
def test_one_epoch_changes_exactly_the_trainable_parameters(folder, tmp_path, name):
    """Head, fusion and pooling learn in all of them."""
    config = make_config(folder, strategy=name, **SETTINGS)
    watch = Watch(_modes, "step")
    trainer = make_trainer(config, tmp_path, callbacks=[watch])
    before = copy_state(trainer.network)
    trainer.resume_or_start()
    parameters = {name for name, _ in trainer.network.named_parameters()}
    expected = {
        parameter
        for parameter in parameters
        if LEARNS[name](parameter) or not parameter.startswith("backbone.")
    }
    assert changed(before, copy_state(trainer.network)) == expected
    assert len(watch.values) == 2
    for modes in watch.values:
        _check_modes(name, modes)


def _check_modes(name: str, modes: dict[str, bool]) -> None:
    """Parts below the boundary are in evaluation mode while the rest trains."""
    cnn = ("feature_extractor.",)
    embedding = (*cnn, "feature_projection.", "encoder.pos_conv_embed.", "encoder.dropout")
    frozen = {
        "frozen": (*embedding, "encoder.layers."),
        "gradual": (*embedding, "encoder.layers."),
        "freeze_cnn": cnn,
        "lora": embedding,
        "top_k": (*embedding, "encoder.layers.0."),
        "full": ("nothing",),
    }[name]
    for module, training in modes.items():
        # the last norm has no dropout, so its mode means nothing
        assert module == "encoder.layer_norm" or training != module.startswith(frozen), module


def test_gradual_unfreezes_one_layer_per_epoch(folder, tmp_path):
    config = make_config(folder, strategy="gradual", **SETTINGS | {"epochs": 4})
    watch = Watch(copy_state, "epoch")
    trainer = make_trainer(config, tmp_path, callbacks=[watch])
    states = [copy_state(trainer.network), *watch.values]
    trainer.resume_or_start()
    states = [*states, *watch.values]
    layers = []
    for before, after in pairwise(states):
        names = {name for name in changed(before, after) if name.startswith("backbone.")}
        layers.append(sorted({name.removeprefix(LAYERS)[0] for name in names if LAYERS in name}))
        rest = {name for name in names if LAYERS not in name}
        assert all(name.startswith(f"{BELOW}encoder.layer_norm.") for name in rest)
    assert layers == [[], ["2"], ["1", "2"], ["1", "2"]]


def test_trainable_parameters_cover_all_epochs(folder):
    model = _fresh(folder)
    for name in STRATEGIES:
        if name == "lora":
            continue
        config = TrainConfig(strategy=name, top_k=2, epochs=5)
        trainable = set(trainable_parameters(model, config))
        learning = set()
        for epoch in range(5):
            freeze(model, config, epoch)
            learning |= {name for name, tensor in model.named_parameters() if tensor.requires_grad}
        assert trainable == learning, name


@pytest.mark.parametrize("name", ["top_k", "gradual"])
def test_more_layers_than_the_backbone_has_are_refused(folder, tmp_path, name):
    """Found before the features are computed for nothing."""
    config = make_config(folder, strategy=name, top_k=4)
    with pytest.raises(
        ConfigError, match=r"train\.top_k of at most 3, the backbone's layers, got 4"
    ):
        make_trainer(config, tmp_path)
    output = str(tmp_path / "runs" / "one")
    alone = with_changes(config, model={"fusion": "semantic"}, output=output)
    with pytest.raises(
        ConfigError, match=r"train\.top_k of at most 3, the backbone's layers, got 4"
    ):
        run(alone, "test")
    assert not (tmp_path / "runs" / "cache").exists()


def test_frozen_depths_match_a_calculation_by_hand(folder):
    model = _fresh(folder)
    depths = {
        strategy: frozen_depth(model, TrainConfig(strategy=strategy, top_k=2))
        for strategy in STRATEGIES
    }
    assert depths == {
        "frozen": FrozenDepth(3),
        "freeze_cnn": FrozenDepth(None),
        "full": None,
        "top_k": FrozenDepth(1),
        "gradual": FrozenDepth(1),
        "lora": FrozenDepth(None),
        "logistic": FrozenDepth(3),
    }


@wavlm
@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_backbone_is_deterministic_while_training(folder, kind):
    model = _fresh(folder, kind)
    freeze(model, TrainConfig(strategy="frozen"))
    model.train()
    assert model.head.training
    clip, size = torch.randn(1, 900), torch.tensor([900])
    first, second = (model.forward_frozen(clip, size, 3) for _ in range(2))
    assert all(map(torch.equal, first.named().values(), second.named().values()))
    freeze(model, TrainConfig(strategy="full"))
    model.train()
    live = [model.forward_frozen(clip, size, 3).layers[3] for _ in range(2)]
    assert not torch.equal(*live)


@wavlm
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "log-mel"])
def test_adapters_affect_the_output_of_every_backbone(folder, kind):
    """Fresh ones change nothing; any of them changed alone changes the scores."""
    plain, adapted = (
        _fresh(folder, kind, strategy=strategy).eval() for strategy in ("full", "lora")
    )
    clip = torch.randn(1, 900)
    adapters = [it for name, it in adapted.named_parameters() if "lora_B" in name]
    assert len(adapters) == 6
    with torch.no_grad():
        hidden = plain.forward_frozen(clip, torch.tensor([900]), 3).layers[3]
        fresh = adapted.forward_frozen(clip, torch.tensor([900]), 3).layers[3]
        torch.testing.assert_close(hidden, fresh, atol=1e-6, rtol=0)
        for adapter in adapters:
            adapter.normal_()
            now = adapted.forward_frozen(clip, torch.tensor([900]), 3).layers[3]
            assert (now - fresh).abs().max() > 1e-3
            adapter.zero_()


@wavlm
@pytest.mark.parametrize("kind", LORA_TARGETS)
def test_lora_is_trained_saved_and_loaded(folder, tmp_path, kind):
    settings = SETTINGS | {"rate_backbone": 0.5, "lora_rank": 3}
    config = make_config(folder, kind, strategy="lora", **settings)
    trainer = make_trainer(config, tmp_path)
    model, clip = trainer.network, torch.randn(2, 1200)
    before = copy_state(model)
    trainer.resume_or_start()
    model.eval()
    trained = changed(before, copy_state(model))
    places = [f"{LAYERS}{n}.{target}" for n in range(3) for target in LORA_TARGETS[kind]]
    adapters = {f"{place}.lora_{side}.default.weight" for place in places for side in "AB"}
    assert {name for name in trained if name.startswith("backbone.")} == adapters
    assert model.get_parameter(min(adapters)).shape[0] == 3
    save_trained(tmp_path / "model", model, trainer.training.targets.labels)
    loaded = load_trained(tmp_path / "model").model
    with torch.no_grad():
        logits = model(clip).logits
        torch.testing.assert_close(loaded(clip).logits, logits, atol=1e-6, rtol=0)
        for name in adapters:
            if "lora_B" in name:
                loaded.get_parameter(name).zero_()
        assert (loaded(clip).logits - logits).abs().max() > 1e-3
