"""Configs of pretrainings: those that ship load, and what cannot be meant is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from phonemo.config import write_config
from phonemo.errors import ConfigError
from phonemo.train.pretrain.pretrain_config import (
    AugmentationConfig,
    PretrainConfig,
    load_pretrain_config,
)
from tests.laws import REPOSITORY

SHIPPED = sorted((REPOSITORY / "configs").glob("pretrain*.yaml"))
STAGE = {"steps": 1, "batch_size": 1, "rate_front": 0.1}
LEAST = {
    "name": "tiny",
    "teacher": "t",
    "manifests": ["m"],
    "output": "o",
    "front_end": STAGE,
    "whole": STAGE,
}


def refused(**changes: object) -> str:
    with pytest.raises(ValidationError) as caught:
        PretrainConfig.model_validate(LEAST | changes)
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_loads(path):
    config = load_pretrain_config(path)
    assert path.stem == config.name, "a config is named like its file"
    assert "learning" not in config.output


def test_the_small_config_is_shipped():
    assert "pretrain-small" in {path.stem for path in SHIPPED}


def test_round_trip(tmp_path):
    config = load_pretrain_config(SHIPPED[0])
    write_config(tmp_path / "config.yaml", config)
    assert load_pretrain_config(tmp_path / "config.yaml") == config


def test_the_digest_ignores_keys_that_change_no_result():
    config = PretrainConfig.model_validate(LEAST)
    for same in ({"output": "p"}, {"threads": 7}, {"log_steps": 7}):
        assert config.model_copy(update=same).digest == config.digest
    for different in ({"seed": 2}, {"teacher": "u"}, {"floor_db": 80.0}, {"start": "s"}):
        assert config.model_copy(update=different).digest != config.digest


def test_every_field_has_a_docstring():
    for section in (PretrainConfig, AugmentationConfig):
        for name, field in section.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifests": []}, "manifests"),
        ({"student": {"kernels": (400, 3), "strides": (160, 1, 2)}}, "got 2 kernels and 3 strides"),
        ({"student": {"channels": 10}}, "multiple of 4"),
        (
            {"whole": STAGE | {"hearing": {"shortest_seconds": 7.0}}},
            "expected shortest_seconds up to longest_seconds",
        ),
        ({"whole": STAGE | {"hearing": {"longest_seconds": 31}}}, "30"),
        ({"whole": STAGE | {"steps": -1}}, "steps"),
        ({"held_out": 0}, "held_out"),
        ({"name": "a/b"}, "name"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_invalid_values_are_refused(changes, message):
    assert message in refused(**changes)


def test_a_wrong_key_is_one_line_with_the_known_keys(tmp_path):
    path = tmp_path / "config.yaml"
    write_config(path, PretrainConfig.model_validate(LEAST))
    with pytest.raises(ConfigError) as caught:
        load_pretrain_config(path, ["whole.hearing.sped=0.1"])
    assert "unknown key 'whole.hearing.sped'; known keys: shortest_seconds" in str(caught.value)
    assert "\n" not in str(caught.value)
