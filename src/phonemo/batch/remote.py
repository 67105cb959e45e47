"""Paths and addresses: what lies on a disk of this machine, and what fsspec reaches."""

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
    """Whether it is an address that fsspec opens, as s3://bucket/folder."""
    return bool(_ADDRESS.match(name)) and not name.lower().startswith(_FILE)


def local(name: str) -> str:
    """A path as it stands, or that of a file:// address."""
    return name[len(_FILE) :] if name.lower().startswith(_FILE) else name


def absolute_path(name: str) -> str:
    """What other processes, in other folders, can open."""
    return name if is_remote(name) else os.path.abspath(local(name))


def join_url(folder: str, name: str) -> str:
    """A name that a manifest has, seen from its folder."""
    if is_remote(name) or os.path.isabs(local(name)):
        return name
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{name}"
    return os.path.join(folder, name)


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        MissingExtraError: fsspec is not installed.
        UsageError: fsspec does not know the protocol, or lacks a package for it.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(f"the address {safe_name(address)}", "batch") from error
    try:
        found: tuple[Any, str] = url_to_fs(address)
    except (ImportError, ValueError) as error:
        wanted = "a path, or an address whose fsspec package is installed (s3fs, gcsfs, adlfs)"
        raise UsageError(f"{safe_name(address)}: {_line(error)}; {wanted} is wanted") from error
    return found


@contextmanager
def translate_errors(address: str) -> Iterator[None]:
    """Tell in one line what a store's own package raises, whatever that is.

    Raises:
        FileNotFoundError: as it came.
        RunError: all else.
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
    """The bytes of a path or an address; OSError where there are none."""
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
