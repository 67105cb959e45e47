"""Atomic writes, file locks, guarded JSON, audio file discovery and checksummed folders.

A checksummed folder is written to a scratch folder, a file with the SHA-256 of every other file is
added last, everything is flushed, and the folder is renamed. A folder without that file, or with a
different hash, is treated as broken.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from phonemo.errors import CheckpointError, RunError, UsageError

#: Characters of a name kept for its scratch file: names near 255 bytes leave no room for a suffix.
_NAME_LETTERS = 60


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 to a scratch file and rename it; parent folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name[:_NAME_LETTERS] + ".part")
    try:
        scratch.write_bytes(text.encode())  # not as text: the same bytes on every system
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[None]:
    """Lock a folder against other processes of this machine.

    Args:
        folder: the folder.
        wait: block until the lock is free instead of raising.

    Raises:
        RunError: another process holds the lock, or the file system cannot lock.
    """
    with file_lock(folder / ".lock", wait) as acquired:
        if not acquired:
            raise RunError(
                f"{folder}: another process is working in this folder; wait, or name another "
                "with --output"
            )
        yield


@contextmanager
def file_lock(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file, created if missing; yields False if another process holds it.

    With ``wait`` it blocks until the lock is free. The operating system releases the lock when its
    process ends, so the lock file of a dead process is free.

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
    """Build the missing outputs; several processes may do so concurrently.

    Each output has its own lock. A process skips an output that another one is building, returns
    to it at the end, and builds it if the other process did not finish.

    Args:
        places: outputs, in the order in which they are tried.
        is_whole: whether an output exists already.
        make: builds an output atomically.

    Yields:
        Every output once, as soon as it is complete.
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
            with file_lock(_lock_of(place)) as acquired:
                if acquired and not is_whole(place):
                    make(place)
            if acquired:
                yield place
            else:
                busy.append(place)
        if busy:
            with file_lock(_lock_of(busy[0]), wait=True):
                pass  # now complete, or free to build
        missing = busy
    for place in places:  # all outputs are complete: no process needs the locks any longer
        _lock_of(place).unlink(missing_ok=True)


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def loads_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: invalid JSON, bytes that are not UTF-8, or nesting too deep for the parser.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def loads_json_lines(text: str) -> list[Any]:
    """Parse JSON lines, each an object; blank lines are skipped.

    Lines are split at newlines only; ``splitlines`` would also split at U+2028, which JSON allows
    inside a string.

    Raises:
        ValueError: as for ``loads_json``, or a line is no object.
    """
    rows = [loads_json(line) for line in text.split("\n") if line]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected an object in each line")
    return rows


def dumps_json(data: Any, indent: int | None = None, encoding: str = "utf-8") -> str:
    """Serialize to JSON that an encoding can represent.

    Text is written unescaped. If a character cannot be encoded (file names may be arbitrary bytes
    on some systems, and not every terminal is UTF-8), everything outside ASCII is escaped.

    Raises:
        ValueError: NaN or an infinite number.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(data, indent=indent, allow_nan=False)
    return text


def read_npz(content: bytes, names: Iterable[str], most_bytes: int) -> dict[str, Any]:
    """Read arrays of a numpy archive from memory, without pickles.

    Args:
        content: of the file.
        names: of the arrays.
        most_bytes: limit for all unpacked arrays together.

    Raises:
        ValueError: another file, a damaged or too large one, or one without these arrays.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most_bytes:
            raise ValueError(f"{size} bytes when unpacked")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in names}
        for name, array in found.items():
            if not isinstance(array, np.ndarray):  # numpy gives the bytes of a damaged header
                raise ValueError(f"{name} is no array")
        return found
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged files
        raise ValueError(f"no readable numpy archive ({type(error).__name__})") from error


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON lines atomically."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic_write_text(path, text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file written by ``write_rows``; RunError if that fails."""
    try:
        return loads_json_lines(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: expected readable prediction rows; train or evaluate again"
        ) from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    atomic_write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".m4a", ".aiff", ".aif", ".aifc"),
    *(".wave", ".w64", ".rf64", ".caf", ".au", ".snd", ".sph", ".nist", ".mp2", ".mpga"),
    *(".aac", ".m4b", ".mp4", ".m4v", ".mov", ".webm", ".weba", ".mka", ".mkv", ".wma"),
    *(".amr", ".awb", ".3gp", ".3gpp", ".3g2", ".g722"),
)
"""Suffixes (case-insensitive) of recordings in a folder; a file given by name may have any. Some
need the extra ``media``."""
NO_RECORDINGS = f"expected recordings ({', '.join(SUFFIXES[:7])} or others)"

#: Files that systems put into folders, in lower case; like hidden files, they are not counted.
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")
_MOST_KINDS, _LONGEST_SUFFIX, _MOST_FOLDERS = 5, 8, 4


