"""A head put into a network: its scores are the head's, and other networks are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonemo.corpora.manifest import Header, Manifest, Utterance
from phonemo.errors import ModelError
from phonemo.evaluation.calibration import TemperatureScaling
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import load_trained, save_trained
from phonemo.train.provenance import provenance_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.final_head import Final, ship
from phonemo.train.transfer.linear_heads import HeadOptions
from phonemo.train.transfer.selection import Choice, Picked
from phonemo.train.transfer.vectors import open_network
from tests.model.test_network import _model

LABELS = LabelSet(("anger", "happiness", "neutral", "sadness"))
OPTIONS = HeadOptions("discriminant", "source", "corpus", 1.0, 0.5, False, 3.0, 10.0, 5)
CHOICE = Choice(0, 0.0, (0, 1), "speech", "mean", False, OPTIONS)
SURE = TemperatureScaling(2.0, 0.5, 60)


def _head(features: int) -> Reference:
    draws = np.random.default_rng(1)
    rows = [draws.normal(size=(4, features)).round(2) for _ in range(2)]
    centre = draws.normal(size=features).round(2)
    spread = draws.uniform(0.5, 2, features).round(2)
    return Reference(centre, spread, rows[0], rows[1], np.array([0.5, 0, -0.5, 0]), 3, 10, 5)


def _teacher(tmp_path) -> Corpus:
    row = Utterance(id="a1", file="a1.wav", speaker="s1", emotion="anger")
    header = Header(corpus="tiny", root=".", phonemo="0")
    return Corpus(Manifest(header=header, utterances=(row,), path=tmp_path / "tiny.jsonl"))


def _start() -> PhonemoForAudioClassification:
    model = _model(statistics=(1,), head="linear")
    model.config.auxiliary |= {"name": "characters", "alphabet": "ipa"}
    return model


@pytest.fixture
def folder(tmp_path):
    model = _start()
    save_trained(tmp_path / "start", model, LabelSet(("calm", "anger", "fear")))
    return tmp_path / "start"


def _final(folder, tmp_path) -> Final:
    network = open_network(str(folder))
    head = _head(2 * network.backbone.semantic_features)
    return Final(head, Picked(CHOICE, 0.7, SURE, SURE), network, (_teacher(tmp_path),), LABELS)


def test_the_shipped_scores_equal_the_heads(folder, tmp_path):
    final = _final(folder, tmp_path)
    ship(final, folder, tmp_path / "shipped")
    loaded = load_trained(tmp_path / "shipped")
    assert loaded.labels.names == LABELS.names
    config = loaded.model.config
    assert (config.temperature, config.abstain_below, config.calibrated_on) == (2.0, 0.5, 60)
    waves = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        output = loaded.model(waves, calibrated=False)
    parts = final.network.vectors(waves[0].numpy(), CHOICE.columns)
    vector = np.concatenate([parts[name] for name in CHOICE.columns])
    expected = final.head.weight @ ((vector - final.head.centre) / final.head.spread)
    np.testing.assert_allclose(
        output.logits[0].numpy(), expected + final.head.bias, rtol=0.01, atol=0.02
    )
    reference = reference_of(loaded.model)
    assert reference is not None
    assert (reference.k_mean, reference.k_spread, reference.em_iterations) == (3, 10, 5)
    np.testing.assert_allclose(reference.class_means, final.head.class_means, atol=2e-3)


def test_the_phoneme_head_and_the_provenance_are_kept(folder, tmp_path):
    ship(_final(folder, tmp_path), folder, tmp_path / "shipped")
    before, after = (load_trained(item).model for item in (folder, tmp_path / "shipped"))
    for name, tensor in before.auxiliary.state_dict().items():
        torch.testing.assert_close(after.auxiliary.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    assert provenance_of(tmp_path / "shipped").trained_on == {"tiny"}


def test_a_network_with_other_lower_layers_is_refused(folder, tmp_path):
    final = _final(folder, tmp_path)
    other = _start()
    with torch.no_grad():
        other.backbone.network.encoder.layers[0].feed_forward.intermediate_dense.weight.mul_(1.5)
    save_trained(tmp_path / "other", other, LabelSet(("calm", "anger", "fear")))
    with pytest.raises(ModelError, match="got other vectors; train it with the layers below"):
        ship(final, tmp_path / "other", tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()
