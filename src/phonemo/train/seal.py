"""Folders that are there whole or not at all.

A folder is written beside its place, then a seal with the SHA-256 of every file is written last,
everything is flushed, and the folder is renamed. A folder without a seal, or with another hash,
is broken and is passed over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from phonemo.errors import CheckpointError
from phonemo.plain_json import parsed
from phonemo.whole import flush

SEAL = "checkpoint.json"
SCRATCH = ".part"
_MODE = 0o644
_LONGEST_NAME = 255
#: What transformers reads of a folder, whether it is named there or not.
_READ = (".safetensors", ".index.json", ".bin", "config.json")


@contextmanager
def sealed_folder(target: Path, faults: tuple[type[Exception], ...] = (OSError,)) -> Iterator[Path]:
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
        _write_seal(scratch)
        _replace(scratch, target)
    except faults as error:
        shutil.rmtree(scratch, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{target}: could not be written ({reason}); free room, run again"
        ) from error


def check_seal(folder: Path) -> None:
    """Raise CheckpointError unless every file is there as it was sealed.

    Others may lie beside them, such as a model card, but none that would be read as part of it.
    """
    try:
        seal = parsed((folder / SEAL).read_bytes())
        hashes = {str(name): wanted for name, wanted in dict(seal["sha256"]).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: no readable {SEAL}; this is not a whole checkpoint"
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


def _write_seal(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        path.chmod(_MODE)  # safetensors writes for its owner alone
        flush(path)
    seal = folder / SEAL
    seal.write_text(
        json.dumps({"sha256": {path.name: sha256_of(path) for path in files}}, indent=1)
    )
    flush(seal)
    flush(folder)


def _replace(scratch: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    scratch.rename(target)
    flush(target.parent)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, read block by block."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
