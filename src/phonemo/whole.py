"""Files that are there whole or not at all, locks, and work that processes share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
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


def flush(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to its disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes of this machine out of a folder; RunError if one is in it.

    With ``wait`` it waits until that one has left.
    """
    with held(folder / ".lock", wait) as mine:
        if not mine:
            raise RunError(
                f"{folder}: another process is working in this folder; wait, or name another "
                "with --output"
            )
        yield


@contextmanager
def held(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file, made where it is not there; False if another process holds it.

    With ``wait`` it waits until that one lets go. The lock is the system's and goes with its
    process, however that ends: a file that a dead process left is free. Where the system has no
    such locks (Windows), everyone gets it.

    Raises:
        RunError: the file system cannot lock.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        yield True
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            mine = True
        except BlockingIOError:
            mine = False
        except OSError as error:
            raise RunError(f"{file}: cannot be locked ({error}); use a local disk") from error
        yield mine


def share_out(
    places: Sequence[Path], is_whole: Callable[[Path], bool], make: Callable[[Path], None]
) -> Iterator[Path]:
    """Make what is not there yet, side by side with processes that do the same.

    Each place has a lock of its own, so that a process passes by what another is making and comes
    back to it at the end: whatever that one did not finish is made here.

    Args:
        places: what is to be made, in the order in which it is tried.
        is_whole: whether a place is made already.
        make: makes a place, whole or not at all.

    Yields:
        Every place once, as soon as it is known to be whole.
    """
    missing = []
    for place in places:
        if is_whole(place):
            yield place
        else:
            missing.append(place)
    if not missing:
        return
    while missing:
        busy = []
        for place in missing:
            with held(_lock_of(place)) as mine:
                if mine and not is_whole(place):
                    make(place)
            if mine:
                yield place
            else:
                busy.append(place)
        if busy:
            with held(_lock_of(busy[0]), wait=True):
                pass  # it is made now, or free
        missing = busy
    for place in places:  # whoever comes now finds everything whole and needs no lock
        _lock_of(place).unlink(missing_ok=True)


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")
