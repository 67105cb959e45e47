"""Tables as programs and people write them, read by one reader."""

from __future__ import annotations

import io
import json

import pytest

from phonemo.errors import ManifestError
from phonemo.tables import read_table, table_of_records

ROWS = [{"file": "a.wav", "start": "0.5", "emotion": "Wut"}, {"file": "b.wav", "emotion": ""}]


def read(data, name="t.csv", **options):
    """The columns and the cells of each row, with the extra ones."""
    data = data.encode() if isinstance(data, str) else data
    table = read_table(name, io.BytesIO(data), **options)
    return table.columns, [row.cells | row.extra for row in table]


# Text -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_of_every_delimiter_line_end_and_encoding(delimiter, end, encoding):
    lines = ["File|Label|note", 'a.wav|Wut|"x\ny"', "", "ü.wav||", "||"]
    text = end.join(line.replace("|", delimiter) for line in lines) + end
    columns, rows = read(text.encode(encoding))
    assert columns == ("file", "emotion", "note")
    assert rows == [
        {"file": "a.wav", "emotion": "Wut", "note": "x\ny"},
        {"file": "ü.wav", "emotion": "", "note": ""},
    ]


def test_the_location_of_a_row_counts_lines_of_the_file():
    table = read_table("t.csv", io.BytesIO(b'\n\nfile,x\n"a\nb",1\n\nc,2\n'))
    assert [row.where for row in table] == ["t.csv:5", "t.csv:7"]


def test_excels_separator_line_sets_the_delimiter():
    assert read("sep=;\nfile;start\na,b.wav;1,5\n")[1] == [{"file": "a,b.wav", "start": "1.5"}]


def test_a_text_of_western_excel_is_read_and_another_encoding_is_an_error():
    assert read("file;note\ncafé.wav;Größe\n".encode("cp1252"))[1][0]["note"] == "Größe"
    for encoding, word in (("gbk", "生气"), ("cp1251", "гнев"), ("cp1250", "złość")):
        with pytest.raises(ManifestError, match=r"t\.csv: expected UTF-8 text; save it as UTF-8"):
            read(f"file;note\na.wav;{word}\n".encode(encoding))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.xlsx", b"", "got a spreadsheet; save the table as CSV"),
        ("t.csv", b"PK\x03\x04", "got an Excel workbook or another zip archive; save the table"),
        ("t.csv", b"\xd0\xcf\x11\xe0", "got an Excel workbook; save"),
        ("t.csv", b"PAR1", "got a Parquet file; save the table as CSV"),
        ("t.csv", b"\x1f\x8b\x08", "got a compressed file; unpack it"),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer; run git lfs"),
        ("t.csv", b"file\n\0.wav\n", "expected a text table"),
        ("t.csv", "wav/a.wav,x\nwav/b.wav,y\n", "got the path of a recording; add a header line"),
        ("t.csv", "C:\\wav\\a.OPUS\n", "got the path of a recording; add a header line"),
        ("t.csv", "", r"t\.csv: expected a table, got an empty file"),
        ("t.csv", "name,x\n1,2\n", r"expected a column 'file' \(or 'path', .* got name, x; rename"),
        ("t.csv", "file,x\na.wav\n", r"t\.csv:2: expected 2 cells as in the first line, got 1"),
        ("t.csv", "file\na,b.wav\n", r"t\.csv:2: more cells .* quote cells that contain ','"),
        ("t.csv", 'file\n"a.wav\n', r"t\.csv:\d: not a table \(unexpected end of data\)"),
        ("t.csv", "file,x\n" + "a" * 140_000 + ",1\n", r"t\.csv:2: not a table \(field larger"),
        ("t.csv", "file," + "x," * 2000 + "\n", "expected at most 1000 columns, got 2002"),
    ],
)
def test_what_is_no_table_is_one_clear_line(name, data, message):
    with pytest.raises(ManifestError, match=message) as caught:
        read(data, name, required=("file",))
    assert str(caught.value).startswith(f"{name}:")


def test_a_line_without_an_end_is_not_read_into_memory():
    class Endless(io.RawIOBase):
        sizes = 0

        def read(self, size=-1):
            assert size >= 0
            self.sizes += size
            return b"x" * size

    stream = Endless()
    with pytest.raises(ManifestError):
        list(read_table("t.csv", stream))
    assert stream.sizes < 2**24


# Columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "column"),
    [
        ("path Filename file_name FilePath audio Audio-Path audio_filepath wav clip URI", "file"),
        ("offset begin start_time Onset start(s)", "start"),
        ("stop end_time End_S", "end"),
        ("duration_s dur", "duration"),
        ("label category class Emotion-Label", "emotion"),
        ("speaker_id spk spkID SpeakerID subject client_id actor", "speaker"),
        ("text sentence transcription", "transcript"),
        ("sex", "gender"),
        ("lang locale", "language"),
        ("utt_id", "id"),
    ],
)
def test_other_names_of_a_column(names, column):
    for name in names.split():
        assert read(f"{name},x\n1,2\n")[0] == (column, "x"), name


def test_columns_of_sound_events_are_start_and_end():
    assert read("filename,onset,offset\na.wav,0,1\n")[0] == ("file", "start", "end")


def test_a_column_of_milliseconds_keeps_its_unit():
    assert read("file,Start (ms),end_ms\na.wav,500,\n")[1] == [
        {"file": "a.wav", "start": "500ms", "end": ""}
    ]


