"""phonemo pretrain as it is typed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phonemo.cli import console, main
from phonemo.config import write_config
from phonemo.train.pretrain import pretraining as module
from phonemo.train.pretrain.pretrain_config import load_pretrain_config
from tests.train.pretrain.tiny_teaching import make_config

Phonemo = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A config with all that it names."""
    folder = tmp_path_factory.mktemp("command")
    write_config(folder / "tiny.yaml", make_config(folder, save_steps=5))
    return folder


@pytest.fixture
def phonemo(workspace, capfd, monkeypatch) -> Phonemo:
    """Type ``phonemo pretrain CONFIG`` and more words: exit status, output, errors."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(module, "_MEASURED", 4)
    for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # main sets what is not set
        monkeypatch.setenv(name, "error")

    def typed(*words: object, config: str = "tiny.yaml") -> tuple[int, str, str]:
        line = ["phonemo", "pretrain", str(workspace / config), *map(str, words)]
        monkeypatch.setattr(sys, "argv", line)
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main.main()
        torch.set_num_threads(threads)
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return typed


def test_the_command_prints_the_final_losses_and_the_network_folder(phonemo, workspace):
    code, out, err = phonemo()
    assert (code, err) == (0, "")
    first, front, second_stage, network = out.splitlines()
    assert first == "0.00 h of speech; errors on held-out recordings (1: nothing learned)"
    assert front.startswith("  front end: loss ")
    assert second_stage.startswith("  whole: loss ")
    assert all(f", layer_{number} " in second_stage for number in range(3))
    assert network == f"  network: {workspace / 'runs' / 'tiny' / 'student'}"
    assert Path(network.partition(": ")[2], "model.safetensors").is_file()
    assert phonemo("--quiet") == (0, out, ""), "again: it is finished"


def test_keys_and_output_can_be_changed(phonemo, workspace):
    words = (
        "--set",
        "whole.steps=0",
        "--set",
        "front_end.steps=1",
        "-o",
        workspace / "other" / "run",
    )
    code, out, err = phonemo(*words)
    assert (code, err) == (0, "")
    assert "whole" not in out
    written = load_pretrain_config(workspace / "other" / "run" / "config.yaml")
    assert (written.whole.steps, written.front_end.steps) == (0, 1)
    assert (
        f"--output {workspace / 'other' / 'run'}".replace("--output", "-o")
        in (workspace / "other" / "run" / "environment.json").read_text()
    )


#: Words, exit status, what the one line says.
BAD = [
    ("--set whole.step=3", 2, ("'whole.step'", "steps, batch_size, rate_front")),
    ("--set colour=3", 2, ("'colour'", "never_heard")),
    ("--set whole.steps=many", 2, ("whole.steps", "'many'")),
    ("--set manifests=[nowhere.jsonl]", 1, ("no such manifest", "phonemo prepare")),
    ("--set never_heard=[talk]", 2, ("'talk'", "never_heard")),
    ("--set teacher=nowhere/", 1, ("expected a Whisper model", "docs/pretraining.md")),
    ("--set start=nowhere/", 1, ("'nowhere/'", "no such folder")),
    ("--set held_out=99", 2, ("held_out below 6", "got 99")),
    ("--set student.strides=[160,1,1,1]", 2, ("got 160", "320")),
    ("--output {home}/speech", 1, ("expected a pretraining's folder", "--output")),
]


@pytest.mark.parametrize(("words", "code", "fragments"), BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_one_clear_line(phonemo, workspace, words, code, fragments):
    typed = [word.format(home=workspace) for word in words.split(" ")]
    if "--output" not in typed:
        typed += ["--output", str(workspace / "bad")]
    status, out, err = phonemo(*typed)
    assert (status, out) == (code, "")
    assert err.startswith("phonemo: ")
    assert err.count("\n") == 1, err
    for fragment in fragments:
        assert fragment in err


def test_a_missing_config_is_refused(phonemo):
    code, out, err = phonemo(config="nowhere.yaml")
    assert (code, out) == (2, "")
    assert "no such config file" in err


def test_an_interrupted_command_prints_how_to_resume(phonemo, workspace, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_prepare", interrupted)
    code, out, err = phonemo("-o", workspace / "stopped")
    assert (code, out) == (130, "")
    assert err == "phonemo: stopped; run the same command again to resume\n"


def test_without_torch_the_extra_is_named(phonemo, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = phonemo()
    assert code == 1
    assert "pretraining needs an optional part: pip install 'phonemo[train]'" in err


def test_the_printed_lines_match_a_hand_written_example():
    metrics = {
        "hours": 12.345,
        "config": "0123456789ab",
        "front_end": {"eval_loss": 0.12345},
        "whole": {"eval_loss": 0.25, "eval_layer_0": 0.1, "eval_layer_1": 0.4},
    }
    assert console.pretrained_lines(metrics, Path("runs/a")) == [
        "12.35 h of speech; errors on held-out recordings (1: nothing learned)",
        "  front end: loss 0.123",
        "  whole: loss 0.250, layer_0 0.100, layer_1 0.400",
        "  network: runs/a/student",
    ]
