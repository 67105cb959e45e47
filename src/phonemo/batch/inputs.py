"""From what somebody names to the recordings that are meant, one by one as they are found.

A folder stands for all recordings in it, a pattern for all that match; a manifest (.jsonl, .csv,
.tsv, .parquet) names one in each row, a list (.txt, .lst, .list, or "-" for standard input) one in
each line; anything else is a recording. All of them may be addresses that fsspec opens.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

from phonemo.batch.addresses import absolute, answering, file_system, is_remote, local, opened
from phonemo.batch.items import Item
from phonemo.batch.manifests import READERS, readable
from phonemo.errors import UsageError, shown
from phonemo.recordings import STANDARD_INPUT, SUFFIXES, everything, inside

LISTS = (".txt", ".lst", ".list")
_PATTERN = re.compile(r"[*?[]")


def items_of(names: Iterable[str]) -> Iterator[Item]:
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


def _kind_of(name: str) -> Callable[[str], Iterator[Item]]:
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


def _remote_kind(name: str, suffix: str) -> Callable[[str], Iterator[Item]]:
    if _PATTERN.search(name):
        return _from_remote_pattern
    if suffix in SUFFIXES or suffix in READERS or suffix in LISTS:
        return _file_kind(suffix)
    return _from_remote_folder


def _file_kind(suffix: str) -> Callable[[str], Iterator[Item]]:
    return READERS.get(suffix) or (_from_list if suffix in LISTS else _alone)


def _alone(name: str) -> Iterator[Item]:
    if not is_remote(name) and not os.path.lexists(local(name)):
        raise UsageError(f"{shown(name)}: no such file or folder; name what is to be heard")
    yield Item(name, absolute(name))


def _from_folder(name: str) -> Iterator[Item]:
    return _some((Item(path, absolute(path)) for path, _ in inside(local(name))), name)


def _from_pattern(name: str) -> Iterator[Item]:
    return _some(_matching(local(name)), name)


def _matching(pattern: str) -> Iterator[Item]:
    """What the pattern matches and may be a recording; a folder stands for all in it."""
    every = PurePath(pattern).suffix != "" and not _PATTERN.search(PurePath(pattern).suffix)
    suffix = PurePath(pattern).suffix.lower()
    for path in _paths(pattern):
        if suffix in READERS or suffix in LISTS:
            yield from _file_kind(suffix)(path)
        elif os.path.isdir(path):
            yield from (Item(one, absolute(one)) for one, _ in inside(path))
        elif every or path.lower().endswith(SUFFIXES):
            yield Item(path, absolute(path))


def _paths(pattern: str) -> Iterator[str]:
    """What matches; where there is a **, files alone, and never through a link to a folder."""
    parts = PurePath(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    magic = next(place for place, part in enumerate(parts) if _PATTERN.search(part))
    for top in glob.iglob(os.path.join(*parts[:magic])) if magic else ["."]:
        for path in everything(top):
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


def _from_remote_folder(name: str) -> Iterator[Item]:
    system, root = file_system(name)
    return _some(_remote(name, _listed(name, system.find, root)), name)


def _from_remote_pattern(name: str) -> Iterator[Item]:
    system, pattern = file_system(name)
    return _some(_remote(name, _listed(name, system.glob, pattern)), name)


def _listed(name: str, listing: Callable[[str], list[str]], place: str) -> list[str]:
    try:
        with answering(name):
            return listing(place)
    except FileNotFoundError:
        return []


def _remote(name: str, paths: Iterable[str]) -> Iterator[Item]:
    """Paths of a file system as addresses of the kind that was named."""
    protocol = name.rpartition("://")[0]
    for path in paths:
        if path.lower().endswith(SUFFIXES):
            address = path if is_remote(path) else f"{protocol}://{path}"
            yield Item(address, address)


def _from_list(name: str) -> Iterator[Item]:
    with readable(name), opened(name) as stream:
        yield from _lines(stream)


def _from_standard_input(name: str) -> Iterator[Item]:
    if sys.stdin is None:
        raise UsageError("- is standard input, and that is closed; name a list")
    return _lines(sys.stdin.buffer)


def _lines(stream: Iterable[bytes]) -> Iterator[Item]:
    """A path in each line, seen from the folder in which the command runs."""
    for number, line in enumerate(stream):
        name = os.fsdecode((line if number else line.removeprefix(BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip():
            yield Item(name, absolute(name))


def _some(items: Iterator[Item], name: str) -> Iterator[Item]:
    """All of them; UsageError where there is none."""
    empty = True
    for one in items:
        empty = False
        yield one
    if empty:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(f"{shown(name)}: no recording ({kinds}) is there; name another place")
