"""phonemo doctor: text for people, JSON for bug reports, and an exit status for scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import UsageError
from phonemo.runtime.checks import examination
from phonemo.runtime.checks.findings import Examination, Finding, Section

GOOD = Section("formats", {"ffmpeg": Finding("no", hint="pip install 'phonemo[media]'")})
BAD = Section("models", {"phonemo-small": Finding("unusable", "changed [bold]\x1b; install it")})


@pytest.fixture
def found(monkeypatch):
    """Replace the examination by these sections."""
    sections = [GOOD]
    monkeypatch.setattr(
        examination, "examine", lambda device: Examination((*sections, Section(device, {})))
    )
    return sections


def run(*arguments: str):
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_text_has_a_line_for_each_finding_and_a_summary(found):
    result = run()
    assert result.exit_code == 0
    assert "  ffmpeg          no; pip install 'phonemo[media]'" in result.stdout
    assert result.stdout.endswith("cpu\nno problems\n")


def test_problems_are_listed_at_the_end_and_set_the_exit_status(found):
    found.append(BAD)
    result = run("--device", "auto")
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-2:]
    assert last == ["1 problem", "  models, phonemo-small: changed [bold]?; install it"]


def test_json_holds_the_values_and_the_problems(found):
    found.append(BAD)
    result = run("--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert content["ok"] is False
    assert content["formats"] == {"ffmpeg": "no"}
    assert len(content["problems"]) == 1


def test_an_unknown_device_is_a_usage_error():
    assert isinstance(run("--device", "gpu").exception, UsageError)


def test_torch_is_examined_on_request(found):
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    assert json.loads(run("--json", "--torch").stdout)["torch"]["auto"] in ("cpu", "cuda")


def test_a_full_disk_behind_the_output_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [sys.executable, "-m", "phonemo", "doctor"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert finished.returncode == 1
    assert "No space left on device" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
