"""The recordings that somebody names: files, and everything that sounds in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath

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
        found_here = list(inside(name)) if os.path.isdir(name) else []
        found += found_here or [(name, PurePath(PurePath(name).name or _NAMELESS))]
    return found


def inside(folder: str) -> Iterator[tuple[str, PurePath]]:
    """The recordings in a folder, as ``recordings`` has them, folder by folder.

    Raises:
        UsageError: one of its folders cannot be read, so that recordings would be missed.
    """
    for name in everything(folder):
        path = PurePath(name)
        if path.suffix.lower() in SUFFIXES:
            yield name, path.relative_to(folder)


def everything(folder: str) -> Iterator[str]:
    """All files in a folder, sorted, without hidden ones and links to folders; errors as above."""
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield os.path.join(place, file)


def _refuse(error: OSError) -> None:
    from phonemo.errors import shown  # which imports numpy

    reason = error.strerror or type(error).__name__
    raise UsageError(
        f"{shown(str(error.filename))}: cannot be read ({reason}); mend its permissions, or name "
        "what is to be heard"
    ) from error
