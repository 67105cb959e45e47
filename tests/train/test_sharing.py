"""Exports that share a network, and model folders made of them for fine-tuning."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from phonemo.errors import CheckpointError, ModelError
from phonemo.labels import LabelSet
from phonemo.runtime import bundle as bundle_module
from phonemo.runtime.adaptation.profile import unpacked
from phonemo.runtime.bundle import open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.calibrate import TemperatureScaling, recalibrate
from phonemo.train.experiments.finetune import finetune, plan
from phonemo.train.export import shared_network
from phonemo.train.export.export import export
from phonemo.train.export.shared_network import compose, network_digest, start_folder
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import convert_to_half, load_trained, save_trained
from phonemo.train.provenance import provenance_of
from tests.golden.make_tiny_bundle import OTHER, make_other_head
from tests.tiny_bundle import ADAPTABLE, CLIPS, RATE, SHARED, make_clip
from tests.train.tiny_run import make_corpus

CLIPS_ = [make_clip(*clip) for clip in CLIPS.values()]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Model folders small (three emotions) and open (two) on one network; bundles of small."""
    folder = tmp_path_factory.mktemp("models")
    made = make_other_head(folder / "tiny")
    made.rename(folder / "open")
    (folder / "tiny-adaptable").rename(folder / "small")
    for precision in ("fp32", "int8"):
        export(folder / "small", folder / precision / "small", precision)
    return folder


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_shared_export_predicts_like_a_full_one(models, precision, tmp_path):
    shutil.copytree(models / precision, tmp_path / "shelf")
    full = export(models / "open", tmp_path / "whole", precision)
    shared = export(models / "open", tmp_path / "shelf" / "open", "int8", share="small")
    assert shared.card.precision == precision
    assert (shared.card.drift is None) == (precision == "fp32")
    assert not (shared.folder / "model.onnx").exists()
    assert shared.adaptation == full.adaptation
    assert provenance_of(shared.folder) == provenance_of(models / "open")
    full_recognizer, shared_recognizer = OnnxRecognizer(full), OnnxRecognizer.load(shared.folder)
    profile = full_recognizer.profile(CLIPS_, RATE)
    for first, second in (
        (full_recognizer, shared_recognizer),
        (m.with_profile(profile) for m in (full_recognizer, shared_recognizer)),
    ):
        for clip in CLIPS_:
            expected = first.predict(clip, RATE)
            assert second.predict(clip, RATE).scores == pytest.approx(expected.scores, abs=1e-4)


def test_half_precision_has_the_digest_of_its_source(models, tmp_path):
    convert_to_half(models / "small", tmp_path / "half")
    digests = {
        network_digest(load_trained(folder).model)
        for folder in (models / "small", models / "open", tmp_path / "half")
    }
    assert digests == {open_bundle(models / "int8" / "small").card.network_digest}


def test_another_network_is_refused(models, tmp_path):
    shutil.copytree(models / "fp32", tmp_path / "shelf")
    trained = load_trained(models / "open")
    with torch.no_grad():
        next(trained.model.backbone.parameters()).mul_(1.1)
    save_trained(tmp_path / "other", trained.model, LabelSet(OTHER))
    with pytest.raises(ModelError, match="got another"):
        export(tmp_path / "other", tmp_path / "shelf" / "open", share="small")
    assert not (tmp_path / "shelf" / "open").exists()


def test_a_sibling_without_a_digest_is_refused(models, tmp_path):
    shutil.copytree(models / "fp32", tmp_path / "shelf")
    path = tmp_path / "shelf" / "small" / "bundle.json"
    card = json.loads(path.read_text())
    del card["network_digest"]
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match="export that model again"):
        export(models / "open", tmp_path / "shelf" / "open", share="small")


def test_a_sibling_that_shares_is_refused(models):
    trained = load_trained(models / "open")
    with pytest.raises(CheckpointError, match="share that one"):
        shared_network.sibling_of(SHARED.parent / "new", SHARED.name, trained)


def test_a_bundle_recalibrated_in_place_still_shares(tmp_path):
    for folder in (ADAPTABLE, SHARED):
        shutil.copytree(folder, tmp_path / folder.name)
    folder = tmp_path / SHARED.name
    recalibrate(folder, folder, TemperatureScaling(3.0, 0.5, 10))
    assert open_bundle(folder).card.temperature == 3.0
    assert not (folder / "model.onnx").exists()


