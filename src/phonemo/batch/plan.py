"""The plan: the recordings in parts of a few, written down before the first is heard.

What is to be heard: one recording, or a stretch of one.
"""

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

_ROUND = 2**128


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A recording, or the stretch of it from ``start`` to ``end``."""

    file: str
    """As it was named: in its row of the answers."""
    path: str
    """What is opened: an absolute path, or an address such as s3://bucket/a.wav."""
    id: str | None = None
    """Of its row in a manifest."""
    start: float | None = None
    """In seconds."""
    end: float | None = None
    """In seconds."""

    @property
    def key(self) -> bytes:
        """16 bytes that tell it from all others."""
        text = repr((self.path, self.id, self.start or None, self.end))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def named(self) -> dict[str, Any]:
        """How its row of the answers begins."""
        said = {"id": self.id, "file": self.file, "from": self.start, "to": self.end}
        return {name: value for name, value in said.items() if value is not None}

    def to_line(self) -> str:
        """One line of a plan."""
        told = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: value for name, value in told if value is not None}) + "\n"

    @classmethod
    def of_line(cls, line: str) -> BatchItem:
        """What ``to_line`` wrote."""
        return cls(**loads_json(line))


class UnorderedHash:
    """A hash of a set that does not depend on the order in which it is told."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, key: bytes) -> None:
        """One more member, which was none before."""
        self.count += 1
        self._sum = (self._sum + int.from_bytes(key, "big")) % _ROUND

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._sum:032x}"


FOLDER = "plan"
#: Recordings between two calls of ``found``.
_TELL_EVERY = 1000
Found = Callable[[int], None]


def plan_name(part: int) -> str:
    """The file that lists a part's recordings."""
    return f"{FOLDER}/part-{part:06d}.jsonl"


def read_part(store: Store, part: int) -> list[BatchItem]:
    """A part's recordings."""
    return [BatchItem.of_line(line) for line in store.read(plan_name(part)).split("\n") if line]


def plan(
    store: Store,
    items: Iterable[BatchItem],
    before: PlanSummary,
    size: int,
    found: Found = lambda count: None,
) -> PlanSummary:
    """Write down the recordings that are new, in parts of their own behind those of before.

    What was planned before stays as it is, also where it is named no more. Memory does not grow
    with the number of recordings.

    Args:
        store: the folder of the batch.
        items: all that are meant now.
        before: what was planned.
        size: recordings in a part.
        found: told now and then how many were found.

    Returns:
        The plan; it counts once it is kept in the folder's card.
    """
    with (
        _roomy(),
        closing(_Keys()) as keys,
        tempfile.TemporaryFile("w+", encoding="ascii") as spool,
    ):
        named, total = _spooled(items, keys, spool, found)
        told = {"named": named.count, "repeated": total - named.count, "sha": named.hexdigest()}
        if told["sha"] == before.sha:
            return before.model_copy(update=told)
        keys.clear()
        for part in range(before.parts):
            for one in read_part(store, part):
                keys.add(one.key)
        spool.seek(0)
        new = (line for line in spool if not before.parts or keys.add(BatchItem.of_line(line).key))
        return _written(store, new, before, size).model_copy(update=told)


@contextmanager
def _roomy() -> Iterator[None]:
    """What the temporary folder refuses is told; store and inputs tell of their own."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"{tempfile.gettempdir()}: the list of recordings cannot be kept there ({reason}); "
            "free room, or set TMPDIR to another folder"
        ) from error


def _spooled(
    items: Iterable[BatchItem], keys: _Keys, spool: IO[str], found: Found
) -> tuple[UnorderedHash, int]:
    """Every recording once, into the spool; what they are, and how many were named."""
    named, total = UnorderedHash(), 0
    for total, one in enumerate(items, start=1):
        key = one.key
        if keys.add(key):
            named.add(key)
            spool.write(one.to_line())
        if total % _TELL_EVERY == 0:
            found(total)
    found(total)
    return named, total


def _written(store: Store, lines: Iterator[str], planned: PlanSummary, size: int) -> PlanSummary:
    while some := list(islice(lines, size)):
        store.write(plan_name(planned.parts), "".join(some))
        more = {"parts": planned.parts + 1, "files": planned.files + len(some)}
        planned = planned.model_copy(update=more)
    return planned


class _Keys:
    """A set of keys on the disk, in a database that goes with it: there may be any number."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": a file without a name
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, key: bytes) -> bool:
        """Whether it was not there before."""
        done = self._database.execute("INSERT OR IGNORE INTO keys VALUES (?)", (key,))
        return done.rowcount == 1

    def clear(self) -> None:
        """Forget all."""
        self._database.execute("DELETE FROM keys")

    def close(self) -> None:
        """Remove the database."""
        self._database.close()
