"""The golden files of the runtime, which other languages compute too, are what Python computes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.make_runtime import FILES, FOLDER
from tests.golden.make_runtime_predictions import PREDICTIONS

#: Files whose numbers come from an int8 network, whose products depend on the processor.
_NETWORK = 5e-3


def _plain(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def _compare(actual: Any, expected: Any, tolerance: float, place: str) -> None:
    if isinstance(expected, dict):
        assert list(actual) == list(expected), place
        for key, value in expected.items():
            if not (tolerance == _NETWORK and key == "hash"):
                _compare(actual[key], value, tolerance, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), place
        for number, value in enumerate(expected):
            _compare(actual[number], value, tolerance, f"{place}[{number}]")
    elif isinstance(expected, float) and not isinstance(actual, bool):
        assert actual == pytest.approx(expected, abs=tolerance, rel=tolerance), place
    else:
        assert actual == expected, place


@pytest.mark.parametrize("name", FILES)
def test_the_maker_reproduces_every_file_of_algorithms(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    _compare(_plain(FILES[name]()), expected, 1e-9, name)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_the_maker_reproduces_predictions(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    _compare(_plain(PREDICTIONS[name]()), expected, _NETWORK, name)


def test_the_folder_is_small_and_every_file_is_described() -> None:
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in FOLDER.glob("*.json"))
    assert files == sorted(f"{name}.json" for name in FILES | PREDICTIONS)
    assert not [name for name in files if f"`{name}`" not in described]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000
