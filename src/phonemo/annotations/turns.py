"""Who speaks when, from files of other programs: diarisation's RTTM, Praat, tables.

Such a file comes from anywhere: whatever is in it, reading ends in turns or in one clear error.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from phonemo.annotations.textgrid import finite, parse_textgrid
from phonemo.errors import UsageError, safe_name

MAX_BYTES = 64 * 2**20
MAX_TURNS = 100_000
#: Tiers that phonemo writes and that are no turns.
_NO_TURNS = {"phonemes", "share"}


@dataclass(frozen=True)
class Turn:
    """A stretch in which one speaker speaks.

    Attributes:
        start: where it begins, in seconds.
        end: where it ends, in seconds.
        speaker: who speaks; None where the file does not say.
    """

    start: float
    end: float
    speaker: str | None


@dataclass(frozen=True)
class _TurnRow:
    """A turn, where the file has it ("turns.rttm line 3"), and the recording it is of."""

    where: str
    file: str | None
    turn: Turn


def read_turns(
    path: str | os.PathLike[str], recording: str, seconds: float | None = None
) -> tuple[Turn, ...]:
    """The turns of a recording, by their start.

    Args:
        path: an .rttm, .TextGrid (Praat's text formats), .csv or .tsv file of at most 64 MiB.
        recording: the recording's name as it was typed; a file with turns of several recordings
            is searched for it or its stem.
        seconds: the recording's length: a turn that ends later is shortened to it.

    Raises:
        UsageError: the file cannot be read or is malformed, has no turn of the recording, more
            than 100000 turns, or one that begins after the recording's end.
    """
    return open_turns(path)(recording, seconds)


def open_turns(
    path: str | os.PathLike[str],
) -> Callable[..., tuple[Turn, ...]]:
    """A file of turns that is read once: what ``read_turns`` gives for a recording of it.

    What it returns takes the recording's name, its length or None, and whether it is the only
    one: of one of several it is not assumed that an RTTM with another id is meant for it.

    Raises:
        UsageError: as there, for the file; what it gives raises it for the recording.
    """
    name = safe_name(path)
    rows: list[_TurnRow] = []
    for row in _reader(path)(name, _text(path)):
        if len(rows) == MAX_TURNS:
            raise UsageError(f"{name}: more than {MAX_TURNS} turns; split the file by recording")
        rows.append(row)
    if not rows:
        raise UsageError(f"{name}: no turn in it; give a file that says who speaks when")

    def turns_of(
        recording: str, seconds: float | None = None, lone: bool = True
    ) -> tuple[Turn, ...]:
        turns = [_within(row, seconds) for row in _chosen(name, rows, recording, lone)]
        return tuple(sorted(turns, key=lambda one: (one.start, one.end)))

    return turns_of


def _reader(path: str | os.PathLike[str]) -> Callable[[str, str], Iterator[_TurnRow]]:
    suffix = PurePath(path).suffix.lower()
    if suffix not in _READERS:
        raise UsageError(
            f"{safe_name(path)}: turns come from {', '.join(_READERS)}; convert the file"
        )
    return _READERS[suffix]


def _text(path: str | os.PathLike[str]) -> str:
    name = safe_name(path)
    try:
        if not Path(path).is_file():
            raise UsageError(f"{name}: no such file; the path of a file with turns is wanted")
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read; check the path and its rights") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: more than {MAX_BYTES // 2**20} MiB; split it by recording")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{name}: not a text file; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _chosen(name: str, rows: list[_TurnRow], recording: str, lone: bool) -> list[_TurnRow]:
    """Those of the recording; all of an RTTM of one file, whatever its id, for a lone recording."""
    path = PurePath(recording)
    known = {recording, path.name, path.stem, "_".join(path.stem.split())}
    names = {one.casefold() for one in known}
    chosen = [row for row in rows if row.file is None or row.file.casefold() in names]
    files = list(dict.fromkeys(safe_name(row.file) for row in rows if row.file is not None))
    if not chosen and lone and len(files) == 1 and name.lower().endswith(".rttm"):
        return rows
    if not chosen:
        others = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        raise UsageError(
            f"no turn of {safe_name(recording)} in {name}: it has {others}; give its own file"
        )
    return chosen


def _within(row: _TurnRow, seconds: float | None) -> Turn:
    """A turn that does not end after the recording."""
    if seconds is None or row.turn.end <= seconds:
        return row.turn
    if row.turn.start >= seconds:
        begins = f"begins at {row.turn.start:.3f} s, the recording ends at {seconds:.3f} s"
        raise UsageError(f"{row.where}: a turn {begins}; is it of this recording?")
    return replace(row.turn, end=seconds)


def _row(where: str, file: str | None, times: tuple[float, float], speaker: str) -> _TurnRow:
    start, end = times
    if start < 0 or end <= start or math.isinf(end):
        found = f"a turn from {start:g} to {end:g} s"
        raise UsageError(f"{where}: {found}; a start of 0 or more and a later end are wanted")
    known = speaker.strip()
    return _TurnRow(where, file, Turn(start, end, None if known in ("", "<NA>") else known))


def _rttm(name: str, text: str) -> Iterator[_TurnRow]:
    for number, line in enumerate(io.StringIO(text), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        where = f"{name} line {number}"
        if len(fields) < 8:
            wanted = "8 or more are wanted (SPEAKER file 1 start duration <NA> <NA> speaker)"
            raise UsageError(f"{where}: {len(fields)} fields; {wanted}")
        start = finite(where, fields[3])
        end = start + finite(where, fields[4])
        yield _row(where, fields[1], (start, end), fields[7])


def _table(delimiter: str) -> Callable[[str, str], Iterator[_TurnRow]]:
    def rows(name: str, text: str) -> Iterator[_TurnRow]:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
        try:
            head = [cell.strip().lower() for cell in next(lines, [])]
            if not {"start", "end"} <= set(head):
                raise UsageError(f"{name} line 1: no columns start and end; write them as a header")
            for cells in lines:
                if any(cell.strip() for cell in cells):
                    yield _table_row(f"{name} line {lines.line_num}", head, cells)
        except csv.Error as error:
            where = f"{name} line {lines.line_num}"
            raise UsageError(f"{where}: {error}; save it as a plain table") from error

    return rows


def _table_row(where: str, head: list[str], cells: list[str]) -> _TurnRow:
    row = dict(zip(head, cells, strict=False))
    start, end = (finite(where, row.get(name, "")) for name in ("start", "end"))
    file = row.get("file", "").strip() if "file" in head else None
    return _row(where, file, (start, end), row.get("speaker", ""))


def _textgrid(name: str, text: str) -> Iterator[_TurnRow]:
    rows = [
        (one.tier, _row(one.where, None, (one.start, one.end), _speaker(one.tier, one.text)))
        for one in parse_textgrid(name, text)
        if one.text and one.tier.lower() not in _NO_TURNS
    ]
    named = any(tier.lower() == "speaker" for tier, _ in rows)
    yield from (row for tier, row in rows if not (named and tier == "emotion"))


def _speaker(tier: str, text: str) -> str:
    """Who speaks in an interval: the tier's name, but in the tiers that phonemo writes."""
    if tier.lower() == "speaker":
        return text
    return "" if tier == "emotion" else tier.removeprefix("emotion ")


_READERS: dict[str, Callable[[str, str], Iterator[_TurnRow]]] = {
    ".rttm": _rttm,
    ".textgrid": _textgrid,
    ".csv": _table(","),
    ".tsv": _table("\t"),
}
