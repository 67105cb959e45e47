"""The folders that a server may read recordings from, and the files in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from phonemo.errors import AudioError, UsageError, safe_name

#: Longest path of a request, in characters.
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class RootedFile:
    """A regular file inside a root.

    Attributes:
        path: its real path, without links.
        name: its path relative to the root, as one printable line.
    """

    path: Path
    name: str


class RecordingRoots:
    """Finds files inside some folders only; links that lead out of them are refused.

    A file outside and a missing one have the same error, so that nothing is learned of other
    folders.

    Args:
        folders: existing folders.

    Raises:
        UsageError: one is no folder, or there is none.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]]) -> None:
        if not folders:
            raise UsageError("expected one or more folders with recordings, got none; pass --root")
        self.folders = tuple(_real_folder(folder) for folder in folders)

    def find(self, path: str, most_bytes: int) -> RootedFile:
        """Find a recording by its path, absolute or relative to a root.

        Raises:
            AudioError: missing_file: it is outside of the roots, missing or no regular file;
                audio_too_large: it has more than ``most_bytes``.
        """
        for root in self.folders:
            found = _inside(root, path)
            if found is None:
                continue
            size = found.stat().st_size
            name = safe_name(str(found.relative_to(root)))
            if size > most_bytes:
                raise AudioError(
                    "audio_too_large",
                    f"{name}: expected at most {most_bytes / 1e6:g} MB, got {size / 1e6:.1f} MB; "
                    "cut the recording, or start phonemo mcp with a higher --max-mb",
                )
            return RootedFile(found, name)
        raise AudioError(
            "missing_file",
            f"{safe_name(path)}: no such recording in the folders that this server may read; pass "
            "a path inside of them, or start phonemo mcp with another --root",
        )


def open_regular(file: RootedFile) -> BinaryIO:
    """Open a found file; AudioError if it was replaced by a link or something else."""
    try:
        stream = open(file.path, "rb", opener=_open_unlinked)  # noqa: SIM115 (the caller's)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise AudioError(
            "missing_file", f"{file.name}: cannot be opened ({reason}); check its permissions"
        ) from error
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise AudioError("missing_file", f"{file.name}: expected a regular file; pass a recording")


def _open_unlinked(path: str, flags: int) -> int:
    # a link is refused, and a pipe does not block
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _real_folder(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder).expanduser()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"{safe_name(path)}: expected a folder with recordings, got no such folder; pass "
            "another --root"
        ) from error
    if not real.is_dir():
        raise UsageError(
            f"{safe_name(path)}: expected a folder with recordings, got a file; pass its folder"
        )
    return real


def _inside(root: Path, path: str) -> Path | None:
    """The real path of a regular file inside the root; None for anything else."""
    if not path or len(path) > _LONGEST_PATH or "\0" in path:
        return None
    try:
        real = (root / path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None
    return real if real.is_relative_to(root) and real.is_file() else None
