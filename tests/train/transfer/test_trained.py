"""Networks that are trained for a study, on tiny corpora of beeps, and the command itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from phonemo.config import write_config
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import ConfigError, LeakageError
from phonemo.evaluation.transfer.transfer_schema import Transfer
from phonemo.files import CHECKSUMS
from phonemo.train.callbacks import RunProgress
from phonemo.train.dataset import pad_audio
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.fold import NeuralSystem
from phonemo.train.model_folder import save_trained
from phonemo.train.provenance import provenance_from, provenance_of
from phonemo.train.transfer.corpora import Corpus
from phonemo.train.transfer.study_config import TrainTemplate, TransferConfig
from phonemo.train.transfer.study_run import transfer
from phonemo.train.transfer.trained_networks import inputs_of, trained_on
from phonemo.train.transfer.vectors import open_network
from tests.cli.test_cli import Answer as Typed
from tests.cli.test_cli import assert_one_line, call
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import make_lively

NAMES = ("beeps", "tones", "chirps")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, no_plots) -> Path:
    """Three corpora of the same sounds by other speakers, and a backbone."""
    folder = tmp_path_factory.mktemp("trained")
    manifest = read_manifest(make_config(folder).manifest)
    for number, name in enumerate(NAMES):
        rows = [
            utterance.model_copy(
                update={"id": f"{name}-{utterance.id}", "speaker": f"{name}-{utterance.speaker}"}
            )
            for utterance in manifest.utterances[number::3]
        ]
        header = manifest.header.model_copy(update={"corpus": name, "root": "corpus"})
        write_manifest(folder / f"{name}.jsonl", header, rows)
    return folder


def backbone(workspace: Path) -> str:
    return str(workspace / "backbone-wav2vec2-layer")


def template(workspace: Path, **train: Any) -> dict[str, Any]:
    shape = {"width": 8, "attention_heads": 2, "hops": 2, "auxiliary": None}
    settings = {"strategy": "frozen", "epochs": 1, "batch_size": 8, "select_by": "last"}
    return {"model": {"backbone": backbone(workspace), **shape}, "train": settings | train}


def study(workspace: Path, output: Path, systems: dict[str, Any], **changes: Any) -> TransferConfig:
    settings: dict[str, Any] = {
        "name": "tiny",
        "output": str(output),
        "corpora": [str(workspace / f"{name}.jsonl") for name in NAMES],
        "left_out": ["beeps"],
        "labels": {"names": ["anger", "neutral", "sadness"]},
        "seeds": [1],
        "pools": [3, "all"],
        "one_sided": None,
        "select_by": ["single", "pool-3"],
        "draws": 2,
        "systems": systems,
        "threads": 1,
    }
    return TransferConfig.model_validate(settings | changes)


FROZEN = {"statistics": [[1], [2, 3]], "inverse_penalty": 0.1}


# Trained networks ---------------------------------------------------------------------------------


def test_every_network_is_trained_on_exactly_its_corpora(workspace, tmp_path, monkeypatch) -> None:
    systems = {"own": {"train": template(workspace), "pooled": True, "inverse_penalty": [0.1, 1.0]}}
    config = study(workspace, tmp_path / "study", systems)
    results = Transfer.model_validate(transfer(config, "phonemo"))
    models = sorted((tmp_path / "study" / "networks").glob("*/seed-1/everything/model"))
    taught = sorted(tuple(sorted(provenance_of(model).taught)) for model in models)
    # nested: on each of two alone, and then on both
    assert taught == [("chirps",), ("chirps", "tones"), ("tones",)]
    (tested_corpus,) = results.systems[0].corpora
    assert tested_corpus.picked[0].choice["pooled"] is True
    assert tested_corpus.combinations == 2
    monkeypatch.setattr(NeuralSystem, "train_untested", None)
    again = config.model_copy(update={"draws": 3})
    assert transfer(again, "phonemo")["draws"] == 3


def test_nested_tests_can_fit_heads_alone_on_one_network(workspace, tmp_path) -> None:
    systems = {"own": {"train": template(workspace), "pooled": True, "inner": "head"}}
    transfer(study(workspace, tmp_path / "study", systems), "phonemo")
    models = list((tmp_path / "study" / "networks").glob("*/seed-1/everything/model"))
    assert len(models) == 1
    assert set(provenance_of(models[0]).taught) == {"tones", "chirps"}


def test_start_share_interpolates_towards_the_start(workspace, tmp_path) -> None:
    config = study(
        workspace, tmp_path / "study", {"own": {"train": template(workspace), "pooled": True}}
    )
    training = TrainTemplate.model_validate(
        template(workspace, strategy="full", rate_backbone=0.01)
    )
    corpora = [Corpus(read_manifest(workspace / f"{name}.jsonl")) for name in NAMES[1:]]
    folder = trained_on(config, training, corpora, 1, "phonemo", RunProgress())
    trained, half, start = (
        open_network(str(folder), share, backbone(workspace)) for share in (0.0, 0.5, 1.0)
    )
    bare = open_network(backbone(workspace))
    for name, weights in bare.backbone.state_dict().items():
        ours = [network.backbone.state_dict()[name] for network in (trained, half, start)]
        assert (ours[2] - weights).abs().max() < 1e-6
        assert (ours[1] - (ours[0] + weights) / 2).abs().max() < 1e-6
    assert len({network.digest for network in (trained, half, start)}) == 3


def test_other_weights_and_another_extra_manifest_are_another_training(workspace, tmp_path):
    weights, extra = tmp_path / "backbone", workspace / "extra.jsonl"
    shutil.copytree(backbone(workspace), weights)
    manifest = read_manifest(workspace / "beeps.jsonl")
    section = template(workspace) | {"extra": [{"manifest": str(extra)}]}
    section["model"] = section["model"] | {"backbone": str(weights)}
    training = TrainTemplate.model_validate(section)
    config = study(workspace, tmp_path / "study", {"own": {"train": section, "pooled": True}})
    corpora = [Corpus(read_manifest(workspace / f"{name}.jsonl")) for name in NAMES[1:]]
    folders = []
    for change in ("none", "none", "weights", "extra"):
        rows = manifest.utterances[int(change == "extra") :]
        write_manifest(extra, manifest.header, rows)
        if change == "weights":
            file = weights / "model.safetensors"
            save_file({name: 2 * one for name, one in load_file(file).items()}, file)
        folders.append(trained_on(config, training, corpora, 1, "phonemo", RunProgress()))
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3


def test_another_head_of_a_start_is_another_training(workspace, tmp_path):
    start = knowing(workspace, tmp_path / "start", "tones")
    section = template(workspace)
    section["model"] = section["model"] | {"start": str(start)}
    before = inputs_of(TrainTemplate.model_validate(section))
    sealed = start / CHECKSUMS
    sealed.write_text(sealed.read_text().replace("0", "1"))
    after = inputs_of(TrainTemplate.model_validate(section))
    assert before[0] == after[0], "the backbone's weights are the same"
    assert before != after


def test_a_start_trained_on_the_tested_corpus_is_refused(workspace, tmp_path) -> None:
    start = knowing(workspace, tmp_path / "knowing", "beeps")
    section = template(workspace)
    section["model"] = {**section["model"], "start": str(start)}
    systems = {"own": {"train": section, "pooled": True}}
    with pytest.raises(LeakageError, match="expected a start that was not trained on beeps"):
        transfer(study(workspace, tmp_path / "study", systems), "phonemo")


def test_an_extra_corpus_of_the_study_is_refused(workspace, tmp_path) -> None:
    section = {**template(workspace), "extra": [{"manifest": str(workspace / "beeps.jsonl")}]}
    systems = {"own": {"train": section, "pooled": True}}
    with pytest.raises(LeakageError, match="expected a corpus that is not in corpora, got beeps"):
        transfer(study(workspace, tmp_path / "study", systems), "phonemo")


def knowing(workspace: Path, folder: Path, corpus: str) -> Path:
    """A model folder that says that it has learnt from a corpus."""
    experiment = prepare_experiment(make_config(workspace))
    rows = read_manifest(workspace / f"{corpus}.jsonl").utterances
    labels = experiment.targets.labels
    save_trained(folder, make_lively(experiment), labels, lineage=provenance_from(corpus, rows))
    return folder


# Networks as they are -----------------------------------------------------------------------------


def test_a_model_trained_on_the_tested_corpus_is_refused(workspace, tmp_path) -> None:
    model = knowing(workspace, tmp_path / "knowing", "beeps")
    systems = {"model": {"network": str(model), "pooled": True}}
    with pytest.raises(LeakageError, match=r"trained on 8 of its utterances and 4 of its speake"):
        transfer(study(workspace, tmp_path / "study", systems), "phonemo")


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"statistics": [9]}, "expected hidden states 0 to 3, got 9"),
        ({"pooled": True}, "expected a model for its pooled fusion, got a backbone"),
    ],
)
def test_vectors_that_a_network_lacks_are_refused(workspace, tmp_path, system, message) -> None:
    systems = {"bare": {"network": backbone(workspace), **system}}
    with pytest.raises(ConfigError, match=message):
        transfer(study(workspace, tmp_path / "study", systems), "phonemo")


def test_vectors_equal_the_emotion_heads_input(workspace, tmp_path) -> None:
    """A model with statistics of state 2: its head reads the fusion, then that state."""
    config = with_changes(make_config(workspace), model={"statistics": [2]})
    experiment = prepare_experiment(config)
    model = make_lively(experiment)
    save_trained(tmp_path / "model", model, experiment.targets.labels)
    network = open_network(str(tmp_path / "model"))
    clip = np.random.default_rng(1).normal(0, 0.1, 4000).astype(np.float32)
    vectors = network.vectors(clip, ["pooled", "2"])
    with torch.inference_mode():
        expected = model(**pad_audio([clip]), calibrated=False).vector[0].numpy()
    np.testing.assert_allclose(
        np.concatenate([vectors["pooled"], vectors["2"]]), expected, atol=1e-5
    )


# The command --------------------------------------------------------------------------------------


def written(folder: Path, config: TransferConfig) -> Path:
    path = folder / "transfer.yaml"
    write_config(path, config)
    return path


def answer(capfd: pytest.CaptureFixture[str], *words: object) -> Typed:
    return Typed(call("transfer", *words), *capfd.readouterr())


def test_the_command_tests_resumes_and_writes_results(workspace, tmp_path, capfd) -> None:
    system = {"network": backbone(workspace), **FROZEN}
    config = study(workspace, tmp_path / "study", {"linear": system}, left_out=["beeps", "tones"])
    path = written(tmp_path, config)
    summary = tmp_path / "results" / "transfer" / "transfer.json"
    first = answer(capfd, path, "--left-out", "tones", "--quiet")
    assert first.code == 0
    assert "not finished: 1 cells" in first.out
    second = answer(capfd, path, "--results", summary, "-q")
    assert second.code == 0
    assert "linear, mean" in second.out
    content = json.loads(summary.read_text(encoding="utf-8"))
    Transfer.model_validate(content)
    assert content == json.loads((tmp_path / "study" / "transfer.json").read_text(encoding="utf-8"))
    assert content["command"].startswith("phonemo transfer")
    assert {corpus["left_out"] for corpus in content["systems"][0]["corpora"]} == {"beeps", "tones"}
    assert yaml.safe_load((tmp_path / "study" / "transfer.yaml").read_text())["name"] == "tiny"


def test_refusals_of_the_command_are_one_line(workspace, tmp_path, capfd) -> None:
    path = written(tmp_path, study(workspace, tmp_path / "s", {"a": {"network": "gone", **FROZEN}}))
    assert_one_line(answer(capfd, path), 1, "backbone 'gone'")
    assert_one_line(answer(capfd, tmp_path / "no.yaml"), 2, "no such config file")
    assert_one_line(answer(capfd, path, "--set", "threads=0"), 2, "key 'threads'")
    assert_one_line(answer(capfd, path, "--results", tmp_path), 2, "a folder; name the file")
