"""MLflow, trackio and Weights & Biases are told of a training, and none of them can stop it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from phonemo.config import RunConfig, load_config, write_config
from phonemo.errors import ConfigError, MissingExtraError
from phonemo.train import callbacks
from phonemo.train.experiments.training_run import run
from tests.train.tiny_run import make_config, with_changes

FOLD = "speaker-s1"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> RunConfig:
    return make_config(tmp_path_factory.mktemp("data"), epochs=2, strategy="frozen")


def told(config: RunConfig, output: Path, *names: str) -> RunConfig:
    changed = with_changes(config, train={"loggers": list(names)})
    return with_changes(changed, output=str(output))


class Spy:
    """A tracker that keeps what it is told, and fails where it should."""

    made: ClassVar[list[Spy]] = []
    fails_at: str = ""

    def __init__(self, info: callbacks.RunInfo) -> None:
        self.info, self.settings, self.rows, self.ended = info, {}, [], False
        Spy.made.append(self)

    def start(self):
        self._fail("start")

    def store_init_configuration(self, values):
        self._fail("settings")
        self.settings = values

    def log(self, values, step):
        self._fail("log")
        self.rows.append((step, dict(values)))

    def finish(self):
        self._fail("finish")
        self.ended = True

    def _fail(self, where: str) -> None:
        if Spy.fails_at == where:
            raise ConnectionError(f"no answer at {where}\nsecond line")


@pytest.fixture
def spies(monkeypatch) -> list[Spy]:
    monkeypatch.setattr(Spy, "made", [])
    monkeypatch.setattr(Spy, "fails_at", "")
    monkeypatch.setitem(callbacks.TRACKERS, "mlflow", Spy)
    return Spy.made


def test_every_fold_with_every_seed_is_a_run_that_ends(config, tmp_path, spies):
    both = with_changes(told(config, tmp_path / "run", "mlflow"), seeds=[1, 2])
    metrics = run(both, "test", folds=[FOLD])
    assert [one.info.run for one in spies] == [f"{FOLD} seed 1", f"{FOLD} seed 2"]
    for spy in spies:
        assert spy.ended
        assert spy.settings["train.epochs"] == "2"
        steps = [step for step, _ in spy.rows]
        assert steps == sorted(steps)
        names = {name for _, values in spy.rows for name in values}
        assert {"loss", "loss_emotion", "eval_ua", "test_ua", "test_wa"} <= names
    tested = [spy.rows[-1][1]["test_ua"] for spy in spies]
    assert tested == pytest.approx(metrics["results"]["ua"]["per_seed"])


@pytest.mark.parametrize("where", ["start", "settings", "log", "finish"])
def test_one_that_fails_is_told_once_and_stops_nothing(config, tmp_path, spies, where, caplog):
    Spy.fails_at = where
    with caplog.at_level(logging.WARNING, "phonemo.train.callbacks"):
        metrics = run(told(config, tmp_path / "run", "mlflow"), "test", folds=[FOLD])
    assert metrics["results"]["utterances"]
    said = [one.message for one in caplog.records if one.name == "phonemo.train.callbacks"]
    line = f"mlflow is disabled from here on: ConnectionError: no answer at {where} second line"
    assert said == [line]


def test_a_training_that_breaks_off_ends_its_run(config, tmp_path, spies, monkeypatch):
    from phonemo.train.trainer import PhonemoTrainer

    def broken(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(PhonemoTrainer, "resume_or_start", broken)
    with pytest.raises(KeyboardInterrupt):
        run(told(config, tmp_path / "run", "mlflow"), "test", folds=[FOLD])
    assert [one.ended for one in spies] == [True]


def test_one_that_is_not_installed_is_told_before_anything_is_done(config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[wandb\]"):
        run(told(config, tmp_path / "run", "wandb"), "test", folds=[FOLD])
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_no_logger_leaves_the_log_alone(config, tmp_path):
    run(told(config, tmp_path / "run"), "test", folds=[FOLD])
    cell = tmp_path / "run" / "seed-1" / FOLD
    assert (cell / "log.jsonl").is_file()
    assert not (cell / "tensorboard").exists()


def test_tensorboard_is_the_usual_one(config, tmp_path):
    run(with_changes(config, output=str(tmp_path / "run")), "test", folds=[FOLD])
    assert list((tmp_path / "run" / "seed-1" / FOLD / "tensorboard").iterdir())


def test_loggers_change_nothing_of_a_run(config, tmp_path):
    other = told(config, tmp_path / "run", "mlflow")
    assert other.digest == config.digest
    write_config(tmp_path / "usual.yaml", config)
    assert "loggers" not in (tmp_path / "usual.yaml").read_text()
    write_config(tmp_path / "other.yaml", other)
    assert load_config(tmp_path / "other.yaml").train.loggers == ("mlflow",)
    with pytest.raises(ConfigError, match=r"train\.loggers"):
        load_config(tmp_path / "usual.yaml", ["train.loggers=[comet]"])


def test_a_run_goes_on_with_other_loggers(config, tmp_path, spies):
    run(with_changes(config, output=str(tmp_path / "run")), "test", folds=[FOLD])
    metrics = run(told(config, tmp_path / "run", "mlflow"), "test", folds=[FOLD])
    assert metrics["results"]["utterances"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_keeps_it_in_the_run_folder(config, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    metrics = run(told(config, tmp_path / "run", "mlflow"), "test", folds=[FOLD])
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(config.name)
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == f"{FOLD} seed 1"
    assert found.info.status == "FINISHED"
    assert found.data.metrics["test_ua"] == pytest.approx(metrics["results"]["ua"]["mean"])
    assert found.data.params["train.strategy"] == "frozen"


#: A tracker in a process of its own: they hold global state, threads and folders of the user's.
ALONE = """
import sys
from pathlib import Path
from typing import ClassVar
from phonemo.train.callbacks import RunInfo, Tracking
for number in (1, 2):
    info = RunInfo("project", f"fold seed {number}", Path("run"), {"train.epochs": 2})
    tracking = Tracking([sys.argv[1]], info)
    tracking.log({"loss": 0.5, "eval_ua": 0.25 * number}, 3)
    tracking.end()
"""


def alone(name: str, folder: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if "WANDB" not in key}
    environment = kept | {"TRACKIO_DIR": str(folder / "trackio"), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_trackio_keeps_two_runs(tmp_path):
    pytest.importorskip("trackio")
    import sqlite3

    alone("trackio", tmp_path)
    with sqlite3.connect(tmp_path / "trackio" / "project.db") as database:
        rows = database.execute("SELECT run_name, metrics FROM metrics ORDER BY id").fetchall()
    found = {name: json.loads(values) for name, values in rows}
    assert found["fold seed 1"]["eval_ua"] == 0.25
    assert found["fold seed 2"]["eval_ua"] == 0.5


def test_wandb_stays_offline_and_keeps_two_runs(tmp_path):
    pytest.importorskip("wandb")
    alone("wandb", tmp_path)
    runs = sorted((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 2
    assert all(b"eval_ua" in one.read_bytes() for one in runs)
