"""Scores are fitted on speakers not learnt from, kept in the model, and the same everywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phonemo.annotations.prediction import UNSURE
from phonemo.config import RunConfig
from phonemo.corpora.manifest import read_manifest
from phonemo.errors import CheckpointError, ResultError
from phonemo.evaluation.calibration import (
    HOTTEST,
    UNCALIBRATED,
    TemperatureScaling,
    calibrate,
    calibrate_grouped,
    softmax,
)
from phonemo.files import CHECKSUMS, read_rows, sha256_of, verify_checksums
from phonemo.runtime.bundle import open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.train.calibrate import (
    calibrate_rows,
    calibrate_validation,
    recalibrate,
    store_calibration,
    stored_calibration,
)
from phonemo.train.dataset import SpeechDataset
from phonemo.train.evaluate import Outputs, outputs_of
from phonemo.train.experiments.assess import assess_model, write_assessment
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.export.export import export
from phonemo.train.heads.linear_head import _cross_calibrate, fit_head, fitted
from phonemo.train.model_folder import load_trained
from phonemo.train.provenance import PROVENANCE, provenance_from, provenance_of
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.cli.test_cli import Answer as Typed
from tests.cli.test_cli import assert_one_line, call
from tests.train.test_cross import rename
from tests.train.tiny_run import EMOTIONS, make_config, with_changes
from tests.train.tiny_training import make_dataset, make_network

FOLD = "speaker-s1"
LINEAR = {"head": "linear", "statistics": [1]}
#: Of the beeps one pitch is sure with it, two are not.
GIVEN = TemperatureScaling(0.1, 0.59, 7)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> RunConfig:
    return make_config(tmp_path_factory.mktemp("calibrating"), rate_heads=0.02)


@pytest.fixture(scope="module")
def wide(config, no_plots) -> RunConfig:
    """A trained fold with two validation speakers: one says nothing of others."""
    output = str(Path(config.output).with_name("wide"))
    changed = with_changes(config, output=output, protocol={"validation_units": 2})
    run(changed, "phonemo train", folds=[FOLD])
    return changed


def cell_of(config: RunConfig) -> Path:
    return Path(config.output) / "seed-1" / FOLD


def train(config: RunConfig, name: str, **train: Any) -> Path:
    """A run with one fold beside the others; the folder of its cell."""
    output = str(Path(config.output).with_name(name))
    model = LINEAR if train.get("strategy") == "logistic" else {}
    changed = with_changes(config, output=output, model=model, train=train)
    run(changed, "phonemo train", folds=[FOLD])
    return cell_of(changed)


@pytest.fixture(scope="module")
def cell(config, no_plots) -> Path:
    """The folder of a trained fold."""
    run(config, "phonemo train", folds=[FOLD])
    return cell_of(config)


@pytest.fixture(scope="module")
def model(cell) -> Path:
    return cell / "model"


def outputs_on(config: RunConfig, model: Path, part: str) -> Outputs:
    """What a model gives for a part of the fold, in the fold's order."""
    experiment = prepare_experiment(config)
    fold = next(fold for fold in experiment.split.folds if fold.name == FOLD)
    return outputs_of(load_trained(model).model, make_dataset(experiment, fold.parts[part]), 4)


# In a run -----------------------------------------------------------------------------------------


def test_a_trained_model_is_calibrated_on_its_validation_part(wide):
    model = cell_of(wide) / "model"
    outputs = outputs_on(wide, model, "validation")
    experiment = prepare_experiment(wide)
    fold = next(fold for fold in experiment.split.folds if fold.name == FOLD)
    speakers = [utterance.speaker for utterance in experiment.part(fold.validation)]
    expected = calibrate_grouped(outputs.logits.numpy(), outputs.labels.numpy(), speakers)
    calibration = stored_calibration(load_trained(model).model)
    assert calibration.temperature == pytest.approx(expected.temperature, rel=1e-3)
    assert calibration.abstain_below == pytest.approx(expected.abstain_below, abs=1e-3)
    assert calibration.utterances == 12
    data = json.loads((model / "config.json").read_text())
    assert {"temperature", "abstain_below", "calibrated_on"} <= data.keys()


