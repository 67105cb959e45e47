"""The command `phonemo batch`, with the engine in this process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys

import pytest

from phonemo.batch.stores import open_store
from phonemo.errors import MissingExtraError
from tests.answers import without_nulls
from tests.batch.batches import (
    assert_once,
    assert_one_line,
    batch,
    clips,
    inline,
    parts,
    rows,
    some,
)
from tests.tiny_bundle import BUNDLE

pytestmark = pytest.mark.usefixtures("at_once")


def states(out):
    """The time and the inode of each part."""
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in (out / "parts").iterdir()
    }


def names(*files):
    return [f"in/{name}" for name in files]


# Recognition -------------------------------------------------------------------------------------


def test_a_folder_is_recognized_and_summarized(here):
    clips(here / "in", "a.wav", "bad.wav", "sub/c d.wav")
    answer = batch("in", "-o", "out", "--part-files", 2)
    assert (answer.code, answer.err) == (1, "")
    head, labels, failed = answer.out.splitlines()
    assert head == "out: 3 recordings, 0.00 h"
    assert labels.startswith("  ")
    assert failed == "  failed: 1 (unsupported_audio 1); details in their rows"
    assert parts(here / "out") == ["part-000000.jsonl", "part-000001.jsonl"]
    assert_once(here / "out", names("a.wav", "bad.wav", "sub/c d.wav"))


def test_other_files_are_counted_and_media_and_pointers_are_named(here):
    clips(here / "in", "a.wav")
    (here / "in/b.txt").touch()
    (here / "in/c.pdf").touch()
    (here / "in/lfs.wav").write_text("version https://git-lfs.github.com/spec/v1\noid x\nsize 5\n")
    (here / "in/voice.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0")
    answer = batch("in", "-o", "out", "--quiet")
    assert answer.err == "phonemo: in: 2 files skipped (1 .pdf, 1 .txt)\n"
    by_file = {row["file"]: row for row in rows(here / "out")}
    assert set(by_file) == {"in/a.wav", "in/lfs.wav", "in/voice.m4a"}
    assert "label" in by_file["in/a.wav"]
    assert by_file["in/lfs.wav"]["code"] == "unsupported_audio"
    assert by_file["in/voice.m4a"]["error"]


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_other_columns_of_a_table_come_back_when_it_is_resumed(here, format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    clips(here / "wav", *some(4))
    lines = ["Path;Agent;label", *(f"wav\\{name};=1+{name};Wut" for name in some(4))]
    (here / "t.csv").write_text("\n".join(lines))
    options = ("-o", "out", "--part-files", 2, "--format", format)
    assert batch("t.csv", *options).code == 0
    (first, *_) = sorted((here / "out/parts").iterdir())
    first.unlink()
    assert batch("t.csv", *options).code == 0
    if format == "parquet":
        from pyarrow.parquet import read_table

        found = [
            row for part in (here / "out/parts").iterdir() for row in read_table(part).to_pylist()
        ]
    else:
        found = rows(here / "out")
    columns = [dict(row["columns"]) for row in found]
    expected = [{"Agent": f"=1+{name}", "label": "Wut"} for name in some(4)]
    assert sorted(columns, key=str) == expected


def test_no_failure_is_exit_status_0(here):
    clips(here / "in", "a.wav")
    assert batch("in", "-o", "out").code == 0


def test_every_kind_of_input_gives_the_same_set(here):
    files = clips(here / "in", *some(6))
    (here / "m.jsonl").write_text("".join(json.dumps({"file": path}) + "\n" for path in files))
    with (here / "m.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["file"], *[[path] for path in files]])
    (here / "l.txt").write_text("".join(f"{path}\n" for path in files))
    assert batch("in", "-o", "out").code == 0
    before = states(here / "out")
    stdin = "\n".join(files).encode()
    for word in ("in/*.wav", str(here / "in"), "./in/../in", "m.jsonl", "m.csv", "l.txt", "-"):
        answer = batch(word, "-o", "out", stdin=stdin)
        assert answer.code == 0
        assert answer.out.startswith("out: 6 recordings (6 in earlier runs)"), word
        assert "6 of 6 were recognized before" in answer.err
    answer = batch("in", "m.jsonl", *files, "-o", "out")
    assert "named more than once: 12; each is recognized once" in answer.out
    assert states(here / "out") == before
    assert_once(here / "out", names(*some(6)))


def test_a_parquet_manifest_and_parquet_parts(here):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    clips(here / "in", *some(4, bad=(1,)))
    parquet.write_table(pyarrow.table({"path": names(*some(4, bad=(1,)))}), here / "m.parquet")
    answer = batch("m.parquet", "-o", "out", "--format", "parquet", "--part-files", 1)
    assert answer.code == 1
    assert batch("m.parquet", "-o", "lines", "--part-files", 1).code == 1
    table = parquet.read_table(here / "out/parts").to_pylist()
    assert without_nulls(table) == without_nulls(rows(here / "lines"))


ODD = [
    "a b.wav",
    "line\nbreak.wav",
    "\x1b[31mred.wav",
    "ü.wav",
    os.fsdecode(b"caf\xe9.wav"),
    "'\".wav",
]


def test_odd_names_are_recognized_and_kept(here):
    clips(here / "in", *ODD)
    answer = batch("in", "-o", "out")
    assert answer.code == 0
    assert "\x1b" not in answer.out + answer.err
    assert_once(here / "out", names(*ODD))


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names_may_be_typed_as_input_and_output(here, name):
    clips(here / "in", name)
    answer = batch(f"in/{name}", "-o", f"out{name}")
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out
    assert_once(here / f"out{name}", names(name))
    assert batch(f"in/{name}", "-o", f"out{name}").code == 0


def test_a_read_only_folder_is_recognized(here):
    clips(here / "in", "a.wav")
    (here / "in").chmod(0o500)
    assert batch("in", "-o", "out").code == 0
    (here / "in").chmod(0o700)


def test_what_is_not_a_file_is_an_error_row(here):
    clips(here / "in", "a.wav")
    os.mkfifo(here / "in/pipe.wav")
    (here / "in/nowhere.wav").symlink_to("gone")
    (here / "in/folder.wav").mkdir()
    (here / "l.txt").write_text("in/folder.wav\n")
    assert batch("in", "l.txt", "-o", "out").code == 1
    codes = {row["file"]: row.get("code") for row in rows(here / "out")}
    assert codes == {
        "in/a.wav": None,
        "in/pipe.wav": "unsupported_audio",
        "in/nowhere.wav": "missing_file",
        "in/folder.wav": "unsupported_audio",
    }


# Resuming -----------------------------------------------------------------------------------------


def test_a_rerun_from_another_folder_knows_the_set(here, monkeypatch):
    clips(here / "in", *some(4))
    batch("in", "-o", "out", "--part-files", 2)
    before = states(here / "out")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert batch("../in", "-o", "../out", "--part-files", 3).code == 0
    assert states(here / "out") == before


def test_only_a_missing_part_is_processed_again(here):
    clips(here / "in", *some(6, bad=(4,)))
    batch("in", "-o", "out", "--part-files", 2)
    before, text = states(here / "out"), (here / "out/parts/part-000001.jsonl").read_bytes()
    (here / "out/parts/part-000001.jsonl").unlink()
    answer = batch("in", "-o", "out", "--part-files", 2)
    assert "(4 in earlier runs)" in answer.out
    assert (here / "out/parts/part-000001.jsonl").read_bytes() == text
    after = states(here / "out")
    changed = [name for name in after if after[name] != before[name]]
    assert changed == ["part-000001.jsonl"]
    assert_once(here / "out", names(*some(6, bad=(4,))))


def test_new_files_get_new_parts(here):
    clips(here / "in", *some(3))
    batch("in", "-o", "out", "--part-files", 2)
    before = states(here / "out")
    clips(here / "in", "00.wav", "x.wav", "y.wav")
    answer = batch("in", "-o", "out", "--part-files", 2)
    assert "out: 6 recordings (3 in earlier runs)" in answer.out
    after = states(here / "out")
    assert {name: after[name] for name in before} == before
    assert len(after) == 4
    assert_once(here / "out", names(*some(3), "00.wav", "x.wav", "y.wav"))


def test_files_that_vanished_keep_their_rows(here):
    clips(here / "in", *some(3))
    batch("in", "-o", "out")
    (here / "in/a0001.wav").unlink()
    answer = batch("in", "-o", "out")
    assert answer.code == 0
    assert "  no longer named: 1; their rows are kept" in answer.out
    assert_once(here / "out", names(*some(3)))


def test_a_file_that_vanished_before_its_turn_is_an_error_row(here):
    clips(here / "in", *some(3))
    batch("in", "-o", "out", "--part-files", 1)
    (here / "out/parts/part-000001.jsonl").unlink()
    (here / "in/a0001.wav").unlink()
    assert batch("in", "-o", "out").code == 1
    assert [row.get("code") for row in rows(here / "out")] == [None, "missing_file", None]


def test_retry_processes_only_parts_with_errors(here):
    clips(here / "in", *some(6, bad=(2,)))
    assert batch("in", "-o", "out", "--part-files", 2).code == 1
    before = states(here / "out")
    assert batch("in", "-o", "out").code == 1  # without --retry the error stays
    assert states(here / "out") == before
    shutil.copy(here / "in/a0001.wav", here / "in/bad0002.wav")
    answer = batch("in", "-o", "out", "--retry")
    assert answer.code == 0, answer
    assert "(4 in earlier runs)" in answer.out
    after = states(here / "out")
    assert [name for name in sorted(after) if after[name] != before[name]] == ["part-000002.jsonl"]
    assert_once(here / "out", names(*some(6, bad=(2,))))


OTHERWISE = {
    "top_k": ["--top-k", 1],
    "phonemes": ["--phonemes"],
    "decoding": ["--decoding", "beam-search"],
    "edges": ["--edges", "waveform"],
    "timeline": ["--timeline"],
    "labels": ["--labels", "anger,sadness"],
    "threshold": ["--threshold", 0.5],
}


@pytest.mark.parametrize("option", OTHERWISE)
def test_other_options_are_refused(here, option):
    clips(here / "in", "a.wav")
    batch("in", "-o", "out")
    before = (here / "out/batch.json").read_bytes()
    answer = batch("in", "-o", "out", *OTHERWISE[option])
    assert_one_line(answer, 1, f"({option}: ", "expected ", "got ", "--output")
    assert (here / "out/batch.json").read_bytes() == before


def test_another_format_is_refused(here):
    pytest.importorskip("pyarrow")
    clips(here / "in", "a.wav")
    batch("in", "-o", "out")
    assert_one_line(batch("in", "-o", "out", "--format", "parquet"), 1, "format: expected 'jsonl'")


def test_another_model_is_refused_and_the_same_one_elsewhere_is_not(here):
    clips(here / "in", "a.wav")
    shutil.copytree(BUNDLE, here / "bundle")
    batch("in", "-o", "out")
    clips(here / "in", "b.wav")
    assert batch("in", "-o", "out", "--model", "bundle").code == 0
    card = json.loads((here / "bundle/bundle.json").read_text())
    card["threshold" if "threshold" in card else "phonemo"] = card.get("threshold", "9")
    (here / "bundle/bundle.json").write_text(json.dumps(card))
    assert_one_line(batch("in", "-o", "out", "--model", "bundle"), 1, "model_sha256")


def test_a_batch_resumes_with_other_numbers_of_workers_and_files(here):
    clips(here / "in", *some(3))
    batch("in", "-o", "out", "--part-files", 2, "--workers", 1)
    assert batch("in", "-o", "out", "--part-files", 1, "-j", 7).code == 0


# What is refused ----------------------------------------------------------------------------------


def test_a_folder_with_something_else_is_refused_and_left_alone(here):
    clips(here / "in", "a.wav")
    for name in (
        "foreign/sub/.download.part",
        "foreign/parts/.part-000000.jsonl.1.part",
        "foreign/x",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    before = sorted(here.rglob("foreign/**/*"))
    assert_one_line(batch("in", "-o", "foreign"), 1, "foreign: expected a batch folder")
    assert sorted(here.rglob("foreign/**/*")) == before


def test_hidden_files_do_not_make_a_folder_foreign(here):
    clips(here / "in", "a.wav")
    (here / "out").mkdir()
    (here / "out/.DS_Store").touch()
    assert batch("in", "-o", "out").code == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "command": "x"}'])
def test_a_malformed_card_is_refused(here, text):
    clips(here / "in", "a.wav")
    (here / "out").mkdir()
    (here / "out/batch.json").write_text(text)
    assert_one_line(batch("in", "-o", "out"), 1, "expected batch.json of this version of phonemo")


def test_two_jobs_in_one_folder_are_refused(here):
    clips(here / "in", "a.wav")
    batch("in", "-o", "out")
    with open_store(str(here / "out")).owned():
        answer = batch("in", "-o", "out")
    assert_one_line(answer, 1, "another process")
    assert "training" not in answer.err


def test_scratch_of_killed_jobs_is_cleared_and_nothing_else(here):
    clips(here / "in", "a.wav")
    batch("in", "-o", "out")
    left = [
        ".batch.json.7.part",
        "parts/.part-000000.jsonl.7.part",
        "tally/.part-000000.json.7.part",
    ]
    for name in [*left, ".mine", "parts/.download.part"]:
        (here / "out" / name).touch()
    batch("in", "-o", "out")
    assert [name for name in left if (here / "out" / name).exists()] == []
    assert (here / "out/.mine").exists()
    assert (here / "out/parts/.download.part").exists()


USAGE = {
    "typo": (["typo"], 2, ["typo"]),
    "empty folder": (["empty"], 2, ["empty: expected recordings"]),
    "pattern": (["in/*.mp3"], 2, ["in/*.mp3: expected recordings"]),
    "bad row": (["bad.jsonl"], 1, ["bad.jsonl:2: expected a JSON object"]),
    "address": (["in", "--address", "auto"], 2, ["--address", "--engine ray"]),
    "label": (["in", "--labels", "anger,joy"], 2, ["joy"]),
    "one label": (["in", "--labels", "anger"], 2, ["two"]),
    "no label": (["in", "--labels", "anger,"], 2, ["--labels"]),
    "vad": (["in", "--vad", "nose"], 2, ["nose", "energy"]),
    "decoding": (["in", "--decoding", "klingon"], 2, ["klingon", "beam-search"]),
    "language": (["in", "--decoding", "english"], 2, ["phonemes of english", "best-path"]),
    "edges": (["in", "--edges", "sharp"], 2, ["sharp", "waveform"]),
    "model": (["in", "--model", "nowhere"], 1, ["nowhere"]),
    "no model": (["in", "--model", "empty"], 1, ["empty"]),
    "empty list": (["empty.txt"], 2, ["empty"]),
    "empty manifest": (["empty.jsonl"], 2, ["empty"]),
    "empty standard input": (["-"], 2, ["empty"]),
}


@pytest.mark.parametrize(("words", "code", "fragments"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_a_one_line_error_and_nothing_is_written(here, words, code, fragments):
    clips(here / "in", "a.wav")
    (here / "empty").mkdir()
    (here / "empty.txt").write_text("\n  \n")
    (here / "empty.jsonl").touch()
    (here / "bad.jsonl").write_text('"in/a.wav"\nnonsense\n')
    assert_one_line(batch(*words, "-o", "out"), code, *fragments)
    assert parts(here / "out") == []
    assert batch("in", "-o", "out").code == 0  # the error leaves the folder usable
    assert_once(here / "out", names("a.wav"))


@pytest.mark.parametrize(
    "words", [["--top-k", 0], ["-j", 0], ["--part-files", 0], ["--threshold", "nan"]]
)
def test_numbers_out_of_range_are_refused(here, words):
    clips(here / "in", "a.wav")
    answer = batch("in", "-o", "out", *words)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert not (here / "out").exists()


def test_an_output_that_is_a_file_is_refused(here):
    clips(here / "in", "a.wav")
    (here / "file").write_text("mine")
    for name in ("file", "file/below"):
        assert_one_line(batch("in", "-o", name), 1, name)
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("module", "words"), [("ray", ["--engine", "ray"]), ("pyarrow", ["--format", "parquet"])]
)
def test_what_is_not_installed_is_named(here, monkeypatch, module, words):
    clips(here / "in", "a.wav")
    monkeypatch.setitem(sys.modules, module, None)
    assert_one_line(batch("in", "-o", "out", *words), 1, "pip install 'phonemo[")
    assert not (here / "out").exists()


def test_an_address_needs_its_package(monkeypatch):
    from phonemo.batch.remote import file_system

    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[batch\]"):
        file_system("s3://bucket/x")


def test_a_broken_tally_names_what_to_remove(here):
    clips(here / "in", "a.wav")
    batch("in", "-o", "out")
    (here / "out/tally/part-000000.json").write_text("{")
    assert_one_line(batch("in", "-o", "out"), 1, "tally/part-000000.json is malformed; remove it")


def test_a_remote_input_and_output_in_one_process(here):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in clips(here / "in", *some(5, bad=(3,))):
        memory.put_file(name, f"/in/{name.rpartition('/')[2]}")
    assert batch("memory://in", "-o", "memory://out", "--part-files", 2).code == 1
    assert batch("memory://in/*.wav", "-o", "memory://out").out.startswith(
        "memory://out: 5 recordings (5 in"
    )
    summary = json.loads(memory.cat_file("/out/summary.json"))
    assert summary["files"] == {
        **{"planned": 5, "heard": 4, "failed": 1, "named_again": 0, "named_no_more": 0}
    }
    memory.store.clear()


def test_the_engine_gets_only_the_missing_parts(here, monkeypatch):
    """One part is missing, and one is passed to the engine."""
    from phonemo.batch import run

    clips(here / "in", *some(6))
    batch("in", "-o", "out", "--part-files", 2)
    (here / "out/parts/part-000001.jsonl").unlink()
    given = []

    def record_call(work, missing, engine, alive):
        given.append((list(missing), engine.workers))
        return inline(work, missing, engine, alive)

    monkeypatch.setitem(run.ENGINES, "local", record_call)
    batch("in", "-o", "out", "-j", 3)
    batch("in", "-o", "out", "-j", 3)
    assert given == [([1], 3)]
