"""Files that kill, hang or raise: one row for each, and none for their neighbours."""

from __future__ import annotations

import os

import pytest

from phonemo.batch import worker
from phonemo.batch.plan import BatchItem
from phonemo.batch.worker import WorkerSpec, isolated_rows
from phonemo.errors import RunError
from tests.batch.batches import Place, asked, clips, descendants, hears, lives, until


@pytest.fixture
def items(place: Place, monkeypatch):
    """Recordings of these names; in the child, they do what they say."""
    for name in ("PYTHONPATH", "GATES"):
        monkeypatch.setenv(name, place.environment[name])
    return lambda *names: [
        BatchItem(one, path)
        for one, path in zip(names, clips(place.folder / "in", *names), strict=True)
    ]


def work(folder, **changes):
    return WorkerSpec(str(folder), asked(**changes))


def test_what_a_file_does_to_its_process_is_its_own_row(tmp_path, items):
    names = ("a.wav", "deadly.wav", "b.wav", "odd.wav", "bad.wav", "deadly2.wav")
    found = list(isolated_rows(work(tmp_path), items(*names)))
    assert [row["file"] for row in found] == list(names)
    codes = [None, "crashed", None, "internal_error", "unsupported_audio", "crashed"]
    assert [row.get("code") for row in found] == codes
    assert found[1]["error"].startswith("deadly.wav: the process that recognized it died")
    assert "ZeroDivisionError an odd file" in found[3]["error"]
    assert not any("\n" in row.get("error", "") for row in found)
    until(lambda: not any(lives(one) for one in descendants(os.getpid()) if hears(one)))


def test_a_file_that_never_ends_is_given_up(tmp_path, items, monkeypatch):
    monkeypatch.setattr(worker, "ISOLATED_SECONDS", 0.5)
    (row,) = isolated_rows(work(tmp_path), items("hang.wav"))
    assert row["code"] == "timed_out"
    assert row["error"].startswith("hang.wav: no result in 0.5 s")


def test_a_fault_of_the_job_is_no_files(tmp_path, items):
    """With the model gone, every file would be told to be broken."""
    with pytest.raises(RunError, match="the model that the batch was started with"):
        list(isolated_rows(work(tmp_path, model_sha256="0" * 64), items("a.wav", "b.wav")))