def test_rows_have_the_scores_of_the_logits_over_the_temperature(wide):
    cell, model = cell_of(wide), cell_of(wide) / "model"
    calibration = stored_calibration(load_trained(model).model)
    rows = read_rows(cell / "predictions.jsonl")
    model_logits = outputs_on(wide, model, "test").logits.numpy()
    assert {row["temperature"] for row in rows} == {calibration.temperature}
    for row, logits in zip(rows, model_logits, strict=True):
        expected = softmax(logits / calibration.temperature)
        assert list(row["scores"].values()) == pytest.approx(list(expected), abs=1e-5)
        assert row["unsure"] == (max(row["scores"].values()) < calibration.abstain_below)


def test_a_run_reports_calibration_before_and_coverage(wide):
    metrics = json.loads((Path(wide.output) / "metrics.json").read_text())
    rows = read_rows(cell_of(wide) / "predictions.jsonl")
    sure = [row for row in rows if not row["unsure"]]
    assert metrics["results"]["selective"]["coverage"] == pytest.approx(len(sure) / len(rows))
    assert "uncalibrated" in metrics["results"]


def test_one_validation_speaker_calibrates_nothing(config, cell, model):
    assert stored_calibration(load_trained(model).model) == UNCALIBRATED
    assert not any("temperature" in row for row in read_rows(cell / "predictions.jsonl"))
    metrics = json.loads((Path(config.output) / "metrics.json").read_text())
    assert "uncalibrated" not in metrics["results"]
    assert metrics["results"]["selective"]["coverage"] is None


def test_without_epoch_selection_there_is_no_calibration_data(wide):
    last = train(wide, "last", select_by="last", epochs=1)
    assert stored_calibration(load_trained(last / "model").model) == UNCALIBRATED
    for row in read_rows(last / "predictions.jsonl"):
        assert not {"temperature", "unsure"} & row.keys()
    model_logits = outputs_on(wide, last / "model", "test").logits.numpy()
    scores = [list(row["scores"].values()) for row in read_rows(last / "predictions.jsonl")]
    np.testing.assert_allclose(scores, softmax(model_logits), atol=1e-5)


@pytest.mark.parametrize(("select_by", "utterances"), [("ua", 12), ("last", 18)])
def test_a_fitted_head_is_calibrated_on_all_training_data(config, cell, select_by, utterances):
    """Speaker by speaker, so that validation need not be spared for it."""
    fitted_cell = train(config, f"fit-{select_by}", strategy="logistic", select_by=select_by)
    assert stored_calibration(load_trained(fitted_cell / "model").model).utterances == utterances
    assert all("unsure" in row for row in read_rows(fitted_cell / "predictions.jsonl"))


@pytest.mark.parametrize(("learnt", "is_calibrated"), [("s2", False), ("stranger", True)])
def test_a_start_trained_on_the_validation_speakers_is_not_calibrated(
    config, tmp_path, learnt, is_calibrated
):
    """It would be too sure of them; only a protocol that leaks lets such a one begin at all."""
    backbone = Path(shutil.copytree(config.model.backbone, tmp_path / "backbone"))
    utterance = read_manifest(config.manifest).utterances[0]
    provenance = provenance_from(
        "beeps", [utterance.model_copy(update={"id": "elsewhere", "speaker": learnt})]
    )
    (backbone / PROVENANCE).write_text(json.dumps(provenance.to_json()))
    leaky = with_changes(
        config,
        output=str(tmp_path / "run"),
        protocol={"name": "random-leaky", "folds": 4},
        model={"backbone": str(backbone)},
    )
    name = prepare_experiment(leaky).split.folds[0].name
    run(leaky, "phonemo train", folds=[name])
    calibration = stored_calibration(
        load_trained(Path(leaky.output) / "seed-1" / name / "model").model
    )
    assert (calibration.utterances > 0) == is_calibrated
    assert (calibration != UNCALIBRATED) == is_calibrated


