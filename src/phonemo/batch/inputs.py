"""Expand the inputs of a batch to recordings, one by one as they are listed.

A folder stands for all recordings in it, a pattern for all that match; a manifest (.jsonl, .csv,
.tsv, .parquet) names one in each row, a list (.txt, .lst, .list, or "-" for standard input) one in
each line; anything else is a recording. All of them may be addresses that fsspec opens.

A manifest row has ``file`` (or ``path``, or ``audio_filepath`` as in NeMo), relative to the
manifest's folder, and optionally ``id``, ``start`` (or ``offset``) and ``end`` (or ``duration``) in
seconds; other fields are ignored. The first line of a manifest prepared by phonemo is a header
with the folder of the files.
"""

from __future__ import annotations

import csv
import fnmatch
import glob
import io
import math
import os
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from phonemo.batch.plan import BatchItem
from phonemo.batch.remote import (
    absolute_path,
    file_system,
    is_remote,
    join_url,
    local,
    open_address,
    translate_errors,
)
from phonemo.errors import ManifestError, MissingExtraError, UsageError, safe_name
from phonemo.files import STANDARD_INPUT, SUFFIXES, inside, loads_json, walk_files

_FILE = ("file", "path", "audio_filepath")
_START, _END = ("start", "offset"), ("end", "duration")
_BATCH_ROWS = 1024
_REST = "\0"  # never a column name


def from_jsonl(name: str) -> Iterator[BatchItem]:
    """Read JSON lines, each an object or a path as a string."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{safe_name(name)}:{number}"
            row = _json(line, where)
            if number == 1 and isinstance(row, dict) and "manifest" in row:
                folder = join_url(folder, str(row.get("root", "")))
                continue
            yield _item({"file": row} if isinstance(row, str) else row, folder, where)


def from_csv(name: str) -> Iterator[BatchItem]:
    """Read a table with a header row, separated by commas, tabs or semicolons."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        head = text.readline()
        delimiter = max(",\t;", key=head.count)
        names = _columns(head, delimiter, name)
        if not set(names) & set(_FILE):
            raise ManifestError(
                f"{safe_name(name)}:1: expected a column {_EXPECTED} in the first line, got none"
            )
        rows = csv.DictReader(text, names, restkey=_REST, delimiter=delimiter, strict=True)
        for row in _csv_rows(rows, name):
            where = f"{safe_name(name)}:{rows.line_num + 1}"
            if _REST in row:
                raise ManifestError(
                    f"{where}: more cells than in the first line; quote cells that contain "
                    f"{delimiter!r}"
                )
            yield _item(row, folder, where)


def from_parquet(name: str) -> Iterator[BatchItem]:
    """Read a Parquet file; only the known columns are loaded."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        table = _parquet(name, stream)
        names = [column for column in table.schema_arrow.names if column in _COLUMNS]
        if not set(names) & set(_FILE):
            raise ManifestError(f"{safe_name(name)}: expected a column {_EXPECTED}, got none")
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield _item(row, folder, f"{safe_name(name)}: row {number}")


#: Manifest readers by suffix.
READERS: dict[str, Callable[[str], Iterator[BatchItem]]] = {
    ".jsonl": from_jsonl,
    ".ndjson": from_jsonl,
    ".csv": from_csv,
    ".tsv": from_csv,
    ".parquet": from_parquet,
}

_COLUMNS = {*_FILE, *_START, *_END, "id"}
_EXPECTED = f"{_FILE[0]!r} (or {' or '.join(map(repr, _FILE[1:]))})"


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert errors of reading a manifest or a list to ManifestError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ManifestError(f"{safe_name(name)}: expected UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or f"{type(error).__name__} {error}"
        raise ManifestError(
            f"{safe_name(name)}: cannot be read ({reason}); pass a folder, a pattern, a manifest "
            "or a list"
        ) from error


def _csv_rows(rows: csv.DictReader[str], name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ManifestError(
            f"{safe_name(name)}:{rows.line_num + 1}: not a table ({error})"
        ) from error


def _columns(head: str, delimiter: str, name: str) -> list[str]:
    try:
        return [cell.strip().lower() for cell in next(csv.reader([head], delimiter=delimiter), [])]
    except csv.Error as error:
        raise ManifestError(f"{safe_name(name)}:1: not a table ({error})") from error


def _item(row: Any, folder: str, where: str) -> BatchItem:
    if not isinstance(row, Mapping):
        raise ManifestError(f"{where}: expected a JSON object, or a path as a string")
    file = _first(row, _FILE)
    if not isinstance(file, str) or not file:
        raise ManifestError(f"{where}: expected the path of a recording in {_EXPECTED}, got none")
    start = _seconds(row, _START, where)
    end = _seconds(row, _END, where)
    if end is not None and _first(row, ("end",)) is None:
        end += start or 0.0  # the field is a duration
    if end is not None and end <= (start or 0.0):
        raise ManifestError(f"{where}: expected end > start, got {start or 0:g} to {end:g} s")
    name = row.get("id")
    path = absolute_path(join_url(folder, file))
    return BatchItem(file, path, None if name in (None, "") else str(name), start, end)


def _seconds(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> float | None:
    cell = _first(row, names)
    if cell is None:
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or value < 0:
        actual = safe_name(repr(cell))
        raise ManifestError(f"{where}: {names[0]}: expected seconds >= 0, got {actual}")
    return value


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of some fields that is not empty."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _json(line: bytes, where: str) -> Any:
    try:
        return loads_json(line)
    except ValueError as error:
        raise ManifestError(f"{where}: expected a JSON object per line ({error})") from error


def _folder(name: str) -> str:
    """Return the folder that a manifest's paths are relative to."""
    if is_remote(name):
        return name.rpartition("/")[0]
    return absolute_path(local(name)).rpartition("/")[0] or "/"


