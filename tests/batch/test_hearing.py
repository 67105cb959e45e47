"""A worker recognizes parts: the results of predict, whole parts or none, errors as rows."""

from __future__ import annotations

import errno
import gc
import json

import pytest

from phonemo.batch import fetch, stores, worker
from phonemo.batch.plan import BatchItem
from phonemo.batch.rows import failed_row, part_name
from phonemo.batch.stores import open_store
from phonemo.batch.worker import BEGUN_BEFORE, PartWorker, WorkerSpec, begun_name, tally_name
from phonemo.errors import CheckpointError, RunError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.answers import without_nulls
from tests.batch.batches import batch_options, clips, planned, rows, scratch, some
from tests.tiny_bundle import BUNDLE


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Thirty recordings, three of them text."""
    return clips(tmp_path_factory.mktemp("in"), *some(30, bad=(3, 17, 29)))


def make_worker(folder, **changes):
    return PartWorker(WorkerSpec(str(folder), batch_options(**changes)))


OPTIONS = [
    {},
    {"top_k": 1},
    {"labels": ("sadness", "anger")},
    {"labels": ("sadness", "anger"), "top_k": 1, "timeline": True},
    {"phonemes": True},
    {"threshold": 1.0},
    {"threshold": 0.0},
]


@pytest.mark.parametrize("changes", OPTIONS, ids=str)
def test_results_equal_those_of_predict(tmp_path, files, recognizer, changes, monkeypatch):
    names = files[:6] if changes else files
    planned(tmp_path, names)
    tally = make_worker(tmp_path, **changes).recognize(0)
    results = rows(tmp_path)
    assert [row["file"] for row in results] == names
    if "threshold" in changes:
        monkeypatch.setattr(recognizer, "abstain_below", changes["threshold"])
    for name, row in zip(names, results, strict=True):
        if "bad" in name:
            assert (row["code"], name in row["error"]) == ("unsupported_audio", True)
            continue
        spans, timeline = changes.get("phonemes", False), changes.get("timeline", False)
        prediction = recognizer.predict(name, shares=spans, timeline=timeline)
        expected = prediction.narrowed(changes.get("labels", ()), changes.get("top_k")).to_dict(
            spans
        )
        scores = expected.pop("scores")
        assert row["scores"] == pytest.approx(scores, abs=0.001)
        assert list(row["scores"]) == list(scores)
        assert (row["label"], row["seconds"]) == (expected["label"], expected["seconds"])
        assert (row["warnings"], row["phonemes"]) == (
            list(expected["warnings"]),
            list(expected["phonemes"]),
        )
        assert len(row["segments"]) == len(expected["segments"])
        assert ("spans" in row) is spans
        if spans:
            for mine, other in zip(row["spans"], expected["spans"], strict=True):
                assert mine.pop("symbol") == other.pop("symbol")
                assert mine == pytest.approx(other, abs=0.002)
    assert tally.files == len(names)
    assert tally.failed == sum("bad" in name for name in names)
    assert sum(tally.labels.values()) == tally.files - tally.failed
    assert tally.audio_seconds == pytest.approx(
        sum(row.get("seconds", 0) for row in results), abs=0.01
    )


def test_a_recording_without_speech_has_no_label_and_is_counted(tmp_path):
    import numpy as np
    import soundfile

    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    planned(tmp_path, [str(path)])
    tally = make_worker(tmp_path).recognize(0)
    assert [(row["label"], row["unsure"]) for row in rows(tmp_path)] == [(None, True)]
    assert (tally.labels, tally.failed) == ({"no_speech": 1}, 0)


def test_both_formats_hold_the_same_rows_and_pandas_reads_the_folder(tmp_path, files):
    parquet = pytest.importorskip("pyarrow.parquet")
    pandas = pytest.importorskip("pandas")
    for kind in ("jsonl", "parquet"):
        planned(tmp_path / kind, files, 10)
        part_worker = make_worker(tmp_path / kind, format=kind)
        assert [part_worker.recognize(part).files for part in range(3)] == [10, 10, 10]
    lines = rows(tmp_path / "jsonl")
    table = parquet.read_table(tmp_path / "parquet/parts").to_pylist()
    assert without_nulls(table) == without_nulls(lines)
    frame = pandas.read_parquet(tmp_path / "parquet/parts")
    assert list(frame["file"]) == files
    assert frame["error"].notna().sum() == 3


def test_segments_are_recognized_as_separate_recordings(tmp_path, recognizer, files):
    from phonemo.audio import Excerpt
    from phonemo.batch.job import PlanSummary
    from phonemo.batch.plan import plan

    name = files[28]
    items = [BatchItem(name, name, "whole"), BatchItem(name, name, "part", 0.05, 0.15)]
    items += [BatchItem(name, name, "after", 50.0), BatchItem(name, name, "tail", 0.1, 99.0)]
    plan(open_store(str(tmp_path)), items, PlanSummary(), 10)
    make_worker(tmp_path).recognize(0)
    whole, part, after, tail = rows(tmp_path)
    assert (part["id"], part["from"], part["to"], part["seconds"]) == ("part", 0.05, 0.15, 0.1)
    assert "from" not in whole
    assert after["code"] == "too_short"
    assert tail["seconds"] == pytest.approx(whole["seconds"] - 0.1, abs=0.002)
    expected = recognizer.predict(Excerpt(name, 0.05, 0.15))
    assert part["scores"] == pytest.approx(expected.scores, abs=0.001)


def test_an_unfinished_attempt_is_counted_until_the_part_ends(tmp_path, files, monkeypatch):
    planned(tmp_path, files[:2])
    part_worker = make_worker(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(part_worker, "rows", lambda items: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            part_worker.recognize(0)
    assert part_worker.store.read(begun_name(0)).strip() == "1"
    part_worker.recognize(0)
    assert part_worker.store.find(begun_name(0)) is None


def test_a_part_with_two_unfinished_attempts_is_isolated(tmp_path, files, monkeypatch):
    planned(tmp_path, files[:2])
    part_worker = make_worker(tmp_path)
    part_worker.store.write(begun_name(0), f"{BEGUN_BEFORE}\n")
    fake_rows = lambda work, items: ([failed_row(item, "crashed", "x")] for item in items)  # noqa: E731
    monkeypatch.setattr(worker, "isolated_rows", fake_rows)
    assert part_worker.recognize(0).errors == {"crashed": 2}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("which", ["begun", "tally", "parts"])
def test_a_full_disk_stops_the_worker_and_leaves_no_partial_file(
    tmp_path, files, monkeypatch, kind, which
):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    planned(tmp_path, files[:3])
    part_worker = make_worker(tmp_path, format=kind)
    fsync = stores.fsync

    def full(path):
        if path.parent.name == which:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(path)

    with monkeypatch.context() as patch:
        patch.setattr(stores, "fsync", full)
        with pytest.raises(RunError, match=rf"{which}/.* cannot be written \(No space left"):
            part_worker.recognize(0)
    assert part_worker.store.names("parts") == set()
    assert scratch(tmp_path) == []
    assert part_worker.recognize(0).files == 3


def test_a_part_and_its_statistics_agree_after_an_interrupted_retry(tmp_path, monkeypatch):
    """The part is that of the first run, or gone; never with statistics of the second."""
    names = clips(tmp_path / "in", "a.wav", "bad.wav")
    planned(tmp_path / "out", names)
    part_worker = make_worker(tmp_path / "out")
    assert part_worker.recognize(0).failed == 1
    clips(tmp_path / "in", "ok.wav")[0]
    (tmp_path / "in/ok.wav").replace(tmp_path / "in/bad.wav")
    fsync = stores.fsync

    def full(path):
        if path.parent.name == "parts":
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(path)

    monkeypatch.setattr(stores, "fsync", full)
    with pytest.raises(RunError):
        part_worker.recognize(0)
    if part_worker.store.find(part_name(0, "jsonl")) is not None:
        tally = json.loads(part_worker.store.read(tally_name(0)))
        assert tally["failed"] == sum("error" in row for row in rows(tmp_path / "out"))


def test_another_model_is_refused(tmp_path, files):
    with pytest.raises(RunError, match="the model that the batch was started with"):
        make_worker(tmp_path, model_sha256="0" * 64)
    with pytest.raises(CheckpointError):
        make_worker(tmp_path, model=str(tmp_path))


def test_a_missing_plan_is_an_error(tmp_path):
    with pytest.raises(RunError, match=r"plan/part-000005\.jsonl cannot be read"):
        make_worker(tmp_path).recognize(5)


def test_every_recording_is_ticked(tmp_path, files):
    planned(tmp_path, files[:5])
    ticks = []
    PartWorker(WorkerSpec(str(tmp_path), batch_options()), lambda: ticks.append(1)).recognize(0)
    assert len(ticks) == 5


# Addresses ----------------------------------------------------------------------------------------


def test_recordings_and_parts_at_addresses(tmp_path, files, recognizer, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in files[:20]:
        memory.put_file(name, f"/in/{name.rpartition('/')[2]}")
    names = [f"memory://in/{name.rpartition('/')[2]}" for name in files[:20]]
    names[12:12] = ["memory://in/gone.wav", files[20]]  # a missing one, and a local path
    planned("memory://out", names)
    tally = make_worker("memory://out").recognize(0)
    assert (tally.files, tally.failed) == (22, 3)
    lines = memory.cat_file("/out/parts/part-000000.jsonl").decode().splitlines()
    results = [json.loads(line) for line in lines]
    assert [row["file"] for row in results] == names
    assert results[12]["code"] == "missing_file"
    assert "memory://in/gone.wav: " in results[12]["error"]
    assert "memory://in/bad0003.wav" in results[3]["error"]
    assert results[13]["label"] == recognizer.predict(files[20]).label
    assert results[0]["scores"] == pytest.approx(recognizer.predict(files[0]).scores, abs=0.001)
    memory.store.clear()


def test_large_recordings_at_addresses_are_read_while_they_are_decoded(
    tmp_path, files, monkeypatch
):
    """Also if the opened file is a local one, whose name cannot be changed."""
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(fetch, "_MOST_BYTES", 100)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put_file(files[0], "/in/a.wav")
    names = ["memory://in/a.wav", f"local://{files[0]}", f"simplecache::local://{files[0]}"]
    names.append("memory://in/bad.wav")
    memory.put_file(files[3], "/in/bad.wav")
    planned(tmp_path, names)
    make_worker(tmp_path).recognize(0)
    gc.collect()
    results = rows(tmp_path)
    assert [row.get("error") for row in results[:3]] == [None, None, None]
    assert len({row["label"] for row in results[:3]}) == 1
    assert "memory://in/bad.wav: expected wav, flac, mp3" in results[3]["error"]
    memory.store.clear()


def test_a_store_that_refuses_to_write_is_one_line(tmp_path, files, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    planned("memory://out", files[:2])
    part_worker = make_worker("memory://out")

    def full(self, here, there, **keywords):
        raise OSError("quota\nexceeded")

    monkeypatch.setattr(type(memory), "put_file", full)
    with pytest.raises(RunError, match=r"memory://out: .*quota exceeded") as caught:
        part_worker.recognize(0)
    assert "\n" not in str(caught.value)
    memory.store.clear()
