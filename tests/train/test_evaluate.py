"""Scores and prediction rows: in order, by hand, and the same whatever the batches."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.corpora.merge import merge
from phonemo.errors import AudioError
from phonemo.evaluation.calibration import TemperatureScaling, softmax
from phonemo.evaluation.summary import summarize
from phonemo.labels import LabelSet
from phonemo.model.losses import ABSENT
from phonemo.train import evaluate
from phonemo.train.dataset import SpeechDataset, TargetEncoder
from phonemo.train.evaluate import Outputs, outputs_of, prediction_rows, validation_scores
from phonemo.train.experiments.experiment_data import prepare_experiment
from tests.train.tiny_run import make_config, make_corpus, with_changes
from tests.train.tiny_training import make_cache, make_dataset, make_lively


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare_experiment(make_config(tmp_path_factory.mktemp("evaluate")))


@pytest.fixture(scope="module")
def model(experiment):
    return make_lively(experiment)


@pytest.fixture(scope="module")
def found(experiment, model) -> Outputs:
    return outputs_of(model, make_dataset(experiment), 4)


def _rows(found: Outputs, dataset: SpeechDataset, labels: LabelSet | None = None) -> list[dict]:
    targets = dataset.targets
    return prediction_rows(found, dataset, labels or targets.labels, targets.inventory, "f", 3)


def _made(logits: list, labels: list, phonemes=None, references=()) -> Outputs:
    references = references or tuple(() for _ in labels)
    return Outputs(torch.tensor(logits), torch.tensor(labels), phonemes, references)


def test_rows_are_in_order_and_whole(experiment, found):
    """The utterances are not in the order of their lengths, in which they are heard."""
    dataset = make_dataset(experiment)
    assert dataset.lengths() != sorted(dataset.lengths())
    rows = _rows(found, dataset)
    assert len(rows) == 24
    for row, one in zip(rows, dataset.utterances, strict=True):
        assert (row["id"], row["truth"], row["speaker"]) == (one.id, one.emotion, one.speaker)
        assert (row["fold"], row["seed"], row["gender"]) == ("f", 3, one.gender)
        assert tuple(row["scores"]) == dataset.targets.labels.names
        assert sum(row["scores"].values()) == pytest.approx(1, abs=2e-6)
        assert row["label"] == max(row["scores"], key=row["scores"].get)
        assert tuple(row["reference"]) == one.phonemes.symbols
        assert isinstance(row["phonemes"], list)
    assert len({row["scores"]["anger"] for row in rows}) == 24
    assert json.loads(json.dumps(rows)) == rows
    assert summarize(rows, dataset.targets.labels)["utterances"] == 24


def test_each_row_is_the_answer_to_its_own_audio(experiment, model, found):
    dataset = make_dataset(experiment)
    for index in range(len(dataset)):
        item = dataset[index]
        with torch.no_grad():
            alone = model(torch.from_numpy(item["samples"])[None])
        torch.testing.assert_close(found.logits[index], alone.logits[0], atol=1e-4, rtol=0)
        assert int(found.labels[index]) == item["label"]
        assert found.references[index] == item["phonemes"]


@pytest.mark.parametrize("size", [1, 5, 24, 100])
def test_the_batch_size_changes_no_score(experiment, model, found, size):
    told = []
    again = outputs_of(model, make_dataset(experiment), size, lambda *it: told.append(it))
    torch.testing.assert_close(again.logits, found.logits, atol=1e-4, rtol=0)
    assert again.phonemes == found.phonemes
    assert torch.equal(again.labels, found.labels)
    assert told[-1] == (24, 24)
    assert len(told) == math.ceil(24 / size)


def test_kept_features_give_the_same(experiment, model, found, tmp_path):
    cache = make_cache(experiment, tmp_path)
    again = outputs_of(model, make_dataset(experiment, (), cache), 7)
    torch.testing.assert_close(again.logits, found.logits, atol=1e-4, rtol=0)


def test_dropout_is_off_and_the_mode_comes_back(experiment, model, found):
    model.train()
    try:
        again = outputs_of(model, make_dataset(experiment), 4)
        assert model.training
        assert model.head.training
    finally:
        model.eval()
    torch.testing.assert_close(again.logits, found.logits, atol=1e-6, rtol=0)
    assert not again.logits.requires_grad


def test_the_mode_comes_back_after_a_failure(experiment, model):
    header = experiment.manifest.header.model_copy(update={"root": "elsewhere"})
    manifest = experiment.manifest.model_copy(update={"header": header})
    utterances = [one.model_copy(update={"end": 0.1}) for one in manifest.utterances]
    dataset = SpeechDataset(manifest, utterances, experiment.targets)
    model.train()
    with pytest.raises(AudioError, match=r"\.wav"):
        outputs_of(model, dataset, 4)
    assert model.training
    model.eval()


def test_restricted_labels_by_hand(experiment):
    """Of 1/2, 1/3 and 1/6 the first and last stay: 3/4 and 1/4; the middle cannot be chosen."""
    ids = list(experiment.utterances)[:2]
    dataset = make_dataset(experiment, ids)
    logits = [[math.log(3.0), math.log(2.0), 0.0], [0.0, math.log(6.0), math.log(2.0)]]
    labels = dataset.targets.labels.restrict(("sadness", "anger"))
    rows = _rows(_made(logits, [0, 0]), dataset, labels)
    assert rows[0]["scores"] == {"anger": 0.75, "sadness": 0.25}
    assert rows[1]["scores"] == {"anger": 0.333333, "sadness": 0.666667}
    assert [row["label"] for row in rows] == ["anger", "sadness"]


def test_truth_is_the_merged_emotion(experiment):
    labels = LabelSet(("happiness", "neutral"), {"anger": "happiness", "sadness": "neutral"})
    some = [*experiment.part(list(experiment.utterances))]
    dataset = SpeechDataset(experiment.manifest, some, TargetEncoder(labels, None))
    found = _made([[0.0, 1.0]] * 24, [dataset[index]["label"] for index in range(24)])
    rows = _rows(found, dataset)
    wanted = {"anger": "happiness", "neutral": "neutral", "sadness": "neutral"}
    assert [row["truth"] for row in rows] == [wanted[one.emotion] for one in some]
    assert {row["phonemes"] for row in rows} == {row["reference"] for row in rows} == {None}


def test_an_utterance_without_phonemes_has_no_reference(experiment):
    ids = list(experiment.utterances)[:2]
    dataset = make_dataset(experiment, ids)
    inventory = dataset.targets.inventory
    heard = (tuple(inventory.symbols.index(one) for one in "at"), ())
    rows = _rows(_made([[0.0, 1.0, 0.0]] * 2, [0, 0], heard, ((), heard[0])), dataset)
    assert (rows[0]["phonemes"], rows[0]["reference"]) == (["a", "t"], None)
    assert (rows[1]["phonemes"], rows[1]["reference"]) == ([], ["a", "t"])


def test_validation_scores_by_hand(monkeypatch):
    """Recalls 2/3, 0 and none: UA 1/3, WA 2/4. One deletion in three symbols said: PER 1/3.

    The utterance without an emotion counts for the phonemes alone, the one without phonemes for
    the emotions alone.
    """
    logits = [[2.0, 0, 0], [2.0, 0, 0], [0, 2.0, 0], [2.0, 0, 0], [0, 0, 9.0]]
    labels = [0, 0, 0, 1, ABSENT]
    heard = ((1, 2), (5,), (5,), (5,), ())
    references = ((1, 2), (), (), (), (3,))
    made = _made(logits, labels, heard, references)
    monkeypatch.setattr(evaluate, "outputs_of", lambda *_: made)
    scores = validation_scores(None, None, 4)
    hit, miss = math.log(1 + 2 * math.exp(-2)), math.log(math.exp(2) + 2)
    assert scores["ua"] == pytest.approx(1 / 3)
    assert scores["wa"] == pytest.approx(2 / 4)
    assert scores["loss"] == pytest.approx((2 * hit + 2 * miss) / 4)
    assert scores["per"] == pytest.approx(1 / 3)


def test_validation_without_the_task_has_no_error_rate(tmp_path):
    config = with_changes(make_config(tmp_path), model={"auxiliary": None})
    experiment = prepare_experiment(config)
    dataset = make_dataset(experiment, experiment.split.folds[0].validation)
    model = make_lively(experiment)
    assert validation_scores(model, dataset, 4).keys() == {"ua", "wa", "loss"}
    rows = _rows(outputs_of(model, dataset, 4), dataset)
    assert {row["phonemes"] for row in rows} == {None}
    assert Path(config.manifest).is_file()


def test_a_merged_manifest_says_the_corpus_of_each_row(experiment, model, tmp_path):
    make_corpus(tmp_path / "other" / "corpus", seed=4)
    other = make_config(tmp_path / "other")
    renamed = read_manifest(other.manifest)
    header = renamed.header.model_copy(update={"corpus": "chirps"})
    write_manifest(Path(other.manifest), header, renamed.utterances)
    paths = [Path(experiment.config.manifest), Path(other.manifest)]
    merge(paths, tmp_path / "both.jsonl")
    both = prepare_experiment(with_changes(other, manifest=str(tmp_path / "both.jsonl")))
    dataset = make_dataset(both, ("beeps/s1-anger-0", "chirps/s1-anger-0"))
    rows = _rows(outputs_of(model, dataset, 4), dataset)
    assert [row["corpus"] for row in rows] == ["beeps", "chirps"]
    alone = make_dataset(experiment, ("s1-anger-0",))
    assert "corpus" not in _rows(outputs_of(model, alone, 4), alone)[0]


def test_an_answer_among_some_says_what_it_was_among_all(experiment):
    dataset = make_dataset(experiment, [experiment.manifest.utterances[0].id])
    found = _made([[2.0, 1.0, 0.0]], [0])
    calibrated = TemperatureScaling(2.0, 0.55, 10)
    everything = softmax(np.array([[1.0, 0.5, 0.0]]))[0]
    labels = LabelSet(("anger", "neutral"))
    targets = dataset.targets
    (row,) = prediction_rows(found, dataset, labels, targets.inventory, "f", 3, calibrated)
    assert list(row["all_scores"].values()) == pytest.approx(list(everything), abs=1e-6)
    assert row["scores"]["anger"] == pytest.approx(everything[0] / everything[:2].sum(), abs=1e-6)
    assert row["scores"]["anger"] > 0.55 > everything.max(), "the doubt is that among all"
    assert row["unsure"]
    (whole,) = prediction_rows(found, dataset, targets.labels, None, "f", 3, calibrated)
    assert "all_scores" not in whole


def test_rows_have_the_keys_of_a_prediction_row_and_no_others(tmp_path):
    """The schema is written once: what the writer adds must be in it."""
    from phonemo.evaluation.metrics_schema import FoldMetrics, Metrics
    from phonemo.evaluation.prediction_rows import PredictionRow
    from phonemo.files import loads_json, read_rows
    from phonemo.train.experiments.training_run import run
    from tests.train.tiny_run import make_config

    config = make_config(tmp_path, epochs=1, strategy="frozen")
    run(config, "test", folds=["speaker-s1"])
    output = Path(config.output)
    rows = read_rows(output / "predictions.jsonl")
    assert rows
    for row in rows:
        assert PredictionRow.__required_keys__ <= row.keys() <= PredictionRow.__annotations__.keys()
    for path, model in (
        (output / "metrics.json", Metrics),
        (output / "seed-1" / "speaker-s1" / "metrics.json", FoldMetrics),
    ):
        content = loads_json(path.read_text(encoding="utf-8"))
        assert model.model_validate(content).model_dump(mode="json") == content