def _parquet(name: str, stream: Any) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("a manifest in Parquet", "parquet") from error
    try:
        return ParquetFile(stream)
    except ArrowInvalid as error:
        raise ManifestError(f"{safe_name(name)}: not a Parquet file") from error


LISTS = (".txt", ".lst", ".list")
_PATTERN = re.compile(r"[*?[]")


def items_of(names: Iterable[str]) -> Iterator[BatchItem]:
    """Yield every recording of the inputs, duplicates included.

    Args:
        names: the inputs, as typed.

    Raises:
        UsageError: a folder or pattern without recordings, or a missing file.
        ManifestError: a malformed manifest row, with its line.
        MissingExtraError: an address or a Parquet file whose reader is not installed.
    """
    for name in names:
        yield from _kind_of(name)(name)


def _kind_of(name: str) -> Callable[[str], Iterator[BatchItem]]:
    suffix = PurePath(name).suffix.lower()
    if name == STANDARD_INPUT:
        return _from_standard_input
    if is_remote(name):
        return _remote_kind(name, suffix)
    path = local(name)
    if os.path.isdir(path):
        return _from_folder
    if _PATTERN.search(path) and not os.path.lexists(path):
        return _from_pattern
    return _file_kind(suffix)


def _remote_kind(name: str, suffix: str) -> Callable[[str], Iterator[BatchItem]]:
    if _PATTERN.search(name):
        return _from_remote_pattern
    if suffix in SUFFIXES or suffix in READERS or suffix in LISTS:
        return _file_kind(suffix)
    return _from_remote_folder


def _file_kind(suffix: str) -> Callable[[str], Iterator[BatchItem]]:
    return READERS.get(suffix) or (_from_list if suffix in LISTS else _from_file)


def _from_file(name: str) -> Iterator[BatchItem]:
    if not is_remote(name) and not os.path.lexists(local(name)):
        raise UsageError(f"{safe_name(name)}: no such file or folder; check the path")
    yield BatchItem(name, absolute_path(name))


def _from_folder(name: str) -> Iterator[BatchItem]:
    items = (BatchItem(path, absolute_path(path)) for path, _ in inside(local(name)))
    return _not_empty(items, name)


def _from_pattern(name: str) -> Iterator[BatchItem]:
    return _not_empty(_matching(local(name)), name)


def _matching(pattern: str) -> Iterator[BatchItem]:
    """Yield the recordings that match; a folder stands for all in it."""
    every = PurePath(pattern).suffix != "" and not _PATTERN.search(PurePath(pattern).suffix)
    suffix = PurePath(pattern).suffix.lower()
    for path in _paths(pattern):
        if suffix in READERS or suffix in LISTS:
            yield from _file_kind(suffix)(path)
        elif os.path.isdir(path):
            yield from (BatchItem(file, absolute_path(file)) for file, _ in inside(path))
        elif every or path.lower().endswith(SUFFIXES):
            yield BatchItem(path, absolute_path(path))


def _paths(pattern: str) -> Iterator[str]:
    """Yield matching paths; with a **, only files, and symbolic links to folders are skipped."""
    parts = PurePath(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    magic = next(place for place, part in enumerate(parts) if _PATTERN.search(part))
    for top in glob.iglob(os.path.join(*parts[:magic])) if magic else ["."]:
        for path in walk_files(top):
            below = PurePath(path).relative_to(top).parts
            # a matching folder stands for all in it
            if any(_matches(below[:depth], parts[magic:]) for depth in range(len(below), 0, -1)):
                yield path if magic else os.path.join(*below)


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Match a path's names against a pattern's parts; ** is any number of folders, or none."""
    if not parts:
        return not names
    if parts[0] == "**":
        rest = parts[1:] or ("*",)
        return any(_matches(names[place:], rest) for place in range(len(names)))
    return (
        bool(names) and fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])
    )


def _from_remote_folder(name: str) -> Iterator[BatchItem]:
    system, root = file_system(name)
    return _not_empty(_remote(name, _list_remote(name, system.find, root)), name)


def _from_remote_pattern(name: str) -> Iterator[BatchItem]:
    system, pattern = file_system(name)
    return _not_empty(_remote(name, _list_remote(name, system.glob, pattern)), name)


def _list_remote(name: str, listing: Callable[[str], list[str]], place: str) -> list[str]:
    try:
        with translate_errors(name):
            return listing(place)
    except FileNotFoundError:
        return []


def _remote(name: str, paths: Iterable[str]) -> Iterator[BatchItem]:
    """Convert paths of a file system to addresses with the protocol of ``name``."""
    protocol = name.rpartition("://")[0]
    for path in paths:
        if path.lower().endswith(SUFFIXES):
            address = path if is_remote(path) else f"{protocol}://{path}"
            yield BatchItem(address, address)


def _from_list(name: str) -> Iterator[BatchItem]:
    with readable(name), open_address(name) as stream:
        yield from _lines(stream)


def _from_standard_input(name: str) -> Iterator[BatchItem]:
    if sys.stdin is None:
        raise UsageError("-: standard input is closed; pass a list file instead")
    return _lines(sys.stdin.buffer)


def _lines(stream: Iterable[bytes]) -> Iterator[BatchItem]:
    """Read a path per line, relative to the current folder."""
    for number, line in enumerate(stream):
        name = os.fsdecode((line if number else line.removeprefix(BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip():
            yield BatchItem(name, absolute_path(name))


def _not_empty(items: Iterator[BatchItem], name: str) -> Iterator[BatchItem]:
    """Yield all items; UsageError if there are none."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(f"{safe_name(name)}: expected recordings ({kinds}), got none")
