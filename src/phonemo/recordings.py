"""The recordings that somebody names: files, and everything that sounds in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from phonemo.errors import UsageError

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".aiff", ".aif")
"""What counts as a recording in a folder, in any case of letters; a named file may be any."""

#: What an answer is called where the name has no last part, as "." has none.
_NAMELESS = "recording"

#: What stands for the bytes on standard input, and the name that its answer's file gets.
STANDARD_INPUT, _STANDARD_NAME = "-", "stdin"


def recordings(names: Iterable[str]) -> list[tuple[str, PurePath]]:
    """Every recording with its path below what was named.

    A folder stands for all recordings in it and in its folders, sorted; links to folders are not
    followed, and hidden files are left out. A folder without any stays as it was named, for the
    one who opens it to say what it is. "-" is standard input.

    Args:
        names: as they were typed.

    Returns:
        (name, relative path) of each; the path is the file's name where a file was named.

    Raises:
        UsageError: standard input is named twice.
    """
    found: list[tuple[str, PurePath]] = []
    for name in names:
        if name == STANDARD_INPUT:
            if any(other == name for other, _ in found):
                raise UsageError("- stands there twice; standard input is one recording")
            found.append((name, PurePath(_STANDARD_NAME)))
            continue
        inside = list(_inside(name)) if os.path.isdir(name) else []
        found += inside or [(name, PurePath(PurePath(name).name or _NAMELESS))]
    return found


def _inside(folder: str) -> Iterator[tuple[str, PurePath]]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            path = Path(place) / file
            if path.suffix.lower() in SUFFIXES and not file.startswith("."):
                yield os.path.join(place, file), path.relative_to(folder)
