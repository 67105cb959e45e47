"""A training that is killed ends with the weights of one that was not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from phonemo import files
from phonemo.config import RunConfig, write_config
from phonemo.errors import CheckpointError, RunError
from phonemo.files import folder_lock
from phonemo.train import checkpointing
from phonemo.train.callbacks import read_log
from phonemo.train.experiments.fold import FoldRun
from phonemo.train.experiments.training_run import run
from tests.train.forking import Launcher
from tests.train.tiny_run import make_config, make_corpus, with_changes

FOLD = "speaker-s1"
#: What a killed training may take on a busy machine.
SECONDS = 120
#: Three steps an epoch; dropout, masks, noise and gradual unfreezing all draw or change with time.
SETTINGS = {
    "strategy": "gradual",
    "top_k": 2,
    "epochs": 3,
    "save_steps": 2,
    "augment": {"gain_db": 6, "noise_snr_db": 10, "speed": 0.1, "time_masks": 1},
}


@pytest.fixture(scope="module")
def uninterrupted_weights(tmp_path_factory) -> dict[str, torch.Tensor]:
    """The weights of the uninterrupted run."""
    config = make_config(tmp_path_factory.mktemp("whole"), **SETTINGS)
    run(config, "test", folds=[FOLD])
    return _weights(config)


def _weights(config: RunConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output) / "seed-1" / FOLD / "model" / "model.safetensors")


def _kill(forked: Launcher, config: RunConfig, where: str, number: int) -> None:
    path = Path(config.output).parent.parent / "config.yaml"
    write_config(path, config)
    forked.start("tests.train.victim", str(path), where, str(number))
    codes, errors = forked.finish(SECONDS)
    assert codes == [-9], errors


def _checkpoints(config: RunConfig) -> Path:
    return Path(config.output) / "seed-1" / FOLD / "checkpoints"


@pytest.mark.parametrize(("where", "number"), [("step", 5), ("step", 9), ("save", 2)])
def test_killed_and_resumed_equals_uninterrupted(
    tmp_path, forked, uninterrupted_weights, where, number
):
    config = make_config(tmp_path, **SETTINGS)
    _kill(forked, config, where, number)
    assert list(_checkpoints(config).iterdir())
    run(config, "test", folds=[FOLD])
    resumed = _weights(config)
    assert resumed.keys() == uninterrupted_weights.keys()
    for name, tensor in uninterrupted_weights.items():
        assert torch.equal(tensor, resumed[name]), name
    steps = [row["step"] for row in read_log(_checkpoints(config).parent / "log.jsonl")]
    assert steps == sorted(steps)


def test_a_broken_checkpoint_is_skipped(tmp_path, forked, uninterrupted_weights, caplog):
    config = make_config(tmp_path, **SETTINGS)
    _kill(forked, config, "step", 5)
    newest = checkpointing.newest_checkpoint(_checkpoints(config))
    with (newest / checkpointing.WEIGHTS).open("r+b") as stream:
        stream.truncate(100)
    with caplog.at_level(logging.WARNING):
        run(config, "test", folds=[FOLD])
    assert newest.name in caplog.text
    assert all(
        torch.equal(tensor, _weights(config)[name])
        for name, tensor in uninterrupted_weights.items()
    )


def test_a_finished_fold_is_not_trained_again(tmp_path):
    config = make_config(tmp_path, epochs=1)
    run(config, "test", folds=[FOLD])
    model = Path(config.output) / "seed-1" / FOLD / "model" / "config.json"
    before = model.stat().st_mtime_ns
    run(config, "test", folds=[FOLD])
    assert model.stat().st_mtime_ns == before


def test_a_training_that_ended_untested_is_tested_in_its_precision(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    tested = []
    for name in ("whole", "killed"):
        config = make_config(tmp_path / name, epochs=1, precision="bf16")
        if name == "killed":
            with monkeypatch.context() as patch:
                patch.setattr(FoldRun, "test", killed)
                with pytest.raises(KeyboardInterrupt):
                    run(config, "test", folds=[FOLD])
        run(config, "test", folds=[FOLD])
        cell = Path(config.output) / "seed-1" / FOLD
        tested.append((cell / "predictions.jsonl").read_text(encoding="utf-8"))
    assert tested[0] == tested[1]


def test_another_config_leaves_a_run_unchanged(tmp_path):
    config = make_config(tmp_path, epochs=1)
    run(config, "test", folds=[FOLD])
    other = with_changes(config, train={"epochs": 2})
    with pytest.raises(RunError, match=r"train\.epochs was 1, now 2"):
        run(other, "test", folds=[FOLD])
    run(other, "test", folds=[FOLD], overwrite=True)
    assert list((Path(config.output) / "seed-1").iterdir())


def test_a_run_that_another_process_trains_is_not_overwritten(tmp_path):
    config = make_config(tmp_path, epochs=1)
    run(config, "test", folds=[FOLD])
    before = sorted(Path(config.output).rglob("*"))
    with folder_lock(Path(config.output)), pytest.raises(RunError, match="another process"):
        run(config, "test", folds=[FOLD], overwrite=True)
    assert sorted(Path(config.output).rglob("*")) == before


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    config = make_config(tmp_path, epochs=1)
    precious = Path(config.output) / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(RunError, match="expected a run folder"):
        run(config, "test")
    with pytest.raises(RunError, match=r"'thesis\.tex' in it is not phonemo's"):
        run(config, "test", overwrite=True)
    write_config(precious.parent / "config.yaml", config)
    with pytest.raises(RunError, match=r"'thesis\.tex' in it is not phonemo's"):
        run(config, "test", overwrite=True)
    assert precious.read_text() == "years of work"
    assert {path.name for path in precious.parent.iterdir()} == {"config.yaml", "thesis.tex"}


def test_a_grown_manifest_is_an_error(tmp_path):
    config = make_config(tmp_path, epochs=1)
    run(config, "test", folds=[FOLD])
    make_corpus(Path(config.manifest).parent, takes=3)
    with pytest.raises(RunError, match="the manifest changed since this run started"):
        run(config, "test", folds=[FOLD])


def test_another_process_in_the_folder_is_an_error(tmp_path):
    config = make_config(tmp_path, epochs=1)
    with folder_lock(Path(config.output)), pytest.raises(RunError, match="another process"):
        run(config, "test", folds=[FOLD])


def test_a_save_at_the_end_of_an_epoch_waits_for_its_evaluation(tmp_path, forked):
    """Else a kill between the two would lose that epoch's score: 3 steps an epoch here."""
    config = make_config(tmp_path, **(SETTINGS | {"save_steps": 3}))
    run(config, "test", folds=[FOLD])
    uninterrupted = _weights(config)
    other = make_config(tmp_path / "killed", **(SETTINGS | {"save_steps": 3}))
    _kill(forked, other, "step", 4)
    run(other, "test", folds=[FOLD])
    rows = read_log(_checkpoints(other).parent / "log.jsonl")
    assert [row["step"] for row in rows if "eval_ua" in row] == [3, 6, 9]
    assert all(torch.equal(tensor, _weights(other)[name]) for name, tensor in uninterrupted.items())


