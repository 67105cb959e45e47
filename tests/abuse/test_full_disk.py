"""Case 24: a disk that is full is one line; nothing half has a final name, and it goes on later."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from phonemo.cli import main
from phonemo.config import write_config
from phonemo.errors import CheckpointError
from phonemo.runtime.bundle import open_bundle, write_bundle
from phonemo.train import checkpointing
from phonemo.train.experiments import training_run as runner
from phonemo.train.experiments.run_folder import write_fold_plots
from tests.abuse.figures import figure
from tests.answers import Answer
from tests.batch.batches import clips, inline
from tests.tiny_bundle import BUNDLE
from tests.train import pictures
from tests.train.tiny_run import make_config, make_corpus, with_changes

resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")

FOLD = "speaker-s1"
SETTINGS = {"strategy": "frozen", "epochs": 3, "save_steps": 2}
#: Of the little disk; and how much of it is free, again and again a little more.
DISK_BYTES = 2**22
ROOM = [0, 2**13, *range(2**15, 2**20, 2**15)]
#: How long a file may become. Kept features have 217,408 bytes, the optimiser 52,408 and so on.
LIMITS = [0, 300, 5_000, 20_000, 30_000, 50_000, 150_000]
#: Files that grow line by line, or are nothing but a lock.
_GROWING = ("log.jsonl", ".lock")


class Disk:
    """A file system of its own, of which so much is free as is wanted."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._ballast = home / "ballast"

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Leave so many bytes free, for a while."""
        status = os.statvfs(self.home)
        with self._ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, status.f_bavail * status.f_bsize - size))
        try:
            yield
        finally:
            self._ballast.unlink()


class Limited:
    """The disk that all have, with a limit on the size of a file."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Let no file become longer, for a while."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system in memory; skipped where it may not be mounted."""
    home = tmp_path / "disk"
    home.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(home)]
    try:
        mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs a user who may mount a file system")
    yield Disk(home)
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.fixture
def limited(tmp_path: Path) -> Limited:
    """A limit on the size of files, which every user may set."""
    home = tmp_path / "disk"
    home.mkdir()
    return Limited(home)


@pytest.fixture
def phonemo(capsys: pytest.CaptureFixture[str], monkeypatch) -> Callable[..., Answer]:
    """Type a command; batches hear in this process, and nobody waits for pictures."""
    from phonemo.batch import run

    monkeypatch.setitem(run.ENGINES, "local", inline)
    pictures.leave_out(monkeypatch)
    for name in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # main sets what is not set
        monkeypatch.setenv(name, "error")

    def typed(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["phonemo", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main.main()
        return Answer(int(left.value.code or 0), *capsys.readouterr())

    return typed


def assert_refused(answer: Answer, *, lines: int = 1) -> None:
    """One line that says what is wrong with the disk."""
    assert answer.code == 1, answer
    assert answer.err.count("\n") == lines, answer.err
    assert answer.err.startswith("phonemo: ")
    reasons = ("No space left on device", "File too large")
    assert any(one in answer.err for one in reasons), answer.err


def assert_whole(home: Path) -> None:
    """Whatever has its final name can be read to its end, and nothing else is there."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": lambda path: json.loads(path.read_text()),
        ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
        ".safetensors": load_file,
        ".npy": np.load,
        ".png": lambda path: path.read_bytes().index(b"IEND"),
    }
    for path in home.rglob("*"):
        assert ".part" not in path.name, path
        if path.is_file() and path.name not in _GROWING and path.suffix in readers:
            readers[path.suffix](path)


