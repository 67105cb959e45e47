"""Any table that a csv or JSON writer makes is read as it was written."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from phonemo.tables import read_table
from tests.fuzz.judging import told
from tests.properties.strategies import many, some, texts

#: Blanks at the ends of other cells are removed; "'" and no NUL, which the csv module refuses.
cells = texts.map(str.strip)
headers = st.lists(
    st.sampled_from(["emotion", "speaker", "note", "Größe", "a;b", "x|y"]), unique=True, max_size=4
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    header = ["file", *draw(headers)]
    line = st.tuples(*[texts.filter(str.strip), *[cells] * (len(header) - 1)])
    return header, [list(row) for row in draw(st.lists(line, max_size=4))]


@some
@given(tables(), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_a_table_reads_back(table, delimiter, end, wide):
    header, rows = table
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    data = io.BytesIO(text.getvalue().encode("utf-16" if wide else "utf-8-sig"))
    found = [list((row.cells | row.extra).values()) for row in read_table("t.csv", data)]
    order = {name: place for place, name in enumerate(header)}
    known = [name for name in header if name in ("file", "emotion", "speaker")]
    names = [*known, *(name for name in header if name not in known)]
    assert found == [[row[order[name]] for name in names] for row in rows]


@some
@given(tables(), st.booleans(), st.sampled_from([None, 2]))
def test_json_reads_back(table, array, indent):
    header, rows = table
    records = [dict(zip(header, row, strict=True)) for row in rows]
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    text = json.dumps(records, indent=indent) if array else lines
    found = list(read_table("t.json", io.BytesIO(text.encode())))
    assert [row.cells | row.extra for row in found] == records


@many
@given(st.binary(max_size=300), st.sampled_from(["t.csv", "t.tsv", "t.json", "t.jsonl", "t"]))
def test_any_bytes_are_rows_or_one_clear_line(data, name):
    rows = told(lambda: list(read_table(name, io.BytesIO(data))))
    assert all(isinstance(cell, str) for row in rows or () for cell in row.cells.values())
