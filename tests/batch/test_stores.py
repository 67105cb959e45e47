"""The folder of a batch: whole files or none, on a disk and at an address."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from phonemo.batch import stores
from phonemo.batch.remote import absolute_path, is_remote, join_url
from phonemo.batch.stores import open_store
from phonemo.errors import RunError, UsageError
from tests.batch.batches import scratch


@pytest.fixture(params=["disk", "memory", "local"])
def store(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "disk":
        yield open_store(str(tmp_path / "a b [1]"))
        return
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield open_store(
        {"memory": "memory://some/where/", "local": f"local://{tmp_path}/x"}[request.param]
    )
    memory.store.clear()


def test_a_store_writes_reads_and_lists_texts(store):
    assert (store.names(), store.names("parts")) == (set(), set())
    assert store.find("batch.json") is None
    store.remove("batch.json")
    store.write("batch.json", "ü\n")
    store.write("parts/part-000000.jsonl", "")
    store.write("parts/part-000001.jsonl", "x\r\ny")
    assert store.read("batch.json") == store.find("batch.json") == "ü\n"
    assert {"batch.json", "parts"} <= store.names()
    assert store.names("parts") == {"part-000000.jsonl", "part-000001.jsonl"}
    store.write("batch.json", "newer")
    assert store.read("batch.json") == "newer"
    store.remove("batch.json")
    assert store.find("batch.json") is None


def test_another_process_opens_the_same_folder(store):
    store.write("a/b", "told")
    assert open_store(store.address).read("a/b") == "told"


def stopped(store, name, error):
    """Half a file is written."""
    with store.writing(name) as path:
        path.write_text("half")
        raise error


def test_a_file_appears_only_after_a_successful_block(store):
    with store.writing("parts/one") as path:
        path.write_text("half")
        assert store.find("parts/one") is None
        assert store.names("parts") <= {path.name}
    assert store.read("parts/one") == "half"
    with pytest.raises(ZeroDivisionError):
        stopped(store, "parts/two", ZeroDivisionError())
    assert store.names("parts") == {"one"}


def test_a_failed_write_is_one_line_and_keeps_the_old_file(store):
    store.write("parts/one", "old")
    with pytest.raises(RunError) as caught:
        stopped(store, "parts/one", OSError(errno.ENOSPC, "No space left on device"))
    assert "parts/one cannot be written (No space left on device); free disk" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.read("parts/one") == "old"
    assert store.names("parts") == {"one"}


def test_a_failed_fsync_leaves_no_file(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "fsync", full)
    store = open_store(str(tmp_path))
    with pytest.raises(RunError, match="No space left"):
        store.write("parts/one", "x")
    assert (store.names("parts"), scratch(tmp_path)) == (set(), [])


def test_an_unreadable_file_is_reported(store):
    with pytest.raises(RunError, match=r"plan/x cannot be read .*share"):
        store.read("plan/x")


def test_a_folder_has_one_owner(tmp_path):
    with open_store(str(tmp_path)).owned():
        other = open_store(str(tmp_path)).owned()
        with pytest.raises(RunError, match="another process") as caught:
            other.__enter__()
        assert "training" not in str(caught.value)
    with open_store(str(tmp_path)).owned():
        pass


def test_an_unknown_protocol_is_a_usage_error():
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match="foo"):
        open_store("foo://x")


ADDRESSES = {
    "s3://b/x": True,
    "S3://b/x": True,
    "simplecache::s3://b": True,
    "abfs+x://b": True,
    "file:///x": False,
    "FILE:///x": False,
    "/x": False,
    "x": False,
    "c:/x": False,
    "a b://x": False,
    "1s://x": False,
}


@pytest.mark.parametrize(("name", "remote"), ADDRESSES.items())
def test_urls_and_paths(name, remote):
    assert is_remote(name) is remote


def test_names_in_a_manifest_are_relative_to_its_folder(here: Path):
    assert join_url("/m", "a.wav") == "/m/a.wav"
    assert join_url("s3://b/m/", "x/a.wav") == "s3://b/m/x/a.wav"
    assert join_url("s3://b/m", "/abs.wav") == "/abs.wav"
    assert join_url("/m", "s3://b/a.wav") == "s3://b/a.wav"
    assert absolute_path("x/../a.wav") == absolute_path("file://" + os.path.join(here, "a.wav"))
