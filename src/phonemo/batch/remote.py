"""Local paths and remote URLs, which fsspec opens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from phonemo.errors import MissingExtraError, PhonemoError, RunError, UsageError, safe_name

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(::[a-z][a-z0-9+.-]+)*://", re.IGNORECASE)
_FILE = "file://"


def is_remote(name: str) -> bool:
    """Whether a name is a URL for fsspec, such as s3://bucket/folder."""
    return bool(_ADDRESS.match(name)) and not name.lower().startswith(_FILE)


def local(name: str) -> str:
    """Return a path unchanged, or the path of a file:// URL."""
    return name[len(_FILE) :] if name.lower().startswith(_FILE) else name


def absolute_path(name: str) -> str:
    """Return a path or URL that is valid in any working directory."""
    return name if is_remote(name) else os.path.abspath(local(name))


def join_url(folder: str, name: str) -> str:
    """Resolve a name in a manifest relative to the manifest's folder."""
    if is_remote(name) or os.path.isabs(local(name)):
        return name
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{name}"
    return os.path.join(folder, name)


def file_system(address: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Raises:
        MissingExtraError: fsspec is not installed.
        UsageError: the protocol is unknown, or its package is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(f"the address {safe_name(address)}", "batch") from error
    try:
        result: tuple[Any, str] = url_to_fs(address)
    except (ImportError, ValueError) as error:
        expected = "a path, or a URL whose fsspec package is installed (s3fs, gcsfs, adlfs)"
        raise UsageError(f"{safe_name(address)}: {_line(error)}; expected {expected}") from error
    return result


@contextmanager
def translate_errors(address: str) -> Iterator[None]:
    """Convert the errors of a storage backend, of any type.

    Raises:
        FileNotFoundError: unchanged.
        RunError: all other errors.
    """
    try:
        yield
    except (PhonemoError, FileNotFoundError):
        raise
    except Exception as error:
        raise RunError(
            f"{safe_name(address)}: {type(error).__name__}: {_line(error)[:200]}; check the "
            "address, its credentials and the network"
        ) from error


@contextmanager
def open_address(name: str) -> Iterator[BinaryIO]:
    """Open a path or a URL for reading bytes; OSError if it cannot be opened."""
    if not is_remote(name):
        with open(local(name), "rb") as stream:
            yield stream
        return
    system, path = file_system(name)
    with translate_errors(name):
        stream = system.open(path, "rb")
    with stream:
        yield stream


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
