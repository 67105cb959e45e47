"""phonemo predict --dimensions: columns, a line of a table, tiers; JSON always has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import UsageError
from tests.tiny_bundle import BUNDLE, RATE, make_clip

RUN = CliRunner()


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_clip(RATE, 200.0), RATE)
    return str(path)


def output(*arguments: str) -> str:
    result = RUN.invoke(app, ["predict", *arguments, "--model", str(BUNDLE)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_lines_always_have_them(recording):
    row = json.loads(output(recording, "--format", "jsonl"))
    assert row["dimensions"]["derived"] is True
    assert 0 <= row["dimensions"]["arousal"] <= 1


def test_a_table_shows_them_on_request(recording):
    assert "arousal" not in output(recording, "--format", "table")
    assert "(derived)" in output(recording, "--format", "table", "--dimensions")
    head, row = output(recording, "--format", "csv", "--dimensions").splitlines()
    assert head.endswith("arousal,valence,derived")
    assert row.endswith(",true")
    assert "arousal" not in output(recording, "--format", "textgrid")
    assert "arousal (derived)" in output(recording, "--format", "textgrid", "--dimensions")


def test_a_format_without_a_place_for_them_is_refused(recording):
    result = RUN.invoke(app, ["predict", recording, "--format", "srt", "--dimensions"])
    assert isinstance(result.exception, UsageError)
    assert "--dimensions: expected --format table, csv, textgrid" in str(result.exception)
