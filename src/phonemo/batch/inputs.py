"""Inputs of a batch: folders, patterns, manifests, lists and recordings, read as a stream.

A folder stands for all recordings in it, a pattern for all matches; a manifest (.jsonl, .csv,
.tsv, .parquet) has one recording per row, a list (.txt, .lst, .list, or "-" for standard input)
one per line; anything else is a recording. All of them may be URLs that fsspec opens.

A manifest row has ``file`` (or ``path``, or ``audio_filepath`` as in NeMo), relative to the
manifest's folder, and may have ``id``, ``start`` (or ``offset``) and ``end`` (or ``duration``) in
seconds; other fields are ignored. The first line of a manifest from phonemo names the root folder.
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
_EXTRA_CELLS = "\0"  # cannot be the name of a column


def from_jsonl(name: str) -> Iterator[BatchItem]:
    """Read a JSON object, or a path as a string, from each line."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{safe_name(name)}:{number}"
            row = _parse_json(line, where)
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
                f"{safe_name(name)}:1: no column {_FILE_COLUMNS}; add it to the first line"
            )
        rows = csv.DictReader(text, names, restkey=_EXTRA_CELLS, delimiter=delimiter, strict=True)
        for row in _csv_rows(rows, name):
            where = f"{safe_name(name)}:{rows.line_num + 1}"
            if _EXTRA_CELLS in row:
                raise ManifestError(
                    f"{where}: expected {len(names)} cells, got more; quote cells that contain "
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
            raise ManifestError(f"{safe_name(name)}: no column {_FILE_COLUMNS}; add it")
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield _item(row, folder, f"{safe_name(name)}: row {number}")


#: Suffix -> reader of a manifest.
READERS: dict[str, Callable[[str], Iterator[BatchItem]]] = {
    ".jsonl": from_jsonl,
    ".ndjson": from_jsonl,
    ".csv": from_csv,
    ".tsv": from_csv,
    ".parquet": from_parquet,
}

_COLUMNS = {*_FILE, *_START, *_END, "id"}
_FILE_COLUMNS = f"{_FILE[0]!r} (nor {' or '.join(map(repr, _FILE[1:]))})"


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert errors of reading a manifest or a list to ManifestError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ManifestError(f"{safe_name(name)}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or f"{type(error).__name__} {error}"
        raise ManifestError(
            f"{safe_name(name)}: cannot be read ({reason}); expected a folder, a pattern, a "
            "manifest or a list"
        ) from error


def _csv_rows(rows: csv.DictReader[str], name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ManifestError(
            f"{safe_name(name)}:{rows.line_num + 1}: not a valid table ({error})"
        ) from error


def _columns(head: str, delimiter: str, name: str) -> list[str]:
    try:
        return [
            column.strip().lower() for column in next(csv.reader([head], delimiter=delimiter), [])
        ]
    except csv.Error as error:
        raise ManifestError(f"{safe_name(name)}:1: not a valid table ({error})") from error


def _item(row: Any, folder: str, where: str) -> BatchItem:
    if not isinstance(row, Mapping):
        raise ManifestError(
            f"{where}: expected a JSON object or a path as a string, got {type(row).__name__}"
        )
    file = _first(row, _FILE)
    if not isinstance(file, str) or not file:
        raise ManifestError(f"{where}: no {_FILE_COLUMNS}; expected the path of a recording")
    start = _seconds(row, _START, where)
    end = _seconds(row, _END, where)
    if end is not None and _first(row, ("end",)) is None:
        end += start or 0.0  # it is a duration
    if end is not None and end <= (start or 0.0):
        raise ManifestError(f"{where}: end {end:g} s is not after start {start or 0:g} s")
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
        expected = f"expected {names[0]} in seconds, 0 or more"
        raise ManifestError(f"{where}: {expected}, got {safe_name(repr(cell))}")
    return value


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first non-empty value of some fields."""
    return next((row[field] for field in names if row.get(field) not in (None, "")), None)


def _parse_json(line: bytes, where: str) -> Any:
    try:
        return loads_json(line)
    except ValueError as error:
        raise ManifestError(f"{where}: not JSON ({error}); expected one object per line") from error


def _folder(name: str) -> str:
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
    """Yield every recording of the inputs; one that is named twice is yielded twice.

    Args:
        names: inputs from the command line.

    Raises:
        UsageError: a folder or pattern without recordings, or an input that does not exist.
        ManifestError: a manifest row that cannot be read, with its line number.
        MissingExtraError: a URL or a Parquet file whose package is not installed.
    """
    for name in names:
        yield from _reader_of(name)(name)


def _reader_of(name: str) -> Callable[[str], Iterator[BatchItem]]:
    suffix = PurePath(name).suffix.lower()
    if name == STANDARD_INPUT:
        return _from_standard_input
    if is_remote(name):
        return _remote_reader(name, suffix)
    path = local(name)
    if os.path.isdir(path):
        return _from_folder
    if _PATTERN.search(path) and not os.path.lexists(path):
        return _from_pattern
    return _file_reader(suffix)


def _remote_reader(name: str, suffix: str) -> Callable[[str], Iterator[BatchItem]]:
    if _PATTERN.search(name):
        return _from_remote_pattern
    if suffix in SUFFIXES or suffix in READERS or suffix in LISTS:
        return _file_reader(suffix)
    return _from_remote_folder


def _file_reader(suffix: str) -> Callable[[str], Iterator[BatchItem]]:
    return READERS.get(suffix) or (_from_list if suffix in LISTS else _single_file)


def _single_file(name: str) -> Iterator[BatchItem]:
    if not is_remote(name) and not os.path.lexists(local(name)):
        raise UsageError(f"{safe_name(name)}: no such file or folder; check the path")
    yield BatchItem(name, absolute_path(name))


def _from_folder(name: str) -> Iterator[BatchItem]:
    return _require_any(
        (BatchItem(path, absolute_path(path)) for path, _ in inside(local(name))), name
    )


def _from_pattern(name: str) -> Iterator[BatchItem]:
    return _require_any(_matching(local(name)), name)


def _matching(pattern: str) -> Iterator[BatchItem]:
    """Yield the recordings that match a pattern; a folder stands for all recordings in it."""
    any_suffix = PurePath(pattern).suffix != "" and not _PATTERN.search(PurePath(pattern).suffix)
    suffix = PurePath(pattern).suffix.lower()
    for path in _paths(pattern):
        if suffix in READERS or suffix in LISTS:
            yield from _file_reader(suffix)(path)
        elif os.path.isdir(path):
            yield from (BatchItem(file, absolute_path(file)) for file, _ in inside(path))
        elif any_suffix or path.lower().endswith(SUFFIXES):
            yield BatchItem(path, absolute_path(path))


def _paths(pattern: str) -> Iterator[str]:
    """Yield matching paths; with **, only files, and without following links to folders."""
    parts = PurePath(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    first = next(index for index, part in enumerate(parts) if _PATTERN.search(part))
    for top in glob.iglob(os.path.join(*parts[:first])) if first else ["."]:
        for path in walk_files(top):
            below = PurePath(path).relative_to(top).parts
            # a matching folder stands for all files in it
            if any(_matches(below[:depth], parts[first:]) for depth in range(len(below), 0, -1)):
                yield path if first else os.path.join(*below)


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the names in a path match the parts of a pattern; ** is zero or more folders."""
    if not parts:
        return not names
    if parts[0] == "**":
        rest = parts[1:] or ("*",)
        return any(_matches(names[index:], rest) for index in range(len(names)))
    return (
        bool(names) and fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])
    )


def _from_remote_folder(name: str) -> Iterator[BatchItem]:
    system, root = file_system(name)
    return _require_any(_remote_items(name, _list_paths(name, system.find, root)), name)


def _from_remote_pattern(name: str) -> Iterator[BatchItem]:
    system, pattern = file_system(name)
    return _require_any(_remote_items(name, _list_paths(name, system.glob, pattern)), name)


def _list_paths(name: str, list_all: Callable[[str], list[str]], path: str) -> list[str]:
    try:
        with translate_errors(name):
            return list_all(path)
    except FileNotFoundError:
        return []


def _remote_items(name: str, paths: Iterable[str]) -> Iterator[BatchItem]:
    """Yield paths of a file system as URLs with the protocol of the input."""
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
        raise UsageError("-: standard input is closed; give the path of a list")
    return _lines(sys.stdin.buffer)


def _lines(stream: Iterable[bytes]) -> Iterator[BatchItem]:
    """Yield a path from each line, relative to the working directory."""
    for number, line in enumerate(stream):
        name = os.fsdecode((line if number else line.removeprefix(BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip():
            yield BatchItem(name, absolute_path(name))


def _require_any(items: Iterator[BatchItem], name: str) -> Iterator[BatchItem]:
    """Yield all items; raise UsageError if there is none."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(f"{safe_name(name)}: no recording found ({kinds}); check the path")
