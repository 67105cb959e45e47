"""Files that are there whole or not at all, locks, and work that processes share.

JSON as it comes from anywhere, and as it can hold the name of any file.

The recordings that somebody names: files, and everything that sounds in folders.

Folders that are there whole or not at all.

A folder is written beside its place, then a seal with the SHA-256 of every file is written last,
everything is flushed, and the folder is renamed. A folder without a seal, or with another hash,
is broken and is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from phonemo.errors import CheckpointError, RunError, UsageError

#: Of a name that is nearly as long as names may be (255 bytes) there is no room for an ending.
_NAME_LETTERS = 60


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 beside the place, then rename; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name[:_NAME_LETTERS] + ".part")
    try:
        scratch.write_bytes(text.encode())  # not as text: the same bytes on every system
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to its disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes of this machine out of a folder; RunError if one is in it.

    With ``wait`` it waits until that one has left.
    """
    with file_lock(folder / ".lock", wait) as mine:
        if not mine:
            raise RunError(
                f"{folder}: another process is working in this folder; wait, or name another "
                "with --output"
            )
        yield


@contextmanager
def file_lock(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file, made where it is not there; False if another process holds it.

    With ``wait`` it waits until that one lets go. The lock is the system's and goes with its
    process, however that ends: a file that a dead process left is free.

    Raises:
        RunError: the file system cannot lock.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{file}: cannot be locked ({error}); use a local disk") from error
    try:
        yield True
    finally:
        lock.release()


def build_missing(
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
            with file_lock(_lock_of(place)) as mine:
                if mine and not is_whole(place):
                    make(place)
            if mine:
                yield place
            else:
                busy.append(place)
        if busy:
            with file_lock(_lock_of(busy[0]), wait=True):
                pass  # it is made now, or free
        missing = busy
    for place in places:  # whoever comes now finds everything whole and needs no lock
        _lock_of(place).unlink(missing_ok=True)


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def loads_json(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, or nested so deeply that Python's parser gives up; bytes that are
            no UTF-8.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def loads_json_lines(text: str) -> list[Any]:
    """What JSON lines say; blank ones are left out.

    Not cut by splitlines, which also cuts at U+2028, and JSON allows that inside a string.

    Raises:
        ValueError: as for ``loads_json``.
    """
    return [loads_json(line) for line in text.split("\n") if line]


def dumps_json(data: Any, indent: int | None = None, encoding: str = "utf-8") -> str:
    """JSON that an encoding can hold.

    Everything is written as it is, unless a letter does not fit (a file's name may be any bytes on
    some systems, nor is every terminal UTF-8): then all that is not ASCII is escaped.

    Raises:
        ValueError: a number that JSON does not have.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(data, indent=indent, allow_nan=False)
    return text


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines, whole or not at all."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic_write_text(path, text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What ``write_rows`` wrote."""
    try:
        return loads_json_lines(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: not prediction rows that can be read; train or evaluate again"
        ) from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    atomic_write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".aiff", ".aif")
"""What counts as a recording in a folder, in any case of letters; a named file may be any."""

#: What an answer is called where the name has no last part, as "." has none.
_NAMELESS = "recording"

#: What stands for the bytes on standard input, and the name that its answer's file gets.
STANDARD_INPUT, _STANDARD_NAME = "-", "stdin"


def find_recordings(names: Iterable[str]) -> list[tuple[str, PurePath]]:
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
    """The recordings in a folder, as ``find_recordings`` has them, folder by folder.

    Raises:
        UsageError: one of its folders cannot be read, so that recordings would be missed.
    """
    for name in walk_files(folder):
        path = PurePath(name)
        if path.suffix.lower() in SUFFIXES:
            yield name, path.relative_to(folder)


def walk_files(folder: str) -> Iterator[str]:
    """All files in a folder, sorted, without hidden ones and links to folders; errors as above."""
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield os.path.join(place, file)


def _refuse(error: OSError) -> None:
    from phonemo.errors import safe_name  # which imports numpy

    reason = error.strerror or type(error).__name__
    raise UsageError(
        f"{safe_name(str(error.filename))}: cannot be read ({reason}); mend its permissions, or "
        "name what is to be heard"
    ) from error


CHECKSUMS = "checkpoint.json"
SCRATCH = ".part"
_MODE = 0o644
_LONGEST_NAME = 255
#: What transformers reads of a folder, whether it is named there or not.
_READ = (".safetensors", ".index.json", ".bin", "config.json")


@contextmanager
def checksummed_folder(
    target: Path, faults: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[Path]:
    """A scratch folder to write into; sealed and renamed to ``target`` at the end.

    An exception, a full disk among them, leaves the target as it was.

    Args:
        target: the folder to make.
        faults: what a full disk raises of the libraries that write into the folder.

    Raises:
        CheckpointError: the disk refused; the cause is named.
    """
    scratch = target.with_name(target.name + SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        _write_checksums(scratch)
        _replace(scratch, target)
    except faults as error:
        shutil.rmtree(scratch, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{target}: could not be written ({reason}); free room, run again"
        ) from error


def verify_checksums(folder: Path) -> None:
    """Raise CheckpointError unless every file is there as it was sealed.

    Others may lie beside them, such as a model card, but none that would be read as part of it.
    """
    try:
        seal = loads_json((folder / CHECKSUMS).read_bytes())
        hashes = {str(name): wanted for name, wanted in dict(seal["sha256"]).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: no readable {CHECKSUMS}; this is not a whole checkpoint"
        ) from error
    for name, wanted in hashes.items():
        path = folder / name
        if Path(name).name != name or len(name) > _LONGEST_NAME or not path.is_file():
            raise CheckpointError(f"{folder}: {name!r} is missing; copy the whole folder again")
        if sha256_of(path) != wanted:
            raise CheckpointError(
                f"{path}: changed since it was saved; copy the whole folder again"
            )
    _check_alone(folder, hashes)


def _check_alone(folder: Path, sealed: Container[str]) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_READ) and path.name not in sealed:
            raise CheckpointError(
                f"{path}: not there when the folder was sealed; copy the whole folder again"
            )


def _write_checksums(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        path.chmod(_MODE)  # safetensors writes for its owner alone
        fsync(path)
    seal = folder / CHECKSUMS
    seal.write_text(
        json.dumps({"sha256": {path.name: sha256_of(path) for path in files}}, indent=1)
    )
    fsync(seal)
    fsync(folder)


def _replace(scratch: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    scratch.rename(target)
    fsync(target.parent)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, read block by block."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
