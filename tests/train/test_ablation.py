"""Arms x folds x seeds: what is trained, what a validation part picks, and what is written down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import TrainerState

from phonemo.config import RunConfig, write_config
from phonemo.errors import ConfigError, ModelError, ProtocolError, RunError
from phonemo.evaluation.studies.study_tables import TUNED, ablation_lines
from phonemo.files import folder_lock, read_rows, write_json, write_rows
from phonemo.runtime import workers
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments import training_run as runner
from phonemo.train.experiments.ablation import ABLATION, ablate
from phonemo.train.experiments.ablation_config import AblationConfig, load_ablation_config
from phonemo.train.experiments.baselines import egemaps
from phonemo.train.experiments.executors import FoldJob, run_jobs, workers_for
from phonemo.train.experiments.experiment_data import Experiment
from phonemo.train.experiments.fold import NeuralSystem
from phonemo.train.experiments.run_folder import FoldSeed, fold_metrics
from phonemo.train.experiments.training_run import SYSTEMS
from tests.cli.test_cli import Answer as Typed
from tests.cli.test_cli import assert_one_line, call
from tests.train import tiny_training  # noqa: F401  (it keeps collections short)
from tests.train.tiny_run import EMOTIONS, SPEAKERS, make_config, with_changes

FOLDS = tuple(f"speaker-{name}" for name in SPEAKERS)
TASKS = {"multi-task": {}, "single-task": {"model.auxiliary": None}}
#: A rate at which the second loss is no number.
WILD = {"train.rate_heads": 1e30}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> RunConfig:
    """The experiment that all arms change, over one corpus."""
    return make_config(tmp_path_factory.mktemp("base"), epochs=1)


def make_study(folder: Path, base: RunConfig, arms: Mapping[str, Any], **more: Any):
    """An ablation whose only table holds the other arms against the first."""
    path = folder / "base.yaml"
    write_config(path, with_changes(base, train=more.pop("train", {})))
    first, *others = arms
    tables = [{"title": "Question", "baseline": first, "arms": others}]
    data = {"name": "tiny", "base": str(path), "output": str(folder / "out"), "tables": tables}
    return AblationConfig.model_validate({**data, "arms": dict(arms), **more})


@pytest.fixture
def study(tmp_path, base) -> Callable[..., AblationConfig]:
    """Arms to an ablation of its own."""
    return partial(make_study, tmp_path, base)


def home_of(config: AblationConfig, arm: str, fold: str, seed: int = 1) -> Path:
    return Path(config.output) / arm / f"seed-{seed}" / fold


def trained_cells(config: AblationConfig) -> set[tuple[str, str, int]]:
    """Arm, fold and seed of every finished cell."""
    return {
        (path.parts[-4], path.parts[-2], int(path.parts[-3].removeprefix("seed-")))
        for path in Path(config.output).glob("*/seed-*/*/metrics.json")
    }


def every(arms: Iterable[str], folds: Iterable[str], seeds: Iterable[int]) -> set:
    return {(arm, fold, seed) for arm in arms for fold in folds for seed in seeds}


# Networks that learn ------------------------------------------------------------------------------


class _FakeSmile:
    __version__ = "0-test"


def _pitch_and_level(samples: Any) -> Any:
    import numpy as np

    crossings = np.mean(np.diff(np.sign(samples)) != 0)
    return np.array([crossings, np.sqrt(np.mean(np.square(samples)))])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, base) -> tuple[AblationConfig, dict[str, Any]]:
    """Two folds of both tasks and of the classical baseline with two seeds, in one process."""
    arms = {**TASKS, "svm": {"system": "egemaps-svm"}}
    config = make_study(tmp_path_factory.mktemp("one"), base, arms, every={"seeds": [1, 2]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(egemaps, "_opensmile", lambda: _FakeSmile)
        patch.setattr(egemaps, "_extractor", lambda: _pitch_and_level)
        found = ablate(config, "phonemo ablate", FOLDS[:2], workers=1)
        patch.setattr(NeuralSystem, "train", lambda *_: pytest.fail("it trains again"))
        patch.setattr(egemaps.EgemapsSvm, "train", lambda *_: pytest.fail("it trains again"))
        again = ablate(config, "phonemo ablate", FOLDS[:2], workers=1)
    return config, {"first": found, "again": again}


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory, base) -> tuple[AblationConfig, str]:
    """One seed of it in two processes, beside an arm that cannot be trained; what was raised."""
    arms = {"wild": WILD, **TASKS}
    config = make_study(tmp_path_factory.mktemp("two"), base, arms, every={"seeds": [1, 2]})
    with pytest.raises(RunError) as caught:
        ablate(config, "phonemo ablate", FOLDS[:2], seeds=[1], workers=2)
    return config, str(caught.value)


def test_the_tables_hold_every_fold_and_seed_of_every_arm(finished):
    config, found = finished
    assert trained_cells(config) == every((*TASKS, "svm"), FOLDS[:2], (1, 2))
    assert json.loads((Path(config.output) / ABLATION).read_text()) == found["first"]
    (table,) = found["first"]["tables"]
    assert [row["arm"] for row in table["rows"]] == ["multi-task", "single-task", "svm"]
    assert {(row["folds"], row["utterances"]) for row in table["rows"]} == {(2, 12)}
    assert all(row["seeds"] == [1, 2] for row in table["rows"])
    assert [row["per"] is None for row in table["rows"]] == [False, True, True]


def test_a_row_is_its_run_folder_against_the_first_row(finished):
    config, found = finished
    (table,) = found["first"]["tables"]
    first, *others = table["rows"]
    assert first["versus"] is None
    assert [row["changes"] for row in table["rows"]] == list(config.arms.values())
    for row in table["rows"]:
        run = json.loads((Path(config.output) / row["arm"] / "metrics.json").read_text())
        assert row["ua"] == run["results"]["ua"]
        assert row["config"] == run["config"]
    for row in others:
        apart = row["ua"]["mean"] - first["ua"]["mean"]
        assert row["versus"]["difference"] == pytest.approx(apart, abs=1e-6)


def test_a_second_call_trains_nothing_and_says_the_same(finished):
    _, found = finished
    assert found["again"] == found["first"]


def test_an_arm_is_the_run_that_train_would_make(finished, base, tmp_path):
    alone = with_changes(base, seeds=[1, 2], output=str(tmp_path / "run"))
    runner.run(alone, "phonemo train", folds=FOLDS[:1], seeds=[1])
    wanted = Path(alone.output) / "seed-1" / FOLDS[0] / "predictions.jsonl"
    found = home_of(finished[0], "multi-task", FOLDS[0]) / "predictions.jsonl"
    assert found.read_bytes() == wanted.read_bytes()


def test_two_processes_write_the_same_answers_as_one(finished, side_by_side):
    alone, together = finished[0], side_by_side[0]
    for arm in TASKS:
        for fold in FOLDS[:2]:
            wanted = (home_of(alone, arm, fold) / "predictions.jsonl").read_bytes()
            assert (home_of(together, arm, fold) / "predictions.jsonl").read_bytes() == wanted


def test_a_failing_arm_leaves_the_others_finished_and_is_told_once(side_by_side):
    config, message = side_by_side
    assert trained_cells(config) == every(TASKS, FOLDS[:2], [1])
    assert message.startswith("wild speaker-s")
    assert "the loss is nan" in message or "the loss is inf" in message
    assert message.endswith("(1 more failed); the tables have the arms that are finished")
    found = json.loads((Path(config.output) / ABLATION).read_text())
    assert found["missing"] == ["wild"]
    assert found["tables"] == [], "its only baseline is missing"


# Scores written by hand ---------------------------------------------------------------------------


#: An arm's config, a fold and a seed to its validation score and who is answered rightly.
Scores = Callable[[Any, FoldSeed], tuple[float | None, Iterable[str]]]


class _Written:
    """A system that learns nothing: its scores are what somebody said."""

    says: Scores
    trained: list[tuple[str, str, int]]

    def __init__(self, experiment: Experiment, progress: RunProgress) -> None:
        self.experiment = experiment

    def inputs(self) -> dict[str, str]:
        return {}

    def train(self, cell: FoldSeed) -> None:
        name = Path(self.experiment.config.output).name
        self.trained.append((name, cell.fold.name, cell.seed))
        validation, right = type(self).says(self.experiment.config, cell)
        labels = self.experiment.targets.labels
        rows = [
            _answer(self.experiment, cell, one, one in right or self._speaker(one) in right)
            for one in cell.fold.test
        ]
        cell.folder.mkdir(parents=True)
        write_rows(cell.folder / "predictions.jsonl", rows)
        state = TrainerState(epoch=0, best_metric=validation)
        write_json(cell.folder / "metrics.json", fold_metrics(cell, rows, labels, state, {}, 0.0))

    def _speaker(self, one: str) -> str | None:
        return self.experiment.utterances[one].speaker


def _answer(experiment: Experiment, cell: FoldSeed, name: str, is_right: bool) -> dict[str, Any]:
    one = experiment.utterances[name]
    other = EMOTIONS[EMOTIONS.index(one.emotion) - 1]
    label = one.emotion if is_right else other
    return {
        "id": name,
        "fold": cell.fold.name,
        "seed": cell.seed,
        "speaker": one.speaker,
        "gender": one.gender,
        "truth": one.emotion,
        "label": label,
        "scores": {emotion: 0.8 if emotion == label else 0.1 for emotion in EMOTIONS},
        "phonemes": None,
        "reference": None,
    }


@pytest.fixture
def written(monkeypatch) -> type[_Written]:
    """Networks are not trained; every arm is half right."""

    class System(_Written):
        says = staticmethod(lambda config, cell: (0.5, ("s1", "s2")))
        trained: list[tuple[str, str, int]] = []  # noqa: RUF012

    monkeypatch.setitem(SYSTEMS, "network", System)
    return System


RATES = {"key": "train.rate_heads", "values": (0.01, 0.001)}
#: Validation says 0.001 for the first fold and 0.01 for the second; test says the opposite.
VALIDATION = {
    (FOLDS[0], 0.01): 0.4,
    (FOLDS[0], 0.001): 0.6,
    (FOLDS[1], 0.01): 0.7,
    (FOLDS[1], 0.001): 0.3,
}


def _test_disagrees(config: Any, cell: FoldSeed) -> tuple[float, Iterable[str]]:
    rate, fold = config.train.rate_heads, cell.fold.name
    score = VALIDATION.get((fold, rate), 0.5)
    best = max(VALIDATION.get((fold, one), 0.5) for one in RATES["values"])
    return score, () if score == best else SPEAKERS


def picked_in(config: AblationConfig, arm: str) -> dict[str, float]:
    found = json.loads((Path(config.output) / arm / TUNED).read_text())
    assert found["key"] == RATES["key"]
    written = json.loads((Path(config.output) / ABLATION).read_text())
    (table,) = written["tables"]
    assert [row["tuned"] for row in table["rows"] if row["arm"] == arm] == [found]
    return found["folds"]


def test_validation_picks_although_test_says_the_opposite(study, written):
    written.says = staticmethod(_test_disagrees)
    config = study(TASKS, tune=RATES)
    found = ablate(config, "test", FOLDS[:2], workers=1)
    assert picked_in(config, "multi-task") == {FOLDS[0]: 0.001, FOLDS[1]: 0.01}
    first = found["tables"][0]["rows"][0]
    assert first["ua"]["mean"] == 0, "the value with the best test score would be all right"
    rows = read_rows(Path(config.output) / "multi-task" / "predictions.jsonl")
    low, high = (f"multi-task@rate_heads={rate}" for rate in (0.001, 0.01))
    homes = (home_of(config, low, FOLDS[0]), home_of(config, high, FOLDS[1]))
    assert rows == [row for home in homes for row in read_rows(home / "predictions.jsonl")]
    note = json.loads((Path(config.output) / "multi-task" / "metrics.json").read_text())
    assert "train.rate_heads is picked among 0.01, 0.001 by each fold's" in note["protocol_note"]


def test_later_seeds_are_trained_with_what_was_picked_alone(study, written):
    written.says = staticmethod(_test_disagrees)
    config = study(TASKS, tune=RATES, every={"seeds": [5, 6]})
    ablate(config, "test", FOLDS[:2], workers=1)
    tuned = set()
    for arm in TASKS:
        low, high = (f"{arm}@rate_heads={rate}" for rate in (0.001, 0.01))
        tuned |= every((low, high), FOLDS[:2], [5]) | {(low, FOLDS[0], 6), (high, FOLDS[1], 6)}
    assert set(written.trained) == tuned
    rows = read_rows(Path(config.output) / "multi-task" / "predictions.jsonl")
    assert {(row["fold"], row["seed"]) for row in rows} == {
        (fold, seed) for fold in FOLDS[:2] for seed in (5, 6)
    }


@pytest.mark.parametrize("values", [(0.01, 0.001), (0.001, 0.01)])
def test_of_equal_validation_scores_the_first_value_is_picked(study, written, values):
    config = study(TASKS, tune=RATES | {"values": values})
    ablate(config, "test", FOLDS[:1], workers=1)
    assert picked_in(config, "single-task") == {FOLDS[0]: values[0]}


def test_the_lowest_loss_is_picked(study, written):
    written.says = staticmethod(_test_disagrees)
    config = study(TASKS, tune=RATES, train={"select_by": "loss"})
    ablate(config, "test", FOLDS[:2], workers=1)
    assert picked_in(config, "multi-task") == {FOLDS[0]: 0.01, FOLDS[1]: 0.001}


def test_a_fold_whose_values_are_not_all_trained_picks_none(study, written):
    config = study(TASKS, tune=RATES)
    ablate(config, "test", FOLDS[:1], workers=1)
    for arm in TASKS:
        (home_of(config, f"{arm}@rate_heads=0.001", FOLDS[0]) / "metrics.json").unlink()
    ablate(config, "test", FOLDS[1:2], workers=1)
    assert picked_in(config, "multi-task") == {FOLDS[1]: 0.01}
    rows = read_rows(Path(config.output) / "multi-task" / "predictions.jsonl")
    assert {row["fold"] for row in rows} == {FOLDS[1]}


LOGISTIC = {"train.strategy": "logistic", "model.head": "linear"}


@pytest.mark.parametrize("change", [{"train.select_by": "last"}, LOGISTIC])
def test_what_has_no_validation_score_cannot_be_tuned(study, written, change):
    arms = {"picks": {}, "other": change}
    with pytest.raises(ConfigError, match=r"arm 'other' of tiny: train\.rate_heads is tuned by"):
        ablate(study(arms, tune=RATES), "test", workers=1)
    assert written.trained == []
    ablate(study(arms), "test", FOLDS[:1], workers=1)
    assert ("other", FOLDS[0], 1) in written.trained


def test_a_tuned_arm_is_a_run_like_any_other(study, written):
    written.says = staticmethod(_test_disagrees)
    config = study(TASKS, tune=RATES)
    ablate(config, "test", FOLDS[:2], workers=1)
    low = home_of(config, "multi-task@rate_heads=0.001", FOLDS[0])
    own = home_of(config, "multi-task", FOLDS[0])
    assert {one.name for one in own.iterdir()} == {one.name for one in low.iterdir()}
    assert read_rows(own / "predictions.jsonl") == read_rows(low / "predictions.jsonl")


@pytest.mark.parametrize(
    ("change", "key"),
    [({"protocol.folds": 3}, "protocol"), ({"seeds": [9]}, "seeds")],
)
def test_arms_that_cannot_be_paired_are_refused_before_training(study, written, change, key):
    with pytest.raises(ConfigError, match=f"'other' has another {key} than 'plain'"):
        ablate(study({"plain": {}, "other": change}), "test", workers=1)
    assert written.trained == []


def test_what_only_some_arms_have_is_left_out_of_the_table(study, written):
    """As after an interruption: the tables compare what all arms have."""
    config = study(TASKS)
    ablate(config, "test", FOLDS[:2], workers=1)
    (home_of(config, "single-task", FOLDS[1]) / "metrics.json").unlink()
    found = ablate(config, "test", FOLDS[:1], workers=1)
    assert [row["folds"] for row in found["tables"][0]["rows"]] == [1, 1]
    assert "of the run's 4 cells" in found["tables"][0]["rows"][0]["protocol_note"]


def test_what_nobody_foresaw_stops_one_cell_alone(study, written):
    def says(config: Any, cell: FoldSeed) -> tuple[float, Iterable[str]]:
        if "bad" in config.output:
            raise ZeroDivisionError("by nothing")
        return 0.5, SPEAKERS

    written.says = staticmethod(says)
    config = study({**TASKS, "bad": {}})
    with pytest.raises(RunError, match=r"bad speaker-s1 seed 1: ZeroDivisionError: by nothing"):
        ablate(config, "test", FOLDS[:1], workers=1)
    assert trained_cells(config) == every(TASKS, FOLDS[:1], [1])
    report = home_of(config, "bad", FOLDS[0]) / "failure.txt"
    assert "ZeroDivisionError: by nothing" in report.read_text()
    found = json.loads((Path(config.output) / ABLATION).read_text())
    assert [row["arm"] for row in found["tables"][0]["rows"]] == list(TASKS)


def test_failures_of_several_cells_are_one_error(study, written):
    def says(config: Any, cell: FoldSeed) -> tuple[float, Iterable[str]]:
        if "bad" in config.output:
            raise ModelError(f"nothing is learnt on {cell.fold.name}")
        return 0.5, SPEAKERS

    written.says = staticmethod(says)
    config = study({"bad": {}, **TASKS})
    with pytest.raises(RunError) as caught:
        ablate(config, "test", FOLDS[:3], workers=1)
    assert str(caught.value) == (
        "bad speaker-s1 seed 1: nothing is learnt on speaker-s1 (2 more failed); "
        "the tables have the arms that are finished"
    )
    assert trained_cells(config) == every(TASKS, FOLDS[:3], [1])
    written.says = staticmethod(lambda config, cell: (0.5, SPEAKERS))
    written.trained.clear()
    ablate(config, "test", FOLDS[:3], workers=1)
    assert set(written.trained) == every(["bad"], FOLDS[:3], [1]), "the others are kept"


def test_some_folds_and_some_seeds(study, written):
    config = study(TASKS, every={"seeds": [1, 2, 3]})
    found = ablate(config, "test", FOLDS[1:3], seeds=[2], workers=1)
    assert trained_cells(config) == every(TASKS, FOLDS[1:3], [2])
    for row in found["tables"][0]["rows"]:
        assert (row["folds"], row["seeds"], row["utterances"]) == (2, [2], 12)
        assert row["protocol_note"].endswith(
            "10 of the run's 12 cells (fold with seed) are not finished"
        )


def test_some_arms(study, written):
    config = study({**TASKS, "gate": {"model.fusion": "gate"}})
    ablate(config, "test", FOLDS[:1], workers=1)
    named = ["multi-task", "gate"]
    found = ablate(config, "test", FOLDS[:2], workers=1, names=named)
    assert trained_cells(config) == every([*TASKS, "gate"], FOLDS[:1], [1]) | every(
        named, FOLDS[:2], [1]
    )
    (table,) = found["tables"]
    assert [row["arm"] for row in table["rows"]] == named
    assert {row["folds"] for row in table["rows"]} == {2}, "the unnamed arm's one fold is no limit"
    assert found["missing"] == ["single-task"]
    assert found["config"] == ablate(config, "test", FOLDS[:1], workers=1)["config"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gate"], "no arm 'gate'; arms: multi-task, single-task"),
        (["single-task"], "expected the baseline of a table .*; baselines: multi-task"),
    ],
)
def test_arms_without_a_table_are_refused_before_anything_is_trained(
    study, written, names, message
):
    with pytest.raises(ConfigError, match=message):
        ablate(study(TASKS), "test", workers=1, names=names)
    assert written.trained == []


@pytest.mark.parametrize(
    ("folds", "seeds", "message"),
    [
        ((), [1, 9], "no seed 9; seeds: 1"),
        (["speaker-s9"], (), "no fold 'speaker-s9'; folds: speaker-s1, "),
    ],
)
def test_an_unknown_fold_or_seed_is_named_before_anything_is_trained(
    study, written, folds, seeds, message
):
    with pytest.raises(ProtocolError, match=message):
        ablate(study(TASKS), "test", folds, seeds, workers=1)
    assert written.trained == []


def test_another_process_in_the_output_folder_is_noticed(study, written):
    config = study(TASKS)
    with folder_lock(Path(config.output)), pytest.raises(RunError, match="another process"):
        ablate(config, "test", workers=1)
    assert written.trained == []


def test_another_change_of_an_arm_does_not_touch_its_run(study, written):
    ablate(study(TASKS), "test", FOLDS[:1], workers=1)
    other = study({**TASKS, "single-task": {"train.epochs": 3}})
    with pytest.raises(RunError, match=r"single-task: holds a run with another config"):
        ablate(other, "test", FOLDS[:1], workers=1)


def test_all_folds_and_seeds_are_done_where_none_are_named(study, written):
    config = study(TASKS, every={"seeds": [1, 2]})
    ablate(config, "test", workers=1)
    assert trained_cells(config) == every(TASKS, FOLDS, (1, 2))
    assert len(written.trained) == len(trained_cells(config)), "each once"


def test_arms_go_fold_by_fold_so_that_a_part_can_be_compared(study, written):
    told: list[str] = []

    class Told(RunProgress):
        def cell(self, number: int, total: int, name: str) -> None:
            told.append(f"{number}/{total} {name}")

    ablate(study(TASKS), "test", FOLDS[:2], workers=1, progress=Told())
    assert told == [
        "1/4 multi-task speaker-s1 seed 1",
        "2/4 single-task speaker-s1 seed 1",
        "3/4 multi-task speaker-s2 seed 1",
        "4/4 single-task speaker-s2 seed 1",
    ]


def test_p_values_of_a_table_are_adjusted_for_its_arms(study, written):
    """Four speakers of whom each gets better: of 2^4 signs, 2 are as far apart: p = 1/8."""

    def says(config: Any, cell: FoldSeed) -> tuple[float, Iterable[str]]:
        return 0.5, () if "wrong" in config.output else SPEAKERS

    written.says = staticmethod(says)
    found = ablate(study({"wrong": {}, "a": {}, "b": {}}), "test", workers=1)
    for row in found["tables"][0]["rows"][1:]:
        assert (row["versus"]["difference"], row["versus"]["p"]) == (1, 1 / 8)
        assert row["versus"]["p_holm"] == 2 / 8
    title, _, first, second, *_ = ablation_lines(found)
    assert (title, first.split()) == ("Question", ["wrong", "0.0", "0.0", "-"])
    assert " ".join(second.split()) == "a 100.0 100.0 - +100.0 +100.0 to +100.0 0.125 0.250 0.125"


# Jobs and processes -------------------------------------------------------------------------------


def test_a_cell_that_was_not_tidied_up_is_tidied_and_not_trained(study, written):
    config = study(TASKS)
    ablate(config, "test", FOLDS[:1], workers=1)
    written.trained.clear()
    left = home_of(config, "multi-task", FOLDS[0]) / "checkpoints"
    (left / "checkpoint-3").mkdir(parents=True)
    ablate(config, "test", FOLDS[:1], workers=1)
    assert not left.exists()
    assert written.trained == []


def test_a_killed_process_is_one_line_that_says_what_to_do(tmp_path, base, monkeypatch):
    class Killed:
        def __init__(self, *_: object) -> None: ...

        def submit(self, *_: object) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool())
            return future

        def shutdown(self, **_: object) -> None: ...

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Killed)
    jobs = [FoldJob(with_changes(base, output=str(tmp_path)), fold, 1) for fold in FOLDS[:2]]
    with pytest.raises(RunError, match=r"killed, perhaps for lack of memory; .* fewer --workers"):
        next(run_jobs(jobs, 2, RunProgress()))


@pytest.mark.parametrize(("cores", "threads", "workers"), [(8, 3, 2), (2, 4, 1), (None, 1, 1)])
def test_as_many_processes_as_cores(monkeypatch, cores, threads, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers_for(threads) == workers


# The command --------------------------------------------------------------------------------------


def write_study(config: AblationConfig) -> Path:
    """The same as a file."""
    path = Path(config.base).with_name("ablation.yaml")
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    return path


def test_the_command_prints_the_table_and_writes_it(study, written, tmp_path, capfd):
    path = write_study(study(TASKS))
    words = ["ablate", path, "--fold", FOLDS[0], "--seed", 1, "--workers", 1, "--quiet"]
    assert call(*words, "-o", tmp_path / "else") == 0
    out, err = capfd.readouterr()
    assert err == ""
    title, head, first, second, *_ = out.splitlines()
    assert (title, first.split()[0], second.split()[0]) == ("Question", "multi-task", "single-task")
    assert head.split()[:5] == ["WA", "%", "UA", "%", "PER"]
    assert "100.0" in first
    assert out.endswith(f"written: {tmp_path / 'else' / ABLATION}\n")
    found = json.loads((tmp_path / "else" / ABLATION).read_text())
    assert out.startswith("\n".join(ablation_lines(found)) + "\n")
    assert found["command"].startswith(f"phonemo ablate {path} --fold speaker-s1")


def test_an_arm_with_an_unknown_key_is_one_line(study, written, capfd):
    config = study({**TASKS, "typo": {"train.epoch": 3}})
    code = call("ablate", write_study(config), "--quiet")
    answer = Typed(code, *capfd.readouterr())
    assert_one_line(answer, 2, "arm 'typo' of tiny: ", "unknown key 'train.epoch'; known keys:")
    assert written.trained == []
    assert not Path(config.output).exists()


def test_an_override_of_the_ablation_reaches_its_arms(study, written):
    config = load_ablation_config(write_study(study(TASKS)), ["every.seeds=[7]"])
    ablate(config, "test", FOLDS[:1], workers=1)
    assert trained_cells(config) == every(TASKS, FOLDS[:1], [7])
