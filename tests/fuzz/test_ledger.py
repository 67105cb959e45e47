"""Executions add up over runs of one source, and edits of parsed data change it."""

from __future__ import annotations

import copy
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import ledger, run
from tests.fuzz.ledger import Ledger, source_digest
from tests.fuzz.structures import edited

NUMBERS = {"seconds": 60.0, "cover": 10, "features": 20, "findings": 0}


def test_runs_of_one_source_add_up(tmp_path: Path) -> None:
    for executions in (1000, 500):
        Ledger(tmp_path, "new").add("audio", "atheris", executions=executions, **NUMBERS)
    Ledger(tmp_path, "old").add("audio", "atheris", executions=70, **NUMBERS)
    lines = list(Ledger(tmp_path, "new").table())
    assert lines[2].split() == ["audio", "1,500", "2.0", "10", "20", "0"]
    assert lines[3].split() == ["together", "1,500"]
    assert lines[4] == "on 1 earlier sources: 70"


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    book = Ledger(tmp_path, "a")
    book.add("audio", "atheris", executions=3, **NUMBERS)
    with (tmp_path / "ledger.jsonl").open("a") as stream:
        stream.write('{"source": "a", "tar')
    assert [one.executions for one in book.entries()] == [3]


def test_a_changed_file_is_another_source(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = source_digest(tmp_path)
    (tmp_path / "a.py").write_text("2")
    assert before != source_digest(tmp_path)


def test_what_ran_least_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_a_little(self: run.Fuzzing, tally: run.Tally, share: float) -> None:
        tally.executions, tally.seconds = 5, share

    monkeypatch.setattr(run.Fuzzing, "_try", run_a_little)
    Ledger(tmp_path).add("rttm", "hypothesis", executions=1, **NUMBERS)
    found = run.Fuzzing("hypothesis", tmp_path, 1).run(["rttm", "emodb"], 0.001)
    assert [one.name for one in found] == ["emodb", "rttm"]
    assert [one.executions for one in Ledger(tmp_path).entries()][1:] == [5, 5]
    assert ledger.main(["--folder", str(tmp_path)]) == 0


def test_edits_never_change_what_they_are_made_of() -> None:
    value = {"a": [1, {"b": None}], "c": "d"}
    before, random = copy.deepcopy(value), Random(0)
    found = [edited(value, random.randbytes(16)) for _ in range(200)]
    assert value == before
    assert len({repr(one) for one in found}) > 100
    assert edited(value, b"") == value
