"""A head fitted from a start: what is standardised, picked, written and reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from phonemo.config import RunConfig
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.evaluation.html.run_page import write_page
from phonemo.runtime.adaptation.statistics import affine, moments, shrink_towards
from phonemo.train.calibrate import speakers_of
from phonemo.train.evaluate import outputs_of
from phonemo.train.experiments.experiment_data import Experiment, prepare_experiment
from phonemo.train.experiments.finetune import Finetuned, finetune, model_settings, plan
from phonemo.train.experiments.training_run import run
from phonemo.train.heads.head_from_start import USUAL_STRENGTH, _Examples, _scores, fit_from_start
from phonemo.train.heads.head_prior import Linear, Prior, prior_of
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import load_trained
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.tiny_nets import make_backbone_folder
from tests.train.test_prior import reference
from tests.train.tiny_run import make_corpus, with_changes
from tests.train.tiny_training import make_dataset, make_network


def other_corpus(folder: Path) -> Path:
    """The beeps as a corpus that the start has not learnt from, sadness as fear; its manifest."""
    path = make_corpus(folder, seed=4)
    text = path.read_text().replace('"corpus": "beeps"', '"corpus": "horns"')
    text = text.replace('"corpus":"beeps"', '"corpus":"horns"')
    for before in ('"emotion":"sadness"', '"emotion": "sadness"'):
        text = text.replace(before, before.replace("sadness", "fear"))
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    """A model of anger, neutral and sadness with a linear head that takes profiles."""
    folder = tmp_path_factory.mktemp("start")
    make_backbone_folder(folder / "backbone", "wav2vec2-layer")
    manifest = make_corpus(folder / "corpus")
    made = plan(manifest, folder / "run", str(folder / "backbone"), threads=1)
    assert made.config.train.prior == "none", "a backbone has no head"
    return finetune(made.config, "phonemo finetune").model


@pytest.fixture
def config(start, tmp_path) -> RunConfig:
    manifest = other_corpus(tmp_path / "corpus")
    return plan(manifest, tmp_path / "run", str(start), threads=1).config


@pytest.fixture(scope="module")
def tuned(start, tmp_path_factory) -> tuple[RunConfig, Finetuned]:
    """A finished fine-tuning."""
    folder = tmp_path_factory.mktemp("tuned")
    made = plan(other_corpus(folder / "corpus"), folder / "run", str(start), threads=1)
    return made.config, finetune(made.config, "phonemo finetune")


def prepared(config: RunConfig, **train: object) -> tuple[Experiment, Prior]:
    experiment = prepare_experiment(with_changes(config, train=train))
    return experiment, prior_of(str(config.model.start), experiment.targets.labels)


def test_infinite_strength_equals_the_start_with_a_profile_of_the_training_part(config):
    """With as many emotions as it shares; the vectors are those of the start."""
    config = with_changes(config, labels={"names": ["anger", "neutral"]})
    experiment, prior = prepared(config, prior_strength=1e12)
    model = make_network(experiment).eval()
    training = make_dataset(experiment)
    vectors = outputs_of(model, training, 4).vectors.double().numpy()
    _, done = fit_from_start(model, training, prior, experiment.config.train)
    scale, shift = affine(
        shrink_towards(moments(vectors, prior.reference), prior.reference), prior.reference
    )
    mapped = (vectors * scale + shift - prior.reference.centre) / prior.reference.spread
    logits = outputs_of(model, training, 4).logits.numpy()
    np.testing.assert_allclose(logits, prior.head.logits(mapped), atol=1e-3)
    assert (done.shared, done.fresh, done.picked_by) == (("anger", "neutral"), (), 0)
    trust = reference_of(model)
    assert (trust.k_mean, trust.k_spread) == (prior.reference.k_mean, prior.reference.k_spread)


@pytest.mark.parametrize("unit", ["source", "speaker"])
def test_no_strength_equals_the_plain_fit_on_standardized_vectors(config, unit):
    experiment, prior = prepared(config, prior_strength=0.0, standardise_by=unit)
    model = make_network(experiment).eval()
    training = make_dataset(experiment)
    outputs = outputs_of(model, training, 4)
    vectors, truth = outputs.vectors.double().numpy(), outputs.labels.numpy()
    source = shrink_towards(moments(vectors, prior.reference), prior.reference)
    standardised = np.empty_like(vectors)
    names = np.array(speakers_of(training.utterances))
    for speaker in np.unique(names):
        own, statistics = names == speaker, source
        if unit == "speaker":
            statistics = shrink_towards(
                moments(vectors[own], prior.reference), prior.reference, source
            )
        standardised[own] = (vectors[own] - statistics.mean) / statistics.deviation
    _, done = fit_from_start(model, training, prior, experiment.config.train)
    plain = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(standardised, truth)
    reference = reference_of(model)
    np.testing.assert_allclose(reference.weight, plain.coef_, atol=1e-4)
    np.testing.assert_allclose(reference.centre, source.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reference.spread, source.deviation, rtol=1e-4)
    for emotion in range(3):
        expected = standardised[truth == emotion].mean(axis=0)
        np.testing.assert_allclose(reference.class_means[emotion], expected, atol=1e-3)
    assert (done.strength, done.standardised_by, done.scores) == (0.0, unit, {})


def planted(turned: bool, speakers: int = 4) -> tuple[_Examples, Prior]:
    """Three classes with much noise and few examples, and a start that is right or turned round."""
    draw = np.random.default_rng(8)
    truth = np.arange(12 * speakers) % 3
    weight = np.eye(3, 40) - 1 / 3
    vectors = 1.2 * np.eye(3, 40)[truth] + draw.normal(0, 1, (len(truth), 40))
    names = np.array([f"s{number // 12}" for number in range(len(truth))])
    theirs = np.roll(weight, 1, axis=0) if turned else weight
    head = Linear(theirs, np.zeros(3))
    prior = Prior(head, np.ones(3, bool), np.zeros((3, 40)), reference(theirs, np.zeros(3)))
    return _Examples(vectors, truth, names), prior


def test_held_out_speakers_pick_a_good_start_and_reject_a_bad_one(config):
    train = config.train
    good, bad = (_scores(*planted(turned), train) for turned in (False, True))
    assert max(good, key=good.__getitem__) > 0
    assert good[np.inf] > good[0.0] + 0.1
    assert bad[0.0] > bad[np.inf] + 0.15
    assert _scores(*planted(False, speakers=1), train) == {}, "nobody to leave out"


def test_one_speaker_uses_the_default_strength(config):
    experiment, prior = prepared(config)
    ids = [utterance for utterance in experiment.utterances if utterance.startswith("s1")]
    model = make_network(experiment).eval()
    _, done = fit_from_start(model, make_dataset(experiment, ids), prior, experiment.config.train)
    assert (done.strength, done.picked_by) == (USUAL_STRENGTH, 0)


def test_a_finetuning_reports_the_fit_and_the_gain_of_profiles(tuned, start):
    config, result = tuned
    folder = Path(config.output)
    assert (config.train.prior, config.train.strategy) == ("start", "logistic")
    cell = json.loads((folder / "seed-1" / "speaker-s1" / "prior.json").read_text())
    assert (cell["shared"], cell["fresh"]) == (["anger", "neutral"], ["fear"])
    assert cell["picked_by"] == 3, "the tested speaker is left out"
    profiles = json.loads((folder / "profiles.json").read_text())
    assert profiles["prior"]["seed-1/speaker-s1"] == cell
    assert profiles["prior"]["model"]["picked_by"] == 4
    assert set(profiles["scores"]) == {"none", "fold", "speaker"}
    assert profiles["scores"]["none"]["ua"] == pytest.approx(
        result.metrics["results"]["ua"]["mean"]
    )
    assert result.metrics["model"]["prior"] == "start, by source"
    page = write_page(folder).read_text()
    assert "towards that of the initial model for anger, neutral" in page
    assert "each speaker&#39;s own" in page
    reference = reference_of(load_trained(result.model).model)
    before = reference_of(load_trained(start).model)
    assert reference.digest != before.digest
    assert (reference.k_mean, reference.em_iterations) == (before.k_mean, before.em_iterations)
    again = finetune(config, "phonemo finetune")
    assert again.profiles == result.profiles


def test_scores_of_profiles_are_those_of_the_recognizer(tuned):
    """Each speaker's own, as model.adapted makes it."""
    config, result = tuned
    manifest = prepare_experiment(config).manifest
    right: dict[str, list[bool]] = {}
    for speaker in ("s1", "s2", "s3", "s4"):
        folder = Path(config.output) / "seed-1" / f"speaker-{speaker}" / "model"
        rows = [utterance for utterance in manifest.utterances if utterance.speaker == speaker]
        paths = [manifest.audio_path(row) for row in rows]
        adapted = TorchRecognizer.load(folder).adapted(paths)
        assert adapted.applied.count == len(rows), "a beep counts as speech"
        for one, path in zip(rows, paths, strict=True):
            right.setdefault(one.emotion, []).append(adapted.predict(path).label == one.emotion)
    ua = np.mean([np.mean(hits) for hits in right.values()])
    assert result.profiles.scores["speaker"].ua == pytest.approx(ua)


