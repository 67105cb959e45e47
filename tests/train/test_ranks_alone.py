"""Distributed training, as far as a single process can test it."""

from __future__ import annotations

import logging
import random
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import ConfigError, RunError, UsageError
from phonemo.train import checkpointing, distributed
from phonemo.train.dataset import PADDING_ROW, PaddingIndex, collate
from phonemo.train.distributed import Rank
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import make_dataset, make_trainer

SECOND_OF_TWO = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture
def second(monkeypatch) -> None:
    """The environment of the second of two processes, without torchrun's store."""
    for name, value in SECOND_OF_TWO.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert distributed.started() == distributed.current_rank() == Rank(0, 1, 0, 1)
    assert distributed.current_rank().first
    assert distributed.gathered("mine") == ["mine"]
    values = torch.ones(2)
    assert distributed.summed(values) is values
    assert distributed.on_main_process(lambda: "done") == "done"
    with distributed.process_group(1.0) as rank:
        assert rank == Rank()
    assert not torch.distributed.is_initialized()


def test_torchrun_with_one_process_changes_nothing(tmp_path, monkeypatch):
    """accelerate would take part in a group of one."""
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    run(make_config(tmp_path, epochs=1), "test", folds=["speaker-s1"])
    assert not torch.distributed.is_initialized()
    assert distributed.started() == Rank()


def test_the_rank_is_read_from_the_environment(second, monkeypatch):
    assert distributed.started() == Rank(1, 2, 1, 2)
    assert distributed.current_rank() == Rank()  # it has not joined
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="start with torchrun"):
        distributed.started()
    monkeypatch.delenv("LOCAL_RANK")  # as on a cluster whose scheduler numbers its jobs
    assert distributed.started() == Rank()


@pytest.mark.parametrize("command", [["ablate", "a.yaml"], ["pretrain", "a.yaml"], ["report"]])
def test_other_commands_refuse_several_processes(second, command):
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"phonemo {command[0]}: expected one process, got 2 from torchrun")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train": {"batch_size": 1}},
            "train.batch_size: expected at least 2, a row per process, got 1",
        ),
        (
            {"train": {"strategy": "logistic"}, "model": {"head": "linear"}},
            "train.strategy logistic: expected one process, got 2",
        ),
        ({"system": "egemaps-svm"}, "system egemaps-svm: expected one process"),
    ],
)
def test_a_config_for_one_process_is_refused_in_several(tmp_path, monkeypatch, changes, message):
    """Before anything is read or written."""
    monkeypatch.setattr(distributed, "process_group", lambda _: nullcontext(Rank(1, 2, 1, 2)))
    config = with_changes(make_config(tmp_path), **changes)
    with pytest.raises(ConfigError, match=message):
        run(config, "test")
    assert not Path(config.output).exists()


def test_more_processes_than_gpus_is_a_one_line_error(second, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(ConfigError, match="2 processes on a machine with 1 GPUs"),
        distributed.process_group(1.0),
    ):
        pass
    assert distributed.current_rank() == Rank()


def test_a_lost_process_is_a_one_line_error(second, monkeypatch):
    def begin(rank: Rank, minutes: float) -> None:
        raise RuntimeError("[x/third_party/gloo/gloo/transport/tcp/pair.cc:5] Connection reset")

    monkeypatch.setattr(distributed, "_begin", begin)
    line = "rank 1: another process of this training ended"
    with pytest.raises(RunError, match=line) as it, distributed.process_group(1.0):
        pass
    assert "\n" not in str(it.value)

    def wrong(rank: Rank, minutes: float) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(distributed, "_begin", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"), distributed.process_group(1.0):
        pass


def test_an_error_is_reported_without_a_store(second):
    with pytest.raises(RunError, match="one"), distributed.log_error_once():
        raise RunError("one")


def test_only_the_first_process_reports_an_interrupt(second):
    with pytest.raises(SystemExit) as it, distributed.log_error_once():
        raise KeyboardInterrupt
    assert it.value.code == 130


def test_a_padding_row_is_loaded_without_targets(tmp_path):
    dataset = make_dataset(prepare_experiment(make_config(tmp_path)))
    utterance, padding = dataset[3], dataset[PaddingIndex(3)]
    assert np.array_equal(utterance["samples"], padding["samples"])
    assert utterance["label"] >= 0
    assert utterance["phonemes"]
    batch = collate([padding])
    assert batch["labels"].tolist() == [-100]
    assert batch["phoneme_lengths"].tolist() == [0]
    assert PADDING_ROW in batch
    assert PADDING_ROW not in collate([utterance])


def test_the_wait_is_not_part_of_the_config_digest(tmp_path):
    config = make_config(tmp_path)
    assert with_changes(config, train={"wait_minutes": 1.0}).digest == config.digest


# Random states ---------------------------------------------------------------------------------


def _save(folder: Path, states: list[checkpointing.RngState] | None) -> Path:
    trainer = make_trainer(make_config(folder), folder)
    trainer.create_optimizer()
    scheduler = torch.optim.lr_scheduler.ConstantLR(trainer.optimizer)
    target = folder / "checkpoint-1"
    optimizer, state = trainer.optimizer, trainer.state
    checkpointing.save_checkpoint(
        target, trainer.network, trainer.learning, optimizer, scheduler, state, None, states
    )
    return target


def _drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def _state_of(seed: int) -> tuple[checkpointing.RngState, tuple[float, float, float]]:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return checkpointing.RngState.now(), _drawn()


def test_every_process_resumes_its_random_state(tmp_path, caplog):
    (first, mine), (second, theirs) = _state_of(1), _state_of(2)
    target = _save(tmp_path, [first, second])
    with caplog.at_level(logging.WARNING):
        checkpointing.load_random(target, Rank(0, 2))
        assert _drawn() == mine
        checkpointing.load_random(target, Rank(1, 2))
        assert _drawn() == theirs
    assert not caplog.text


def test_another_number_of_processes_is_reported(tmp_path, caplog):
    (first, mine), (second, _) = _state_of(1), _state_of(2)
    target = _save(tmp_path, [first, second])
    checkpointing.load_random(target)
    assert _drawn() == mine
    assert "was written by 2 process(es) and is resumed by 1" in caplog.text
    _, expected = _state_of(3)
    _state_of(3)[0].restore()
    checkpointing.load_random(target, Rank(2, 3))  # there was no third: it draws on as it is
    assert _drawn() == expected


def test_one_process_keeps_the_checkpoint_format(tmp_path):
    """So that earlier checkpoints are read, and earlier versions read later ones."""
    target = _save(tmp_path, None)
    assert '"random_of_others"' not in (target / checkpointing.STATE).read_text()
    names = {name for name in load_file(target / checkpointing.OPTIMISER) if "random" in name}
    assert names == {"random.cpu"}