class SkippedFiles:
    """The files of folders and patterns that are no recordings, counted by suffix."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def counter(self, name: str) -> Counter[str]:
        """Return the counts of a folder or pattern, which ``inside`` adds to."""
        return self._counts.setdefault(name, Counter())

    def describe(self, name: str) -> str:
        """Describe the files of a folder: "3 other files (2 .txt, 1 .pdf)"; "" if it has none."""
        return _counted(self.counter(name), "other file")

    def notes(self) -> list[str]:
        """A line for each folder with such files, or one for very many folders."""
        from phonemo.errors import safe_name

        counts = {safe_name(name): kinds for name, kinds in self._counts.items() if kinds}
        if len(counts) > _MOST_FOLDERS:
            counts = {f"{len(counts)} folders": sum(counts.values(), Counter[str]())}
        return [f"{name}: {_skipped(kinds)}" for name, kinds in counts.items()]


def _skipped(kinds: Counter[str]) -> str:
    count, _, rest = _counted(kinds, "file").partition(" (")
    return f"{count} skipped ({rest}"


def _counted(kinds: Counter[str], noun: str) -> str:
    if not kinds:
        return ""
    most = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    parts = [f"{count} {suffix}" for suffix, count in most[:_MOST_KINDS]]
    if others := sum(count for _, count in most[_MOST_KINDS:]):
        parts.append(f"{others} of other kinds")
    total = kinds.total()
    return f"{total} {noun}{'s' if total > 1 else ''} ({', '.join(parts)})"


def is_recording(name: str, skipped: Counter[str] | None = None) -> bool:
    """Whether a file in a folder is a recording, by its suffix; another is counted."""
    path = PurePath(name)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if skipped is not None and not is_of_system(path.name):
        skipped[_kind(suffix)] += 1
    return False


def is_of_system(name: str) -> bool:
    """Whether a file is hidden, or one that a system or an office program puts into folders."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM_FILES


def _kind(suffix: str) -> str:
    if not suffix:
        return "without a suffix"
    return suffix if len(suffix) <= _LONGEST_SUFFIX and suffix.isprintable() else "of other kinds"


#: Output name of a recording whose path has no last part, such as ".".
_NAMELESS = "recording"

#: The argument for standard input, and its output name.
STANDARD_INPUT, _STANDARD_NAME = "-", "stdin"


def find_recordings(
    names: Iterable[str], skipped: SkippedFiles | None = None
) -> list[tuple[str, PurePath]]:
    """Expand files and folders to recordings with their relative paths.

    A folder stands for all recordings below it, sorted; links to folders are not followed and
    hidden files are skipped. A folder without recordings is returned unchanged, so that opening it
    raises the error. "-" is standard input.

    Args:
        names: files and folders as the user typed them.
        skipped: counts the files of folders that are no recordings.

    Returns:
        (name, relative path) of each recording; for a file the path is its name.

    Raises:
        UsageError: standard input is given twice, or a folder cannot be read.
    """
    recordings: list[tuple[str, PurePath]] = []
    for name in names:
        if name == STANDARD_INPUT:
            if any(known == name for known, _ in recordings):
                raise UsageError("'-' (standard input) may be given only once")
            recordings.append((name, PurePath(_STANDARD_NAME)))
            continue
        counted = None if skipped is None else skipped.counter(name)
        found_here = list(inside(name, counted)) if os.path.isdir(name) else []
        recordings += found_here or [(name, PurePath(PurePath(name).name or _NAMELESS))]
    return recordings


def inside(folder: str, skipped: Counter[str] | None = None) -> Iterator[tuple[str, PurePath]]:
    """Yield the recordings in a folder as ``find_recordings`` does; ``skipped`` counts other files.

    Raises:
        UsageError: a subfolder cannot be read, so that recordings would be missed.
    """
    for name in walk_files(folder):
        if is_recording(name, skipped):
            yield name, PurePath(name).relative_to(folder)


def walk_files(folder: str) -> Iterator[str]:
    """Yield all files in a folder, sorted, without hidden ones; errors as for ``inside``."""
    for place, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield os.path.join(place, file)


def _raise_unreadable(error: OSError) -> None:
    from phonemo.errors import safe_name  # which imports numpy

    reason = error.strerror or type(error).__name__
    raise UsageError(
        f"{safe_name(str(error.filename))}: cannot be read ({reason}); fix its permissions or "
        "name the recordings"
    ) from error


CHECKSUMS = "checkpoint.json"
SCRATCH = ".part"
_MODE = 0o644
_LONGEST_NAME = 255
#: Endings of files that transformers reads from a folder even if they are not listed.
_READ = (".safetensors", ".index.json", ".bin", "config.json")


@contextmanager
def checksummed_folder(
    target: Path, faults: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[Path]:
    """Yield a scratch folder; checksums are added and it is renamed to ``target`` at the end.

    Any exception, such as a full disk, leaves the target unchanged.

    Args:
        target: the folder to create.
        faults: exceptions that the writing libraries raise when the disk is full.

    Raises:
        CheckpointError: writing failed; the message has the reason.
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
            f"{target}: could not be written ({reason}); free disk space and run again"
        ) from error


def verify_checksums(folder: Path) -> None:
    """Raise CheckpointError unless every listed file exists with its recorded checksum.

    Extra files, such as a model card, are allowed unless transformers would read them.
    """
    try:
        seal = loads_json((folder / CHECKSUMS).read_bytes())
        hashes = {str(name): expected for name, expected in dict(seal["sha256"]).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: no readable {CHECKSUMS}; expected a complete checkpoint"
        ) from error
    for name, expected in hashes.items():
        path = folder / name
        if Path(name).name != name or len(name) > _LONGEST_NAME or not path.is_file():
            raise CheckpointError(f"{folder}: {name!r} is missing; copy the whole folder again")
        if sha256_of(path) != expected:
            raise CheckpointError(
                f"{path}: changed since it was saved; copy the whole folder again"
            )
    _check_unlisted(folder, hashes)


def _check_unlisted(folder: Path, listed: Container[str]) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_READ) and path.name not in listed:
            raise CheckpointError(f"{path}: not listed in {CHECKSUMS}; copy the whole folder again")


def _write_checksums(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        path.chmod(_MODE)  # safetensors creates files readable by the owner only
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
    """Return the SHA-256 of a file, read block by block."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
