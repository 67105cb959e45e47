"""Nothing of phonemo reaches another machine, or leaves a trace of what it heard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.privacy.cages import CAUGHT, caged, run
from tests.tiny_bundle import BUNDLE, RATE, make_clip

PHONEMO = ("-m", "phonemo")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder, empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A recording."""
    path = tmp_path / "audio" / "clip.wav"
    path.parent.mkdir()
    soundfile.write(path, make_clip(2 * RATE, 300.0), RATE)
    return path


def left_in(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


@pytest.mark.parametrize(
    ("way_out", "what"),
    [
        ("import socket; socket.socket(socket.AF_INET)", "socket"),
        ("import socket; socket.getaddrinfo('localhost', 80)", "getaddrinfo"),
        ("import ctypes; ctypes.CDLL(None).socket(2, 1, 0)", "socket"),
    ],
)
def test_the_cage_catches_python_and_native_code(home, way_out, what):
    found = run(["-c", way_out], home)
    assert (found.returncode, found.stderr) == (CAUGHT, f"CAGE: {what}\n")


def test_the_library_predicts_without_a_socket(home, clip):
    program = "import phonemo, sys; print(phonemo.load().predict(sys.argv[1], shares=True).label)"
    found = run(["-c", program, clip], home)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.strip()
    assert left_in(home) == []


def test_the_command_predicts_without_a_socket(home, clip):
    found = run([*PHONEMO, "predict", clip, clip, "--timeline", "--phonemes"], home)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) == 2
    assert left_in(home) == []


def test_a_batch_is_heard_without_a_socket(home, clip, tmp_path):
    output = tmp_path / "out"
    command = ["batch", clip.parent, "-o", output, "--workers", "2", "--model", BUNDLE]
    found = run([*PHONEMO, *command], home)
    assert found.returncode == 0, found.stderr
    assert json.loads((output / "summary.json").read_text())["files"]["heard"] == 1
    assert left_in(home) == []


def test_a_name_that_a_hub_might_know_is_no_reason_to_ask(home, clip):
    found = run([*PHONEMO, "predict", clip, "--model", "somebody/some-model"], home)
    assert found.returncode == 1
    assert "somebody/some-model" in found.stderr


@pytest.mark.extras
def test_a_server_talks_to_its_clients_alone(home, clip):
    from tests.server.asking import post

    command = [sys.executable, *PHONEMO, "serve", "--port", "0", "--model", str(BUNDLE)]
    environment = caged("loopback", home)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            answer = post(_port(process), clip.read_bytes(), "clip.wav", phonemes=True)
            assert answer.status == 200
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert left_in(home) == []


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    while "warming up" in (line := process.stderr.readline()):
        continue
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
    assert found is not None, line
    return int(found[1])
