"""The plan of a batch: its recordings, divided into parts before recognition starts."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

from phonemo.batch.job import PlanSummary
from phonemo.batch.stores import Store
from phonemo.errors import RunError
from phonemo.files import loads_json

_MODULUS = 2**128


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A recording, or its segment from ``start`` to ``end``."""

    file: str
    """Name in the input and in the result row."""
    path: str
    """An absolute path, or a URL such as s3://bucket/a.wav."""
    id: str | None = None
    """Id from a manifest row."""
    start: float | None = None
    """In seconds."""
    end: float | None = None
    """In seconds."""

    @property
    def key(self) -> bytes:
        """16 bytes that identify the item."""
        text = repr((self.path, self.id, self.start or None, self.end))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def named(self) -> dict[str, Any]:
        """Return the identifying fields of a result row."""
        fields = {"id": self.id, "file": self.file, "from": self.start, "to": self.end}
        return {name: value for name, value in fields.items() if value is not None}

    def to_line(self) -> str:
        """Return the item as a line of a plan."""
        fields = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: value for name, value in fields if value is not None}) + "\n"

    @classmethod
    def of_line(cls, line: str) -> BatchItem:
        """Parse a line from ``to_line``."""
        return cls(**loads_json(line))


class UnorderedHash:
    """A hash of a set that does not depend on the order of insertion."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, key: bytes) -> None:
        """Add a new member."""
        self.count += 1
        self._sum = (self._sum + int.from_bytes(key, "big")) % _MODULUS

    def hexdigest(self) -> str:
        """Return 32 hexadecimal digits."""
        return f"{self._sum:032x}"


FOLDER = "plan"
#: Recordings between two progress calls.
_PROGRESS_EVERY = 1000
ProgressFn = Callable[[int], None]


def plan_name(part: int) -> str:
    """Return the file name of a part's recordings."""
    return f"{FOLDER}/part-{part:06d}.jsonl"


def read_part(store: Store, part: int) -> list[BatchItem]:
    """Read the recordings of a part."""
    return [BatchItem.of_line(line) for line in store.read(plan_name(part)).split("\n") if line]


def plan(
    store: Store,
    items: Iterable[BatchItem],
    before: PlanSummary,
    size: int,
    progress: ProgressFn = lambda count: None,
) -> PlanSummary:
    """Write the new recordings as additional parts.

    Planned parts stay unchanged, even if the input no longer contains their recordings. Memory use
    does not depend on the number of recordings.

    Args:
        store: the folder of the batch.
        items: all recordings of the input.
        before: the existing plan.
        size: recordings in a part.
        progress: called repeatedly with the number of recordings found so far.

    Returns:
        The plan; it takes effect once the card contains it.
    """
    with (
        _temporary_storage_errors(),
        closing(_Keys()) as keys,
        tempfile.TemporaryFile("w+", encoding="ascii") as spool,
    ):
        unique, total = _spool_unique(items, keys, spool, progress)
        counts = {"named": unique.count, "repeated": total - unique.count}
        summary = {**counts, "sha": unique.hexdigest()}
        if summary["sha"] == before.sha:
            return before.model_copy(update=summary)
        keys.clear()
        for part in range(before.parts):
            for item in read_part(store, part):
                keys.add(item.key)
        spool.seek(0)
        new = (line for line in spool if not before.parts or keys.add(BatchItem.of_line(line).key))
        return _write_parts(store, new, before, size).model_copy(update=summary)


@contextmanager
def _temporary_storage_errors() -> Iterator[None]:
    """Convert errors of the temporary folder; store and inputs convert their own."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"{tempfile.gettempdir()}: the list of recordings cannot be written there ({reason}); "
            "free disk space, or set TMPDIR to another folder"
        ) from error


def _spool_unique(
    items: Iterable[BatchItem], keys: _Keys, spool: IO[str], progress: ProgressFn
) -> tuple[UnorderedHash, int]:
    """Write every recording once; return their hash and the number including duplicates."""
    unique, total = UnorderedHash(), 0
    for total, item in enumerate(items, start=1):
        key = item.key
        if keys.add(key):
            unique.add(key)
            spool.write(item.to_line())
        if total % _PROGRESS_EVERY == 0:
            progress(total)
    progress(total)
    return unique, total


def _write_parts(
    store: Store, lines: Iterator[str], planned: PlanSummary, size: int
) -> PlanSummary:
    while part := list(islice(lines, size)):
        store.write(plan_name(planned.parts), "".join(part))
        counts = {"parts": planned.parts + 1, "files": planned.files + len(part)}
        planned = planned.model_copy(update=counts)
    return planned


class _Keys:
    """A set of keys in a temporary database on disk, for any number of keys."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": an unnamed temporary file
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, key: bytes) -> bool:
        """Add a key; return whether it is new."""
        cursor = self._database.execute("INSERT OR IGNORE INTO keys VALUES (?)", (key,))
        return cursor.rowcount == 1

    def clear(self) -> None:
        """Remove all keys."""
        self._database.execute("DELETE FROM keys")

    def close(self) -> None:
        """Remove the database."""
        self._database.close()
