"""The fitted emotion head is scikit-learn's, and a run of it is a run like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phonemo.config import RunConfig
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.train.evaluate import outputs_of
from phonemo.train.experiments.assess import assess_run
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.export.export import export
from phonemo.train.heads.linear_head import fit_head
from phonemo.train.model_folder import load_trained
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import make_dataset, make_network

MODEL = {"statistics": [0, 1, 2], "head": "linear"}


def logistic(folder: Path, **train: object) -> RunConfig:
    config = make_config(folder)
    settings = {"strategy": "logistic", "select_by": "last", "inverse_penalty": 0.1} | train
    return with_changes(config, model=MODEL, train=settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("logistic")


@pytest.mark.parametrize("emotions", [("anger", "neutral", "sadness"), ("neutral", "sadness")])
def test_the_head_gives_the_probabilities_of_scikit_learn(folder, emotions):
    config = with_changes(logistic(folder), labels={"names": emotions})
    experiment = prepare_experiment(config)
    model = make_network(experiment).eval()
    ids = [utterance for utterance in experiment.utterances if not utterance.startswith("s4")]
    training, test = (
        make_dataset(experiment, part)
        for part in (ids, [name for name in experiment.utterances if name.startswith("s4")])
    )
    below = {name: t.clone() for name, t in model.state_dict().items() if "head." not in name}
    fit_head(model, training, 0.1, 4)
    outputs = outputs_of(model, training, 4)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000))
    pipeline.fit(outputs.vectors.numpy(), outputs.labels.numpy())
    expected = pipeline.predict_proba(outputs_of(model, test, 3).vectors.numpy())
    probabilities = outputs_of(model, test, 4).logits.double().softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)
    for name, tensor in below.items():
        assert torch.equal(model.state_dict()[name], tensor), "nothing else moves"


def test_an_emotion_without_an_example_is_never_predicted(folder):
    experiment = prepare_experiment(logistic(folder))
    model = make_network(experiment).eval()
    ids = [
        name for name, utterance in experiment.utterances.items() if utterance.emotion != "anger"
    ]
    fit_head(model, make_dataset(experiment, ids), 0.1, 4)
    scores = outputs_of(model, make_dataset(experiment), 4).logits.softmax(dim=1)
    assert float(scores[:, experiment.targets.labels.index("anger")].max()) < 1e-6


def test_a_run_is_fitted_tested_evaluated_again_and_exported(tmp_path):
    config = logistic(tmp_path)
    metrics = run(config, "phonemo train")
    assert metrics["results"]["utterances"] == 24
    assert metrics["results"]["ua"]["mean"] > 0.6, "the pitch of a beep is easy"
    assert (metrics["model"]["statistics"], metrics["model"]["head"]) == ([0, 1, 2], "linear")
    output = Path(config.output)
    assert "0 of 24 predictions differ" in assess_run(output).notes[-1]
    fold = json.loads((output / "seed-1" / "speaker-s1" / "metrics.json").read_text())
    assert (fold["steps"], fold["epochs"], fold["best_validation"]) == (0, 0, None)
    trained = load_trained(output / "seed-1" / "speaker-s1" / "model")
    assert trained.model.statistics == (0, 1, 2)
    card = export(trained.folder, tmp_path / "bundle", "fp32").card
    assert card.parity.difference < 1e-3


def test_validation_is_trained_on_only_without_epoch_selection(tmp_path):
    """With another select_by the validation part is left alone."""
    manifest = read_manifest(make_config(tmp_path).manifest)
    heads = {}
    for select_by in ("last", "ua"):
        for flip in (False, True):
            rows = [
                utterance.model_copy(update={"emotion": "neutral"})
                if flip and utterance.speaker == "s2"
                else utterance
                for utterance in manifest.utterances
            ]
            path = tmp_path / f"{select_by}-{flip}.jsonl"
            write_manifest(path, manifest.header.model_copy(update={"root": "corpus"}), rows)
            config = with_changes(
                logistic(tmp_path, select_by=select_by),
                manifest=str(path),
                output=str(tmp_path / "runs" / path.stem),
            )
            split = prepare_experiment(config).split
            name = next(
                fold.name for fold in split.folds if {i[:2] for i in fold.validation} == {"s2"}
            )
            run(config, "phonemo train", folds=[name])
            text = (Path(config.output) / "predictions.jsonl").read_text()
            heads[select_by, flip] = [json.loads(line)["scores"] for line in text.splitlines()]
    assert heads["ua", False] == heads["ua", True]
    assert heads["last", False] != heads["last", True]


def test_the_strategy_needs_a_linear_head(folder):
    with pytest.raises(ValidationError, match=r"set model\.head=linear"):
        with_changes(logistic(folder), model={"head": "hidden"})
