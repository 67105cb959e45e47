"""Expand the inputs of a batch to recordings, one by one as they are listed.

A folder stands for all recordings in it, a pattern for all that match; a manifest (.csv, .tsv,
.json, .jsonl, .parquet) names one in each row (``phonemo.batch.manifests``), a list (.txt, .lst,
.list, or "-" for standard input) one in each line; anything else is a recording. All of them may be
addresses that fsspec opens. Files in a folder that are no recordings are counted.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, iterdecode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import PurePath

from phonemo.batch.manifests import READERS, readable
from phonemo.batch.plan import BatchItem
from phonemo.batch.remote import (
    absolute_path,
    file_system,
    is_remote,
    local,
    open_address,
    translate_errors,
)
from phonemo.errors import UsageError, safe_name
from phonemo.files import (
    NO_RECORDINGS,
    STANDARD_INPUT,
    SUFFIXES,
    SkippedFiles,
    inside,
    is_recording,
    walk_files,
)
from phonemo.tables import portable_path
from phonemo.tables.cells import is_windows_path

LISTS = (".txt", ".lst", ".list")
_PATTERN = re.compile(r"[*?[]")


def items_of(names: Iterable[str], skipped: SkippedFiles | None = None) -> Iterator[BatchItem]:
    """Yield every recording of the inputs, duplicates included.

    Args:
        names: the inputs, as typed.
        skipped: counts the files of folders and patterns that are no recordings.

    Raises:
        UsageError: a folder or pattern without recordings, or a missing file.
        ManifestError: a malformed manifest row, with its line.
        MissingExtraError: an address or a Parquet file whose reader is not installed.
    """
    for name in names:
        yield from _kind_of(name, SkippedFiles() if skipped is None else skipped)(name)


def _kind_of(name: str, skipped: SkippedFiles) -> Callable[[str], Iterator[BatchItem]]:
    suffix = PurePath(name).suffix.lower()
    if name == STANDARD_INPUT:
        return _from_standard_input
    if is_remote(name):
        return _remote_kind(name, suffix, skipped)
    path = local(name)
    if os.path.isdir(path):
        return partial(_from_folder, skipped=skipped)
    if _PATTERN.search(path) and not os.path.lexists(path):
        return partial(_from_pattern, skipped=skipped)
    return _file_kind(suffix)


def _remote_kind(
    name: str, suffix: str, skipped: SkippedFiles
) -> Callable[[str], Iterator[BatchItem]]:
    if _PATTERN.search(name):
        return partial(_from_remote_pattern, skipped=skipped)
    if suffix in SUFFIXES or suffix in READERS or suffix in LISTS:
        return _file_kind(suffix)
    return partial(_from_remote_folder, skipped=skipped)


def _file_kind(suffix: str) -> Callable[[str], Iterator[BatchItem]]:
    return READERS.get(suffix) or (_from_list if suffix in LISTS else _from_file)


def _from_file(name: str) -> Iterator[BatchItem]:
    if not is_remote(name) and not os.path.lexists(local(name)):
        raise UsageError(f"{safe_name(name)}: no such file or folder; check the path")
    yield BatchItem(name, absolute_path(name))


def _from_folder(name: str, skipped: SkippedFiles) -> Iterator[BatchItem]:
    counted = skipped.counter(name)
    items = (BatchItem(path, absolute_path(path)) for path, _ in inside(local(name), counted))
    return _not_empty(items, name, skipped)


def _from_pattern(name: str, skipped: SkippedFiles) -> Iterator[BatchItem]:
    return _not_empty(_matching(local(name), skipped.counter(name)), name, skipped)


def _matching(pattern: str, skipped: Counter[str]) -> Iterator[BatchItem]:
    """Yield the recordings that match; a folder stands for all in it."""
    every = PurePath(pattern).suffix != "" and not _PATTERN.search(PurePath(pattern).suffix)
    suffix = PurePath(pattern).suffix.lower()
    for path in _paths(pattern):
        if suffix in READERS or suffix in LISTS:
            yield from _file_kind(suffix)(path)
        elif os.path.isdir(path):
            yield from (BatchItem(file, absolute_path(file)) for file, _ in inside(path, skipped))
        elif every or is_recording(path, skipped):
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


def _from_remote_folder(name: str, skipped: SkippedFiles) -> Iterator[BatchItem]:
    system, root = file_system(name)
    return _not_empty(_remote(name, _list_remote(name, system.find, root), skipped), name, skipped)


def _from_remote_pattern(name: str, skipped: SkippedFiles) -> Iterator[BatchItem]:
    system, pattern = file_system(name)
    paths = _list_remote(name, system.glob, pattern)
    return _not_empty(_remote(name, paths, skipped), name, skipped)


def _list_remote(name: str, listing: Callable[[str], list[str]], place: str) -> list[str]:
    try:
        with translate_errors(name):
            return listing(place)
    except FileNotFoundError:
        return []


def _remote(name: str, paths: Iterable[str], skipped: SkippedFiles) -> Iterator[BatchItem]:
    """Convert paths of a file system to addresses with the protocol of ``name``."""
    protocol, counted = name.rpartition("://")[0], skipped.counter(name)
    for path in paths:
        if is_recording(path, counted):
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
    lines = iter(stream)
    first = next(lines, b"")
    whole = chain([first.removeprefix(BOM_UTF8)], lines)
    is_wide = first.startswith((BOM_UTF16_LE, BOM_UTF16_BE))  # as PowerShell writes
    for line in _wide_lines(whole) if is_wide else map(os.fsdecode, whole):
        name = line.rstrip("\r\n")
        if name.strip():
            path = portable_path(name)
            yield BatchItem(name, path if is_windows_path(path) else absolute_path(path))


def _wide_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Decode UTF-16, of which a piece may end within a letter."""
    rest = ""
    for text in iterdecode(pieces, "utf-16", errors="replace"):
        *lines, rest = (rest + text).split("\n")
        yield from lines
    yield rest


def _not_empty(items: Iterator[BatchItem], name: str, skipped: SkippedFiles) -> Iterator[BatchItem]:
    """Yield all items; UsageError if there are none."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        others = skipped.describe(name)
        raise UsageError(f"{safe_name(name)}: {NO_RECORDINGS}, got {others or 'none'}")
