"""The loss and its parts, the optimiser, the choice of the epoch, and what it cannot see."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import ModelError
from phonemo.files import read_rows
from phonemo.train import trainer as trainer_module
from phonemo.train.callbacks import read_log
from phonemo.train.dataset import LengthGroupedSampler, SpeechDataset, collate
from phonemo.train.evaluate import outputs_of, prediction_rows
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.model_folder import load_trained
from phonemo.train.trainer import PhonemoTrainer, objective_of
from tests.train.tiny_run import EMOTIONS, make_config, with_changes
from tests.train.tiny_training import Watch, changed, copy_state, make_dataset, make_trainer

FOLD = "speaker-s1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("trainer")


def _auxiliary(folder: Path, auxiliary: dict | None, **train):
    return with_changes(make_config(folder, **train), model={"auxiliary": auxiliary})


def _rows(trainer: PhonemoTrainer, key: str) -> list[dict]:
    return [row for row in trainer.state.log_history if key in row]


def _emotions(trainer: PhonemoTrainer, counts: tuple[int, ...]) -> SpeechDataset:
    """A training part with so many utterances of each emotion."""
    training = trainer.training
    chosen = []
    for emotion, count in zip(EMOTIONS, counts, strict=True):
        chosen += [one for one in training.utterances if one.emotion == emotion][:count]
    return SpeechDataset(training.manifest, chosen, training.targets)


# The loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["per_token", "per_frame", "per_utterance"])
def test_the_loss_of_a_batch_by_hand(folder, tmp_path, reduction):
    """Cross-entropy plus alpha times the mean over utterances of the reduced CTC."""
    config = _auxiliary(folder, {"alpha": 0.3, "reduction": reduction})
    trainer = make_trainer(config, tmp_path)
    trainer.network.eval()
    batch = collate([trainer.training[index] for index in (0, 3, 5)])
    loss, output = trainer.compute_loss(trainer.network, dict(batch), return_outputs=True)
    emotion = -output.logits.log_softmax(1)[range(3), batch["labels"]].mean()
    terms = []
    for row in range(3):
        frames, tokens = int(output.frames[row]), int(batch["phoneme_lengths"][row])
        scores = output.phoneme_logits[row, :frames].log_softmax(1)
        target = batch["phonemes"][row, :tokens]
        nll = functional.ctc_loss(
            scores[:, None], target[None], [frames], [tokens], reduction="sum"
        )
        divisor = {"per_token": tokens, "per_frame": frames, "per_utterance": 1}[reduction]
        terms.append(nll / divisor)
    torch.testing.assert_close(loss, emotion + 0.3 * torch.stack(terms).mean())


def test_the_parts_are_logged_and_make_the_whole(folder, tmp_path):
    """One batch an epoch, so that a row of the log is one step."""
    config = _auxiliary(folder, {"alpha": 0.3}, epochs=2, batch_size=12)
    trainer = make_trainer(config, tmp_path)
    trainer.resume_or_start()
    rows = _rows(trainer, "loss")
    assert len(rows) == 2
    for row in rows:
        whole = row["loss_emotion"] + 0.3 * row["loss_phonemes"]
        assert row["loss"] == pytest.approx(whole, rel=1e-5)
        assert row["phonemes_too_long"] == 0
    assert rows[0]["loss_phonemes"] != rows[1]["loss_phonemes"]
    assert {"eval_ua", "eval_wa", "eval_loss", "eval_per"} <= _rows(trainer, "eval_ua")[0].keys()


def test_without_the_task_there_is_no_trace_of_it(folder, tmp_path):
    trainer = make_trainer(_auxiliary(folder, None, epochs=1, batch_size=12), tmp_path)
    trainer.resume_or_start()
    assert trainer.network.auxiliary is None
    assert trainer.network.config.auxiliary is None
    assert not [name for name in trainer.network.state_dict() if "auxiliary" in name]
    (row,) = _rows(trainer, "loss")
    assert row["loss"] == pytest.approx(row["loss_emotion"], rel=1e-6)
    for name in ("loss_phonemes", "eval_per"):
        assert not _rows(trainer, name)
    found = outputs_of(trainer.network, trainer.validation, 4)
    assert found.phonemes is None
    labels = trainer.training.targets.labels
    for answer in prediction_rows(found, trainer.validation, labels, None, "f", 1):
        assert answer["phonemes"] is None
        assert answer["reference"] is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("none", None),
        ("balanced", [1 / 4, 1 / 2, 1.0]),
        ("square_root", [1 / 2, 1 / math.sqrt(2), 1.0]),
    ],
)
def test_class_weights_by_hand(folder, tmp_path, name, wanted):
    """Four, two and one utterances; the mean weight is 1. Validation does not count."""
    config = make_config(folder, class_weights=name)
    trainer = make_trainer(config, tmp_path)
    objective = objective_of(config.train, None, _emotions(trainer, (4, 2, 1)))
    assert objective.alpha is None
    if wanted is None:
        assert objective.class_weights is None
    else:
        weights = torch.tensor(wanted)
        torch.testing.assert_close(objective.class_weights, weights / weights.mean())


def test_class_weights_and_smoothing_are_in_the_loss(folder, tmp_path):
    config = _auxiliary(folder, None, class_weights="balanced", label_smoothing=0.2)
    trainer = make_trainer(config, tmp_path)
    part = _emotions(trainer, (4, 2, 1))
    trainer.objective = objective_of(config.train, None, part)
    trainer.network.eval()
    batch = collate([part[index] for index in range(len(part))])
    loss, output = trainer.compute_loss(trainer.network, dict(batch), return_outputs=True)
    weights = torch.tensor([1 / 4, 1 / 2, 1.0])
    scores, truth = output.logits.log_softmax(1), batch["labels"]
    hit = (weights[truth] * -scores[range(7), truth]).sum() / weights[truth].sum()
    spread = (-scores * weights).sum() / weights[truth].sum() / 3
    torch.testing.assert_close(loss, 0.8 * hit + 0.2 * spread)


def test_a_class_without_utterances_has_a_finite_weight(folder, tmp_path):
    trainer = make_trainer(make_config(folder, class_weights="balanced"), tmp_path)
    objective = objective_of(trainer.settings, None, _emotions(trainer, (4, 2, 0)))
    assert objective.class_weights.isfinite().all()


def test_class_weights_of_votes_count_shares_even_without_any_label(folder, tmp_path):
    """Eight utterances without an agreed emotion, whose raters chose two."""
    trainer = make_trainer(make_config(folder, class_weights="balanced"), tmp_path)
    votes = {EMOTIONS[0]: 3.0, EMOTIONS[1]: 1.0}
    rows = [
        row.model_copy(update={"emotion": None, "votes": votes})
        for row in trainer.training.utterances[:8]
    ]
    targets = dataclasses.replace(trainer.training.targets, votes=True)
    part = SpeechDataset(trainer.training.manifest, rows, targets)
    weights = torch.tensor([1 / 6, 1 / 2, 1.0])
    found = objective_of(trainer.settings, None, part).class_weights
    torch.testing.assert_close(found, weights / weights.mean())


def test_a_loss_that_is_no_number_stops_the_training(folder, tmp_path):
    trainer = make_trainer(make_config(folder), tmp_path)
    with torch.no_grad():
        next(trainer.network.head.parameters()).fill_(float("nan"))
    with pytest.raises(
        ModelError, match=r"the loss is nan at step 0; lower train\.rate_heads"
    ) as it:
        trainer.resume_or_start()
    assert "\n" not in str(it.value)


# The optimiser -------------------------------------------------------------------------------


def test_two_learning_rates_and_no_decay_of_biases(folder, tmp_path):
    config = make_config(
        folder, strategy="full", rate_heads=3e-3, rate_backbone=2e-5, weight_decay=0.1, epochs=1
    )
    trainer = make_trainer(config, tmp_path)
    named = dict(trainer.network.named_parameters())
    trainer.resume_or_start()
    names = {id(parameter): name for name, parameter in named.items()}
    seen = Counter()
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen[name] += 1
            below = name.startswith("backbone.")
            assert group["initial_lr"] == (2e-5 if below else 3e-3), name
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0), name
    assert seen == Counter(named.keys())
    rates = {group["lr"] / group["initial_lr"] for group in trainer.optimizer.param_groups}
    assert rates == {0.0}  # both fall together, to nothing at the end


def test_the_optimiser_holds_what_learns_and_nothing_else(folder, tmp_path):
    for name, wanted in (("frozen", 0), ("gradual", 2)):
        trainer = make_trainer(make_config(folder, strategy=name, top_k=wanted or 1), tmp_path)
        held = [one for group in trainer.create_optimizer().param_groups for one in group["params"]]
        layers = trainer.network.backbone.network.encoder.layers
        below = {id(one) for one in trainer.network.backbone.parameters()}
        above = sum(id(one) not in below for one in trainer.network.parameters())
        ids = {id(one) for one in held}
        assert len(ids - below) == above
        in_layers = [
            n for n, layer in enumerate(layers) if {id(p) for p in layer.parameters()} & ids
        ]
        assert in_layers == list(range(3 - wanted, 3))


def test_gradient_checkpointing_computes_layers_twice_and_changes_nothing(folder, tmp_path):
    states, calls = [], []
    for wanted in (False, True):
        config = make_config(
            folder, strategy="full", epochs=1, batch_size=12, gradient_checkpointing=wanted
        )
        trainer, count = make_trainer(config, tmp_path / str(wanted)), []
        layer = trainer.network.backbone.network.encoder.layers[1].attention
        layer.register_forward_hook(lambda *_, count=count: count.append(torch.is_grad_enabled()))
        trainer.resume_or_start()
        states.append(copy_state(trainer.network))
        calls.append(len(count))
    assert calls[1] == calls[0] + 1
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, atol=1e-6, rtol=0, msg=name)


# The epoch -----------------------------------------------------------------------------------


def test_every_epoch_has_its_own_order_and_augmentation(folder, tmp_path, monkeypatch):
    """Trainer tells neither by itself; a fixed order would pass unnoticed."""
    asked, get = [], SpeechDataset.__getitem__

    def spy(dataset, index):
        if dataset.draws is not None:
            asked.append((dataset.epoch, index))
        return get(dataset, index)

    monkeypatch.setattr(SpeechDataset, "__getitem__", spy)
    trainer = make_trainer(make_config(folder, epochs=3, batch_size=5), tmp_path)
    trainer.resume_or_start()
    frames = trainer.network.backbone.frames(torch.tensor(trainer.training.lengths())).tolist()
    sampler = LengthGroupedSampler(frames, 5, seed=1)
    wanted = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        wanted += [(epoch, index) for index in sampler]
    assert asked == wanted
    assert [index for _, index in asked[:12]] != [index for _, index in asked[12:24]]


def _scripted(monkeypatch, key: str, values: list[float]) -> None:
    """Validation scores that are told, not measured."""
    told = iter(values)

    def scores(model, dataset, batch_size):
        return {"ua": 0.5, "wa": 0.5, "loss": 1.0} | {key: next(told)}

    monkeypatch.setattr(trainer_module, "validation_scores", scores)


@pytest.mark.parametrize(
    ("select_by", "values", "best", "epochs"),
    [
        ("ua", [0.2, 0.9, 0.3, 0.4, 0.8], 2, 4),
        ("wa", [0.2, 0.3, 0.9, 0.1, 0.1], 3, 5),
        ("loss", [0.9, 0.2, 0.3, 0.4, 0.1], 2, 4),
        ("ua", [0.5, 0.5, 0.5, 0.5, 0.5], 1, 3),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(
    folder, tmp_path, monkeypatch, select_by, values, best, epochs
):
    """Patience 2: two epochs without a better score are the last."""
    _scripted(monkeypatch, select_by, values)
    watch = Watch(copy_state, "epoch")
    settings = {"epochs": 5, "patience": 2, "keep_checkpoints": 1, "batch_size": 12}
    config = make_config(folder, select_by=select_by, **settings)
    trainer = make_trainer(config, tmp_path, callbacks=[watch])
    trainer.resume_or_start()
    assert len(watch.values) == epochs
    assert trainer.state.global_step == epochs
    assert trainer.state.best_global_step == best
    final = copy_state(trainer.network)
    assert not changed(watch.values[best - 1], final)
    if best != epochs:
        assert changed(watch.values[-1], final)


def test_mixed_precision_on_a_cpu(folder, tmp_path):
    """Matrix products in bf16, weights and loss in fp32."""
    seen = {}
    for precision in ("fp32", "bf16"):
        config = make_config(folder, strategy="full", precision=precision, epochs=1)
        trainer = make_trainer(config, tmp_path / precision)
        layer = trainer.network.backbone.network.encoder.layers[0].feed_forward.intermediate_dense
        dtypes = seen[precision] = set()

        def watch(module, _, output, kept=dtypes):
            if module.training:
                kept.add(output.dtype)

        layer.register_forward_hook(watch)
        trainer.resume_or_start()
        assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    assert seen == {"fp32": {torch.float32}, "bf16": {torch.bfloat16}}


# Selection cannot see the test part ------------------------------------------------------------


@pytest.fixture(scope="module")
def told_labels(tmp_path_factory):
    """Weights, chosen step and answers by whose labels were permuted: nobody's, one part's."""
    found = {}
    for part in ("none", "test", "validation"):
        found[part] = _run_with_permuted(tmp_path_factory.mktemp(part), part)
    return found


def _run_with_permuted(folder: Path, part: str) -> tuple[dict, dict, list[dict], list[dict]]:
    config = make_config(folder, epochs=4, select_by="loss", rate_heads=0.03)
    manifest = read_manifest(config.manifest)
    fold = prepare_experiment(config).split.folds[0]
    assert fold.name == FOLD
    ids = set(fold.parts.get(part, ()))
    other = dict(zip(EMOTIONS, (*EMOTIONS[1:], EMOTIONS[0]), strict=True))
    rows = [
        one.model_copy(update={"emotion": other[one.emotion]}) if one.id in ids else one
        for one in manifest.utterances
    ]
    write_manifest(Path(config.manifest), manifest.header, rows)
    run(config, "test", folds=[FOLD])
    home = Path(config.output) / "seed-1" / FOLD
    weights = load_trained(home / "model").model.state_dict()
    metrics = json.loads((home / "metrics.json").read_text())
    return weights, metrics, read_log(home / "log.jsonl"), read_rows(home / "predictions.jsonl")


def test_permuted_test_labels_change_nothing_but_the_test_score(told_labels):
    weights, metrics, log, rows = told_labels["none"]
    permuted, other, other_log, other_rows = told_labels["test"]
    assert not changed(weights, permuted)
    for key in ("best_step", "best_validation", "steps", "sizes"):
        assert metrics[key] == other[key]
    assert _scores(log) == _scores(other_log)
    for one, another in zip(rows, other_rows, strict=True):
        assert one["truth"] != another["truth"]
        assert one["scores"] == another["scores"]


def test_permuted_validation_labels_change_the_choice(told_labels):
    weights, metrics, log, rows = told_labels["none"]
    permuted, other, other_log, other_rows = told_labels["validation"]
    assert changed(weights, permuted)
    assert metrics["best_step"] != other["best_step"]
    assert [one["truth"] for one in rows] == [one["truth"] for one in other_rows]
    assert _scores(log) != _scores(other_log)


def _scores(log: list[dict]) -> list[tuple]:
    return [(row["step"], row["eval_loss"], row["eval_ua"]) for row in log if "eval_ua" in row]


def test_the_trainer_has_no_place_for_a_test_part(folder, tmp_path):
    """Whatever dataset Trainer's own interface is given, the validation part is scored."""
    trainer = make_trainer(make_config(folder), tmp_path)
    experiment = prepare_experiment(make_config(folder))
    test = make_dataset(experiment, experiment.split.folds[0].test)
    assert trainer.evaluate(eval_dataset=test) == trainer.evaluate()
    ids = {one.id for part in (trainer.training, trainer.validation) for one in part.utterances}
    assert not ids & set(experiment.split.folds[0].test)
    assert trainer.validation.draws is None


def test_the_objective_is_frozen(folder, tmp_path):
    trainer = make_trainer(make_config(folder), tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trainer.objective.alpha = 3.0