def _fill(target: Path) -> None:
    with files.checksummed_folder(target) as folder:
        (folder / "weights").write_bytes(b"12345")


def test_checksums_of_a_folder_are_verified(tmp_path):
    target = tmp_path / "one"
    _fill(target)
    files.verify_checksums(target)
    (target / "weights").write_bytes(b"12346")
    with pytest.raises(CheckpointError, match="changed since it was saved"):
        files.verify_checksums(target)
    (target / "weights").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        files.verify_checksums(target)
    (target / files.CHECKSUMS).unlink()
    with pytest.raises(CheckpointError, match="expected a complete checkpoint"):
        files.verify_checksums(target)


def test_checksums_cannot_point_outside_the_folder(tmp_path):
    target = tmp_path / "one"
    _fill(target)
    (tmp_path / "secret").write_bytes(b"12345")
    text = (target / files.CHECKSUMS).read_text().replace('"weights"', '"../secret"')
    (target / files.CHECKSUMS).write_text(text)
    with pytest.raises(CheckpointError, match="missing"):
        files.verify_checksums(target)


def test_a_full_disk_leaves_the_old_folder(tmp_path):
    target = tmp_path / "one"
    _fill(target)

    def fill_up() -> None:
        with files.checksummed_folder(target) as folder:
            (folder / "weights").write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left"):
        fill_up()
    files.verify_checksums(target)
    assert (target / "weights").read_bytes() == b"12345"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