def test_a_stored_calibration_is_read_back(config):
    network = make_network(prepare_experiment(config))
    assert stored_calibration(network) == UNCALIBRATED
    store_calibration(network, GIVEN)
    assert stored_calibration(network) == GIVEN


def test_utterances_without_an_emotion_calibrate_nothing(config, model):
    experiment = prepare_experiment(config)
    network = load_trained(model).model
    rows = [
        utterance.model_copy(update={"emotion": None})
        for utterance in experiment.manifest.utterances
    ]
    silent = SpeechDataset(experiment.manifest, rows[:3], experiment.targets)
    assert calibrate_validation(network, silent, 4) == UNCALIBRATED
    known = [*rows[:3], *experiment.manifest.utterances[6:18]]
    both = SpeechDataset(experiment.manifest, known, experiment.targets)
    alone = SpeechDataset(experiment.manifest, known[3:], experiment.targets)
    assert calibrate_validation(network, both, 4).utterances == 12
    assert calibrate_validation(network, both, 4).temperature == pytest.approx(
        calibrate_validation(network, alone, 4).temperature, rel=1e-3
    )


# Heads that left the speaker out ------------------------------------------------------------------


def fitted_without(vectors: Any, labels: Any, speakers: Sequence[str]) -> Any:
    """Logits of every utterance from a regression that did not learn its speaker."""
    logits = np.zeros((len(labels), 3))
    for learn, test in LeaveOneGroupOut().split(vectors, labels, speakers):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, max_iter=5000))
        logits[test] = pipeline.fit(vectors[learn], labels[learn]).decision_function(vectors[test])
    return logits


def guesses(experiment: Experiment) -> SpeechDataset:
    """All utterances with emotions that nobody can hear."""
    drawn = np.random.default_rng(2).permutation(np.arange(24) % 3)
    rows = [
        item.model_copy(update={"emotion": EMOTIONS[index]})
        for item, index in zip(experiment.manifest.utterances, drawn, strict=True)
    ]
    return SpeechDataset(experiment.manifest, rows, experiment.targets)


def test_a_head_is_as_confident_as_heads_without_the_speaker(config):
    experiment = prepare_experiment(with_changes(config, model=LINEAR))
    network, dataset = make_network(experiment).eval(), guesses(experiment)
    calibration = fit_head(network, dataset, 10.0, 4)
    outputs = outputs_of(network, dataset, 4)
    vectors, labels = outputs.vectors.numpy(), outputs.labels.numpy()
    logits = fitted_without(
        vectors, labels, [utterance.speaker for utterance in dataset.utterances]
    )
    expected = calibrate(logits, labels)
    assert calibration.temperature == pytest.approx(expected.temperature, rel=1e-2)
    assert calibration.abstain_below == pytest.approx(expected.abstain_below, abs=1e-2)
    assert calibration.utterances == 24
    on_training_data = calibrate(outputs.logits.numpy(), labels)
    assert on_training_data.temperature < 0.1 * calibration.temperature, (
        "on what it learnt it would be too sure"
    )


def crowd(speakers: int = 6, each: int = 10) -> list[str]:
    return [f"s{number}" for number in range(speakers) for _ in range(each)]


def highest_of(vectors: Any, labels: Any, temperature: float) -> Any:
    """The highest score of each utterance that was learnt, at this temperature."""
    decision = fitted(vectors, labels, 10.0).decision_function(vectors)
    return softmax(np.stack([-decision, decision], axis=1) / 2 / temperature).max(axis=1)