def test_a_model_folder_of_a_shared_bundle_equals_its_source(models, tmp_path):
    target = compose(open_bundle(SHARED), models / "small", tmp_path / "composed")
    loaded, expected = load_trained(target), load_trained(models / "open")
    assert loaded.labels.names == OTHER
    states = (loaded.model.state_dict(), expected.model.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert loaded.model.config.temperature == 1.5
    reference = reference_of(loaded.model)
    assert reference is not None
    assert reference.digest == unpacked(open_bundle(SHARED).adaptation or b"", 2).digest
    assert provenance_of(target).trained_on == {"buzzes"}


def test_a_model_folder_needs_the_same_network_and_a_provenance(models, tmp_path):
    trained = load_trained(models / "small")
    with torch.no_grad():
        next(trained.model.backbone.parameters()).mul_(1.1)
    save_trained(tmp_path / "other", trained.model, trained.labels)
    with pytest.raises(CheckpointError, match="got another"):
        compose(open_bundle(SHARED), tmp_path / "other", tmp_path / "composed")
    for folder in (ADAPTABLE, SHARED):
        shutil.copytree(folder, tmp_path / folder.name)
    (tmp_path / SHARED.name / "provenance.json").unlink()
    with pytest.raises(CheckpointError, match=r"provenance\.json"):
        compose(open_bundle(tmp_path / SHARED.name), models / "small", tmp_path / "composed")
    assert not (tmp_path / "composed").exists()


@pytest.mark.parametrize("lineage", [False, True])
def test_a_bundle_has_the_provenance_on_request(models, tmp_path, lineage):
    bundle = export(models / "open", tmp_path / "bundle", "fp32", lineage=lineage)
    assert (bundle.folder / "provenance.json").is_file() == lineage


def test_the_weights_may_be_those_of_the_sharing_model(models, tmp_path, monkeypatch):
    """As in the wheel: the open model holds the network, the weights are the other one's."""
    shelf = tmp_path / "models"
    export(models / "open", shelf / "phonemo-open", "int8", lineage=True)
    export(models / "small", shelf / "phonemo-small", share="phonemo-open")
    shutil.copytree(models / "small", shelf / "phonemo-small-weights")
    monkeypatch.setattr(bundle_module.resources, "files", lambda _: tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [path.parent.name for path in tmp_path.rglob("model.onnx")] == ["phonemo-open"]
    assert OnnxRecognizer.load().labels == load_trained(models / "small").labels.names
    start = start_folder("phonemo-open", tmp_path / "run")
    assert start == tmp_path / "run" / "start" / "phonemo-open"
    assert load_trained(start).labels.names == OTHER
    shutil.rmtree(shelf / "phonemo-small-weights")
    with pytest.raises(CheckpointError, match="expected its weights"):
        start_folder("phonemo-open", tmp_path / "other")


@pytest.fixture
def installed(models, tmp_path, monkeypatch) -> Path:
    """A package that ships both bundles, and the weights of one: as a wheel does."""
    package = tmp_path / "site" / "phonemo"
    shutil.copytree(models / "int8" / "small", package / "models" / "phonemo-small")
    shutil.copytree(models / "small", package / "models" / "phonemo-small-weights")
    export(models / "open", package / "models" / "phonemo-open", share="phonemo-small")
    monkeypatch.setattr(bundle_module.resources, "files", lambda _: package)
    monkeypatch.chdir(tmp_path)
    return package / "models"


def test_finetune_starts_from_a_shared_model_by_name(installed, tmp_path):
    manifest = make_corpus(tmp_path / "corpus")
    made = plan(manifest, tmp_path / "run", "phonemo-open", threads=1)
    start = tmp_path / "run" / "start" / "phonemo-open"
    assert made.config.model.start == str(start)
    assert start_folder("phonemo-open", tmp_path / "run") == start, "kept for when it goes on"
    report = finetune(made.config, "phonemo finetune")
    provenance = provenance_of(report.model)
    assert provenance.trained_on == {"buzzes", "beeps"}
    assert np.isfinite(report.metrics["results"]["ua"]["mean"])
    assert plan(manifest, tmp_path / "run", "phonemo-open", threads=1) == made
    (start / "labels.json").write_text("{}")
    with pytest.raises(CheckpointError, match="changed"):
        start_folder("phonemo-open", tmp_path / "run")


def test_the_other_model_by_name_is_its_weights_folder(installed, tmp_path):
    start = start_folder("phonemo-small", tmp_path / "run")
    assert start == installed / "phonemo-small-weights"
    assert start_folder("elsewhere", tmp_path / "run") == Path("elsewhere")
    assert not (tmp_path / "run").exists()
