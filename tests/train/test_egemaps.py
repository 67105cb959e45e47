"""eGeMAPS and a support vector machine: a run like any other, and openSMILE where it is there."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from phonemo.audio import RATE, load_waveform
from phonemo.config import RunConfig
from phonemo.corpora.folds import Fold
from phonemo.corpora.manifest import read_manifest
from phonemo.errors import MissingExtraError, RunError
from phonemo.evaluation.calibration import calibrate_grouped, softmax
from phonemo.files import file_lock, read_rows
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.baselines import egemaps
from phonemo.train.experiments.baselines.egemaps import STRENGTHS, EgemapsSvm, functionals
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import read_cell, run
from tests.train.tiny_run import EMOTIONS, make_config, with_changes


class Extractor:
    """Stands in for openSMILE: how often a clip crosses zero, its level, and two of noise."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, samples: Any) -> Any:
        self.calls += 1
        crossings = np.mean(np.diff(np.sign(samples)) != 0)
        return np.array([crossings, np.sqrt(np.mean(np.square(samples))), *samples[:2]])


def stand_in(patch: pytest.MonkeyPatch, version: str = "0-test") -> Extractor:
    """Use it, as this version; the extractor, which counts."""
    extractor = Extractor()
    patch.setattr(egemaps, "_opensmile", lambda: SimpleNamespace(__version__=version))
    patch.setattr(egemaps, "_extractor", lambda: extractor)
    return extractor


@pytest.fixture
def extractor(monkeypatch) -> Extractor:
    return stand_in(monkeypatch)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> RunConfig:
    """A whole run's, with two seeds."""
    config = make_config(tmp_path_factory.mktemp("egemaps"))
    return with_changes(config, system="egemaps-svm", seeds=[1, 2])


@pytest.fixture(scope="module")
def finished(config) -> dict[str, Any]:
    """Its metrics.json, and how often the extractor was called."""
    with pytest.MonkeyPatch.context() as patch:
        counted = stand_in(patch)
        metrics = run(config, "phonemo train")
    return {"metrics": metrics, "calls": counted.calls}


def elsewhere(config: RunConfig, folder: Path) -> RunConfig:
    """The same run in another folder, with one seed."""
    return with_changes(config, output=str(folder / "run"), seeds=[1])


def kept_features(config: RunConfig) -> dict[str, Any]:
    """Of every utterance, as a run keeps them."""
    experiment = prepare_experiment(config)
    home = Path(config.output).parent / "cache"
    rows = list(experiment.utterances.values())
    return functionals(home, experiment.manifest, rows, RunProgress())


# A run --------------------------------------------------------------------------------------------


def test_an_egemaps_run_has_the_usual_files(config, finished):
    metrics = finished["metrics"]
    assert metrics["results"]["utterances"] == 24
    assert metrics["results"]["ua"]["mean"] > 0.8, "the pitch of a beep is easy"
    assert metrics["title"] == "tiny, eGeMAPS functionals and a linear SVM"
    assert metrics["model"] == {"system": "egemaps-svm"}
    assert metrics["results"]["phonemes"] is None
    fold = read_cell(Path(config.output) / "seed-1" / "speaker-s1")
    assert fold["sizes"] == {"train": 12, "validation": 6, "test": 6}
    assert (fold["steps"], fold["epochs"]) == (0, 0)


def test_all_seeds_give_the_same_predictions(config, finished):
    rows = read_rows(Path(config.output) / "predictions.jsonl")
    by_seed = [[{**row, "seed": 0} for row in rows if row["seed"] == seed] for seed in config.seeds]
    assert len(by_seed[0]) == 24
    assert by_seed[0] == by_seed[1]


def test_features_are_computed_once_for_all_folds_seeds_and_runs(config, finished, extractor):
    assert finished["calls"] == 24
    home = Path(config.output).parent
    run(with_changes(config, output=str(home / "again")), "phonemo train", folds=["speaker-s2"])
    assert extractor.calls == 0
    assert len(list((home / "cache").glob("*.npy"))) == 1