def test_features_that_identify_utterances_do_not_raise_confidence():
    """One feature an utterance, and emotions that nothing tells: learnt by heart, else a guess."""
    speakers = crowd()
    labels = np.random.default_rng(5).integers(0, 2, len(speakers))
    memories = np.eye(len(speakers))
    calibration = _cross_calibrate(memories, labels, speakers, 2, 10.0)
    assert highest_of(memories, labels, 1.0).mean() > 0.95
    assert highest_of(memories, labels, calibration.temperature).mean() < 0.65
    assert calibration.utterances == len(speakers)


def test_features_that_identify_speakers_do_not_raise_confidence():
    """Every speaker has one emotion: a voice gives it away, but no new one's."""
    speakers = crowd()
    voices = np.array([[speaker == name for name in sorted(set(speakers))] for speaker in speakers])
    labels = np.array([int(speaker[1:]) % 2 for speaker in speakers])
    calibration = _cross_calibrate(voices.astype(float), labels, speakers, 2, 10.0)
    assert calibration.temperature == pytest.approx(HOTTEST, rel=1e-3)
    names = [f"utterance {number}" for number in range(len(speakers))]
    mixed = _cross_calibrate(voices.astype(float), labels, names, 2, 10.0)
    assert mixed.temperature == 1, "left out one by one, voices would be known"


def test_a_feature_that_holds_for_all_speakers_raises_confidence():
    speakers = crowd()
    labels = np.arange(len(speakers)) % 2
    calibration = _cross_calibrate(labels[:, None] * 2.0 - 1, labels, speakers, 2, 10.0)
    assert calibration.temperature == 1, "without an error nothing says how sure it may be"
    assert calibration.abstain_below == 0


@pytest.mark.parametrize(
    ("speakers", "labels"),
    [(["s1"] * 4, [0, 1, 0, 1]), (["s1", "s1", "s2", "s2"], [0, 0, 1, 1])],
)
def test_too_few_speakers_or_emotions_calibrate_nothing(speakers, labels):
    vectors = np.arange(4.0)[:, None]
    assert _cross_calibrate(vectors, np.array(labels), speakers, 2, 1.0) == UNCALIBRATED


def test_utterances_without_a_speaker_are_left_out_one_by_one(config, monkeypatch):
    """Without a name each could be anybody."""
    given = []
    monkeypatch.setattr(
        "phonemo.train.heads.linear_head._cross_calibrate",
        lambda *it: given.append(it[2]) or UNCALIBRATED,
    )
    experiment = prepare_experiment(with_changes(config, model=LINEAR))
    rows = list(experiment.manifest.utterances)
    rows[1:3] = [row.model_copy(update={"speaker": None}) for row in rows[1:3]]
    dataset = SpeechDataset(experiment.manifest, rows, experiment.targets)
    fit_head(make_network(experiment).eval(), dataset, 0.1, 4)
    assert given[0][:4] == ["s1", f"utterance {rows[1].id}", f"utterance {rows[2].id}", "s1"]


# From written answers -----------------------------------------------------------------------------


def answers(
    names: tuple[str, str], right: int, wrong: int, score: float, **more: float
) -> list[dict[str, Any]]:
    """Rows that choose the first of two emotions with this score, some of them rightly."""
    first, second = names
    scores = {first: score, second: 1 - score}
    truth = [first] * right + [second] * wrong
    return [{"scores": scores, "label": first, "truth": emotion, **more} for emotion in truth]


def test_a_temperature_from_rows_with_different_emotions_matches_a_calculation_by_hand():
    """Of answers with 90 % three of four are right: 9^(1/T) = 3, so T = 2."""
    rows = answers(("anger", "neutral"), 3, 1, 0.9) + answers(("sadness", "calm"), 6, 2, 0.9)
    calibration = calibrate_rows(rows, 0.25)
    assert calibration.temperature == pytest.approx(2, abs=1e-3)
    assert (calibration.utterances, calibration.abstain_below) == (12, 0)
    assert calibrate_rows(rows, 0.2).abstain_below == pytest.approx(0.75, abs=1e-3)