def test_test_speakers_do_not_affect_the_fit(config, tmp_path):
    """Their labels changed, the model and the strength that their fold picks are the same."""
    weights = []
    for flipped in (False, True):
        path = Path(config.manifest)
        lines = path.read_text().splitlines()
        changed = [
            line.replace('"anger"', '"neutral"') if flipped and '"s1-' in line else line
            for line in lines
        ]
        own = path.with_name(f"flipped-{flipped}.jsonl")
        own.write_text("\n".join(changed) + "\n")
        flipped_config = with_changes(
            config, manifest=str(own), output=str(tmp_path / f"run-{flipped}")
        )
        run(flipped_config, "phonemo train", folds=["speaker-s1"])
        cell = Path(flipped_config.output) / "seed-1" / "speaker-s1"
        weight = reference_of(load_trained(cell / "model").model).weight
        weights.append((weight.tolist(), (cell / "prior.json").read_text()))
    assert weights[0] == weights[1]


def test_a_plan_has_no_prior_with_one_shared_emotion(start, tmp_path):
    manifest = other_corpus(tmp_path / "corpus")
    made = plan(manifest, tmp_path / "run", str(start))
    assert made.notes[-1].startswith("the head is regularized towards that of")
    assert made.notes[-1].endswith("anger, neutral; newly trained: fear")
    text = manifest.read_text()
    for before in ('"emotion":"anger"', '"emotion": "anger"'):
        text = text.replace(before, before.replace("anger", "surprise"))
    manifest.write_text(text)
    alone = plan(manifest, tmp_path / "run", str(start))
    assert (alone.config.train.prior, alone.notes) == ("none", ()), "neutral alone is no choice"
    other = plan(manifest, tmp_path / "run", str(start), strategy="top_k")
    assert other.config.train.prior == "none"


