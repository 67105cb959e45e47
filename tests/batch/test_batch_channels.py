"""Channels in a batch: a row for each, every recording counted once."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from phonemo.batch.fetch import fetched
from phonemo.batch.job import BatchOptions
from phonemo.batch.plan import BatchItem
from phonemo.batch.worker import PartWorker, WorkerSpec, isolated_rows
from tests.batch.batches import assert_one_line, batch, batch_options, clips, rows
from tests.tiny_bundle import ADAPTABLE, RATE, make_clip

LEFT, RIGHT = make_clip(RATE, 120.0), make_clip(RATE, 700.0)


def calls(folder):
    """A stereo call, a mono recording, a call with a silent side, and text."""
    folder.mkdir()
    soundfile.write(folder / "call.wav", np.stack([LEFT, RIGHT]).T, RATE, subtype="FLOAT")
    soundfile.write(folder / "half.wav", np.stack([LEFT, 0 * LEFT]).T, RATE, subtype="FLOAT")
    soundfile.write(folder / "mono.wav", LEFT, RATE, subtype="FLOAT")
    clips(folder, "bad.wav")


def summary(out):
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def named(found):
    return sorted((row["file"].partition("/")[2], row.get("channel", 0)) for row in found)


@pytest.mark.usefixtures("at_once")
def test_split_gives_a_row_for_each_channel_and_counts_recordings(here):
    calls(here / "in")
    answer = batch("in", "-o", "out", "--channels", "split", "--part-files", 2)
    assert answer.code == 1
    assert answer.out.startswith("out: 4 recordings, 0.00 h")
    expected = [("bad.wav", 0), ("call.wav", 1), ("call.wav", 2), ("half.wav", 1), ("mono.wav", 1)]
    assert named(rows(here / "out")) == expected
    content = summary(here / "out")
    assert (content["files"]["heard"], content["files"]["failed"]) == (3, 1)
    assert content["audio_hours"] == round(3 / 3600, 4)
    assert sum(content["labels"].values()) == 4
    assert content["warnings"]["silent_channel"] == 1
    again = batch("in", "-o", "out", "--channels", "split")
    assert "4 recordings (4 in earlier runs)" in again.out
    assert len(rows(here / "out")) == 5


@pytest.mark.usefixtures("at_once")
def test_a_number_takes_one_channel_and_others_are_error_rows(here):
    calls(here / "in")
    assert batch("in", "-o", "out", "--channels", 2).code == 1
    found = {row["file"]: row for row in rows(here / "out")}
    assert found["in/call.wav"]["channel"] == 2
    assert found["in/mono.wav"]["code"] == "invalid_channel"
    assert summary(here / "out")["errors"] == {"unsupported_audio": 1, "invalid_channel": 1}


@pytest.mark.usefixtures("at_once")
def test_parquet_has_the_column_channel_in_every_batch(here):
    parquet = pytest.importorskip("pyarrow.parquet")
    calls(here / "in")
    for channels, expected in (("split", [1, 2, 1, 1]), ("mix", [])):
        batch("in", "-o", channels, "--channels", channels, "--format", "parquet")
        table = parquet.read_table(here / channels / "parts")
        assert str(table.schema.field("channel").type) == "int32"
        assert [row for row in table["channel"].to_pylist() if row] == expected


@pytest.mark.usefixtures("at_once")
def test_other_options_do_not_continue_a_batch(here):
    calls(here / "in")
    batch("in", "-o", "out")
    answer = batch("in", "-o", "out", "--channels", "split")
    assert answer.code != 0
    assert "channels: expected 'mix', got 'split'" in answer.err
    assert "channels" not in json.loads((here / "out" / "batch.json").read_text("utf-8"))["asked"]


@pytest.mark.parametrize("channels", ["left", "0"])
def test_other_channels_are_one_clear_line(here, channels):
    answer = batch("in", "-o", "out", "--channels", channels)
    assert_one_line(answer, 2, "expected mix, split or a number from 1 to 64")


def test_the_channel_of_a_manifest_precedes_the_option(here):
    calls(here / "in")
    call = BatchItem("call.wav", str(here / "in" / "call.wav"))
    items = [replace(call, channel=2), call, replace(call, channel=3), replace(call, start=0.5)]
    worker = PartWorker(WorkerSpec(str(here / "out"), batch_options(channels="split")))
    second, both, beyond, part = worker.rows(items)
    assert [row["channel"] for row in second] == [2]
    assert [row["channel"] for row in both] == [1, 2]
    assert [(row["channel"], row["code"]) for row in beyond] == [(3, "invalid_channel")]
    assert [(row["channel"], row["from"], row["seconds"]) for row in part] == [
        (1, 0.5, 0.5),
        (2, 0.5, 0.5),
    ]
    assert second[0]["scores"] == pytest.approx(both[1]["scores"])


def test_channels_of_one_file_are_different_items():
    call = BatchItem("call.wav", "/call.wav")
    items = [call, replace(call, channel=1), replace(call, channel=2)]
    assert len({item.key for item in items}) == 3
    assert [BatchItem.of_line(item.to_line()) for item in items] == items
    whole, first, second = fetched(items, deque())
    assert (whole, first.channel, second.channel) == ("/call.wav", 1, 2)


def test_the_key_of_an_item_without_a_channel_is_that_of_earlier_versions():
    item = BatchItem("a.wav", "/a.wav", "7", 1.0, 2.0)
    assert item.key.hex() == "bbd34e4d5edec8588aa1e5e06b42ddab"


def test_isolated_recordings_have_their_channels(here):
    calls(here / "in")
    items = [BatchItem(name, str(here / "in" / name)) for name in ("call.wav", "bad.wav")]
    work = WorkerSpec(str(here / "out"), batch_options(channels="split"))
    good, bad = isolated_rows(work, items)
    assert [row["channel"] for row in good] == [1, 2]
    assert [row["code"] for row in bad] == ["unsupported_audio"]


def test_options_with_channels_survive_their_file():
    for channels in ("mix", "split", 2):
        options = batch_options(channels=channels)
        assert BatchOptions.model_validate_json(options.model_dump_json()) == options


@pytest.mark.usefixtures("at_once")
def test_an_adapting_batch_takes_its_profile_from_the_channels(here):
    calls(here / "in")
    answer = batch("in", "-o", "out", "--channels", "split", "--adapt", "--model", ADAPTABLE)
    assert answer.code == 1, answer
    found = [row for row in rows(here / "out") if "error" not in row]
    assert len({row["profile"]["hash"] for row in found}) == 1
    assert len(found) == 4
