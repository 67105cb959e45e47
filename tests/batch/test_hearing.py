"""A worker hears parts: the answers of predict, whole parts or none, bad files as rows."""

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
from tests.batch.batches import asked, clips, planned, rows, scratch, some
from tests.tiny_bundle import BUNDLE


@pytest.fixture(scope="module")
def recognizer() -> OnnxRecognizer:
    return OnnxRecognizer.load(BUNDLE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Thirty recordings, three of them text."""
    return clips(tmp_path_factory.mktemp("in"), *some(30, bad=(3, 17, 29)))


def hearer(folder, **changes):
    return PartWorker(WorkerSpec(str(folder), asked(**changes)))


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
def test_answers_are_those_of_predict(tmp_path, files, recognizer, changes, monkeypatch):
    names = files[:6] if changes else files
    planned(tmp_path, names)
    tally = hearer(tmp_path, **changes).recognize(0)
    found = rows(tmp_path)
    assert [row["file"] for row in found] == names
    if "threshold" in changes:
        monkeypatch.setattr(recognizer, "abstain_below", changes["threshold"])
    for name, row in zip(names, found, strict=True):
        if "bad" in name:
            assert (row["code"], name in row["error"]) == ("unsupported_audio", True)
            continue
        spans, timeline = changes.get("phonemes", False), changes.get("timeline", False)
        one = recognizer.predict(name, shares=spans, timeline=timeline)
        wanted = one.narrowed(changes.get("labels", ()), changes.get("top_k")).to_dict(spans)
        scores = wanted.pop("scores")
        assert row["scores"] == pytest.approx(scores, abs=0.001)
        assert list(row["scores"]) == list(scores)
        assert (row["label"], row["seconds"]) == (wanted["label"], wanted["seconds"])
        assert (row["warnings"], row["phonemes"]) == (
            list(wanted["warnings"]),
            list(wanted["phonemes"]),
        )
        assert len(row["segments"]) == len(wanted["segments"])
        assert ("spans" in row) is spans
        if spans:
            for mine, other in zip(row["spans"], wanted["spans"], strict=True):
                assert mine.pop("symbol") == other.pop("symbol")
                assert mine == pytest.approx(other, abs=0.002)
    assert tally.files == len(names)
    assert tally.failed == sum("bad" in name for name in names)
    assert sum(tally.labels.values()) == tally.files - tally.failed
    assert tally.audio_seconds == pytest.approx(
        sum(row.get("seconds", 0) for row in found), abs=0.01
    )


def test_both_formats_hold_the_same_rows_and_pandas_reads_the_folder(tmp_path, files):
    parquet = pytest.importorskip("pyarrow.parquet")
    pandas = pytest.importorskip("pandas")
    for kind in ("jsonl", "parquet"):
        planned(tmp_path / kind, files, 10)
        one = hearer(tmp_path / kind, format=kind)
        assert [one.recognize(part).files for part in range(3)] == [10, 10, 10]
    lines = rows(tmp_path / "jsonl")
    found = parquet.read_table(tmp_path / "parquet/parts").to_pylist()
    told = [{name: value for name, value in row.items() if value is not None} for row in found]
    assert told == lines
    frame = pandas.read_parquet(tmp_path / "parquet/parts")
    assert list(frame["file"]) == files
    assert frame["error"].notna().sum() == 3


def test_stretches_are_heard_as_recordings_of_their_own(tmp_path, recognizer, files):
    from phonemo.audio import Excerpt
    from phonemo.batch.job import PlanSummary
    from phonemo.batch.plan import plan

    name = files[28]
    items = [BatchItem(name, name, "whole"), BatchItem(name, name, "part", 0.05, 0.15)]
    items += [BatchItem(name, name, "after", 50.0), BatchItem(name, name, "tail", 0.1, 99.0)]
    plan(open_store(str(tmp_path)), items, PlanSummary(), 10)
    hearer(tmp_path).recognize(0)
    whole, part, after, tail = rows(tmp_path)
    assert (part["id"], part["from"], part["to"], part["seconds"]) == ("part", 0.05, 0.15, 0.1)
    assert "from" not in whole
    assert after["code"] == "too_short"
    assert tail["seconds"] == pytest.approx(whole["seconds"] - 0.1, abs=0.002)
    wanted = recognizer.predict(Excerpt(name, 0.05, 0.15))
    assert part["scores"] == pytest.approx(wanted.scores, abs=0.001)


def test_a_part_that_was_begun_leaves_word_until_it_ends(tmp_path, files, monkeypatch):
    planned(tmp_path, files[:2])
    one = hearer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(one, "rows", lambda items: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            one.recognize(0)
    assert one.store.read(begun_name(0)).strip() == "1"
    one.recognize(0)
    assert one.store.find(begun_name(0)) is None


def test_a_part_that_was_begun_twice_is_heard_with_care(tmp_path, files, monkeypatch):
    planned(tmp_path, files[:2])
    one = hearer(tmp_path)
    one.store.write(begun_name(0), f"{BEGUN_BEFORE}\n")
    careful_too = lambda work, items: (failed_row(item, "crashed", "x") for item in items)  # noqa: E731
    monkeypatch.setattr(worker, "isolated_rows", careful_too)
    assert one.recognize(0).errors == {"crashed": 2}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("which", ["begun", "tally", "parts"])
def test_a_full_disk_stops_the_worker_and_leaves_no_half(tmp_path, files, monkeypatch, kind, which):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    planned(tmp_path, files[:3])
    one = hearer(tmp_path, format=kind)
    fsync = stores.fsync

    def full(path):
        if path.parent.name == which:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(path)

    with monkeypatch.context() as patch:
        patch.setattr(stores, "fsync", full)
        with pytest.raises(RunError, match=rf"{which}/.* cannot be written \(No space left"):
            one.recognize(0)
    assert one.store.names("parts") == set()
    assert scratch(tmp_path) == []
    assert one.recognize(0).files == 3


def test_a_part_and_its_numbers_agree_when_hearing_it_again_was_cut_short(tmp_path, monkeypatch):
    """The part is of the first time, or gone; never with the numbers of the second."""
    names = clips(tmp_path / "in", "a.wav", "bad.wav")
    planned(tmp_path / "out", names)
    one = hearer(tmp_path / "out")
    assert one.recognize(0).failed == 1
    clips(tmp_path / "in", "ok.wav")[0]
    (tmp_path / "in/ok.wav").replace(tmp_path / "in/bad.wav")
    fsync = stores.fsync

    def full(path):
        if path.parent.name == "parts":
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(path)

    monkeypatch.setattr(stores, "fsync", full)
    with pytest.raises(RunError):
        one.recognize(0)
    if one.store.find(part_name(0, "jsonl")) is not None:
        tally = json.loads(one.store.read(tally_name(0)))
        assert tally["failed"] == sum("error" in row for row in rows(tmp_path / "out"))


def test_another_model_than_the_batchs_is_refused(tmp_path, files):
    with pytest.raises(RunError, match="the model that the batch was started with"):
        hearer(tmp_path, model_sha256="0" * 64)
    with pytest.raises(CheckpointError):
        hearer(tmp_path, model=str(tmp_path))


def test_a_plan_that_is_not_there_says_so(tmp_path):
    with pytest.raises(RunError, match=r"plan/part-000005\.jsonl cannot be read"):
        hearer(tmp_path).recognize(5)


def test_every_recording_is_ticked(tmp_path, files):
    planned(tmp_path, files[:5])
    ticks = []
    PartWorker(WorkerSpec(str(tmp_path), asked()), lambda: ticks.append(1)).recognize(0)
    assert len(ticks) == 5


# Addresses ----------------------------------------------------------------------------------------


def test_recordings_and_parts_at_addresses(tmp_path, files, recognizer, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in files[:20]:
        memory.put_file(name, f"/in/{name.rpartition('/')[2]}")
    names = [f"memory://in/{name.rpartition('/')[2]}" for name in files[:20]]
    names[12:12] = ["memory://in/gone.wav", files[20]]  # what is not there, and a path between
    planned("memory://out", names)
    tally = hearer("memory://out").recognize(0)
    assert (tally.files, tally.failed) == (22, 3)
    lines = memory.cat_file("/out/parts/part-000000.jsonl").decode().splitlines()
    found = [json.loads(line) for line in lines]
    assert [row["file"] for row in found] == names
    assert found[12]["code"] == "missing_file"
    assert "memory://in/gone.wav: " in found[12]["error"]
    assert "memory://in/bad0003.wav" in found[3]["error"]
    assert found[13]["label"] == recognizer.predict(files[20]).label
    assert found[0]["scores"] == pytest.approx(recognizer.predict(files[0]).scores, abs=0.001)
    memory.store.clear()


def test_large_recordings_at_addresses_are_read_while_they_are_heard(tmp_path, files, monkeypatch):
    """Also where the opened file is one of the disk, whose name cannot be changed."""
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(fetch, "_MOST_BYTES", 100)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put_file(files[0], "/in/a.wav")
    names = ["memory://in/a.wav", f"local://{files[0]}", f"simplecache::local://{files[0]}"]
    names.append("memory://in/bad.wav")
    memory.put_file(files[3], "/in/bad.wav")
    planned(tmp_path, names)
    hearer(tmp_path).recognize(0)
    gc.collect()
    found = rows(tmp_path)
    assert [row.get("error") for row in found[:3]] == [None, None, None]
    assert len({row["label"] for row in found[:3]}) == 1
    assert "memory://in/bad.wav: expected wav, flac, mp3" in found[3]["error"]
    memory.store.clear()


def test_a_store_that_refuses_to_write_is_one_line(tmp_path, files, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    planned("memory://out", files[:2])
    one = hearer("memory://out")

    def full(self, here, there, **keywords):
        raise OSError("quota\nexceeded")

    monkeypatch.setattr(type(memory), "put_file", full)
    with pytest.raises(RunError, match=r"memory://out: .*quota exceeded") as caught:
        one.recognize(0)
    assert "\n" not in str(caught.value)
    memory.store.clear()
