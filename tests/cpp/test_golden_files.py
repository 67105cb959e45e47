"""The C++ library computes what the Python runtime computes."""

from __future__ import annotations

import pytest

from tests.cpp.compiled import ROOT, run

GOLDEN = ROOT / "tests" / "golden" / "runtime"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_a_golden_file_is_reproduced(name: str) -> None:
    finished = run("phonemo-golden", GOLDEN, name)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "0 failed" in finished.stdout


def test_a_changed_golden_file_is_noticed(tmp_path: object) -> None:
    text = (GOLDEN / "calibration.json").read_text(encoding="utf-8")
    folder = ROOT.__class__(str(tmp_path))
    (folder / "calibration.json").write_text(
        text.replace('"scores":[', '"scores":[0.5,', 1), encoding="utf-8"
    )
    finished = run("phonemo-golden", folder, "calibration")
    assert finished.returncode == 1
    assert "scores" in finished.stdout
