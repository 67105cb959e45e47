"""Answers in a file: JSON lines and Parquet say the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from phonemo.annotations.dimensions import Dimensions
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment
from phonemo.batch.plan import BatchItem
from phonemo.batch.rows import failed_row, part_name, rows_of, writing_rows
from phonemo.errors import AudioError, RunError

EMOTIONS = ("anger", "neutral")
SCORES = {"anger": 0.25, "neutral": 0.75}
SPANS = (PhonemeSpan("a", 0.1, 0.2, 0.9, 0.05),)
DIMENSIONS = Dimensions({"arousal": 0.75, "valence": 0.25}, derived=True)
SEGMENT = Segment(0, 1.5, "neutral", SCORES, dimensions=DIMENSIONS)
FOUND = Prediction(
    "neutral", SCORES, 1.5, SPANS, ("clipped",), (SEGMENT,), 0.5, dimensions=DIMENSIONS
)
BYTES = os.fsdecode(b"caf\xe9.wav")


def written(path, kind, rows, spans=False):
    with writing_rows(path, kind, EMOTIONS, spans) as write:
        for row in rows:
            write(row)
    return path


def table(path):
    return pytest.importorskip("pyarrow.parquet").read_table(path)


def told(row):
    """Without empty fields, at any depth: the columns of Parquet are those of all rows."""
    if isinstance(row, list):
        return [told(item) for item in row]
    if not isinstance(row, dict):
        return row
    return {name: told(value) for name, value in row.items() if value is not None}


def row_of(item, outcome, spans):
    (row,) = rows_of(item, outcome, spans)
    return row


def test_part_names_sort_by_number():
    assert part_name(7, "jsonl") == "parts/part-000007.jsonl"
    assert part_name(1_234_567, "parquet") == "parts/part-1234567.parquet"


def test_a_prediction_and_an_error_as_rows():
    item = BatchItem("a.wav", "/a.wav", "7", 1.0)
    (row,) = rows_of(item, FOUND, spans=False)
    assert list(row)[:4] == ["id", "file", "from", "label"]
    assert row["scores"] == SCORES
    assert "spans" not in row
    assert rows_of(item, FOUND, spans=True)[0]["spans"][0]["symbol"] == "a"
    error = AudioError("too_short", "/a.wav: too short")
    expected = {"id": "7", "file": "a.wav", "from": 1.0, "error": "/a.wav: too short"}
    assert rows_of(item, error, spans=False)[0] == expected | {"code": "too_short"}
    assert rows_of(item, RunError("x"), spans=False)[0]["code"] == "error"


@pytest.mark.parametrize("spans", [False, True])
def test_both_formats_have_the_same_content(tmp_path, spans):
    pytest.importorskip("pyarrow")
    rows = [row_of(BatchItem(f"{n}.wav", "/x", str(n), float(n)), FOUND, spans) for n in range(600)]
    rows[5] = failed_row(BatchItem("bad.wav", "/x"), "too_short", "what is wrong")
    rows[6] = row_of(BatchItem("few.wav", "/x"), FOUND.top(1), spans)
    lines = written(tmp_path / "a", "jsonl", rows, spans).read_text(encoding="utf-8")
    assert [json.loads(line) for line in lines.splitlines()] == rows
    found = table(written(tmp_path / "b", "parquet", rows, spans)).to_pylist()
    few = found[6]["scores"], found[6]["segments"][0]["scores"]
    assert few == ({"anger": None, "neutral": 0.75},) * 2
    found[6] = told(found[6]) | {"scores": {"neutral": 0.75}}
    found[6]["segments"][0]["scores"] = {"neutral": 0.75}
    assert [told(row) for row in found] == rows


def test_all_parquet_parts_have_one_schema(tmp_path):
    errors = [failed_row(BatchItem("bad.wav", "/x"), "too_short", "what is wrong")]
    whole = [row_of(BatchItem("a.wav", "/x", "7", 1.0, 2.0), FOUND, spans=False)]
    kinds = {"errors": errors, "answers": whole, "nothing": []}
    schemas = [
        table(written(tmp_path / name, "parquet", rows)).schema for name, rows in kinds.items()
    ]
    assert schemas[0].equals(schemas[1])
    assert schemas[0].equals(schemas[2])


@pytest.mark.parametrize(
    "name", [BYTES, "line\nbreak", "\x1b[31m", 'q"\\', "ü語", "\u2028", "\x00"]
)
def test_json_lines_preserve_every_name(tmp_path, name):
    rows = [failed_row(BatchItem(name, "/x", name), "code", f"{name}: bad"), {"file": "next"}]
    data = written(tmp_path / "a", "jsonl", rows).read_bytes()
    assert data.count(b"\n") == 2
    assert [json.loads(line) for line in data.split(b"\n")[:-1]] == rows


@pytest.mark.parametrize("name", [BYTES, "\ud800", "line\nbreak", "ü語", "\x00"])
def test_parquet_accepts_every_name(tmp_path, name):
    pytest.importorskip("pyarrow")
    rows = [failed_row(BatchItem(name, "/x", name), "code", f"{name}: bad")]
    found = table(written(tmp_path / "a", "parquet", rows)).to_pylist()[0]
    if name in (BYTES, "\ud800"):
        name = name.replace("\udce9", "\ufffd").replace("\ud800", "\ufffd")
    assert (found["id"], found["file"], found["error"]) == (name, name, f"{name}: bad")


def test_a_full_disk_stops_parquet_too():
    pytest.importorskip("pyarrow")
    rows = [failed_row(BatchItem(str(number), "/x"), "code", "bad") for number in range(600)]
    with pytest.raises(OSError, match=r"full|space"):
        written(Path("/dev/full"), "parquet", rows)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_columns_are_a_field_of_their_own_in_both_formats(tmp_path, kind):
    columns = (("label", "=1+1"), ("größe", BYTES))
    item = BatchItem(BYTES, "/x", columns=columns)
    rows = [row_of(item, FOUND, spans=False), failed_row(item, "too_short", "short")]
    path = written(tmp_path / "rows", kind, [*rows, row_of(BatchItem("b", "/b"), FOUND, False)])
    if kind == "jsonl":
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert found[0]["columns"] == found[1]["columns"] == dict(columns)
        assert "columns" not in found[2]
        return
    found = table(path).to_pylist()
    shown = {"label": "=1+1", "größe": "caf\N{REPLACEMENT CHARACTER}.wav"}
    assert dict(found[0]["columns"]) == dict(found[1]["columns"]) == shown
    assert found[2]["columns"] is None
