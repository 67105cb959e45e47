"""Several processes: the same numbers as one, and an end when one of them fails."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from phonemo.config import RunConfig, load_config, write_config
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.files import read_rows
from phonemo.train.callbacks import read_log
from phonemo.train.experiments.training_run import run
from phonemo.train.freezing import STRATEGIES
from tests.train import crew
from tests.train.tiny_run import make_config, make_corpus, with_changes

FOLD = crew.FOLD
#: What a launch may take. Generous: most of it is importing torch, and cores may be busy.
SECONDS = 200
LEARNING = [name for name in STRATEGIES if name != "logistic"]  # which one process fits
BOTH = [*LEARNING, "checkpointing", "absent"]
#: Dropout, LayerDrop, masks, augmentation and gradual unfreezing all draw or change with time.
LIVELY = {
    "strategy": "gradual",
    "top_k": 2,
    "epochs": 3,
    "save_steps": 2,
    "augment": {"gain_db": 6, "noise_snr_db": 10, "speed": 0.1, "time_masks": 1},
}


def _without_chance(data: Path) -> RunConfig:
    """A config whose network draws nothing while it learns; 12 utterances in batches of 5, 5, 2."""
    config = make_config(data, batch_size=5, epochs=2, rate_backbone=1e-3, top_k=2)
    path = Path(config.model.backbone) / "config.json"
    shape = json.loads(path.read_text())
    chances = {name: 0.0 for name in shape if "drop" in name or name == "mask_time_prob"}
    path.write_text(json.dumps(shape | chances))
    return with_changes(config, model={"dropout": 0.0})


def _with_holes(config: RunConfig, data: Path) -> RunConfig:
    """Some utterances lack phonemes, others an emotion, and emotions are not equally many.

    In batches of 11 the second has fewer utterances than there are processes.
    """
    manifest = read_manifest(config.manifest)
    rows = [
        one.model_copy(update={"phonemes": None} if number % 3 == 0 else {})
        for number, one in enumerate(manifest.utterances)
        if number not in (7, 9, 13, 20)
    ]
    write_manifest(data / "corpus" / "holes.jsonl", manifest.header, rows)
    other = read_manifest(make_corpus(data / "other", takes=1, seed=4))
    header = other.header.model_copy(update={"corpus": "other"})
    silent = [one.model_copy(update={"emotion": None}) for one in other.utterances[:3]]
    silent = [one.model_copy(update={"speaker": f"other {one.speaker}"}) for one in silent]
    write_manifest(data / "other" / "silent.jsonl", header, silent)
    return with_changes(
        config,
        manifest=str(data / "corpus" / "holes.jsonl"),
        extra=[{"manifest": str(data / "other" / "silent.jsonl")}],
        train={"batch_size": 11, "class_weights": "balanced", "label_smoothing": 0.1},
    )


def _write_jobs(folder: Path) -> None:
    base = _without_chance(folder / "data")
    jobs = {name: with_changes(base, train={"strategy": name}) for name in LEARNING}
    jobs["gradual"] = with_changes(jobs["gradual"], train={"epochs": 3})
    checkpointing = {"strategy": "full", "gradient_checkpointing": True}
    jobs["checkpointing"] = with_changes(base, train=checkpointing)
    jobs["absent"] = _with_holes(base, folder / "data")
    jobs["frozen"] = with_changes(jobs["frozen"], threads=4)
    for name, config in jobs.items():
        _write_job(folder, name, config)


def _write_job(folder: Path, name: str, config: RunConfig) -> None:
    output = str(folder / "runs" / name)
    write_config(folder / f"{name}.yaml", with_changes(config, name=name, output=output))


def _write_lively(folder: Path, name: str = "whole", **train: Any) -> None:
    _write_job(folder, name, make_config(folder / f"{name}-data", **LIVELY | train))


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors


def _failed(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a launch."""
    with crew.launched(arguments) as process:
        output, errors = process.communicate(timeout=SECONDS)
        return process.returncode, output, errors


@pytest.fixture(scope="module")
def folders(tmp_path_factory, forked) -> tuple[Path, Path]:
    """The same trainings by one process and by two, which train a lively one besides."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in (one, two):
        _write_jobs(folder)
    _write_lively(two)
    forked.start("tests.train.crew", str(two), ranks=2)
    crew.train_all(one)
    codes, errors = forked.finish(SECONDS)
    assert codes == [0, 0], errors
    return one, two


def _weights(folder: Path, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
    return load_file(folder / f"{name}.{rank}.safetensors")


def _home(folder: Path, name: str) -> Path:
    return folder / "runs" / name / "seed-1" / FOLD


@pytest.mark.parametrize("name", BOTH)
def test_two_processes_end_with_the_weights_of_one(folders, name):
    """A key's bias changes no output: its gradient is noise, which AdamW makes larger."""
    one, two = (_weights(folder, name) for folder in folders)
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        noise = 1e-4 if key.endswith("k_proj.bias") else 1e-6
        torch.testing.assert_close(two[key], tensor, atol=noise, rtol=1e-5, msg=f"{name}: {key}")


