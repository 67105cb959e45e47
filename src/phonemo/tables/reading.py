"""Read tables row by row: delimited text, JSON lines, JSON arrays, or records of another reader."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePath
from typing import Any

from phonemo.errors import ManifestError, safe_name
from phonemo.tables.cells import decimal_point
from phonemo.tables.columns import (
    ALIASES,
    OTHERS,
    TIMES,
    Column,
    count_known,
    require_columns,
    resolve_columns,
)
from phonemo.tables.encoding import open_text, utf8_errors
from phonemo.tables.records import json_records, record_cells, with_unit

#: Characters of a line; a longer one is not a line of a table.
MOST_LINE = 2**22
_DELIMITERS = ",\t;|"
_SEPARATOR = re.compile(r"\"?sep=([,;|\t])\"?", re.IGNORECASE)
#: Columns whose cells keep their blanks: a file's name may begin or end with one.
EXACT = ("file", "id")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
#: Sets of keys whose columns are kept.
_CACHED = 256
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_EVERY: tuple[str, ...] = tuple(ALIASES)


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        where: its location for messages, such as "t.csv:3".
        cells: the known columns, without blanks at the ends except in file and id; "" if empty.
        extra: all other columns under their own names.
    """

    where: str
    cells: dict[str, str]
    extra: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table that is read while it is iterated, once.

    Attributes:
        columns: the columns: the canonical names of the known ones, the others in lower case. Of
            JSON, those of the first row.
        header: the first object of a manifest prepared by phonemo; empty for other tables.
    """

    columns: tuple[str, ...]
    rows: Iterator[TableRow] = field(repr=False)
    header: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[TableRow]:
        return self.rows


def read_table(
    name: str,
    stream: Any,
    known: Collection[str] = _EVERY,
    required: Collection[str] = (),
) -> Table:
    """Open a table: separated by commas, tabs, semicolons or pipes, or JSON lines or an array.

    Args:
        name: the file's name, for messages and its suffix.
        stream: its bytes, open while the rows are read.
        known: the columns that the caller uses, by the names of ALIASES or others; cells of all
            others are returned as extras.
        required: columns that the header of delimited text must contain.

    Returns:
        The table. Its rows are read on iteration, which raises ManifestError too.

    Raises:
        ManifestError: not a text table, no header, or two columns that mean the same.
    """
    shown = safe_name(name)
    if PurePath(name).suffix.lower() in _WORKBOOKS:
        raise ManifestError(
            f"{shown}: expected a text table, got a spreadsheet; save the table as CSV"
        )
    suffix = PurePath(name).suffix.lower()
    with utf8_errors(shown):
        text = open_text(shown, stream)
        number, first = _first_line(text, shown)
    if not first.strip() and required and suffix not in JSON_SUFFIXES:
        raise ManifestError(f"{shown}: expected a table, got an empty file; check the file")
    if suffix in JSON_SUFFIXES or first.lstrip()[:1] in ("{", "["):
        return table_of_records(json_records(shown, number, first, text), known, required)
    delimiter = "\t" if suffix == ".tsv" else ","
    return _delimited(shown, (number, first), text, delimiter, known, required)


def table_of_records(
    records: Iterable[tuple[str, Any]],
    known: Collection[str] = _EVERY,
    required: Collection[str] = (),
) -> Table:
    """Make a table of records that another reader yields: (location, dict or path).

    Args:
        records: the records.
        known: as for ``read_table``.
        required: columns that the first record must have.

    Raises:
        ManifestError: a record of another type, also on iteration.
    """
    iterator = iter(records)
    header: Mapping[str, Any] = {}
    first = next(iterator, None)
    if first is not None and isinstance(first[1], dict) and "manifest" in first[1]:
        header, first = first[1], next(iterator, None)
    if first is None:
        return Table((), iter(()), header)
    keys: dict[tuple[str, ...], tuple[Column, ...]] = {}
    columns = _columns_of(*first, known, keys)
    require_columns(columns, required, _keys(first[1]), first[0])
    rows = (
        TableRow(where, *record_cells(record, _columns_of(where, record, known, keys), where))
        for where, record in chain([first], iterator)
    )
    return Table(_names(columns), rows, header)


def _columns_of(
    where: str, record: Any, known: Collection[str], cache: dict[tuple[str, ...], Any]
) -> tuple[Column, ...]:
    """The columns of a record's keys; most records of a table have the same."""
    if isinstance(record, str):
        record = {"file": record}
    if not isinstance(record, Mapping):
        raise ManifestError(f"{where}: expected a JSON object, or a path as a string")
    header = tuple(record)
    if header not in cache:
        if len(cache) == _CACHED:
            cache.clear()
        cache[header] = resolve_columns(header, known, where)
    columns: tuple[Column, ...] = cache[header]
    return columns