def test_another_opensmile_or_another_audio_file_is_extracted_anew(config, finished, monkeypatch):
    counted = stand_in(monkeypatch, "0-newer")
    kept_features(config)
    assert counted.calls == 24
    manifest = read_manifest(config.manifest)
    cut = [manifest.utterances[0].model_copy(update={"end": 0.05}), manifest.utterances[1]]
    result = functionals(Path(config.output).parent / "cache", manifest, cut, RunProgress())
    assert counted.calls == 26
    assert result[cut[0].id][0] != kept_features(config)[cut[0].id][0]


def test_features_are_reported_and_keyed_by_utterance(config, tmp_path, extractor):
    message: list[tuple[int, int]] = []

    class Told(RunProgress):
        def features(self, done: int, total: int) -> None:
            message.append((done, total))

    manifest = read_manifest(config.manifest)
    backwards = manifest.utterances[::-1][:5]
    result = functionals(tmp_path, manifest, backwards, Told())
    assert message == [(number, 5) for number in range(1, 6)]
    again = functionals(tmp_path, manifest, backwards[::-1], RunProgress())
    assert extractor.calls == 5
    for name in backwards:
        expected = Extractor()(np.array(load_waveform(manifest.audio_path(name)).samples))
        assert result[name.id] == pytest.approx(expected)
        assert again[name.id] == pytest.approx(expected)


def test_an_interrupted_extraction_resumes(config, tmp_path, monkeypatch):
    monkeypatch.setattr(egemaps, "PART_UTTERANCES", 2)
    extractor = stand_in(monkeypatch)

    def failing(samples: Any) -> Any:
        if extractor.calls == 3:  # in the middle of the second part
            raise OSError("the power went")
        return extractor(samples)

    manifest = read_manifest(config.manifest)
    five = manifest.utterances[:5]
    monkeypatch.setattr(egemaps, "_extractor", lambda: failing)
    with pytest.raises(OSError, match="the power went"):
        functionals(tmp_path, manifest, five, RunProgress())
    again = stand_in(monkeypatch)
    result = functionals(tmp_path, manifest, five, RunProgress())
    assert again.calls == 3
    full = functionals(tmp_path / "whole", manifest, five, RunProgress())
    assert all((result[name] == full[name]).all() for name in full)
    assert [path.suffix for path in sorted(tmp_path.glob("egemaps-*"))] == [".npy"]


def test_a_file_finished_by_another_process_is_reused(config, tmp_path, monkeypatch):
    monkeypatch.setattr(egemaps, "PART_UTTERANCES", 2)
    stand_in(monkeypatch)
    manifest = read_manifest(config.manifest)
    six = manifest.utterances[:6]
    reference = functionals(tmp_path / "theirs", manifest, six, RunProgress())
    (full,) = (tmp_path / "theirs").glob("*.npy")
    extractor, result, both = stand_in(monkeypatch), [], threading.Event()

    class Told(RunProgress):
        def features(self, done: int, total: int) -> None:
            if extractor.calls == 4:
                both.set()

    home = tmp_path / "ours"
    with file_lock(home / f"{full.stem}.parts" / "00000002.npy.lock"):  # the other's second part
        actual = threading.Thread(
            target=lambda: result.append(functionals(home, manifest, six, Told()))
        )
        actual.start()
        assert both.wait(60)
        full.rename(home / full.name)
    actual.join(60)
    assert extractor.calls == 4
    assert all((result[0][name] == reference[name]).all() for name in reference)


def test_a_finished_fold_is_not_trained_again(config, tmp_path, extractor, monkeypatch):
    other = elsewhere(config, tmp_path)
    run(other, "phonemo train", folds=["speaker-s1"])
    trained = []
    train = EgemapsSvm.train
    monkeypatch.setattr(
        EgemapsSvm, "train", lambda it, cell: (trained.append(cell.fold.name), train(it, cell))
    )
    metrics = run(other, "phonemo train", folds=["speaker-s1", "speaker-s2"])
    assert trained == ["speaker-s2"]
    assert metrics["results"]["utterances"] == 12


# The strength of its penalty ----------------------------------------------------------------------


