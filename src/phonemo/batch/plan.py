"""The plan: a batch's recordings, divided into parts and written before any is recognized."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from types import NoneType
from typing import IO, Any

from phonemo.batch.job import PlanSummary
from phonemo.batch.stores import Store
from phonemo.errors import RunError, safe_name
from phonemo.files import loads_json

_ROUND = 2**128


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A recording, or its segment from ``start`` to ``end``."""

    file: str
    """The name given by the user, which its result row repeats."""
    path: str
    """The absolute path, or an address such as s3://bucket/a.wav."""
    id: str | None = None
    """The id in its manifest row."""
    start: float | None = None
    """In seconds."""
    end: float | None = None
    """In seconds."""
    channel: int | None = None
    """The channel in its manifest row, from 1 on; None leaves it to the batch's option."""
    columns: tuple[tuple[str, str], ...] = ()
    """Names and cells of the other columns of its manifest row, which its result row repeats."""

    @property
    def key(self) -> bytes:
        """16 bytes that identify it."""
        fields = self.path, self.id, self.start or None, self.end
        text = repr(fields if self.channel is None else (*fields, self.channel))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a recording: no segment and no channel of it."""
        return self.start is None and self.end is None and self.channel is None

    def named(self) -> dict[str, Any]:
        """Return the leading fields of its result row."""
        fields = {
            "id": self.id,
            "file": self.file,
            "from": self.start,
            "to": self.end,
            "channel": self.channel,
        }
        named = {name: value for name, value in fields.items() if value is not None}
        return named | ({"columns": dict(self.columns)} if self.columns else {})

    def to_line(self) -> str:
        """Format it as a line of the plan."""
        fields = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: value for name, value in fields if value not in (None, ())}) + "\n"

    @classmethod
    def of_line(cls, line: str) -> BatchItem:
        """Parse a line of the plan; ValueError for another one."""
        fields = loads_json(line)
        if not isinstance(fields, dict) or not _has_types(fields):
            raise ValueError("expected the fields of a recording")
        columns = tuple((name, cell) for name, cell in fields.pop("columns", ()))
        return cls(**fields, columns=columns)


#: What a line of the plan may hold; None for a field that may be absent.
_TYPES: dict[str, tuple[type, ...]] = {
    **{"file": (str,), "path": (str,), "id": (str, NoneType), "channel": (int, NoneType)},
    **{"start": (int, float, NoneType), "end": (int, float, NoneType)},
}


def _has_types(fields: dict[str, Any]) -> bool:
    columns = fields.get("columns", [])
    return (
        {"file", "path"} <= fields.keys() <= {*_TYPES, "columns"}
        and all(type(fields.get(name)) in kinds for name, kinds in _TYPES.items())
        and all(abs(fields.get(name) or 0) <= sys.float_info.max for name in ("start", "end"))
        and isinstance(columns, list)
        and all(isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in columns)
    )


class UnorderedHash:
    """A hash of a set, independent of the order of its members."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, key: bytes) -> None:
        """Add a new member."""
        self.count += 1
        self._sum = (self._sum + int.from_bytes(key, "big")) % _ROUND

    def hexdigest(self) -> str:
        """Return 32 hexadecimal digits."""
        return f"{self._sum:032x}"


FOLDER = "plan"
#: Recordings between two calls of ``report``.
_REPORT_EVERY = 1000
Report = Callable[[int], None]


def plan_name(part: int) -> str:
    """Return the name of the file that lists a part's recordings."""
    return f"{FOLDER}/part-{part:06d}.jsonl"


def read_part(store: Store, part: int) -> list[BatchItem]:
    """Read a part's recordings; RunError if the file is damaged."""
    lines = store.read(plan_name(part)).split("\n")
    try:
        return [BatchItem.of_line(line) for line in lines if line]
    except ValueError as error:
        raise RunError(
            f"{safe_name(store.address)}: {plan_name(part)} is damaged; restore it, or start again "
            "with another --output"
        ) from error


def plan(
    store: Store,
    items: Iterable[BatchItem],
    before: PlanSummary,
    size: int,
    report: Report = lambda count: None,
) -> PlanSummary:
    """Write new recordings to new parts after the existing ones.

    Recordings planned before stay planned, even if the input no longer has them. Memory use does
    not depend on the number of recordings.

    Args:
        store: the batch folder.
        items: all recordings of the input.
        before: the existing plan.
        size: recordings in a part.
        report: called periodically with the number of recordings read.

    Returns:
        The plan; it takes effect once it is written to the folder's card.
    """
    with (
        _temporary_files(),
        closing(_Keys()) as keys,
        tempfile.TemporaryFile("w+", encoding="ascii") as spool,
    ):
        named, total = _spool(items, keys, spool, report)
        counts = {"named": named.count, "repeated": total - named.count, "sha": named.hexdigest()}
        if counts["sha"] == before.sha:
            return before.model_copy(update=counts)
        keys.clear()
        for part in range(before.parts):
            for item in read_part(store, part):
                keys.add(item.key)
        spool.seek(0)
        new = (line for line in spool if not before.parts or keys.add(BatchItem.of_line(line).key))
        return _write_parts(store, new, before, size).model_copy(update=counts)


@contextmanager
def _temporary_files() -> Iterator[None]:
    """Report errors of the temporary folder; stores and inputs raise their own."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"{tempfile.gettempdir()}: the list of recordings cannot be stored ({reason}); free "
            "space, or set TMPDIR to another folder"
        ) from error


def _spool(
    items: Iterable[BatchItem], keys: _Keys, spool: IO[str], report: Report
) -> tuple[UnorderedHash, int]:
    """Write each recording once to the spool; return their hash and the count with duplicates."""
    named, total = UnorderedHash(), 0
    for total, item in enumerate(items, start=1):
        key = item.key
        if keys.add(key):
            named.add(key)
            spool.write(item.to_line())
        if total % _REPORT_EVERY == 0:
            report(total)
    report(total)
    return named, total


def _write_parts(
    store: Store, lines: Iterator[str], planned: PlanSummary, size: int
) -> PlanSummary:
    while part := list(islice(lines, size)):
        store.write(plan_name(planned.parts), "".join(part))
        counts = {"parts": planned.parts + 1, "files": planned.files + len(part)}
        planned = planned.model_copy(update=counts)
    return planned


class _Keys:
    """An on-disk set of keys, in a temporary database."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": a file without a name
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, key: bytes) -> bool:
        """Add a key; return whether it is new."""
        cursor = self._database.execute("INSERT OR IGNORE INTO keys VALUES (?)", (key,))
        return cursor.rowcount == 1

    def clear(self) -> None:
        self._database.execute("DELETE FROM keys")

    def close(self) -> None:
        self._database.close()
