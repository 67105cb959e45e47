"""Studies of derived dimensions in RESULTS.md and on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phonemo.errors import ResultError
from phonemo.evaluation import report
from phonemo.evaluation.dimension_report import dimension_lines


def contrast(auc: float) -> dict[str, Any]:
    return {"auc": auc, "low": auc - 0.05, "high": auc + 0.05, "pairs": 12}


def condition(name: str, auc: float) -> dict[str, Any]:
    return {
        "name": name,
        "contrasts": {"arousal": contrast(auc), "valence": contrast(auc - 0.1)},
        "mean": {"arousal": 0.6, "valence": 0.4},
        "deviation": {"arousal": 0.1, "valence": 0.2},
        "beyond": 0.025,
    }


def study() -> dict[str, Any]:
    cells = [
        {
            "method": "norms",
            "left_out": corpus,
            "picked": {"norms": "warriner-2013", "ridge": 0.3},
            "conditions": [condition(name, auc) for name in ("single", "source", "speaker")],
        }
        for corpus, auc in (("emodb", 0.9), ("nemo", 0.8))
    ]
    change = {"gain": -20.0, "largest": [0.0123, 0.01], "mean": [0.001, 0.001]}
    return {
        "name": "dimensions",
        "command": "phonemo dimensions configs/dimensions.yaml",
        "config": "0123456789ab",
        "phonemo": "0.1.0",
        "averaged": ["emodb", "nemo"],
        "selected_by": ["emodb", "nemo"],
        "cells": cells,
        "speakers_left_out": [cells[0] | {"conditions": [condition("single", 0.7)]}],
        "levels": {"model": "phonemo-small", "clips": 50, "changes": [change]},
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "results" / "dimensions" / "dimensions.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_results_have_a_section_with_intervals_and_means(tmp_path):
    write(tmp_path, study())
    report.write_results(tmp_path / "results", tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "## Derived arousal and valence" in text
    assert "| norms | **mean** | single | 0.850 | 0.750 | - |" in text
    assert (
        "| norms | nemo | by speaker | 0.800 (0.750 to 0.850) | 0.700 (0.650 to 0.750) | - |"
        in (text)
    )
    assert "at -20 dB, phonemo-small: arousal moves by at most 0.0123" in text


def test_the_terminal_shows_the_same_numbers():
    lines = list(dimension_lines(study()))
    assert any(line.startswith("norms") and "0.850" in line for line in lines)
    assert any("speakers of emodb left out, norms: 0.700" in line for line in lines)


def test_a_broken_file_is_named(tmp_path):
    path = write(tmp_path, study() | {"cells": []})
    with pytest.raises(ResultError, match=str(path)):
        report.write_results(tmp_path / "results", tmp_path / "RESULTS.md")