@dataclass(frozen=True)
class ByHand:
    """What scikit-learn alone makes of a fold."""

    best: float
    """The highest validation UA of any C."""
    truth: list[int]
    """Of the validation part."""
    validation: Any
    """Margins of the validation part, with the smallest C that gives that UA."""
    test: Any


def by_hand(config: RunConfig, fold: Fold) -> ByHand:
    experiment = prepare_experiment(config)
    features = kept_features(config)
    learn, held, test = (np.stack([features[name] for name in ids]) for ids in fold.parts.values())
    truth, known, _ = (
        [EMOTIONS.index(experiment.utterances[name].emotion) for name in ids]
        for ids in fold.parts.values()
    )
    result = []
    for strength in STRENGTHS:
        machine = SVC(C=strength, kernel="linear", class_weight="balanced")
        pipeline = make_pipeline(StandardScaler(), machine).fit(learn, truth)
        margins = pipeline.decision_function(held)
        result.append((balanced_accuracy_score(known, margins.argmax(axis=1)), margins, pipeline))
    best = max(score for score, *_ in result)
    margins, pipeline = next(rest for score, *rest in result if score == best)
    return ByHand(best, known, margins, pipeline.decision_function(test))


def test_predictions_match_scikit_learn_with_the_best_c(config, finished, extractor):
    for fold in prepare_experiment(config).split.folds:
        expected = by_hand(config, fold)
        home = Path(config.output) / "seed-1" / fold.name
        assert read_cell(home)["best_validation"] == pytest.approx(expected.best)
        rows = {row["id"]: row["label"] for row in read_rows(home / "predictions.jsonl")}
        answers = [EMOTIONS[index] for index in expected.test.argmax(axis=1)]
        assert [rows[name] for name in fold.test] == answers


def test_one_validation_speaker_calibrates_nothing(config, finished, extractor):
    fold = prepare_experiment(config).split.folds[0]
    rows = read_rows(Path(config.output) / "seed-1" / fold.name / "predictions.jsonl")
    scores = {row["id"]: list(row["scores"].values()) for row in rows}
    expected = softmax(by_hand(config, fold).test)
    for name, shares in zip(fold.test, expected, strict=True):
        assert scores[name] == pytest.approx(list(shares), abs=1e-6)
    assert not any("temperature" in row for row in rows)


def test_scores_are_calibrated_on_two_validation_speakers(config, finished, extractor):
    output = str(Path(config.output).with_name("wide"))
    wide = with_changes(config, output=output, protocol={"validation_units": 2})
    experiment = prepare_experiment(wide)
    fold = experiment.split.folds[0]
    run(wide, "phonemo train", folds=[fold.name])
    expected = by_hand(wide, fold)
    text = [row.speaker for row in experiment.part(fold.validation)]
    calibrated = calibrate_grouped(expected.validation, expected.truth, text)
    rows = read_rows(Path(wide.output) / "seed-1" / fold.name / "predictions.jsonl")
    result = {row["id"]: row for row in rows}
    for name, shares in zip(
        fold.test, softmax(expected.test / calibrated.temperature), strict=True
    ):
        assert result[name]["temperature"] == round(calibrated.temperature, 6)
        assert result[name]["unsure"] == (shares.max() < calibrated.abstain_below)
        assert list(result[name]["scores"].values()) == pytest.approx(list(shares), abs=1e-6)


class Machine:
    """Of features (truth, part) it is right on part 1 with some strengths, on part 2 with 1."""

    classes_ = np.arange(3)

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def decision_function(self, features: Any) -> Any:
        right = np.where(features[:, 1] == 1, self.strength in (1e-3, 1e-2), self.strength == 1)
        answer = np.where(right, features[:, 0], (features[:, 0] + 1) % 3)
        return np.eye(3)[answer.astype(int)]


@pytest.fixture
def machines(monkeypatch) -> None:
    """Such a machine for every strength."""
    monkeypatch.setattr(egemaps, "_fit_svm", lambda features, truth, strength: Machine(strength))