def _keys(record: Any) -> list[str]:
    return ["file"] if isinstance(record, str) else list(record)


def _delimited(
    name: str,
    start: tuple[int, str],
    text: io.TextIOWrapper,
    delimiter: str,
    known: Collection[str],
    required: Collection[str],
) -> Table:
    number, first = start
    lines = _lines(text, name)
    if (declared := _SEPARATOR.fullmatch(first.strip())) is not None:  # written by Excel
        delimiter, first, number = declared[1], next(lines, ""), number + 1
    else:
        delimiter = _delimiter(first, delimiter, known)
    reader = csv.reader(chain([first] if first else [], lines), delimiter=delimiter, strict=True)
    records = _csv_records(reader, name, number)
    where, header = next(records, (f"{name}:1", []))
    columns = resolve_columns(header, known, where)
    require_columns(columns, required, header, where)
    rows = (_row(where, cells, columns, delimiter) for where, cells in records)
    return Table(_names(columns), rows)


def _first_line(text: io.TextIOWrapper, name: str) -> tuple[int, str]:
    """The number and the text of the first line that is not blank."""
    number = 0
    for number, line in enumerate(_lines(text, name), start=1):
        if line.strip():
            return number, line
    return number, ""


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    with utf8_errors(name):
        while line := text.readline(MOST_LINE):
            if "\0" in line:
                raise ManifestError(f"{name}: expected a text table; save it as CSV in UTF-8")
            yield line


def _delimiter(line: str, default: str, known: Collection[str]) -> str:
    """The delimiter that gives the first line the most known columns, then the most columns."""
    return max(_DELIMITERS, key=lambda mark: (*_score(line, mark, known), mark == default))


def _score(line: str, delimiter: str, known: Collection[str]) -> tuple[int, int]:
    try:
        header = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return 0, 0
    return count_known(header, known), len(header)


def _csv_records(reader: Any, name: str, number: int) -> Iterator[tuple[str, list[str]]]:
    """The location and the cells of each record that is not blank."""
    offset = number - 1
    try:
        for cells in reader:
            if "".join(cells).strip():
                yield f"{name}:{reader.line_num + offset}", cells
    except csv.Error as error:
        where = f"{name}:{reader.line_num + offset}"
        raise ManifestError(f"{where}: not a table ({error}); check the quotes") from error


def _row(where: str, cells: Sequence[str], columns: Sequence[Column], delimiter: str) -> TableRow:
    if len(cells) > len(columns) and any(map(str.strip, cells[len(columns) :])):
        raise ManifestError(
            f"{where}: more cells than in the first line; quote cells that contain {delimiter!r}"
        )
    if len(cells) < len(columns):
        raise ManifestError(
            f"{where}: expected {len(columns)} cells as in the first line, got {len(cells)}"
        )
    row = TableRow(where, {}, {})
    for column, cell in zip(columns, cells, strict=False):
        if column.use == "extra" or (column.use == "unnamed" and cell.strip()):
            row.extra[column.name] = cell.strip()
        elif column.use not in OTHERS:
            exact = cell if column.name in EXACT else cell.strip()
            row.cells[column.name] = _time(exact, column, delimiter)
    return row


def _time(cell: str, column: Column, delimiter: str) -> str:
    """A cell of times with a decimal point and, if its column names it, its unit."""
    if column.name not in TIMES:
        return cell
    number = cell if delimiter == "," else decimal_point(cell)
    return with_unit(number, column)


def _names(columns: Iterable[Column]) -> tuple[str, ...]:
    return tuple(
        column.name.lower() if column.use == "extra" else column.name
        for column in columns
        if column.use not in ("unnamed", "index")
    )
