"""The config of a transfer study: choices, errors, and the shipped config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from phonemo.config import write_config
from phonemo.errors import ConfigError
from phonemo.train.transfer.study_config import (
    SkewedPoolConfig,
    SystemConfig,
    TrainTemplate,
    TransferConfig,
    WithinConfig,
    load_transfer_config,
)
from tests.laws import REPOSITORY

LEAST: dict[str, Any] = {
    "name": "tiny",
    "output": "work/tiny",
    "corpora": ["a.jsonl", "b.jsonl"],
    "left_out": ["a", "b"],
    "labels": {"names": ["anger", "neutral"]},
    "systems": {"linear": {"network": "backbone", "statistics": [2, 3]}},
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "transfer.yaml"
    path.write_text(yaml.safe_dump(LEAST | changes), encoding="utf-8")
    return path


def fault(folder: Path, **changes: Any) -> str:
    path = written(folder, **changes)
    with pytest.raises(ConfigError) as caught:
        load_transfer_config(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "kind", [TransferConfig, SystemConfig, TrainTemplate, SkewedPoolConfig, WithinConfig]
)
def test_every_field_has_a_sentence(kind: type[BaseModel]) -> None:
    for field in kind.model_fields.values():
        text = field.description or ""
        assert text.endswith(".")
        assert "\n" not in text


def test_a_single_choice_is_a_list_of_one(tmp_path: Path) -> None:
    system = load_transfer_config(written(tmp_path)).systems["linear"]
    assert system.statistics == ((2, 3),)
    assert (system.inverse_penalty, system.mask, system.pooled) == ((0.001,), (False,), (False,))
    several = {"network": "b", "statistics": [[2, 3], [3]], "inverse_penalty": [0.1, 1]}
    systems = load_transfer_config(written(tmp_path, systems={"linear": several})).systems["linear"]
    assert systems.statistics == ((2, 3), (3,))
    assert systems.inverse_penalty == (0.1, 1.0)


def test_a_written_study_is_read_back(tmp_path: Path) -> None:
    template = {"model": {"backbone": "b"}, "train": {"epochs": 3}}
    systems = {"own": {"train": template, "pooled": [True, False], "statistics": [[], [3]]}}
    config = load_transfer_config(
        written(tmp_path, systems={"a": {"network": "b", "pooled": True}} | systems)
    )
    write_config(tmp_path / "again.yaml", config)
    assert load_transfer_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"systems": {"x": {"statistics": [1]}}},
            "expected either network or train, got both or neither",
        ),
        (
            {"systems": {"x": {"network": "b"}}},
            "expected vectors for the head, got none; set statistics=[3]",
        ),
        (
            {"systems": {"x": {"network": "b", "pooled": True, "mask": []}}},
            "expected a value for mask, got an empty list",
        ),
        (
            {"systems": {"x": {"network": "b", "pooled": True, "k_mean": [1, 1]}}},
            "got 1.0 twice",
        ),
        (
            {"systems": {"x": {"network": "b", "pooled": True, "start_share": 0.5}}},
            "expected start_share only with section train",
        ),
        (
            {"systems": {"x": {"network": "b", "statistic": [3]}}},
            "unknown key 'systems.x.statistic'; known keys: network, train",
        ),
        (
            {"systems": {"labels": {"train": {"model": {"backbone": "b", "wide": 1}}}}},
            "unknown key 'systems.labels.train.0.model.wide'; known keys: backbone, ",
        ),
        ({"systems": {"../x": {"network": "b", "pooled": True}}}, "got '../x'"),
        ({"corpora": ["a.jsonl"]}, "key 'corpora'"),
        ({"corpora": ["a.jsonl", "a.jsonl"]}, "got 'a.jsonl' twice"),
        ({"mean_over": ["c"]}, "expected names of left_out in mean_over, got 'c'"),
        ({"mean_over": []}, "key 'mean_over'"),
        ({"pools": [0]}, "key 'pools.0"),
        ({"pools": ["most"]}, "key 'pools.0"),
        (
            {"select_by": ["best"]},
            "expected a condition such as single, speaker, pool-20, pool-all, even-20 or "
            "80-per-cent-20, got 'best'",
        ),
        ({"select_by": ["pool-0"]}, "got 'pool-0'"),
        ({"select_by": ["120-per-cent-20"]}, "got '120-per-cent-20'"),
        (
            {"select_by": ["80-per-cent-20"], "one_sided": None},
            "expected one_sided.emotion for 80-per-cent-20 in select_by, got one_sided=null",
        ),
        ({"one_sided": {"shares": [0.004]}}, "key 'one_sided.shares.0'"),
        ({"one_sided": {"emotion": "joy"}}, "expected a label for one_sided.emotion, got 'joy'"),
        ({"seeds": []}, "key 'seeds'"),
    ],
)
def test_an_inconsistent_study_is_one_clear_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert message in fault(tmp_path, **changes)


@pytest.mark.parametrize("name", ["transfer", "transfer-seven"])
def test_a_shipped_study_loads(name: str) -> None:
    config = load_transfer_config(REPOSITORY / "configs" / f"{name}.yaml")
    assert config.averaged == ("emodb", "ravdess", "nemo")
    assert set(config.averaged) <= set(config.left_out)
    assert config.name == name