def test_an_earlier_temperature_is_undone():
    """The same network once as it is, once already divided by 4: 9^(1/4) to 1."""
    plain = answers(("anger", "neutral"), 3, 1, 0.9)
    cooled = answers(("anger", "neutral"), 3, 1, 3**0.5 / (3**0.5 + 1), temperature=4)
    assert calibrate_rows(cooled, 0.1).temperature == pytest.approx(2, abs=1e-3)
    assert calibrate_rows(plain + cooled, 0.1).temperature == pytest.approx(2, abs=1e-3)
    hotter = answers(("anger", "neutral"), 3, 1, 3**0.5 / (3**0.5 + 1))
    assert calibrate_rows(hotter, 0.1).temperature == pytest.approx(0.5, abs=1e-3)


def test_a_score_rounded_to_zero_is_not_certainty():
    rows = answers(("anger", "neutral"), 99, 1, 1.0)
    assert 1 < calibrate_rows(rows, 0.1).temperature < HOTTEST


@pytest.mark.parametrize(
    "rows", [[], [{"truth": "anger"}], [{"scores": {"anger": 1.0}}], [{"scores": 1, "truth": "a"}]]
)
def test_rows_without_scores_and_truth_are_refused(rows):
    with pytest.raises(ResultError, match="expected rows with scores and truth"):
        calibrate_rows(rows, 0.1)


def test_the_predictions_of_a_run_restore_its_logits(wide):
    """Its rows were divided by a temperature, which they name."""
    rows = read_rows(cell_of(wide) / "predictions.jsonl")
    assert rows[0]["temperature"] != pytest.approx(1, abs=0.05), "else this says nothing"
    outputs = outputs_on(wide, cell_of(wide) / "model", "test")
    expected = calibrate(outputs.logits.numpy(), outputs.labels.numpy())
    assert expected.temperature != pytest.approx(1, abs=0.05), "else this says nothing"
    assert calibrate_rows(rows, 0.1).temperature == pytest.approx(expected.temperature, rel=1e-2)


# Written again ------------------------------------------------------------------------------------


@pytest.fixture
def carded(model, tmp_path) -> Path:
    """A copy of the model with a model card beside it."""
    copy = Path(shutil.copytree(model, tmp_path / "carded"))
    (copy / "README.md").write_text("# A card\n")
    return copy


def test_a_recalibrated_model_has_the_same_weights(carded, tmp_path):
    target = tmp_path / "new"
    recalibrate(carded, target, GIVEN)
    loaded = load_trained(target)
    assert stored_calibration(loaded.model) == GIVEN
    assert stored_calibration(load_trained(carded).model) != GIVEN, "the old one stays"
    assert loaded.labels == load_trained(carded).labels
    assert provenance_of(target) == provenance_of(carded)
    files = {path.name for path in carded.iterdir()}
    assert {path.name for path in target.iterdir()} == files
    same = {name for name in files if sha256_of(carded / name) == sha256_of(target / name)}
    assert files - same == {"config.json", CHECKSUMS}


def test_a_model_card_is_copied_without_a_checksum(carded, tmp_path):
    target = tmp_path / "new"
    recalibrate(carded, target, GIVEN)
    assert (target / "README.md").read_text() == "# A card\n"
    assert "README.md" not in json.loads((target / CHECKSUMS).read_text())["sha256"]
    (target / "README.md").write_text("# Another card\n")
    verify_checksums(target)
    (target / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="changed since it was saved"):
        verify_checksums(target)


def test_existing_targets_and_broken_sources_are_refused(carded, tmp_path):
    (tmp_path / "there").mkdir()
    for target in (tmp_path / "there", carded):
        with pytest.raises(CheckpointError, match="expected a new folder, got an existing one"):
            recalibrate(carded, target, GIVEN)
    (carded / "labels.json").unlink()
    with pytest.raises(CheckpointError, match=r"labels\.json"):
        recalibrate(carded, tmp_path / "new", GIVEN)
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    """The model, calibrated by hand so that some of the beeps are unsure, as a bundle."""
    folder = tmp_path_factory.mktemp("exported")
    recalibrate(model, folder / "model", GIVEN)
    export(folder / "model", folder / "bundle", "fp32")
    return folder


