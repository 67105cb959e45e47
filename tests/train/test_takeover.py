"""Fine-tuning from a trained model: what is taken over, and by which name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from phonemo.corpora.phoneme_inventory import make_inventory
from phonemo.errors import CheckpointError, ModelError
from phonemo.labels import LabelSet
from phonemo.model.pretrained import build_network, load_backbone
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.freezing import load_matching_weights
from phonemo.train.model_folder import load_trained
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import copy_state, save_untrained


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return make_config(tmp_path_factory.mktemp("takeover"))


@pytest.fixture(scope="module")
def start(config, tmp_path_factory):
    target = tmp_path_factory.mktemp("start") / "model"
    save_untrained(config, target)
    return load_trained(target)


def fresh(config, labels: LabelSet, inventory=None):
    torch.manual_seed(9)
    symbols = None if inventory is None else inventory.to_json()
    return build_network(config.model, labels, symbols)


def test_the_same_network_is_copied_completely(config, start) -> None:
    network = fresh(config, start.labels, start.inventory)
    load_matching_weights(network, start.labels, start.inventory, start)
    expected = start.model.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_outputs_are_matched_by_name_and_new_ones_stay_initialized(config, start, caplog) -> None:
    labels = LabelSet(("sadness", "boredom", "anger"))
    network = fresh(config, labels, start.inventory)
    before = copy_state(network)
    load_matching_weights(network, labels, start.inventory, start)
    after, theirs = network.state_dict(), start.model.state_dict()
    name = next(n for n in reversed(before) if n.startswith("head.") and n.endswith("weight"))
    place = {emotion: row for row, emotion in enumerate(start.labels.names)}
    assert torch.equal(after[name][0], theirs[name][place["sadness"]])
    assert torch.equal(after[name][1], before[name][1])
    assert torch.equal(after[name][2], theirs[name][place["anger"]])
    assert "was not trained on: boredom" in caplog.text


def test_phonemes_are_matched_by_name(config, start) -> None:
    inventory = make_inventory("broad", "ipa", start.labels.names, ())
    network = fresh(config, start.labels, inventory)
    before = copy_state(network)
    load_matching_weights(network, start.labels, inventory, start)
    after, theirs = network.state_dict()["auxiliary.output.weight"], start.model.state_dict()
    assert torch.equal(after[0], theirs["auxiliary.output.weight"][0])  # the blank is in both
    shared = set(inventory.symbols) & set(start.inventory.symbols)
    fresh_rows = [n for n, symbol in enumerate(inventory.symbols) if symbol not in shared]
    assert fresh_rows
    assert torch.equal(after[fresh_rows], before["auxiliary.output.weight"][fresh_rows])


def test_a_single_task_network_takes_the_shared_weights(config, start) -> None:
    network = fresh(with_changes(config, model={"auxiliary": None}), start.labels)
    load_matching_weights(network, start.labels, None, start)
    expected = start.model.state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in network.state_dict().items())


def test_another_shape_is_refused(config, start) -> None:
    wider = with_changes(config, model={"width": 16})
    network = fresh(wider, start.labels, start.inventory)
    with pytest.raises(ModelError, match=r"of shape .*, got .*; give the same model section"):
        load_matching_weights(network, start.labels, start.inventory, start)
    other = with_changes(config, model={"pooling": "attentive_statistics"})
    network = fresh(other, start.labels, start.inventory)
    with pytest.raises(ModelError, match="give the same model section"):
        load_matching_weights(network, start.labels, start.inventory, start)


def test_a_run_starts_from_a_model_and_pins_its_digest(config, start, tmp_path: Path) -> None:
    started = with_changes(config, model={"start": str(start.folder)}, output=str(tmp_path / "run"))
    metrics = run(started, "phonemo train", folds=["speaker-s1"])
    assert metrics["results"]["utterances"] == 6
    assert '"start"' in (tmp_path / "run" / "inputs.json").read_text(encoding="utf-8")


def test_a_missing_start_is_one_line(config, tmp_path: Path) -> None:
    absent = with_changes(
        config, model={"start": str(tmp_path / "no")}, output=str(tmp_path / "run")
    )
    with pytest.raises(CheckpointError, match="no such model folder"):
        run(absent, "phonemo train", folds=["speaker-s1"])


def test_a_trained_model_is_a_backbone_too(config, start) -> None:
    network, normalise = load_backbone(str(start.folder))
    expected = start.model.backbone
    assert normalise == expected.normalise
    theirs = expected.network.state_dict()
    assert all(torch.equal(t, theirs[name]) for name, t in network.state_dict().items())
    other = with_changes(config, model={"backbone": str(start.folder)})
    targets = prepare_experiment(config).targets
    built = build_network(other.model, targets.labels, None)
    assert built.backbone.depth == expected.depth


def test_a_trained_backbone_can_be_cut(start) -> None:
    network, _ = load_backbone(str(start.folder), layers=1)
    assert len(network.encoder.layers) == network.config.num_hidden_layers == 1
    with pytest.raises(ModelError, match=r"expected model\.layers of at most 3, got 9"):
        load_backbone(str(start.folder), layers=9)


def test_an_emotion_head_of_another_kind_is_newly_initialized(config, start) -> None:
    other = with_changes(config, model={"statistics": [1], "head": "linear"})
    network = fresh(other, start.labels, start.inventory)
    before = copy_state(network)
    load_matching_weights(network, start.labels, start.inventory, start)
    theirs = start.model.state_dict()
    for name, tensor in network.state_dict().items():
        expected = before[name] if name.startswith("head.") else theirs[name]
        assert torch.equal(tensor, expected), name
