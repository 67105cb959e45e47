"""Text files that are there whole or not at all, and a lock for a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonemo.errors import RunError

#: Of a name that is nearly as long as names may be (255 bytes) there is no room for an ending.
_NAME_LETTERS = 60


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 beside the place, then rename; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name[:_NAME_LETTERS] + ".part")
    try:
        scratch.write_bytes(text.encode())  # not as text: the same bytes on every system
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes of this machine out of a folder; RunError if one is in it.

    With ``wait`` it waits until that one has left.

    The lock is the system's and goes with its process, however that ends. Where the system has
    no such locks (Windows), nothing is locked.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            raise RunError(
                f"{folder}: another process is training in this folder; wait, or name another "
                "with --output"
            ) from error
        yield
