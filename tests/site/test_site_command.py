"""The command phonemo site."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import CheckpointError, UsageError
from tests.site.engines import fake_archive, pin
from tests.tiny_bundle import ADAPTABLE


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The command, with the file of npm pack."""
    archive = fake_archive()
    pin(monkeypatch, tmp_path, archive)
    (tmp_path / "engine.tgz").write_bytes(archive)

    def invoke(*arguments):
        command = ["site", "--onnxruntime-web", str(tmp_path / "engine.tgz"), *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in command])

    return invoke


def test_it_writes_a_site_and_says_how_to_see_it(run, tmp_path):
    result = run("-o", tmp_path / "site", "--model", ADAPTABLE)
    assert result.exit_code == 0, result.output
    assert "MB for the first recognition" in result.output
    assert "python -m http.server" in result.output
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_command_that_is_shown_can_be_pasted(run, tmp_path):
    result = run("-o", tmp_path / "my site", "--model", ADAPTABLE)
    assert f"-d '{tmp_path / 'my site'}'" in result.output


def test_an_existing_site_is_refused_before_any_work(run, tmp_path):
    run("-o", tmp_path / "site", "--model", ADAPTABLE)
    result = run("-o", tmp_path / "site", "--model", "no such model")
    assert isinstance(result.exception, UsageError)
    assert "--overwrite" in str(result.exception)
    assert run("-o", tmp_path / "site", "--model", ADAPTABLE, "--overwrite").exit_code == 0


def test_a_model_that_is_no_bundle_is_one_line(run, tmp_path):
    result = run("-o", tmp_path / "site", "--model", tmp_path)
    assert isinstance(result.exception, CheckpointError)
    assert not (tmp_path / "site").exists()