@pytest.mark.parametrize("name", BOTH)
def test_two_processes_give_the_metrics_of_one(folders, name):
    one, two = (json.loads((_home(f, name) / "metrics.json").read_text()) for f in folders)
    for key in ("sizes", "best_step", "best_validation", "steps", "epochs", "extra"):
        assert one.get(key) == two.get(key) or key == "extra"
    for key in ("ua", "wa", "macro_f1", "per", "confusion", "utterances"):
        assert one["results"].get(key) == two["results"].get(key), key
    rows, others = (read_rows(_home(f, name) / "predictions.jsonl") for f in folders)
    assert [(row["id"], row["label"], row["phonemes"]) for row in rows] == [
        (row["id"], row["label"], row["phonemes"]) for row in others
    ]
    for row, other in zip(rows, others, strict=True):
        assert row["scores"] == pytest.approx(other["scores"], abs=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_the_log_is_that_of_the_whole_batches(folders, name):
    """Losses and their parts, counts of what was left out, and one line where there is one."""
    one, two = (read_log(_home(folder, name) / "log.jsonl") for folder in folders)
    spans = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
    for row, other in zip(one, two, strict=True):
        kept = {key: value for key, value in row.items() if key not in spans}
        assert kept == pytest.approx({key: other[key] for key in kept}, rel=1e-4, abs=1e-6)
    if name == "absent":
        assert {row["phonemes_absent"] for row in two if "phonemes_absent" in row} != {0}


@pytest.mark.parametrize("name", [*BOTH, "whole"])
def test_both_processes_hold_the_same(folders, name):
    """To the last bit, dropout and LayerDrop or not; and both know the metrics."""
    two = folders[1]
    first, second = (_weights(two, name, rank) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    metrics = [json.loads((two / f"{name}.{rank}.json").read_text()) for rank in (0, 1)]
    assert metrics[0] == metrics[1]


def test_the_threads_of_a_machine_are_divided(folders):
    one, two = (
        json.loads((folder / "runs" / "frozen" / "environment.json").read_text())
        for folder in folders
    )
    assert (one["torch_threads"], two["torch_threads"]) == (4, 2)
    assert (one.get("processes"), two["processes"]) == (None, 2)


# A process fails -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory, forked) -> Path:
    """A training of two processes, one of which was killed before step 5."""
    folder = tmp_path_factory.mktemp("killed")
    _write_lively(folder)
    forked.start("tests.train.crew", str(folder), "kill", "5", ranks=2)
    codes, errors = forked.finish(SECONDS)
    assert codes[0] != 0
    assert codes[1] == -signal.SIGKILL, errors
    assert not (_home(folder, "whole") / "metrics.json").exists()
    shutil.copytree(folder / "runs" / "whole", folder / "alone")
    return folder


def test_killed_and_resumed_equals_uninterrupted(folders, killed):
    """torchrun resumes; the other trainings are forked."""
    checkpoints = _home(killed, "whole") / "checkpoints"
    newest = sorted(checkpoints.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))[-1]
    assert newest.name == "checkpoint-4"
    state = json.loads((newest / "state.json").read_text())
    assert len(state["random_of_others"]) == 1
    tensors = load_file(newest / "optimizer.safetensors")
    assert not torch.equal(tensors["random.cpu"], tensors["rank1.random.cpu"])
    with crew.launched(["-m", "tests.train.crew", str(killed)]) as process:
        _finish(process)
    for rank in (0, 1):
        whole, resumed = _weights(folders[1], "whole"), _weights(killed, "whole", rank)
        assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []
    steps = [row["step"] for row in read_log(_home(killed, "whole") / "log.jsonl")]
    assert steps == [row["step"] for row in read_log(_home(folders[1], "whole") / "log.jsonl")]


def test_another_number_of_processes_resumes_with_a_warning(killed, folders, caplog):
    config = load_config(killed / "whole.yaml")
    config = with_changes(config, output=str(killed / "alone"))
    with caplog.at_level(logging.WARNING):
        metrics = run(config, "test", folds=[FOLD])
    assert "was written by 2 process(es) and is resumed by 1: random numbers differ" in caplog.text
    assert metrics["results"]["utterances"] == 6
    rows = read_log(killed / "alone" / "seed-1" / FOLD / "log.jsonl")
    before = read_log(_home(folders[1], "whole") / "log.jsonl")
    assert [row["step"] for row in rows] == [row["step"] for row in before]
    assert rows[0] == before[0]  # of the first epoch, which two processes had finished


def test_a_process_that_hangs_times_out(forked, tmp_path):
    _write_lively(tmp_path, wait_minutes=0.05)
    forked.start("tests.train.crew", str(tmp_path), "sleep", "4", ranks=2)
    codes, errors = forked.finish(SECONDS)
    assert codes[0] == 1
    assert "rank 0: another process of this training ended or timed out" in errors


def test_an_error_in_all_processes_is_reported_once(tmp_path):
    """A loss that is no number in one process ends both, by the same line."""
    _write_lively(tmp_path, strategy="frozen", rate_heads=1e30)
    arguments = ["-m", "phonemo", "train", str(tmp_path / "whole.yaml"), "--fold", FOLD]
    code, output, errors = _failed(arguments)
    assert code == 1
    lines = [line for line in errors.splitlines() if line.startswith("phonemo: the loss is nan")]
    assert len(lines) == 1, errors
    assert "lower train.rate_heads" in lines[0]
    assert "rank1" not in errors
    assert output == ""
