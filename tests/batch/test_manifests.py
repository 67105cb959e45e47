"""Manifests: every kind of row, and every kind of bad one with its line."""

from __future__ import annotations

import json

import pytest

from phonemo.batch.inputs import items_of
from phonemo.corpora.manifest import Header, write_manifest
from phonemo.errors import ManifestError
from tests.corpora.tiny_manifests import utterance


def read_items(name):
    """File, path, id, start and end of each row."""
    return [(item.file, item.path, item.id, item.start, item.end) for item in items_of([str(name)])]


def write(path, *lines, mark=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(mark + "\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


# JSON lines ---------------------------------------------------------------------------------------


def test_jsonl_rows_are_objects_or_paths_seen_from_the_manifest(here):
    rows = [
        {"file": "a.wav", "id": 7, "text": "left alone"},
        {"path": "/abs/b.wav", "start": 1, "end": 2.5},
        "sub/c d.wav",
        {"audio_filepath": "n.wav", "offset": 1.5, "duration": 2, "text": "hi"},
        {"file": "s3://bucket/x.wav"},
        {"file": "d.wav", "start": None, "end": None, "id": ""},
        {"file": "e.wav", "duration": "0.5"},
    ]
    write(here / "m/l.jsonl", *map(json.dumps, rows), "", "   ")
    at = str(here / "m")
    assert read_items("m/l.jsonl") == [
        ("a.wav", f"{at}/a.wav", "7", None, None),
        ("/abs/b.wav", "/abs/b.wav", None, 1.0, 2.5),
        ("sub/c d.wav", f"{at}/sub/c d.wav", None, None, None),
        ("n.wav", f"{at}/n.wav", None, 1.5, 3.5),
        ("s3://bucket/x.wav", "s3://bucket/x.wav", None, None, None),
        ("d.wav", f"{at}/d.wav", None, None, None),
        ("e.wav", f"{at}/e.wav", None, None, 0.5),
    ]
    assert (
        read_items(here / "m/l.jsonl")
        == read_items("m/l.jsonl")
        == read_items(f"file://{at}/l.jsonl")
    )


def test_a_byte_order_mark_and_windows_lines_are_taken(here):
    write(here / "l.ndjson", '{"file": "a.wav"}\r', '"b.wav"\r', mark="\ufeff")
    assert [row[0] for row in read_items("l.ndjson")] == ["a.wav", "b.wav"]


def test_a_file_address_in_a_row_is_a_path(here):
    write(here / "l.jsonl", json.dumps({"file": f"file://{here}/a.wav"}))
    assert read_items("l.jsonl")[0][1] == str(here / "a.wav")


@pytest.mark.parametrize("root", ["audio", "."])
def test_the_header_of_a_prepared_manifest_sets_the_root(here, root):
    (here / "m").mkdir()
    header = Header(corpus="toy", root=root, phonemo="test")
    rows = [utterance("a"), utterance("b", "someone")]
    write_manifest(here / "m/l.jsonl", header, rows)
    base = here / "m" / root
    assert [row[:3] for row in read_items("m/l.jsonl")] == [
        ("a.wav", str(base / "a.wav"), "a"),
        ("b.wav", str(base / "b.wav"), "b"),
    ]


def test_a_prepared_manifests_root_may_be_absolute(here):
    write(here / "l.jsonl", '{"manifest": 1, "root": "/data"}', '{"file": "a.wav", "id": "x"}')
    assert read_items("l.jsonl") == [("a.wav", "/data/a.wav", "x", None, None)]


BAD_ROWS = {
    "not json": ("{'file': 1}", "expected a JSON object"),
    "deep": ("[" * 100_000, "expected a JSON object"),
    "number": ("5", "a JSON object, or a path"),
    "list": ('["a.wav"]', "a JSON object, or a path"),
    "no file": ('{"text": "hi"}', "in 'file'"),
    "empty file": ('{"file": ""}', "in 'file'"),
    "file is a number": ('{"file": 3}', "in 'file'"),
    "negative": ('{"file": "a", "start": -1}', "start"),
    "infinite": ('{"file": "a", "duration": Infinity}', "inf"),
    "words": ('{"file": "a", "offset": "soon"}', "'soon'"),
    "a list of times": ('{"file": "a", "end": [1, 2]}', "end"),
    "a file that is an object": ('{"file": {"0": "a.wav"}}', "in 'file'"),
    "an object": ('{"file": "a", "offset": {}}', "start"),
    "backwards": ('{"file": "a", "start": 3, "end": 2}', "expected end > start, got 3 to 2 s"),
    "nothing long": ('{"file": "a", "duration": 0}', "expected end > start"),
    "second header": ('{"manifest": 1, "root": "x"}', "in 'file'"),
}


@pytest.mark.parametrize(("line", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_reported_with_its_line(here, line, message):
    write(here / "l.jsonl", '"good.wav"', "", line)
    with pytest.raises(ManifestError) as caught:
        read_items("l.jsonl")
    assert str(caught.value).startswith("l.jsonl:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["l.jsonl", "t.csv"])
def test_bytes_of_another_encoding_are_an_error(here, name):
    (here / "l.jsonl").write_bytes(b'"a.wav"\n' + '{"file": "生气.wav"}\n'.encode("gbk"))
    (here / "t.csv").write_bytes("file\n生气.wav\n".encode("gbk"))
    with pytest.raises(ManifestError, match=rf"{name}: expected UTF-8 text; save it as UTF-8"):
        read_items(name)


# Tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_every_kind(here, delimiter, mark, end):
    head = delimiter.join([" File", "emotion", "START ", "end", "Id"])
    body = delimiter.join(["a b.wav", "x", "0.5", "2", "one"])
    text = mark + end.join([head, body, "", delimiter.join(['"q""t.wav"', "", "", "", ""]), ""])
    (here / "t.csv").write_text(text, encoding="utf-8", newline="")
    assert read_items("t.csv") == [
        ("a b.wav", str(here / "a b.wav"), "one", 0.5, 2.0),
        ('q"t.wav', str(here / 'q"t.wav'), None, None, None),
    ]


def test_nemo_columns_and_a_single_column(here):
    write(here / "t.tsv", "audio_filepath\toffset\tduration", "a.wav\t1\t2")
    assert read_items("t.tsv")[0][2:] == (None, 1.0, 3.0)
    write(here / "one.csv", "path", "a.wav", "with space.wav")
    assert [row[0] for row in read_items("one.csv")] == ["a.wav", "with space.wav"]


def test_a_name_with_a_line_break_keeps_the_count_of_lines(here):
    write(here / "t.csv", "file,start", '"a\nb.wav",1', "c.wav,soon")
    with pytest.raises(ManifestError, match=r"t\.csv:4: start: expected seconds >= 0, got 'soon'"):
        read_items("t.csv")


BAD_TABLES = {
    "no header": ("a.wav,1\n", r"t\.csv:1: expected a column 'file'"),
    "empty": ("", r"t\.csv: expected a table, got an empty file"),
    "no file in a row": (
        "file,id\na.wav,1\n,2\n",
        r"t\.csv:3: expected the path of a recording in 'file'",
    ),
    "bad start": ("file,start\na.wav,x\n", r"t\.csv:2: start: expected seconds >= 0, got 'x'"),
    "unquoted comma": ("file,id\na,b.wav,1\n", r"t\.csv:2: "),
    "unquoted comma alone": ("file\nok.wav\na,b.wav\n", r"t\.csv:3: "),
    "open quote": ('file\nok.wav\n"a.wav\n', r"t\.csv:[23]: "),
}


@pytest.mark.parametrize(("text", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_bad_table_is_reported_with_its_line(here, text, message):
    (here / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        read_items("t.csv")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_may_be_what_excel_writes(here, encoding):
    (here / "t.csv").write_bytes("file;id\ncafé.wav;1\n".encode(encoding))
    assert [row[:3] for row in read_items("t.csv")] == [("café.wav", str(here / "café.wav"), "1")]


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl", "gone.parquet"])
def test_a_missing_manifest_is_an_error(here, name):
    with pytest.raises(ManifestError, match=rf"{name}: cannot be read \(No such file"):
        read_items(name)


def test_paths_of_windows_and_file_addresses_are_found(here):
    (here / "back\\slash.wav").touch()
    lines = ["wav\\a.wav", "C:\\x\\a.wav", "back\\slash.wav", f"file://{here}/a%20b.wav"]
    write(here / "t.csv", "file", *lines)
    assert [row[:2] for row in read_items("t.csv")] == [
        ("wav\\a.wav", str(here / "wav/a.wav")),
        ("C:\\x\\a.wav", "C:/x/a.wav"),
        ("back\\slash.wav", str(here / "back\\slash.wav")),
        (f"file://{here}/a%20b.wav", str(here / "a b.wav")),
    ]


def test_times_of_audformat_and_pandas(here):
    write(
        here / "t.csv", ",file,start,end", "0,a.wav,0 days 00:00:01.5,0 days 00:00:02", "1,b,0,NaT"
    )
    assert [row[3:] for row in read_items("t.csv")] == [(1.5, 2.0), (0.0, None)]


def test_nemo_manifests_named_json_and_arrays(here):
    rows = [{"audio_filepath": "a.wav", "duration": 0.5}, {"path": "b.wav", "offset": 1}]
    write(here / "lines.json", *map(json.dumps, rows))
    write(here / "array.json", json.dumps(rows, indent=1))
    expected = [("a.wav", None, 0.5), ("b.wav", 1.0, None)]
    for name in ("lines.json", "array.json"):
        assert [(row[0], *row[3:]) for row in read_items(name)] == expected


def carried(name):
    """Channel and other columns of each row."""
    return [(item.channel, dict(item.columns)) for item in items_of([str(name)])]


def test_other_columns_are_carried_without_empty_cells(here):
    write(here / "t.csv", "Path;Agent;Label;note", "a.wav;=1+1;Wut;", "b.wav;;;")
    assert carried("t.csv") == [(None, {"Agent": "=1+1", "Label": "Wut"}), (None, {})]
    write(here / "l.jsonl", '{"file": "a", "x": 1, "y": {"z": null}, "id": "i", "v": null}')
    assert carried("l.jsonl") == [(None, {"x": "1", "y": '{"z": null}'})]
    row = '{"file": "a", "id": "1", "emotion": "anger", "phonemes": {"symbols": ["a"]}}'
    write(here / "m.jsonl", '{"manifest": 1, "root": "."}', row)
    assert carried("m.jsonl") == [(None, {"emotion": "anger"})]


def test_a_channel_is_a_number_and_other_cells_of_that_column_are_carried(here):
    write(here / "t.csv", "file,channel", "a.wav,2", "a.wav,1.0", "a.wav,", "a.wav,phone")
    expected = [(2, {}), (1, {}), (None, {}), (None, {"channel": "phone"})]
    assert carried("t.csv") == expected
    for channel in ("0", "65", "9" * 5000):
        write(here / "t.csv", "file,channel", f"a.wav,{channel}")
        with pytest.raises(ManifestError, match=r"t\.csv:2: channel: expected a number from 1"):
            carried("t.csv")


def test_a_spreadsheet_is_refused_with_the_next_step(here):
    (here / "t.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ManifestError, match=r"t\.xlsx: .*; save the table as CSV"):
        read_items("t.xlsx")


# Parquet ------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(here):
    """Writes columns into m.parquet."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    return lambda **columns: write_table(pyarrow.table(columns), here / "m.parquet")


def test_parquet_rows(here, parquet):
    parquet(file=["a.wav", "b.wav"], offset=[None, 1.5], duration=[None, 2.0], id=[1, 2], x=[0, 0])
    assert read_items("m.parquet") == [
        ("a.wav", str(here / "a.wav"), "1", None, None),
        ("b.wav", str(here / "b.wav"), "2", 1.5, 3.5),
    ]


def test_columns_of_parquet_are_carried_without_lists_and_bytes(here, parquet):
    from datetime import timedelta

    parquet(
        filename=["a.wav", "b.wav"],
        start=[timedelta(seconds=1.5), None],
        Age=[7, None],
        embedding=[[1.0], [2.0]],
        raw=[b"x", b"y"],
        channel=[1.0, None],
    )
    assert [item.start for item in items_of(["m.parquet"])] == [1.5, None]
    assert carried("m.parquet") == [(1, {"Age": "7"}), (None, {})]


def test_bad_rows_of_parquet_are_reported_by_number(here, parquet):
    parquet(file=["a.wav"] * 1500 + [None])
    with pytest.raises(ManifestError, match=r"m\.parquet: row 1501: expected .* in 'file'"):
        read_items("m.parquet")
    parquet(other=["a.wav"])
    with pytest.raises(
        ManifestError, match=r"m\.parquet: row 1: expected a column 'file' .*got other"
    ):
        read_items("m.parquet")


def test_a_file_that_is_not_parquet_is_an_error(here, parquet):
    (here / "text.parquet").write_text("this is text", encoding="utf-8")
    with pytest.raises(ManifestError, match="not a Parquet file"):
        read_items("text.parquet")
    parquet(file=[f"{number}.wav" for number in range(5000)])
    data = bytearray((here / "m.parquet").read_bytes())
    data[4:60] = b"\xff" * 56
    (here / "m.parquet").write_bytes(data)
    with pytest.raises(ManifestError, match=r"m\.parquet: "):
        read_items("m.parquet")


def test_the_words_for_a_channel_are_those_of_prepared_tables(here):
    """left and right are channels; other words are carried."""
    cells = ("left", "R", "mix", "phone", "2.0", "")
    write(here / "t.csv", "file,channel", *(f"{n}.wav,{cell}" for n, cell in enumerate(cells)))
    items = list(items_of(["t.csv"]))
    assert [item.channel for item in items] == [1, 2, None, None, 2, None]
    assert [dict(item.columns) for item in items][2:4] == [{}, {"channel": "phone"}]