def test_the_exact_name_wins_and_two_other_names_are_an_error():
    columns, rows = read("path,file\nx,a.wav\n")
    assert (columns, rows) == (("path", "file"), [{"path": "x", "file": "a.wav"}])
    for header in ("path,filename", "file,File"):
        with pytest.raises(ManifestError, match=r"t\.csv:1: columns .* both mean 'file'; rename"):
            read(f"{header}\na,b\n")


def test_an_index_of_pandas_is_dropped_and_other_columns_keep_their_names():
    assert read(",file,Age,Age\n0,a.wav,7,8\n")[1] == [{"file": "a.wav", "Age": "7", "Age.1": "8"}]
    assert read("Unnamed: 0.1,Unnamed: 0,file\n0,0,a.wav\n")[0] == ("file",)
    assert read("file;;\na.wav;;x\nb.wav;;\n")[1] == [
        {"file": "a.wav", "column 3": "x"},
        {"file": "b.wav"},
    ]


def test_columns_that_the_caller_does_not_use_are_extra():
    table = read_table("t.csv", io.BytesIO(b"Path,Label,text\na,b,c\n"), ("file", "style"))
    (row,) = table
    assert (row.cells, row.extra) == ({"file": "a"}, {"Label": "b", "text": "c"})


def test_only_names_keep_their_blanks():
    assert read('file,id,x\n" a", b , c \n')[1] == [{"file": " a", "id": " b ", "x": "c"}]


# JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson", "t.csv"])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_lines_and_arrays_are_tables(name, indent):
    array = json.dumps(ROWS, indent=indent)
    lines = "".join(json.dumps(row) + "\r\n" for row in ROWS)
    for text in (array, lines, "\ufeff" + lines, "\n\n" + array):
        assert read(text, name) == (("file", "start", "emotion"), ROWS)
    assert read(lines.encode("utf-16"), name)[1] == ROWS


def test_values_of_json_become_cells():
    row = {"audio_filepath": "a.wav", "offset": 1, "end": None, "x": True, "y": [1, {"z": "ü"}]}
    row |= {"duration": float("nan"), "big": 10**30, "utt_id": 7}
    columns, (cells,) = read(json.dumps(row), "m.json")
    assert columns == ("file", "start", "end", "x", "y", "duration", "big", "id")
    assert cells == {
        **{"file": "a.wav", "start": "1", "end": "", "x": "true", "y": '[1, {"z": "ü"}]'},
        **{"duration": "", "big": str(10**30), "id": "7"},
    }


def test_a_row_may_be_a_path_and_a_file_an_object_with_a_path():
    text = '"a.wav"\n{"audio": {"path": "b.wav", "bytes": null}}\n'
    assert read(text, "t.jsonl")[1] == [{"file": "a.wav"}, {"file": "b.wav"}]


def test_the_header_of_a_prepared_manifest_is_no_row():
    table = read_table("m.jsonl", io.BytesIO(b'{"manifest": 1, "root": "x"}\n{"file": "a"}\n'))
    assert (table.header["root"], [row.cells for row in table]) == ("x", [{"file": "a"}])
    assert list(read_table("m.jsonl", io.BytesIO(b'{"manifest": 1}\n'))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "file": "a.wav"\n}', r"m\.json:1: expected a JSON object per line, or an array"),
        ('[{"file": "a"} {"file": "b"}]', r"m\.json: item 2: expected ',' or '\]' before it"),
        ('[{"file": "a"}', r"m\.json: the JSON array has no end"),
        ('[{"file": "a"}, {]', r"m\.json: item 2: expected a JSON object"),
        ("[1]", r"m\.json: item 1: expected a JSON object, or a path as a string"),
        ("[" * 100_000, r"m\.json: item 1: expected a JSON object"),
        ('{"file": {"0": "a.wav"}}', r"m\.json:1: .* in 'file', got dict .*; write a row per"),
        ('{"audio": {"bytes": "x", "path": "a"}}', r"in 'file', got the recording itself"),
        ('{"file": 3}', r"expected the path of a recording in 'file', got int '3'"),
        ("file,x\n", r"m\.json:1: expected a JSON object per line"),
    ],
)
def test_a_malformed_json_table_is_one_clear_line(text, message):
    with pytest.raises(ManifestError, match=message) as caught:
        read(text, "m.json")
    assert len(str(caught.value).splitlines()) == 1


def test_an_array_in_one_line_is_read_piece_by_piece():
    item = json.dumps({"file": "a" * 1000})
    pieces = [b"[", *[f"{item},".encode()] * 10_000, f"{item}]".encode()]

    class Counted(io.BytesIO):
        given = 0

        def read(self, size=-1):
            data = super().read(size)
            Counted.given += len(data)
            return data

    rows = iter(read_table("m.json", Counted(b"".join(pieces))))
    next(rows)
    assert Counted.given < 5_000_000, "half of the array is not read yet"
    assert sum(1 for _ in rows) == 10_000


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ('{"data": [{"file": "a.wav"}]}', "got data; rename a column"),
        ('{"a.wav": "sad"}', "got the path of a recording; add a header line"),
    ],
)
def test_json_without_the_required_column_names_what_it_has(text, got):
    with pytest.raises(ManifestError, match=got):
        read(text, "t.json", required=("file",))


def test_the_index_that_pandas_stores_in_parquet_is_dropped():
    record = {"file": "a.wav", "age": 7, "__index_level_0__": 3}
    (row,) = table_of_records([("row 1", record)])
    assert row.extra == {"age": "7"}