@pytest.fixture
def bundle(exported, tmp_path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(exported / "bundle", tmp_path / "bundle"))


def test_a_bundle_is_overwritten_in_place_with_the_same_network(bundle, tmp_path):
    (bundle / "README.md").write_text("# A card\n")
    before, network = open_bundle(bundle).card, (bundle / "model.onnx").read_bytes()
    recalibrate(bundle, bundle, TemperatureScaling(1.5, 0.25, 99))
    card = open_bundle(bundle).card
    assert (card.temperature, card.abstain_below, card.calibrated_on) == (1.5, 0.25, 99)
    assert (bundle / "model.onnx").read_bytes() == network
    assert card.sha256 == before.sha256 == hashlib.sha256(network).hexdigest()
    fields = {"temperature", "abstain_below", "calibrated_on"}
    assert card.model_dump(exclude=fields) == before.model_dump(exclude=fields)
    assert (bundle / "README.md").read_text() == "# A card\n"


def test_a_bundle_is_written_to_a_new_folder_but_not_over_another(bundle, tmp_path):
    recalibrate(bundle, tmp_path / "new", UNCALIBRATED)
    assert open_bundle(tmp_path / "new").card.temperature == 1
    assert open_bundle(bundle).card.temperature == GIVEN.temperature
    with pytest.raises(CheckpointError, match="expected a new folder, got an existing one"):
        recalibrate(bundle, tmp_path / "new", GIVEN)
    assert open_bundle(tmp_path / "new").card.calibrated_on == 0


def test_torch_and_the_bundle_have_the_same_confidence(config, model, exported):
    manifest = read_manifest(config.manifest)
    before = TorchRecognizer.load(model)
    predictor = TorchRecognizer.load(exported / "model")
    recognizer = OnnxRecognizer.load(exported / "bundle", threads=1)
    highest = []
    for utterance in manifest.utterances:
        path = manifest.audio_path(utterance)
        prediction, expected = recognizer.predict(path), predictor.predict(path)
        assert prediction.scores == pytest.approx(expected.scores, abs=1e-4)
        assert prediction.warnings == expected.warnings
        highest.append(max(expected.scores.values()))
        assert (UNSURE in expected.warnings) == (highest[-1] < GIVEN.abstain_below)
        raw = before.calibrated.temperature * np.log(list(before.predict(path).scores.values()))
        again = softmax(raw / GIVEN.temperature)
        assert list(expected.scores.values()) == pytest.approx(list(again), abs=1e-4)
    assert min(highest) < GIVEN.abstain_below < max(highest), "else there is nothing to compare"


# The command --------------------------------------------------------------------------------------


@pytest.fixture
def typed(capfd):
    """Type a calibrate command."""

    def answer(*words: object) -> Typed:
        code = call("calibrate", *words, "--quiet")
        return Typed(code, *capfd.readouterr())

    return answer


def test_a_manifest_with_training_speakers_is_refused(config, model, tmp_path, typed):
    answer = typed(model, "-o", tmp_path / "new", "--manifest", config.manifest)
    fragments = ("LEAKY: the model was trained on 18 of these 24", "speakers it was not trained on")
    assert_one_line(answer, 1, *fragments)
    assert not (tmp_path / "new").exists()


def test_nothing_to_calibrate_on_is_a_usage_error(model, tmp_path, typed):
    answer = typed(model, "-o", tmp_path / "new")
    assert_one_line(answer, 2, "no calibration data; add --manifest or --predictions")
    absent = typed(model, "-o", tmp_path / "new", "--predictions", tmp_path / "no.jsonl")
    assert_one_line(absent, 2, "no.jsonl: no such file")