def test_of_equal_validation_scores_the_smallest_c_is_taken(machines):
    held = np.array([[0, 1], [1, 1], [2, 1]]), np.arange(3)
    machine, score = egemaps._select_svm(held, held, 3)
    assert (machine.strength, score) == (1e-3, 1)


def test_c_is_selected_on_validation_not_test_data(
    config, tmp_path, extractor, machines, monkeypatch
):
    experiment = prepare_experiment(config)
    fold = experiment.split.folds[0]
    part = {name: number for number, ids in enumerate(fold.parts.values()) for name in ids}
    given = {
        name: np.array([EMOTIONS.index(item.emotion), part[name]])
        for name, item in experiment.utterances.items()
    }
    monkeypatch.setattr(egemaps, "functionals", lambda *_: given)
    other = elsewhere(config, tmp_path)
    run(other, "phonemo train", folds=[fold.name])
    home = Path(other.output) / "seed-1" / fold.name
    assert read_cell(home)["best_validation"] == 1
    rows = read_rows(home / "predictions.jsonl")
    assert all(row["label"] != row["truth"] for row in rows), "with C=1 all would be right"


@pytest.mark.parametrize(
    ("learnt", "classes", "expected"),
    [
        ([[1.0, 2.0, 3.0]], [0, 1, 2], [1, 2, 3]),
        ([0.6], [0, 1], [-0.3, 0.3, -30.3]),
        ([-0.6], [1, 2], [-30.3, 0.3, -0.3]),
    ],
)
def test_margins_of_two_emotions_are_halves_and_a_missing_one_never_wins(learnt, classes, expected):
    machine = SimpleNamespace(
        decision_function=lambda features: np.array(learnt), classes_=np.array(classes)
    )
    result = egemaps._margins(machine, np.zeros((1, 4)), 3)
    np.testing.assert_allclose(result, [expected])
    assert softmax(result)[0][[n for n in range(3) if n not in classes]].sum() < 1e-12


# What is refused ----------------------------------------------------------------------------------


def test_a_missing_opensmile_fails_first_and_names_the_extra(config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    other = elsewhere(config, tmp_path)
    with pytest.raises(MissingExtraError, match=r"pip install 'phonemo\[egemaps\]'") as caught:
        run(other, "phonemo train")
    assert caught.value.extra == "egemaps"
    assert not (Path(other.output) / "config.yaml").exists()


def test_selection_fails_if_validation_is_trained_on(config):
    with pytest.raises(ValidationError, match=r"set train\.select_by=ua"):
        with_changes(config, train={"select_by": "last"})


def test_another_version_does_not_resume_a_run(config, tmp_path, monkeypatch):
    stand_in(monkeypatch)
    other = elsewhere(config, tmp_path)
    run(other, "phonemo train", folds=["speaker-s1"])
    stand_in(monkeypatch, "0-newer")
    with pytest.raises(RunError, match="the features changed since this run started"):
        run(other, "phonemo train", folds=["speaker-s2"])


def test_the_digest_names_the_system(config):
    assert config.digest != with_changes(config, system="network").digest


# openSMILE itself ---------------------------------------------------------------------------------


def test_opensmile_measures_the_pitch_of_a_tone():
    opensmile = pytest.importorskip("opensmile", reason="needs openSMILE (extra egemaps)")
    time = np.arange(RATE) / RATE
    tone = sum(0.2 / number * np.sin(2 * np.pi * 150 * number * time) for number in range(1, 8))
    result = egemaps._extractor()(tone.astype(np.float32))
    assert result.shape == (88,)
    assert np.isfinite(result).all()
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    place = smile.feature_names.index("F0semitoneFrom27.5Hz_sma3nz_amean")
    assert result[place] == pytest.approx(12 * np.log2(150 / 27.5), abs=0.5)


def test_a_clip_shorter_than_a_window_has_features():
    pytest.importorskip("opensmile", reason="needs openSMILE: pip install 'phonemo[egemaps]'")
    extract = egemaps._extractor()
    for length in (160, 640, 1600):
        beep = np.sin(np.arange(length) / 10).astype(np.float32)
        assert np.isfinite(extract(egemaps._pad(beep))).all(), length
