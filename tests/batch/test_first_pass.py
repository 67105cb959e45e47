"""The first pass in its own processes: kills at any moment do not change a row."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.batch import adaptation
from phonemo.batch.adaptation import vectors_by_processes
from phonemo.batch.plan import BatchItem
from phonemo.batch.worker import WorkerSpec
from phonemo.errors import RunError
from phonemo.loader import model_digest
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.batch.batches import (
    Place,
    assert_once,
    batch_options,
    clips,
    descendants,
    is_alive,
    is_worker,
    parts,
    rows,
    some,
    until,
)
from tests.tiny_bundle import ADAPTABLE, RATE

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks into /proc")

#: Slow, and independent of the extras.
FULL_JOB = pytest.mark.extras


@pytest.fixture
def items(place: Place, monkeypatch: pytest.MonkeyPatch):
    """Recordings of these names, which the hook acts on in the processes."""
    for name in ("PYTHONPATH", "GATES"):
        monkeypatch.setenv(name, place.environment[name])
    return lambda *names: [BatchItem(path, path) for path in clips(place.folder / "in", *names)]


def work(folder: Path, **changes: object) -> WorkerSpec:
    known = {"model": str(ADAPTABLE), "model_sha256": model_digest(ADAPTABLE)}
    return WorkerSpec(str(folder), batch_options(**(known | changes)))


def rows_of(vectors):
    return None if vectors is None else vectors.rows.tolist()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crashing_recording_alone_is_left_out(tmp_path, items, workers):
    names = ["a.wav", "b.wav", "deadly.wav", "bad.wav", "odd.wav", "c.wav", "d.wav", "e.wav"]
    recordings = items(*names)
    soundfile.write(recordings[1].path, np.zeros(RATE), RATE)
    results = list(vectors_by_processes(work(tmp_path), recordings, workers))
    model = OnnxRecognizer.load(ADAPTABLE, threads=1)
    bad = {"deadly.wav", "bad.wav", "odd.wav"}
    for name, item, result in zip(names, recordings, results, strict=True):
        expected = None if name in bad else next(iter(model.vectors([item.path])))
        assert rows_of(result) == rows_of(expected), name
    assert len(results[1].rows) == 0
    until(lambda: not any(is_alive(pid) for pid in descendants(os.getpid()) if is_worker(pid)))


@FULL_JOB
def test_a_hanging_recording_is_left_out(tmp_path, items, monkeypatch):
    monkeypatch.setattr(adaptation, "ISOLATED_SECONDS", 8.0)
    results = list(vectors_by_processes(work(tmp_path), items("a.wav", "hang.wav", "b.wav"), 1))
    assert [result is None for result in results] == [False, True, False]


def test_a_wrong_model_is_an_error_of_the_batch(tmp_path, items):
    """With another model, every recording would be left out."""
    with pytest.raises(RunError, match="the model that the batch was started with"):
        list(vectors_by_processes(work(tmp_path, model_sha256="0" * 64), items("a.wav"), 1))


def test_an_early_end_leaves_no_process(tmp_path, items):
    running = vectors_by_processes(work(tmp_path), items(*some(9)), 2)
    assert len(next(running).rows) == 1
    running.close()
    until(lambda: not any(is_alive(pid) for pid in descendants(os.getpid()) if is_worker(pid)))


# The command --------------------------------------------------------------------------------------


def begin(place: Place, *words: object):
    adapted = ["--model", ADAPTABLE, "--adapt", "--adapt-sample", 5, "--part-files", 2]
    return place.begin("in", "-q", *adapted, *words)


def sampled(place: Place, names: list[str]) -> list[str]:
    """Those of the names that are in a sample of five."""
    path = {name: str(place.folder / "in" / name) for name in names}
    return sorted(names, key=lambda name: BatchItem(path[name], path[name]).key)[:5]


def waiting(place: Place, gate: str, others: list[str], within: bool) -> str:
    """A name of a recording that waits for a gate, and is in the sample or is not."""
    names = (f"wait-{gate}{number}.wav" for number in range(10_000))
    return next(name for name in names if (name in sampled(place, [*others, name])) is within)


def by_file(out: Path) -> dict[str, dict]:
    return {row["file"]: row for row in rows(out)}


def unkilled(place: Place, *words: object) -> dict[str, dict]:
    """The rows of a separate run, with the gates open."""
    whole = place.folder / "whole"
    assert begin(place, "-o", whole, *words).ended().code == 0
    return by_file(whole)


def state(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_killed_in_the_first_pass_and_after_it_rows_are_those_of_an_unkilled_run(place):
    names = some(9)
    first = waiting(place, "a", names, within=True)
    then = waiting(place, "b", [*names, first], within=False)
    assert first in sampled(place, [*names, first, then])
    clips(place.folder / "in", *names, first, then)
    running = begin(place, "-j", 2)
    until(lambda: len(running.workers) == 2 and (place.out / "plan").exists())
    running.kill()
    assert not (place.out / "profile.json").exists()
    assert parts(place.out) == []
    assert json.loads((place.out / "batch.json").read_text())["planned"]["parts"] == 0
    place.open("a")
    running = begin(place, "-j", 2)
    until(lambda: len(parts(place.out)) >= 2)
    running.kill()
    kept, before = state(place.out / "profile.json"), by_file(place.out)
    assert len(before) < len(names) + 2
    place.open("b")
    answer = begin(place, "-j", 1).ended()
    assert (answer.code, answer.err) == (0, "")
    assert state(place.out / "profile.json") == kept, "there was no second first pass"
    assert_once(place.out, [f"in/{name}" for name in [*names, first, then]])
    results = by_file(place.out)
    assert {name: results[name] for name in before} == before
    assert results == unkilled(place, "-j", 2)
    assert {row["profile"]["count"] for row in results.values()} == {5}


MOMENTS = [
    lambda place: place.out.exists(),
    lambda place: (place.out / "plan").exists(),
    lambda place: (place.out / "profile.json").exists(),
    lambda place: "profile" in json.loads((place.out / "batch.json").read_text()),
    lambda place: len(parts(place.out)) >= 1,
    lambda place: len(parts(place.out)) >= 3,
]


@FULL_JOB
def test_killed_at_every_moment_rows_are_those_of_an_unkilled_run(place):
    names = some(9)
    last = waiting(place, "a", names, within=False)
    clips(place.folder / "in", *names, last)
    for moment in MOMENTS:
        running = begin(place, "-j", 2)
        until(lambda moment=moment: moment(place))
        running.kill()
    place.open("a")
    assert begin(place).ended().code == 0
    assert by_file(place.out) == unkilled(place, "--part-files", 3)


@FULL_JOB
def test_an_interrupted_first_pass_leaves_no_process(place):
    names = some(3)
    clips(place.folder / "in", *names, "wait-a.wav")
    running = begin(place, "-j", 2)
    until(lambda: len(running.workers) == 2)
    running.kill(signal.SIGINT)
    answer = running.ended()
    assert answer.code == 130
    assert "run the same command again to resume" in answer.err
    place.open("a")
    assert begin(place).ended().code == 0
    assert_once(place.out, [f"in/{name}" for name in [*names, "wait-a.wav"]])


def test_hostile_recordings_in_the_sample_do_not_affect_others(place):
    names = ["a.wav", "b.wav", "c.wav", "deadly.wav", "odd.wav"]
    clips(place.folder / "in", *names)
    answer = begin(place, "-j", 2).ended()
    assert answer.code == 1
    assert "ZeroDivisionError: an odd" in answer.err, "the traceback is logged"
    assert "of 3 recordings (3 vectors); skipped: 2 unusable" in answer.out
    codes = {name: row.get("code") for name, row in by_file(place.out).items()}
    bad = {"in/deadly.wav": "crashed", "in/odd.wav": "internal_error"}
    assert codes == dict.fromkeys(f"in/{name}" for name in names) | bad
    model = OnnxRecognizer.load(ADAPTABLE).adapted(
        [place.folder / "in" / name for name in names[:3]]
    )
    assert (
        by_file(place.out)["in/a.wav"]["scores"] == model.predict(place.folder / "in/a.wav").scores
    )