# Training ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict[str, torch.Tensor]]:
    """Data, and the weights of a training whose disk has room."""
    data = tmp_path_factory.mktemp("data")
    config = make_config(data, **SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        pictures.leave_out(patch)
        runner.run(config, "test", folds=[FOLD])
    return data, _weights(data)


def _cell(home: Path) -> Path:
    return home / "runs" / "tiny" / "seed-1" / FOLD


def _weights(home: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in (_cell(home) / "model").glob("*.safetensors"):
        found |= load_file(path)
    return found


def _newest(home: Path) -> int:
    """The step of the newest checkpoint that is whole; 0 where there is none."""
    found = checkpointing.newest_checkpoint(_cell(home) / "checkpoints")
    if found is None:
        return 0
    checkpointing.load_random(found)
    assert load_file(found / checkpointing.WEIGHTS)
    return int(found.name.removeprefix(checkpointing.PREFIX))


def _trained_in_spite(
    place: Disk | Limited, rooms: list[int], whole: Any, phonemo: Callable[..., Answer]
) -> list[int]:
    """Train with a little more room each time, until it ends; the newest steps of the refusals."""
    data, wanted = whole
    config = with_changes(make_config(data, **SETTINGS), output=str(place.home / "runs" / "tiny"))
    write_config(data / "config.yaml", config)
    words = ("train", data / "config.yaml", "--fold", FOLD, "--quiet")
    steps = list[int]()
    for size in [*rooms, 2**30]:
        with place.room(size):
            answer = phonemo(*words)
        if answer.code == 0:
            break
        assert_refused(answer)
        assert_whole(place.home)
        steps.append(_newest(place.home))
    assert answer.code == 0
    assert steps == sorted(steps)
    assert_whole(place.home)
    found = _weights(place.home)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    return steps


def test_case_24_a_training_goes_on_when_the_disk_has_room_again(disk, whole, phonemo):
    steps = _trained_in_spite(disk, ROOM, whole, phonemo)
    assert steps[0] == 0
    assert steps[-1] > 0, "it was never refused with a checkpoint there"
    figure(24, "times a training found its disk full and went on", len(steps), "times")


def test_case_24_a_training_goes_on_when_files_may_be_longer(limited, whole, phonemo):
    """Each limit stops it in another file: config, kept features, a checkpoint, the model."""
    steps = _trained_in_spite(limited, LIMITS, whole, phonemo)
    assert len(steps) == len(LIMITS)


def test_case_24_a_picture_is_whole_or_not_there(limited, whole):
    data, _ = whole
    shutil.copy(_cell(data) / "log.jsonl", limited.home)

    class State:
        best_global_step = 3

    with pytest.raises(OSError, match="File too large"), limited.room(2_000):
        write_fold_plots(limited.home, State())
    assert_whole(limited.home)
    write_fold_plots(limited.home, State())
    assert (limited.home / "learning-curves.png").is_file()


# Everything else that writes ---------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, whole, monkeypatch) -> Path:
    """What the commands below hear and read."""
    monkeypatch.chdir(tmp_path)
    clips(tmp_path / "in", "a.wav", "b.wav")
    for seed, name in enumerate(("one", "two")):
        path = make_corpus(tmp_path / name, seed=seed)
        path.write_text(path.read_text().replace('"beeps"', f'"{name}"'))
    (tmp_path / "table.csv").write_text("file,emotion\nin/a.wav,anger\nin/b.wav,neutral\n")
    return tmp_path


#: Command -> its words behind which the output is named, and what must then be there.
WRITERS: dict[str, tuple[list[str], str]] = {
    "predict": (
        [*("predict", "in", "--model", str(BUNDLE), "--format", "json"), "-q", "--output-dir"],
        "predicted/a.json",
    ),
    "batch": (["batch", "in", "--model", str(BUNDLE), "-q", "-o"], "batched/summary.json"),
    "merge": (["merge", "one/manifest.jsonl", "two/manifest.jsonl", "-o"], "merged.jsonl"),
    "prepare": (["prepare", "csv", "table.csv", "-o"], "table.jsonl"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["disk", "limited"])
def test_case_24_commands_leave_nothing_half(request, prepared, phonemo, kind, name):
    """Twice: with nothing there before, and over what an earlier run has made."""
    place = request.getfixturevalue(kind)
    words, file = WRITERS[name]
    output = place.home / file.partition("/")[0]
    with place.room(0):
        answer = phonemo(*words, output)
    assert_refused(answer, lines=2 if name == "predict" else 1)  # each of its files is told
    assert not (place.home / file).exists()
    assert_whole(place.home)
    assert phonemo(*words, output).code == 0
    before = (place.home / file).read_bytes()
    with place.room(0):
        again = phonemo(*words, output, *(["--overwrite"] if name == "predict" else []))
    assert_refused(again, lines=2 if name == "predict" else 1)
    assert (place.home / file).read_bytes() == before
    assert_whole(place.home)


def test_case_24_an_export_leaves_the_older_bundle(disk, whole, phonemo):
    """Room for the network, and none for what comes behind it."""
    before = open_bundle(shutil.copytree(BUNDLE, disk.home / "bundle"))
    says = before.card.model_dump(exclude={"sha256", "head_sha256", "format"})
    with (
        disk.room(len(before.model) + 5000),
        pytest.raises(CheckpointError, match="No space left"),
    ):
        write_bundle(
            disk.home / "bundle", before.model + b"newer", says, bytes(len(before.model) + 20_000)
        )
    assert open_bundle(disk.home / "bundle") == before
    assert_whole(disk.home)


def test_case_24_the_command_export_is_refused_in_one_line(limited, whole, phonemo):
    words = ("export", _cell(whole[0]) / "model", "--licence", "none", "-o", limited.home / "new")
    with limited.room(5_000):
        answer = phonemo(*words)
    assert_refused(answer)
    assert_whole(limited.home)
    assert list(limited.home.glob("new/*")) == []


# The server --------------------------------------------------------------------------------------


def test_case_24_an_upload_without_room_is_503_and_the_next_is_served(tmp_path):
    """Files of at most 512 KiB (1,024 of the shell's blocks): uploads of over a MiB need one."""
    from tests.server.asking import post, wav
    from tests.server.serving import COMMAND, Process

    said = tmp_path / "said"
    limit = ["sh", "-c", 'ulimit -f 1024; exec "$@"', "sh"]
    with (
        said.open("wb") as errors,
        subprocess.Popen(
            [*limit, *COMMAND, "--model", str(BUNDLE)],
            stdout=errors,
            stderr=errors,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        ) as process,
    ):
        try:
            port = Process(process, said).port
            refused = post(port, wav(60))
            assert refused.told == (503, "no_space")
            assert post(port, wav(1)).status == 200
            assert sorted(one.name for one in tmp_path.iterdir()) == ["said"]
        finally:
            process.send_signal(signal.SIGTERM)
    assert "Traceback" not in said.read_text()
