"""Manifests of a batch: tables, JSON and Parquet files that name a recording in each row.

A row has ``file``, relative to the manifest's folder, and optionally ``id``, ``start``, ``end`` or
``duration`` in seconds, and ``channel``; ``phonemo.tables.ALIASES`` lists other names for them.
Cells of all other columns are carried into the result rows. The first line of a manifest prepared
by phonemo is a header with the folder of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from phonemo.audio.channels import MAX_CHANNELS
from phonemo.batch.plan import BatchItem
from phonemo.batch.remote import absolute_path, is_remote, join_url, local, open_address
from phonemo.errors import ManifestError, MissingExtraError, safe_name
from phonemo.tables import (
    Table,
    TableRow,
    expected_column,
    parse_seconds,
    portable_path,
    read_table,
    table_of_records,
)
from phonemo.tables.cells import SIDES, is_windows_path

_KNOWN = ("file", "start", "end", "duration", "id", "channel")
#: A field of prepared manifests that is too long to be carried.
_LONG = "phonemes"
_BATCH_ROWS = 1024


def from_table(name: str) -> Iterator[BatchItem]:
    """Read a table of text, or JSON lines or an array of objects or paths."""
    with readable(name), open_address(name) as stream:
        yield from _items(name, read_table(local(name), stream, _KNOWN, ("file",)))


def from_parquet(name: str) -> Iterator[BatchItem]:
    """Read a Parquet file, without columns of lists, structures or bytes."""
    with readable(name), open_address(name) as stream:
        yield from _items(name, table_of_records(_records(name, stream), _KNOWN, ("file",)))


#: Manifest readers by suffix.
READERS: dict[str, Callable[[str], Iterator[BatchItem]]] = {
    ".jsonl": from_table,
    ".ndjson": from_table,
    ".json": from_table,
    ".csv": from_table,
    ".tsv": from_table,
    ".xlsx": from_table,  # raises the error that says what to do
    ".xls": from_table,
    ".ods": from_table,
    ".parquet": from_parquet,
}


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert errors of reading a manifest or a list to ManifestError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or f"{type(error).__name__} {error}"
        raise ManifestError(
            f"{safe_name(name)}: cannot be read ({reason}); pass a folder, a pattern, a manifest "
            "or a list"
        ) from error


def _items(name: str, table: Table) -> Iterator[BatchItem]:
    folder = _folder(name)
    if table.header:
        folder = join_url(folder, str(table.header.get("root", "")))
    for row in table:
        if table.header:
            row.extra.pop(_LONG, None)
        yield _item(row, folder)


def _item(row: TableRow, folder: str) -> BatchItem:
    cells, where = row.cells, row.where
    file = portable_path(cells.get("file", ""), "" if is_remote(folder) else folder)
    if not file:
        raise ManifestError(
            f"{where}: expected the path of a recording in {expected_column('file')}, got none"
        )
    start, end = _times(cells, where)
    path = file if is_windows_path(file) else absolute_path(join_url(folder, file))
    name, channel = cells.get("id") or None, _channel(cells, where)
    if channel is None and cells.get("channel", "").lower() not in SIDES and "channel" in cells:
        row.extra["channel"] = cells["channel"]  # such as "phone"
    carried = tuple((column, cell) for column, cell in row.extra.items() if cell)
    return BatchItem(cells["file"], path, name, start, end, channel, carried)


def _times(cells: Mapping[str, str], where: str) -> tuple[float | None, float | None]:
    start, end, duration = (
        parse_seconds(cells[name], name, where) if cells.get(name) else None
        for name in ("start", "end", "duration")
    )
    if end is None and duration is not None:
        end = (start or 0.0) + duration
    if end is not None and end <= (start or 0.0):
        raise ManifestError(f"{where}: expected end > start, got {start or 0:g} to {end:g} s")
    return start, end


def _channel(cells: Mapping[str, str], where: str) -> int | None:
    """The number of a channel; None for an empty cell, or if the column holds other things."""
    text = cells.get("channel", "").removesuffix(".0")  # pandas writes 1.0 beside empty cells
    if not (text.isascii() and text.isdigit()):
        return SIDES.get(text.lower())
    number = int(text[:_DIGITS])
    if not 1 <= number <= MAX_CHANNELS:
        raise ManifestError(
            f"{where}: channel: expected a number from 1 (left) to {MAX_CHANNELS}, got {text}"
        )
    return number


#: Digits of a channel number that are read; more are too many.
_DIGITS = 9


def _folder(name: str) -> str:
    """Return the folder that a manifest's paths are relative to."""
    if is_remote(name):
        return name.rpartition("/")[0]
    return absolute_path(local(name)).rpartition("/")[0] or "/"


def _records(name: str, stream: Any) -> Iterator[tuple[str, Any]]:
    number = 0
    for rows in _row_groups(name, stream):
        for row in rows:
            number += 1
            yield f"{safe_name(name)}: row {number}", row


def _row_groups(name: str, stream: Any) -> Iterator[list[Any]]:
    """Yield some rows at a time; ManifestError for a damaged file, or values that Python lacks.

    Such as dates after the year 9999, times of an unknown zone, and text that is not UTF-8.
    """
    errors = _parquet_errors()
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream)
        plain = [field.name for field in file.schema_arrow if _is_plain(field)]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=plain):
            yield batch.to_pylist()
    except errors as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ManifestError(
            f"{safe_name(name)}: not a Parquet file whose values can be read "
            f"({safe_name(reason)}); write it again"
        ) from error


def _is_plain(field: Any) -> bool:
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _parquet_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises for damaged files and unusual values; MissingExtraError without it."""
    try:
        from pyarrow import ArrowException
    except ImportError as error:
        raise MissingExtraError("a manifest in Parquet", "parquet") from error
    return (ArrowException, ValueError, OverflowError, TypeError, KeyError)
