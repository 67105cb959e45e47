"""Rated dimensions in training: IEMOCAP's miniature end to end, one task alone, fine-tuning."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.config import DimensionsConfig, RunConfig
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.corpora.prepare import prepare
from phonemo.errors import ConfigError, ModelError, ProtocolError
from phonemo.evaluation.comparison_text import comparison_lines
from phonemo.evaluation.html.run_page import write_page
from phonemo.evaluation.significance import compare_runs
from phonemo.model.losses import Loss
from phonemo.model.network import EmotionOutput
from phonemo.runtime.bundle import open_bundle
from phonemo.runtime.session import Graph
from phonemo.train import distributed
from phonemo.train.experiments.assess import assess_model
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.finetune import finetune, plan
from phonemo.train.experiments.rated_targets import rated_dimensions
from phonemo.train.experiments.training_run import run
from phonemo.train.export.export import export
from phonemo.train.heads.ridge_head import Ridge, select_penalty, solve_ridge
from phonemo.train.model_folder import load_trained
from phonemo.train.trainer import Objective
from tests.tiny_iemocap import make_iemocap
from tests.tiny_nets import make_backbone_folder
from tests.train.tiny_run import make_config, make_corpus, with_changes
from tests.train.tiny_training import changed, copy_state, make_trainer

VALUES = {"anger": (0.9, 0.2), "neutral": (0.4, 0.5), "sadness": (0.2, 0.1)}
NAMES = ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A prepared release, a backbone, and a run on two of its five folds."""
    folder = tmp_path_factory.mktemp("dimensions")
    make_iemocap(folder / "release")
    prepare("iemocap", folder / "release", folder / "iemocap.jsonl", allow_partial=True)
    make_backbone_folder(folder / "backbone", "wav2vec2-layer")
    return folder


def config_of(work: Path, name: str, **sections) -> RunConfig:
    base = {
        "name": name,
        "manifest": str(work / "iemocap.jsonl"),
        "output": str(work / name),
        "labels": {"names": NAMES, "merge": {"excited": "happiness"}},
        "protocol": {"name": "session"},
        "model": {
            "backbone": str(work / "backbone"),
            **{"width": 8, "attention_heads": 2, "hops": 2, "auxiliary": None},
            "dimensions": {},
        },
        "train": {
            **{"strategy": "frozen", "epochs": 1, "batch_size": 8},
            **{"select_by": "ccc", "targets": "votes"},
        },
        "threads": 1,
    }
    for key, value in sections.items():
        base[key] = base[key] | value
    return RunConfig.model_validate(base)


@pytest.fixture(scope="module")
def joint(work):
    return run(config_of(work, "joint"), "phonemo train", ["session-1", "session-2"])


def test_iemocap_is_trained_on_emotions_votes_and_dimensions(work, joint):
    results = joint["results"]
    assert results["ua"]["mean"] > 0
    assert set(results["dimensions"]["scores"]) == {"arousal", "valence", "dominance"}
    assert results["dimensions"]["scores"]["arousal"]["utterances"] == 24  # all of two sessions
    assert results["utterances"] == 24
    assert sum(map(sum, results["confusion"]["counts"])) == 18  # fru, xxx and rare have none
    assert results["votes"]["divergence"]["mean"] < 1
    assert (work / "joint" / "dimensions.png").is_file()
    log = (work / "joint" / "seed-1" / "session-1" / "log.jsonl").read_text(encoding="utf-8")
    assert "loss_dimensions" in log
    assert "eval_ccc" in log
    cell = json.loads((work / "joint/seed-1/session-1/metrics.json").read_text(encoding="utf-8"))
    assert cell["best_validation"] is not None
    page = write_page(work / "joint").read_text(encoding="utf-8")
    assert "Against the raters" in page
    assert "predicted against rated values" in page


def test_its_bundle_answers_with_both_as_torch_does(work, joint):
    folder = work / "joint" / "seed-1" / "session-1" / "model"
    bundle = export(folder, work / "bundle", "fp32")
    assert bundle.card.dimensions.names == ("arousal", "valence", "dominance")
    assert not bundle.card.dimensions.derived
    assert open_bundle(work / "bundle").card == bundle.card
    trained, samples = load_trained(folder), np.random.default_rng(0).normal(0, 0.1, 9000)
    graph = Graph(bundle.model)
    ours = graph.recognize(samples.astype(np.float32), bundle.card.fewest_samples).dimensions
    with torch.inference_mode():
        expected = trained.model(torch.from_numpy(samples.astype(np.float32))[None]).dimensions
    np.testing.assert_allclose(ours, expected[0].numpy(), atol=1e-4)
    batch = graph.recognize_batch([samples.astype(np.float32)] * 2, 400)
    np.testing.assert_allclose(batch[1].dimensions, ours, atol=1e-5)
    shown = [_predicted(work, model)["dimensions"] for model in (work / "bundle", folder)]
    assert shown[0].pop("derived") is False is shown[1].pop("derived")
    assert set(shown[0]) == {"arousal", "valence", "dominance"}
    assert shown[0] == pytest.approx(shown[1], abs=1e-3)
    rows = assess_model(folder, work / "iemocap.jsonl").rows
    assert set(rows[0]["dimensions"]) == {"arousal", "valence", "dominance"}


