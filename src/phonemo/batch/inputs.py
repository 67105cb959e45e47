"""From what somebody names to the recordings that are meant, one by one as they are found.

A folder stands for all recordings in it, a pattern for all that match; a manifest (.jsonl, .csv,
.tsv, .parquet) names one in each row, a list (.txt, .lst, .list, or "-" for standard input) one in
each line; anything else is a recording. All of them may be addresses that fsspec opens.

Manifests: tables that name a recording in each row, read row by row.

A row has ``file`` (or ``path``, or ``audio_filepath``, as NeMo has it), seen from the manifest's
folder, and may have ``id``, ``start`` (or ``offset``) and ``end`` (or ``duration``) in seconds. All
else in it is left alone. A manifest that phonemo prepared has a first line that says where the
files are.
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
_REST = "\0"  # no column's name


def from_jsonl(name: str) -> Iterator[BatchItem]:
    """A JSON object, or a path as a string, in each line."""
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
    """A table with a header row; parted by commas, tabs or semicolons."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        head = text.readline()
        delimiter = max(",\t;", key=head.count)
        names = _columns(head, delimiter, name)
        if not set(names) & set(_FILE):
            raise ManifestError(
                f"{safe_name(name)}:1: no column {_WANTED}; the first line names them"
            )
        rows = csv.DictReader(text, names, restkey=_REST, delimiter=delimiter, strict=True)
        for row in _csv_rows(rows, name):
            where = f"{safe_name(name)}:{rows.line_num + 1}"
            if _REST in row:
                raise ManifestError(
                    f"{where}: more cells than the first line has; put quotes around a cell with a "
                    f"{delimiter!r} in it"
                )
            yield _item(row, folder, where)


def from_parquet(name: str) -> Iterator[BatchItem]:
    """A Parquet file; only the columns that count are read."""
    folder = _folder(name)
    with readable(name), open_address(name) as stream:
        table = _parquet(name, stream)
        names = [one for one in table.schema_arrow.names if one in _COLUMNS]
        if not set(names) & set(_FILE):
            raise ManifestError(f"{safe_name(name)}: no column {_WANTED}")
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield _item(row, folder, f"{safe_name(name)}: row {number}")


#: By suffix.
READERS: dict[str, Callable[[str], Iterator[BatchItem]]] = {
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
        raise ManifestError(f"{safe_name(name)}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or f"{type(error).__name__} {error}"
        raise ManifestError(
            f"{safe_name(name)}: cannot be read ({reason}); a folder, a pattern, a manifest or a "
            "list is wanted"
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
        return [one.strip().lower() for one in next(csv.reader([head], delimiter=delimiter), [])]
    except csv.Error as error:
        raise ManifestError(f"{safe_name(name)}:1: not a table ({error})") from error


def _item(row: Any, folder: str, where: str) -> BatchItem:
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
    path = absolute_path(join_url(folder, file))
    return BatchItem(file, path, None if name in (None, "") else str(name), start, end)


def _seconds(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> float | None:
    found = _first(row, names)
    if found is None:
        return None
    try:
        value = float(found)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or value < 0:
        told = safe_name(repr(found))
        raise ManifestError(f"{where}: {names[0]} {told}; seconds from 0 upwards are wanted")
    return value


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some fields that says something."""
    return next((row[one] for one in names if row.get(one) not in (None, "")), None)


def _json(line: bytes, where: str) -> Any:
    try:
        return loads_json(line)
    except ValueError as error:
        raise ManifestError(f"{where}: not JSON ({error}); one object a line is wanted") from error


def _folder(name: str) -> str:
    """The folder of a manifest."""
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
    """Every recording that is meant; one that is meant twice comes twice.

    Args:
        names: as they were typed.

    Raises:
        UsageError: a folder or pattern without recordings, or what is not there at all.
        ManifestError: a manifest's row that cannot be read, with its line.
        MissingExtraError: an address or a Parquet file, and what reads it is not installed.
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
    return READERS.get(suffix) or (_from_list if suffix in LISTS else _alone)


def _alone(name: str) -> Iterator[BatchItem]:
    if not is_remote(name) and not os.path.lexists(local(name)):
        raise UsageError(f"{safe_name(name)}: no such file or folder; name what is to be heard")
    yield BatchItem(name, absolute_path(name))


def _from_folder(name: str) -> Iterator[BatchItem]:
    return _some((BatchItem(path, absolute_path(path)) for path, _ in inside(local(name))), name)


def _from_pattern(name: str) -> Iterator[BatchItem]:
    return _some(_matching(local(name)), name)


def _matching(pattern: str) -> Iterator[BatchItem]:
    """What the pattern matches and may be a recording; a folder stands for all in it."""
    every = PurePath(pattern).suffix != "" and not _PATTERN.search(PurePath(pattern).suffix)
    suffix = PurePath(pattern).suffix.lower()
    for path in _paths(pattern):
        if suffix in READERS or suffix in LISTS:
            yield from _file_kind(suffix)(path)
        elif os.path.isdir(path):
            yield from (BatchItem(one, absolute_path(one)) for one, _ in inside(path))
        elif every or path.lower().endswith(SUFFIXES):
            yield BatchItem(path, absolute_path(path))


def _paths(pattern: str) -> Iterator[str]:
    """What matches; where there is a **, files alone, and never through a link to a folder."""
    parts = PurePath(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    magic = next(place for place, part in enumerate(parts) if _PATTERN.search(part))
    for top in glob.iglob(os.path.join(*parts[:magic])) if magic else ["."]:
        for path in walk_files(top):
            below = PurePath(path).relative_to(top).parts
            # a folder that matches stands for all in it
            if any(_fits(below[:depth], parts[magic:]) for depth in range(len(below), 0, -1)):
                yield path if magic else os.path.join(*below)


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path's names match a pattern's parts; ** is any number of folders, or none."""
    if not parts:
        return not names
    if parts[0] == "**":
        rest = parts[1:] or ("*",)
        return any(_fits(names[place:], rest) for place in range(len(names)))
    return bool(names) and fnmatch.fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _from_remote_folder(name: str) -> Iterator[BatchItem]:
    system, root = file_system(name)
    return _some(_remote(name, _listed(name, system.find, root)), name)


def _from_remote_pattern(name: str) -> Iterator[BatchItem]:
    system, pattern = file_system(name)
    return _some(_remote(name, _listed(name, system.glob, pattern)), name)


def _listed(name: str, listing: Callable[[str], list[str]], place: str) -> list[str]:
    try:
        with translate_errors(name):
            return listing(place)
    except FileNotFoundError:
        return []


def _remote(name: str, paths: Iterable[str]) -> Iterator[BatchItem]:
    """Paths of a file system as addresses of the kind that was named."""
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
        raise UsageError("- is standard input, and that is closed; name a list")
    return _lines(sys.stdin.buffer)


def _lines(stream: Iterable[bytes]) -> Iterator[BatchItem]:
    """A path in each line, seen from the folder in which the command runs."""
    for number, line in enumerate(stream):
        name = os.fsdecode((line if number else line.removeprefix(BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip():
            yield BatchItem(name, absolute_path(name))


def _some(items: Iterator[BatchItem], name: str) -> Iterator[BatchItem]:
    """All of them; UsageError where there is none."""
    empty = True
    for one in items:
        empty = False
        yield one
    if empty:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(f"{safe_name(name)}: no recording ({kinds}) is there; name another place")
