"""Files that kill, hang or raise: each yields one error row, and no other file is affected."""

from __future__ import annotations

import os

import pytest

from phonemo.batch import worker
from phonemo.batch.plan import BatchItem
from phonemo.batch.worker import WorkerSpec, isolated_rows
from phonemo.errors import RunError
from tests.batch.batches import Place, batch_options, clips, descendants, is_alive, is_worker, until


@pytest.fixture
def items(place: Place, monkeypatch):
    """Recordings of these names, which the hook acts on in the child."""
    for name in ("PYTHONPATH", "GATES"):
        monkeypatch.setenv(name, place.environment[name])
    return lambda *names: [
        BatchItem(name, path)
        for name, path in zip(names, clips(place.folder / "in", *names), strict=True)
    ]


def work(folder, **changes):
    return WorkerSpec(str(folder), batch_options(**changes))


def test_a_crash_yields_an_error_row_for_its_file_alone(tmp_path, items):
    names = ("a.wav", "deadly.wav", "b.wav", "odd.wav", "bad.wav", "deadly2.wav")
    results = [row for (row,) in isolated_rows(work(tmp_path), items(*names))]
    assert [row["file"] for row in results] == list(names)
    codes = [None, "crashed", None, "internal_error", "unsupported_audio", "crashed"]
    assert [row.get("code") for row in results] == codes
    assert results[1]["error"].startswith("deadly.wav: the process that recognized it died")
    assert "ZeroDivisionError an odd file" in results[3]["error"]
    assert not any("\n" in row.get("error", "") for row in results)
    until(lambda: not any(is_alive(pid) for pid in descendants(os.getpid()) if is_worker(pid)))


def test_a_hanging_file_times_out(tmp_path, items, monkeypatch):
    monkeypatch.setattr(worker, "ISOLATED_SECONDS", 0.5)
    ((row,),) = isolated_rows(work(tmp_path), items("hang.wav"))
    assert row["code"] == "timed_out"
    assert row["error"].startswith("hang.wav: no result in 0.5 s")


def test_a_wrong_model_is_an_error_of_the_batch(tmp_path, items):
    """Otherwise every file would be reported as broken."""
    with pytest.raises(RunError, match="the model that the batch was started with"):
        list(isolated_rows(work(tmp_path, model_sha256="0" * 64), items("a.wav", "b.wav")))
