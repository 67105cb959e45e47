"""The folder of a batch, on a disk or in an object store, with atomic writes."""

from __future__ import annotations

import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from phonemo.batch.remote import absolute_path, file_system, is_remote, translate_errors
from phonemo.errors import RunError, UsageError, safe_name
from phonemo.files import folder_lock, fsync

_SCRATCH = ".part"
#: Protocols of stores with atomic uploads.
_ATOMIC = ("s3", "gs", "abfs", "oss", "memory")
_SCRATCH_NAME = re.compile(rf"\.[a-z]+(-\d+)?(\.[a-z]+)?\.\d+\{_SCRATCH}")


class Store(ABC):
    """A folder; file names are relative paths with forward slashes."""

    def __init__(self, address: str) -> None:
        self.address = address
        """An absolute path or a URL, valid in other processes."""

    @abstractmethod
    def names(self, folder: str = "") -> set[str]:
        """Return the names in it, or in one of its subfolders; empty if missing."""

    @abstractmethod
    def read(self, name: str) -> str:
        """Read a text; RunError if it cannot be read."""

    def find(self, name: str) -> str | None:
        """Read a text; None if the file is missing, RunError if it cannot be read."""
        return self.read(name) if self._exists(name) else None

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary file that gets its name when the block ends without an error.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            with self._scratch(name) as path:
                yield path
                self._put(path, name)
        except OSError as error:
            reason = " ".join((error.strerror or f"{type(error).__name__} {error}").split())
            raise RunError(
                f"{safe_name(self.address)}: {name} cannot be written ({reason}); free disk "
                "space or fix its permissions, and run the same command again to resume"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Write a text; errors as for ``writing``."""
        with self.writing(name) as path:
            path.write_bytes(text.encode())

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock out other jobs on this machine; RunError if another one has the lock."""
        yield

    def clear(self) -> None:  # noqa: B027  (object stores have no partial files)
        """Remove temporary files of killed jobs."""

    @abstractmethod
    def _exists(self, name: str) -> bool:
        """Whether a file exists."""

    @abstractmethod
    def _scratch(self, name: str) -> Any:
        """Return a context with a temporary path that is removed afterwards."""

    @abstractmethod
    def _put(self, path: Path, name: str) -> None:
        """Move the temporary file to its name."""


class _Folder(Store):
    """A folder on a disk."""

    def names(self, folder: str = "") -> set[str]:
        try:
            return {entry.name for entry in os.scandir(self._path(folder))}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise RunError(
                f"{safe_name(self.address)}: {error.strerror}; expected a folder with read and "
                "write permissions for --output"
            ) from error

    def read(self, name: str) -> str:
        try:
            return self._path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.address, name, error) from error

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def owned(self) -> Iterator[None]:
        with folder_lock(Path(self.address)):
            yield

    def clear(self) -> None:
        for path in Path(self.address).glob(f"**/.*{_SCRATCH}"):
            if _SCRATCH_NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _exists(self, name: str) -> bool:
        return self._path(name).is_file()

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path = target.with_name(f".{target.name}.{os.getpid()}{_SCRATCH}")
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _put(self, path: Path, name: str) -> None:
        fsync(path)
        path.replace(self._path(name))

    def _path(self, name: str) -> Path:
        return Path(self.address) / name


class _Remote(Store):
    """A folder in any fsspec file system; where uploads are not atomic, files are renamed."""

    def __init__(self, address: str) -> None:
        super().__init__(address.rstrip("/"))
        self._system, self._root = file_system(self.address)

    def names(self, folder: str = "") -> set[str]:
        path = self._path(folder)
        self._system.invalidate_cache(path)
        try:
            with translate_errors(self.address):
                entries = self._system.ls(path, detail=True)
        except FileNotFoundError:
            return set()
        return {entry["name"].rstrip("/").rpartition("/")[2] for entry in entries}

    def read(self, name: str) -> str:
        try:
            with translate_errors(self.address):
                text: str = self._system.cat_file(self._path(name)).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.address, name, error) from error
        return text

    def remove(self, name: str) -> None:
        if self._exists(name):
            with translate_errors(self.address):
                self._system.rm_file(self._path(name))

    def _exists(self, name: str) -> bool:
        self._system.invalidate_cache()
        with translate_errors(self.address):
            return bool(self._system.isfile(self._path(name)))

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="phonemo-"))
            yield Path(folder) / name.rpartition("/")[2]

    def _put(self, path: Path, name: str) -> None:
        target = self._path(name)
        with translate_errors(self.address):
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            protocols = self._system.protocol
            if (protocols if isinstance(protocols, str) else protocols[0]) in _ATOMIC:
                self._system.put_file(str(path), target)
                return
            scratch = f"{target}{_SCRATCH}"
            self._system.put_file(str(path), scratch)
            self._system.mv(scratch, target)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")


def open_store(name: str) -> Store:
    """Return the folder at a path or URL; it need not exist.

    Raises:
        UsageError: an unknown protocol, or an empty name.
        MissingExtraError: a URL, and fsspec is not installed.
    """
    if not name:
        raise UsageError("the folder of the batch has an empty name; give one with --output")
    return _Remote(name) if is_remote(name) else _Folder(absolute_path(name))


def _unreadable(address: str, name: str, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return RunError(
        f"{safe_name(address)}: {name} cannot be read ({reason}); check that all machines share "
        "this folder"
    )
