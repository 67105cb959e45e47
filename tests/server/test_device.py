"""The device of a server's models."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import ConfigError, DeviceError
from phonemo.server.models.model_registry import open_models
from phonemo.server.settings import ServeConfig, load_serve_config
from tests.runtime.cards import pretend_card
from tests.tiny_bundle import BUNDLE


def test_the_server_opens_its_models_on_the_device_of_its_config(monkeypatch):
    pretend_card(monkeypatch, "works")
    config = ServeConfig(models=(str(BUNDLE),), device="auto")
    assert [model.device for model in open_models(config).values()] == ["cuda"]
    pretend_card(monkeypatch, "falls back")
    with pytest.raises(DeviceError, match="expected a session on cuda"):
        open_models(ServeConfig(models=(str(BUNDLE),), device="cuda"))


def test_an_unknown_device_in_a_config_is_an_error():
    with pytest.raises(ConfigError, match="expected device cpu, cuda, cuda:N or auto, got 'gpu'"):
        load_serve_config(None, ["device=gpu"])
    result = CliRunner().invoke(app, ["serve", "--device", "gpu"])
    assert isinstance(result.exception, ConfigError)


def test_a_server_does_not_start_without_the_requested_card(monkeypatch):
    pretend_card(monkeypatch, "falls back")
    arguments = ["serve", "--port", "0", "--model", str(BUNDLE), "--device", "cuda"]
    assert isinstance(CliRunner().invoke(app, arguments).exception, DeviceError)
