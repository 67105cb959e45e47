"""Speaker turns in a table: start, end or duration, and optionally speaker, file, channel, text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from statistics import median

from phonemo.errors import ManifestError, UsageError
from phonemo.tables import TableRow, parse_seconds, portable_path, read_table
from phonemo.tables.cells import SIDES

_KNOWN = ("start", "end", "duration", "speaker", "file", "channel", "transcript")
#: Whisper's .tsv has these columns, and whole milliseconds; turns of minutes are no turns.
_OF_WHISPER, _LONG_TURN_SECONDS = ("start", "end", "transcript"), 60.0
_CHANNEL = re.compile(r"(0|[1-9]\d{0,2})(\.0)?")


@dataclass(frozen=True)
class TableTurn:
    """A row of a table of turns.

    Attributes:
        where: its location, such as "turns.csv line 3".
        file: the recording; None if the table has no such column.
        times: start and end in seconds; nan if the cell is empty.
        speaker: the speaker, or "".
        text: what was said, or "".
        channel: the channel, from 1 on; None without one.
    """

    where: str
    file: str | None
    times: tuple[float, float]
    speaker: str
    text: str
    channel: int | None


def read_turn_table(name: str, text: str, most: int) -> Iterator[TableTurn]:
    """Read the rows of a table with a header, in its order.

    Args:
        name: the file, for messages.
        text: its content.
        most: turns that are kept in memory to find the unit of Whisper's tables.

    Raises:
        UsageError: no column start, neither end nor duration, or a malformed row.
    """
    with _usage_errors(name):
        table = read_table(name, BytesIO(text.encode()), _KNOWN)
        columns = table.columns
        if "start" not in columns or not {"end", "duration"} & set(columns):
            raise UsageError(
                f"{name} line 1: expected a header with columns start and end (or duration)"
            )
        rows = (_turn(name, row) for row in table)
        if columns == _OF_WHISPER and name.lower().endswith(".tsv"):
            yield from _in_seconds([row for row, _ in zip(rows, range(most + 1), strict=False)])
        else:
            yield from rows


def _turn(name: str, row: TableRow) -> TableTurn:
    where, cells = _where(name, row.where), row.cells
    start = _signed(cells["start"], "start", row.where)
    end = _signed(cells.get("end", ""), "end", row.where)
    duration = _signed(cells.get("duration", ""), "duration", row.where)
    end = start + duration if math.isnan(end) else end
    file = portable_path(cells["file"]).strip().removeprefix("./") if "file" in cells else None
    found = _CHANNEL.fullmatch(cells.get("channel", ""))
    channel = int(found[1]) if found else SIDES.get(cells.get("channel", "").lower())
    return TableTurn(
        where, file, (start, end), cells.get("speaker", ""), cells.get("transcript", ""), channel
    )


def _signed(cell: str, column: str, where: str) -> float:
    """A time that may be negative, as aligners write near 0; nan for an empty cell."""
    size = parse_seconds(cell.removeprefix("-"), column, where)
    if size is None:
        return math.nan
    return -size if cell.startswith("-") else size


def _in_seconds(turns: Sequence[TableTurn]) -> list[TableTurn]:
    """The turns of a table with Whisper's columns, converted if they are in milliseconds."""
    lengths = [end - start for start, end in (turn.times for turn in turns) if end > start]
    if not lengths or median(lengths) < _LONG_TURN_SECONDS:
        return list(turns)
    return [replace(turn, times=(turn.times[0] / 1000, turn.times[1] / 1000)) for turn in turns]


def _where(name: str, where: str) -> str:
    return f"{name} line {where.removeprefix(name).removeprefix(':')}"


@contextmanager
def _usage_errors(name: str) -> Iterator[None]:
    """Convert errors of the table, with the location as the other readers of turns write it."""
    try:
        yield
    except ManifestError as error:
        message = str(error)
        rest = message.removeprefix(f"{name}:")
        located = rest != message and rest[:1].isdigit()
        raise UsageError(f"{name} line {rest}" if located else message) from error
