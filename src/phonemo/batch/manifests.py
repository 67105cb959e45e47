"""Manifests: tables that name a recording in each row, read row by row.

A row has ``file`` (or ``path``, or ``audio_filepath``, as NeMo has it), seen from the manifest's
folder, and may have ``id``, ``start`` (or ``offset``) and ``end`` (or ``duration``) in seconds. All
else in it is left alone. A manifest that phonemo prepared has a first line that says where the
files are.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from phonemo.batch.addresses import absolute, is_remote, joined, local, opened
from phonemo.batch.items import Item
from phonemo.errors import ManifestError, MissingExtraError, shown
from phonemo.plain_json import parsed

_FILE = ("file", "path", "audio_filepath")
_START, _END = ("start", "offset"), ("end", "duration")
_BATCH_ROWS = 1024
_REST = "\0"  # no column's name


def from_jsonl(name: str) -> Iterator[Item]:
    """A JSON object, or a path as a string, in each line."""
    folder = _folder(name)
    with readable(name), opened(name) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{shown(name)}:{number}"
            row = _json(line, where)
            if number == 1 and isinstance(row, dict) and "manifest" in row:
                folder = joined(folder, str(row.get("root", "")))
                continue
            yield _item({"file": row} if isinstance(row, str) else row, folder, where)


def from_csv(name: str) -> Iterator[Item]:
    """A table with a header row; parted by commas, tabs or semicolons."""
    folder = _folder(name)
    with readable(name), opened(name) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        head = text.readline()
        delimiter = max(",\t;", key=head.count)
        names = _columns(head, delimiter, name)
        if not set(names) & set(_FILE):
            raise ManifestError(f"{shown(name)}:1: no column {_WANTED}; the first line names them")
        rows = csv.DictReader(text, names, restkey=_REST, delimiter=delimiter, strict=True)
        for row in _told(rows, name):
            where = f"{shown(name)}:{rows.line_num + 1}"
            if _REST in row:
                raise ManifestError(
                    f"{where}: more cells than the first line has; put quotes around a cell with a "
                    f"{delimiter!r} in it"
                )
            yield _item(row, folder, where)


def from_parquet(name: str) -> Iterator[Item]:
    """A Parquet file; only the columns that count are read."""
    folder = _folder(name)
    with readable(name), opened(name) as stream:
        table = _parquet(name, stream)
        names = [one for one in table.schema_arrow.names if one in _COLUMNS]
        if not set(names) & set(_FILE):
            raise ManifestError(f"{shown(name)}: no column {_WANTED}")
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield _item(row, folder, f"{shown(name)}: row {number}")


#: By suffix.
READERS: dict[str, Callable[[str], Iterator[Item]]] = {
    ".jsonl": from_jsonl,
    ".ndjson": from_jsonl,
    ".csv": from_csv,
    ".tsv": from_csv,
    ".parquet": from_parquet,
}

_COLUMNS = {*_FILE, *_START, *_END, "id"}
_WANTED = f"{_FILE[0]!r} (nor {' or '.join(map(repr, _FILE[1:]))})"


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Tell in one line what stops a manifest or a list from being read."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ManifestError(f"{shown(name)}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or f"{type(error).__name__} {error}"
        raise ManifestError(
            f"{shown(name)}: cannot be read ({reason}); a folder, a pattern, a manifest or a list "
            "is wanted"
        ) from error


def _told(rows: csv.DictReader[str], name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ManifestError(f"{shown(name)}:{rows.line_num + 1}: not a table ({error})") from error


def _columns(head: str, delimiter: str, name: str) -> list[str]:
    try:
        return [one.strip().lower() for one in next(csv.reader([head], delimiter=delimiter), [])]
    except csv.Error as error:
        raise ManifestError(f"{shown(name)}:1: not a table ({error})") from error


def _item(row: Any, folder: str, where: str) -> Item:
    if not isinstance(row, Mapping):
        raise ManifestError(f"{where}: a JSON object, or a path as a string, is wanted")
    file = _first(row, _FILE)
    if not isinstance(file, str) or not file:
        raise ManifestError(f"{where}: no {_WANTED}; the path of a recording is wanted")
    start = _seconds(row, _START, where)
    end = _seconds(row, _END, where)
    if end is not None and _first(row, ("end",)) is None:
        end += start or 0.0  # it was a duration
    if end is not None and end <= (start or 0.0):
        raise ManifestError(f"{where}: end {end:g} s is not after start {start or 0:g} s")
    name = row.get("id")
    path = absolute(joined(folder, file))
    return Item(file, path, None if name in (None, "") else str(name), start, end)


def _seconds(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> float | None:
    found = _first(row, names)
    if found is None:
        return None
    try:
        value = float(found)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or value < 0:
        told = shown(repr(found))
        raise ManifestError(f"{where}: {names[0]} {told}; seconds from 0 upwards are wanted")
    return value


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some fields that says something."""
    return next((row[one] for one in names if row.get(one) not in (None, "")), None)


def _json(line: bytes, where: str) -> Any:
    try:
        return parsed(line)
    except ValueError as error:
        raise ManifestError(f"{where}: not JSON ({error}); one object a line is wanted") from error


def _folder(name: str) -> str:
    """The folder of a manifest."""
    if is_remote(name):
        return name.rpartition("/")[0]
    return absolute(local(name)).rpartition("/")[0] or "/"


def _parquet(name: str, stream: Any) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("a manifest in Parquet", "parquet") from error
    try:
        return ParquetFile(stream)
    except ArrowInvalid as error:
        raise ManifestError(f"{shown(name)}: not a Parquet file") from error