def test_a_model_is_calibrated_on_another_corpus(config, model, tmp_path, typed):
    manifest = rename(Path(config.manifest), "strangers", "x")
    answer = typed(model, "-o", tmp_path / "new", "--manifest", manifest)
    assert (answer.code, answer.err) == (0, "")
    calibration = stored_calibration(load_trained(tmp_path / "new").model)
    assert calibration.utterances == 16, "anger and neutral are in common"
    message = f"{tmp_path / 'new'}: temperature {calibration.temperature:.3f} from 16 predictions"
    assert answer.out.splitlines()[0] == message
    assert answer.out.splitlines()[1].startswith("  ECE ")


def test_calibration_speakers_count_as_training_speakers_afterwards(config, model, tmp_path, typed):
    manifest = rename(Path(config.manifest), "strangers", "x")
    assert typed(model, "-o", tmp_path / "new", "--manifest", manifest).code == 0
    strangers = read_manifest(manifest).utterances
    assert provenance_of(model).overlap("strangers", strangers) == (0, [])
    seen, speakers = provenance_of(tmp_path / "new").overlap("strangers", strangers)
    assert (seen, len(speakers)) == (16, 4)
    verify_checksums(tmp_path / "new")
    again = typed(tmp_path / "new", "-o", tmp_path / "newer", "--manifest", manifest)
    assert_one_line(again, 1, "LEAKY", "speakers it was not trained on")


def test_written_predictions_for_training_speakers_are_refused(config, model, tmp_path, typed):
    assessment = assess_model(model, Path(config.manifest))
    write_assessment(tmp_path / "rows.jsonl", assessment)
    answer = typed(model, "-o", tmp_path / "new", "--predictions", tmp_path / "rows.jsonl")
    assert_one_line(answer, 1, "got 24 of 24 from models trained on them")
    assert not (tmp_path / "new").exists()


def test_predictions_among_some_emotions_are_fitted_among_all():
    """The threshold is of the scores that whoever asks for nothing in particular gets."""
    some = answers(("anger", "neutral"), 3, 1, 0.9)
    every = [row | {"all_scores": {"anger": 0.45, "neutral": 0.05, "fear": 0.5}} for row in some]
    calibration = calibrate_rows(every, 0.25)
    alone = [row | {"scores": row["all_scores"]} for row in every]
    assert calibration == calibrate_rows(
        [{k: v for k, v in row.items() if k != "all_scores"} for row in alone], 0.25
    )
    assert calibration != calibrate_rows(some, 0.25)


def test_a_manifest_is_recognized_by_the_model_not_by_its_bundle(config, bundle, tmp_path, typed):
    answer = typed(bundle, "-o", tmp_path / "new", "--manifest", config.manifest)
    assert_one_line(answer, 2, "--manifest: expected a model folder, got a bundle")


def test_no_audio_is_processed_if_the_target_exists(config, model, tmp_path, typed, monkeypatch):
    monkeypatch.setattr(
        "phonemo.train.experiments.assess.held_out_rows", lambda *_: pytest.fail("it listens")
    )
    (tmp_path / "new").mkdir()
    answer = typed(model, "-o", tmp_path / "new", "--manifest", config.manifest)
    assert_one_line(answer, 1, "new: expected a new folder, got an existing one")


def test_a_bundle_is_calibrated_on_written_predictions(bundle, tmp_path, typed):
    path = tmp_path / "answers.jsonl"
    rows = answers(("anger", "neutral"), 3, 1, 0.9)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = typed(bundle, "-o", bundle, "--predictions", path, "--risk", 0.25)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        f"{bundle}: temperature 2.000 from 4 predictions",
        "  ECE 15.0% before, 0.0% after, on the same predictions",
        "  below 0.000 a prediction is unsure; the other 100.0% have 25.0% errors",
    ]
    assert open_bundle(bundle).card.temperature == pytest.approx(2, abs=1e-3)
