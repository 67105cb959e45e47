"""The folder of a batch, on a disk or in an object store; files are there whole or not at all."""

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
#: Protocols of stores in which an upload is there whole or not at all.
_WHOLE = ("s3", "gs", "abfs", "oss", "memory")
_OURS = re.compile(rf"\.[a-z]+(-\d+)?(\.[a-z]+)?\.\d+\{_SCRATCH}")


class Store(ABC):
    """A folder whose files are named by relative paths with forward slashes."""

    def __init__(self, address: str) -> None:
        self.address = address
        """An absolute path, or an address: what other processes open."""

    @abstractmethod
    def names(self, folder: str = "") -> set[str]:
        """What lies in it, or in one of its folders; nothing where that is not there."""

    @abstractmethod
    def read(self, name: str) -> str:
        """A text; RunError where it cannot be read."""

    def find(self, name: str) -> str | None:
        """A text, or None where there is no such file; RunError where it cannot be read."""
        return self.read(name) if self._is_there(name) else None

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file that may not be there."""

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A file to write into; it gets its name when the block ends well, and not before.

        Raises:
            RunError: the disk, or the store, refused.
        """
        try:
            with self._scratch(name) as path:
                yield path
                self._put(path, name)
        except OSError as error:
            reason = " ".join((error.strerror or f"{type(error).__name__} {error}").split())
            raise RunError(
                f"{safe_name(self.address)}: {name} cannot be written ({reason}); free room or "
                "mend its permissions, and run the same command again to go on"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Write a text; errors as ``writing``."""
        with self.writing(name) as path:
            path.write_bytes(text.encode())

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep other jobs of this machine out; RunError where one is in."""
        yield

    def clear(self) -> None:  # noqa: B027  (an object store holds nothing half-written)
        """Remove what killed jobs left behind."""

    @abstractmethod
    def _is_there(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def _scratch(self, name: str) -> Any:
        """A context with a path beside nothing else, which is gone afterwards."""

    @abstractmethod
    def _put(self, path: Path, name: str) -> None:
        """Give the file its name."""


class _Folder(Store):
    """On a disk."""

    def names(self, folder: str = "") -> set[str]:
        try:
            return {one.name for one in os.scandir(self._path(folder))}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise RunError(
                f"{safe_name(self.address)}: {error.strerror}; a folder that may be read and "
                "written is wanted with --output"
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
        for left in Path(self.address).glob(f"**/.*{_SCRATCH}"):
            if _OURS.fullmatch(left.name):
                left.unlink(missing_ok=True)

    def _is_there(self, name: str) -> bool:
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
    """Whatever fsspec reaches. Object stores take a file whole; elsewhere it is renamed."""

    def __init__(self, address: str) -> None:
        super().__init__(address.rstrip("/"))
        self._system, self._root = file_system(self.address)

    def names(self, folder: str = "") -> set[str]:
        place = self._path(folder)
        self._system.invalidate_cache(place)
        try:
            with translate_errors(self.address):
                found = self._system.ls(place, detail=True)
        except FileNotFoundError:
            return set()
        return {one["name"].rstrip("/").rpartition("/")[2] for one in found}

    def read(self, name: str) -> str:
        try:
            with translate_errors(self.address):
                text: str = self._system.cat_file(self._path(name)).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.address, name, error) from error
        return text

    def remove(self, name: str) -> None:
        if self._is_there(name):
            with translate_errors(self.address):
                self._system.rm_file(self._path(name))

    def _is_there(self, name: str) -> bool:
        self._system.invalidate_cache()
        with translate_errors(self.address):
            return bool(self._system.isfile(self._path(name)))

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="phonemo-"))
            yield Path(folder) / name.rpartition("/")[2]

    def _put(self, path: Path, name: str) -> None:
        place = self._path(name)
        with translate_errors(self.address):
            self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
            kinds = self._system.protocol
            if (kinds if isinstance(kinds, str) else kinds[0]) in _WHOLE:
                self._system.put_file(str(path), place)
                return
            scratch = f"{place}{_SCRATCH}"
            self._system.put_file(str(path), scratch)
            self._system.mv(scratch, place)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")


def open_store(name: str) -> Store:
    """The folder at a path or an address; it need not be there yet.

    Raises:
        UsageError: an address of an unknown kind, or no name.
        MissingExtraError: an address, and fsspec is not installed.
    """
    if not name:
        raise UsageError("the folder of the batch has no name; give one with --output")
    return _Remote(name) if is_remote(name) else _Folder(absolute_path(name))


def _unreadable(address: str, name: str, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return RunError(
        f"{safe_name(address)}: {name} cannot be read ({reason}); is it a folder that all "
        "machines share?"
    )
