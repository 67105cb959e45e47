"""The linear probe: every layer of a frozen network, on folds that share no speaker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from phonemo.config import ProtocolConfig
from phonemo.corpora.manifest import read_manifest
from phonemo.corpora.splits import make_split
from phonemo.errors import LabelError
from phonemo.train.experiments.baselines import probe as module
from phonemo.train.experiments.baselines.probe import probe
from tests.tiny_nets import make_backbone_folder
from tests.train.tiny_run import make_corpus

SPEAKER = ProtocolConfig(name="speaker")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> str:
    return str(make_backbone_folder(tmp_path_factory.mktemp("backbone") / "b"))


def test_every_hidden_state_is_scored(manifest: Path, backbone: str) -> None:
    predicted: list[tuple[int, int]] = []
    scores = probe(backbone, manifest, SPEAKER, progress=lambda *one: predicted.append(one))
    assert [score.layer for score in scores] == [0, 1, 2, 3]
    assert all(
        0 <= score.ua <= 1 and score.ua == pytest.approx(score.wa) for score in scores
    )  # balanced
    assert predicted[-1] == (24, 24)


def test_beeps_of_different_pitch_are_separated(manifest: Path, monkeypatch) -> None:
    def spectrum(network: str):
        return lambda waveform: [
            torch.stft(waveform, 256, window=torch.ones(256), return_complex=True)
            .abs()
            .transpose(1, 2),
            torch.zeros(1, 3, 129),
        ]

    monkeypatch.setattr(module, "_load_states", spectrum)
    predicted, deaf = probe("any", manifest, SPEAKER)
    assert predicted.ua == 1
    assert deaf.ua == pytest.approx(1 / 3)  # nothing to hear: one answer for all


def test_a_fold_is_never_fitted_on_its_test_speaker(manifest: Path, monkeypatch) -> None:
    rows = read_manifest(manifest).utterances
    learnt: list[set[int]] = []
    asked: list[set[int]] = []

    class Spy:
        def fit(self, features, truth):
            learnt.append({int(item) for item in features[:, 0]})
            return self

        def predict(self, features):
            asked.append({int(item) for item in features[:, 0]})
            return np.zeros(len(features), dtype=int)

    numbers = np.arange(len(rows), dtype=np.float32)[:, None, None].repeat(2, axis=2)
    monkeypatch.setattr(module, "_load_states", lambda network: None)
    monkeypatch.setattr(module, "_features", lambda *rest: numbers)
    monkeypatch.setattr(module, "fitted", lambda features, truth, _: Spy().fit(features, truth))
    probe("any", manifest, SPEAKER)
    speakers = [{rows[number].speaker for number in part} for part in (*learnt, *asked)]
    folds = len(make_split(rows, SPEAKER).folds)
    for with_whom, of_whom in zip(speakers[:folds], speakers[folds:], strict=True):
        assert len(of_whom) == 1
        assert with_whom.isdisjoint(of_whom)
        assert len(with_whom) == 3  # the validation speaker is learned from too


def test_emotions_can_be_chosen(manifest: Path, backbone: str) -> None:
    scores = probe(backbone, manifest, SPEAKER, ["anger", "sadness"])
    assert all(
        score.ua * 16 == pytest.approx(round(score.ua * 16)) for score in scores
    )  # 16 utterances
    with pytest.raises(LabelError, match="the manifest has anger, neutral"):
        probe(backbone, manifest, SPEAKER, ["anger"])