def _predicted(work, model):
    """What ``phonemo predict`` prints of one recording of the release."""
    recording = str(min((work / "release").rglob("*.wav")))
    done = CliRunner().invoke(
        app, ["predict", recording, "--format", "json", "--model", str(model), "-q"]
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    return row


def test_dimensions_alone_need_no_emotion(work, joint):
    config = config_of(
        work,
        "alone",
        labels={"names": [], "merge": {}},
        train={"targets": "labels"},
        model={"dimensions": {"names": ["arousal"], "loss": "mse"}},
    )
    metrics = run(config, "phonemo train", ["session-1"])
    results = metrics["results"]
    assert (results["ua"], results["confusion"], results["folds"]) == (None, None, [])
    assert results["dimensions"]["scores"]["arousal"]["rmse"]["mean"] < 1
    assert write_page(work / "alone").is_file()
    folder = work / "alone" / "seed-1" / "session-1" / "model"
    with pytest.raises(ModelError, match="expected a network with emotions"):
        export(folder, work / "none", "fp32")


def test_runs_are_compared_by_their_concordance(work, joint):
    run(config_of(work, "other", train={"rate_heads": 0.02}), "t", ["session-1", "session-2"])
    first, second, found = compare_runs(work / "joint", work / "other")
    assert {"ua", "ccc", "ccc_valence"} <= set(found.scores)
    text = "\n".join(comparison_lines(first.metrics, second.metrics, found))
    assert "CCC arousal" in text


def test_a_resumed_training_ends_with_the_same_weights(tmp_path):
    config = rated_config(tmp_path, strategy="frozen", epochs=2, select_by="ccc")
    whole = make_trainer(config, tmp_path / "whole")
    whole.resume_or_start()
    first = make_trainer(config, tmp_path / "parts", callbacks=[KilledInTheSecondEpoch()])
    with pytest.raises(InterruptedError):
        first.resume_or_start()
    again = make_trainer(config, tmp_path / "parts")
    again.resume_or_start()
    assert not changed(copy_state(whole.network), copy_state(again.network))


class KilledInTheSecondEpoch(TrainerCallback):
    """Ends a training after the first epoch's checkpoint."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.epoch > 1:
            raise InterruptedError


def rated_config(tmp_path: Path, labeled: bool = True, **train) -> RunConfig:
    """The corpus of beeps with ratings that follow the emotion; without it where not labeled."""
    path = rated_manifest(tmp_path, labeled)
    dimensions = {"dimensions": {"names": ["arousal"]}}
    config = with_changes(make_config(tmp_path), manifest=str(path), model=dimensions)
    return with_changes(config, train=train)


def rated_manifest(tmp_path: Path, labeled: bool) -> Path:
    manifest = read_manifest(make_corpus(tmp_path / "corpus"))
    rows = []
    for number, row in enumerate(manifest.utterances):
        arousal, valence = VALUES[row.emotion]
        update = {"arousal": arousal - number % 5 / 50, "valence": valence, "scale": (1, 5)}
        rows.append(row.model_copy(update=update if labeled else update | {"emotion": None}))
    path = tmp_path / "corpus" / "rated.jsonl"
    write_manifest(path, manifest.header, rows)
    return path


def test_a_table_of_dimensions_alone_keeps_the_emotions_of_the_start(tmp_path):
    path = rated_manifest(tmp_path, labeled=False)
    planned = plan(path, tmp_path / "run", threads=1)
    assert planned.config.model.dimensions.names == ("arousal", "valence")
    assert "only the rated dimensions are trained" in planned.notes[0]
    tuned = finetune(planned.config, "phonemo finetune")
    scores = tuned.metrics["results"]["dimensions"]
    assert scores["mean_ccc"]["mean"] > 0.8
    card = open_bundle(tuned.bundle).card
    assert card.dimensions.names == ("arousal", "valence")
    assert "boredom" in card.labels
    start = load_trained(planned.config.model.start).model
    kept = load_trained(tuned.model).model
    torch.testing.assert_close(kept.head.linear.weight, start.head.linear.weight)


def test_ridge_regression_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    draw = np.random.default_rng(2)
    for size, width in ((30, 6), (12, 40)):  # more utterances than features, and fewer
        features = draw.normal(size=(size, width))
        truth = features[:, 0] + draw.normal(size=size)
        penalties = (0.5, 50.0)
        solutions = solve_ridge(features, truth, penalties)
        for penalty, found in zip(penalties, solutions, strict=True):
            expected = linear_model.Ridge(penalty).fit(features, truth)
            assert isinstance(found, Ridge)
            np.testing.assert_allclose(found.weight, expected.coef_, atol=1e-8)
            assert found.intercept == pytest.approx(expected.intercept_)


def test_noise_selects_a_strong_penalty_and_signal_a_weak_one():
    draw = np.random.default_rng(4)
    features, speakers = draw.normal(size=(60, 20)), [f"s{n % 6}" for n in range(60)]
    signal = np.clip(0.5 + features[:, 0] / 8, 0, 1)
    assert select_penalty(features, signal, speakers) < 100
    assert select_penalty(features, signal, ["one"] * 60) == 1000


def test_too_few_or_constant_ratings_are_left_out_with_a_note(tmp_path):
    manifest = read_manifest(rated_manifest(tmp_path, labeled=True))
    rows = [
        row.model_copy(update={"valence": 0.5, "dominance": 0.1 if number < 3 else None})
        for number, row in enumerate(manifest.utterances)
    ]
    names, notes = rated_dimensions(manifest.model_copy(update={"utterances": tuple(rows)}))
    assert names == ["arousal"]
    assert "all 24 ratings are the same" in notes[0]
    assert "3 ratings, fewer than 20" in notes[1]


def test_two_processes_have_the_loss_and_the_gradient_of_one(monkeypatch):
    """Threads stand in for the processes; their sums meet at a barrier."""
    objective = Objective(None, "per_token", None, 0.0, DimensionsConfig(weight=0.5))
    draw = torch.Generator().manual_seed(1)
    logits, given = torch.randn(5, 3, generator=draw), torch.rand(5, 2, generator=draw)
    labels, truth = torch.tensor([0, 1, 2, -100, 1]), torch.rand(5, 2, generator=draw)
    truth[1, 0] = float("nan")

    def loss_of(values: torch.Tensor, rows: list[int]) -> Loss:
        output = EmotionOutput(logits=logits[rows], dimensions=values[rows])
        return objective(output, {"labels": labels[rows], "dimensions": truth[rows]})

    whole = given.clone().requires_grad_()
    alone = loss_of(whole, [0, 1, 2, 3, 4])
    alone.total.backward()
    barrier, parts = threading.Barrier(2, timeout=60), {}

    def summed(values: torch.Tensor) -> torch.Tensor:
        parts[threading.get_ident()] = values
        barrier.wait()
        total = torch.stack(list(parts.values())).sum(dim=0)
        barrier.wait()
        return total

    monkeypatch.setattr(distributed, "current_rank", lambda: SimpleNamespace(world=2))
    monkeypatch.setattr(distributed, "summed", summed)
    shared = given.clone().requires_grad_()
    with ThreadPoolExecutor(2) as pool:
        losses = list(pool.map(lambda rows: loss_of(shared, rows), ([0, 1, 4], [2, 3])))
    torch.stack([loss.total for loss in losses]).sum().backward()
    torch.testing.assert_close(shared.grad, whole.grad)
    for loss in losses:
        torch.testing.assert_close(loss.value, alone.value)
        torch.testing.assert_close(dict(loss.parts), dict(alone.parts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"select_by": "ccc"}}, "set model.dimensions"),
        ({"labels": {"names": []}}, "labels.names is empty"),
        ({"labels": {"names": []}, "model": {"dimensions": {}}}, "set train.select_by=ccc"),
        ({"model": {"dimensions": {"names": ["arousal", "arousal"]}}}, "distinct dimensions"),
    ],
)
def test_an_impossible_config_is_refused(tmp_path, changes, message):
    config = make_config(tmp_path)
    with pytest.raises((ValueError, ConfigError), match=message):
        with_changes(config, **changes)


def test_a_manifest_without_the_ratings_is_refused(tmp_path):
    config = make_config(tmp_path)
    with pytest.raises(ProtocolError, match="no utterance has a rating of arousal"):
        prepare_experiment(with_changes(config, model={"dimensions": {}}))
    with pytest.raises(ProtocolError, match="no utterance has votes"):
        prepare_experiment(with_changes(config, train={"targets": "votes"}))