def test_a_plan_notes_that_the_manifests_split_is_not_used(start, tmp_path):
    path = other_corpus(tmp_path / "corpus")
    assert not any("split" in note for note in plan(path, tmp_path / "run", str(start)).notes)
    manifest = read_manifest(path)
    rows = [row.model_copy(update={"split": "train"}) for row in manifest.utterances]
    write_manifest(path, manifest.header, rows)
    made = plan(path, tmp_path / "run", str(start))
    assert any("split into train, validation and test is not used" in note for note in made.notes)
    assert made.config.protocol.name == "speaker"


def test_the_shape_of_the_start_is_kept(start, tmp_path):
    """A head that reads statistics alone, of speech frames."""
    folder = tmp_path / "model"
    shutil.copytree(start, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pooled": False, "frames": "speech"}))
    for strategy in ("logistic", "top_k"):
        model = model_settings(folder, strategy, spoken=False)
        assert (model["pooled"], model["frames"]) == (False, "speech")
        assert (model["head"], model["statistics"]) == ("linear", config["statistics"])


def test_incompatible_config_values_are_refused(config):
    plain = with_changes(config, train={"prior": "none"})
    assert "prior" not in plain.model_dump(mode="json")["train"]
    assert plain.digest != config.digest
    for section in ({"strategy": "frozen"}, {"prior": "none", "prior_strength": 3.0}):
        with pytest.raises(ValidationError, match="prior"):
            with_changes(config, train=section)
    with pytest.raises(ValidationError, match=r"model\.start"):
        with_changes(config, model={"start": None})
