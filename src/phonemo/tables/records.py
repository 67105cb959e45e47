"""Records: JSON lines, the objects of a JSON array, and the cells of either."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

from phonemo.errors import ManifestError
from phonemo.files import loads_json
from phonemo.tables.columns import OTHERS, Column
from phonemo.tables.encoding import utf8_errors

#: Characters of a record; a longer one is not a row of a table.
MOST_RECORD = 2**22
_CHUNK = 2**16
_NOT_SPACE = re.compile(r"\S")
Record = tuple[str, Any]


def json_records(name: str, number: int, first: str, text: TextIO) -> Iterator[Record]:
    """Yield the location and the value of each record; paths as strings are records too.

    Args:
        name: the file, for messages.
        number: the line number of ``first``.
        first: the first line that is not blank, or its beginning.
        text: the rest.
    """
    if first.lstrip().startswith("["):
        return _array(name, first.lstrip()[1:], text)
    return _json_lines(name, number, first, text)


def _json_lines(name: str, number: int, line: str, text: TextIO) -> Iterator[Record]:
    while line:
        where = f"{name}:{number}"
        if line.strip():
            try:
                yield where, loads_json(line)
            except ValueError as error:
                raise ManifestError(
                    f"{where}: expected a JSON object per line, or an array of objects ({error})"
                ) from error
        number, line = number + 1, _line(name, text)


def _array(name: str, first: str, text: TextIO) -> Iterator[Record]:
    """Parse an array piece by piece: its objects are yielded as soon as they are complete."""
    source, number = _ArrayText(name, first, text), 0
    while source.next_letter() != "]":
        number += 1
        where = f"{name}: item {number}"
        if number > 1:
            if source.next_letter() != ",":
                raise ManifestError(f"{where}: expected ',' or ']' before it")
            source.position += 1
            source.next_letter()
        yield where, source.next_value(where)


class _ArrayText:
    """The text of an array, of which only the unread part of a piece is kept."""

    def __init__(self, name: str, first: str, text: TextIO) -> None:
        self.position = 0
        self._name, self._buffer, self._text = name, first, text
        self._decoder = json.JSONDecoder()

    def next_letter(self) -> str:
        """Skip space; return the next letter, which is not read yet."""
        while (found := _NOT_SPACE.search(self._buffer, self.position)) is None:
            self._buffer, self.position = _chunk(self._name, self._text), 0
            if not self._buffer:
                raise ManifestError(
                    f"{self._name}: the JSON array has no end; copy the whole file again"
                )
        self.position = found.start()
        return found[0]

    def next_value(self, where: str) -> Any:
        """Read a value, which may continue in the next pieces."""
        while True:
            try:
                value, self.position = self._decoder.raw_decode(self._buffer, self.position)
            except RecursionError as error:
                raise ManifestError(
                    f"{where}: expected a JSON object (nested too deeply)"
                ) from error
            except ValueError as error:
                if not self._extend(where):
                    raise ManifestError(f"{where}: expected a JSON object ({error})") from error
            else:
                return value

    def _extend(self, where: str) -> bool:
        """Add a piece; return whether there is one, and the value is not too long."""
        rest = self._buffer[self.position :]
        more = "" if len(rest) > MOST_RECORD else _chunk(where, self._text)
        self._buffer, self.position = rest + more, 0
        return bool(more)


def _line(name: str, text: TextIO) -> str:
    with utf8_errors(name):
        return text.readline(MOST_RECORD)


def _chunk(name: str, text: TextIO) -> str:
    with utf8_errors(name):
        return text.read(_CHUNK)


def record_cells(
    record: Any, columns: Sequence[Column], where: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the known cells of a record and its extra ones, as text.

    Raises:
        ManifestError: the column file holds no path.
    """
    cells: dict[str, str] = {}
    extra: dict[str, str] = {}
    values: Mapping[str, Any] = {"file": record} if isinstance(record, str) else record
    for column, value in zip(columns, values.values(), strict=True):
        if column.use in ("extra", "unnamed"):
            extra[column.name] = text_of(value)
        elif column.name == "file":
            cells["file"] = _path_of(value, where)
        elif column.use not in OTHERS:
            cells[column.name] = with_unit(text_of(value), column)
    return cells, extra


def with_unit(cell: str, column: Column) -> str:
    """Add the unit to a number of milliseconds."""
    return f"{cell}ms" if column.use == "milliseconds" and cell[-1:].isdigit() else cell


def text_of(value: Any) -> str:
    """A value as a cell: "" for none, JSON for lists and objects, seconds for a time span."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _path_of(value: Any, where: str) -> str:
    """The path in a cell; datasets write the path and the bytes of a recording as an object."""
    if isinstance(value, dict) and isinstance(value.get("path"), str) and not value.get("bytes"):
        value = value["path"]
    if value is None or isinstance(value, str):
        return value or ""
    kind = (
        "the recording itself"
        if isinstance(value, dict) and "bytes" in value
        else (f"{type(value).__name__} {text_of(value)[:40]!r}")
    )
    raise ManifestError(
        f"{where}: expected the path of a recording in 'file', got {kind}; "
        "write a row per recording"
    )
