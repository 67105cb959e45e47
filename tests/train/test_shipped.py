"""The weights that ship beside the package: they open, and say what the bundle says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from transformers import AutoModelForAudioClassification
from typer.testing import CliRunner

import phonemo.model
from phonemo.cli.main import app
from phonemo.model.pretrained import load_backbone
from phonemo.runtime.bundle import open_bundle, packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.model_folder import load_trained
from phonemo.train.provenance import provenance_of
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.laws import REPOSITORY
from tests.train.tiny_run import make_corpus

assert phonemo.model  # registers the kinds of network

MODELS = REPOSITORY / "models"
SMALL = MODELS / "phonemo-small"
BACKBONE = MODELS / "phonemo-small-backbone"
CORPORA = {"emodb", "ravdess", "nemo"}


def test_weights_and_bundle_give_the_same_prediction():
    trained = load_trained(SMALL)
    card = open_bundle(packaged()).card
    assert trained.labels.names == card.labels
    assert trained.inventory is not None
    assert card.inventory is not None
    assert trained.inventory.to_json() == card.inventory.model_dump(mode="json") | {
        "symbols": list(card.inventory.symbols)
    }
    draw = np.random.default_rng(4)
    torch_side, onnx_side = TorchRecognizer.load(SMALL), OnnxRecognizer.load()
    for _ in range(3):
        clip = draw.normal(0, 0.05, 32_000).astype(np.float32)
        first, second = (side.predict(clip, rate=16_000) for side in (torch_side, onnx_side))
        assert first.scores == pytest.approx(second.scores, abs=0.15)


def test_the_provenance_lists_the_training_corpora():
    provenance = provenance_of(SMALL)
    assert provenance.trained_on >= CORPORA | {"speechocean762"}
    assert {name: len(provenance.taught[name].speakers) for name in sorted(CORPORA)} == {
        "emodb": 10,
        "nemo": 9,
        "ravdess": 24,
    }


def test_the_backbone_was_not_trained_on_corpora_with_emotions():
    network, normalise = load_backbone(str(BACKBONE))
    assert normalise
    assert len(network.encoder.layers) == 4
    provenance = provenance_of(BACKBONE)
    assert provenance.trained_on == {"csv", "speechocean762"}
    assert not provenance.taught


def test_transformers_opens_the_model():
    model = AutoModelForAudioClassification.from_pretrained(SMALL)
    assert model.config.id2label[0] == "anger"
    assert model.num_parameters() < 20e6


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("train.strategy=top_k", "train.top_k=2", "train.epochs=1"),
    ],
)
def test_the_model_is_a_start_for_a_users_corpus(tmp_path, sets, monkeypatch):
    manifest = make_corpus(tmp_path / "mine")
    monkeypatch.chdir(REPOSITORY)
    command = ["train", "configs/finetune.yaml", "--quiet", "-o", str(tmp_path / "run")]
    own = (f"manifest={manifest}", "labels.names=[anger, neutral, sadness]", "protocol.folds=3")
    for option in (*own, *sets):
        command += ["--set", option]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.output, done.exception)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    if not sets:  # beeps of three pitches: a fitted head tells them apart
        assert metrics["results"]["ua"]["mean"] > 0.9
    provenance = provenance_of(tmp_path / "run" / "seed-1" / "speakers-1" / "model")
    assert provenance.trained_on >= CORPORA | {"beeps"}
