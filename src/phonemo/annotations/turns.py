"""Read speaker turns from RTTM, TextGrid, CSV and TSV files.

The files are untrusted: reading any content gives turns or one clear error.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from phonemo.annotations.prediction import Word
from phonemo.annotations.textgrid import finite, parse_textgrid
from phonemo.annotations.turn_table import read_turn_table
from phonemo.errors import UsageError, safe_name

MAX_BYTES = 64 * 2**20
MAX_TURNS = 100_000
#: Tiers written by phonemo that do not contain turns.
_OTHER_TIERS = {"phonemes", "share"}


@dataclass(frozen=True)
class Turn:
    """A speaker turn.

    Attributes:
        start: start in seconds.
        end: end in seconds.
        speaker: the speaker; None if unknown.
        channel: the channel that the speaker is on, from 1 on; None for the mix of all.
        text: what was said; None if unknown.
        words: its words with their times, without emotions.
    """

    start: float
    end: float
    speaker: str | None = None
    channel: int | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class _TurnRow:
    """A turn, its location ("turns.rttm line 3") and its recording."""

    where: str
    file: str | None
    turn: Turn


def read_turns(
    path: str | os.PathLike[str], recording: str, seconds: float | None = None
) -> tuple[Turn, ...]:
    """Read the turns of a recording, sorted by start.

    Args:
        path: an .rttm, .TextGrid (Praat's text formats), .csv or .tsv file of at most 64 MiB.
        recording: the recording's name; a file with turns of several recordings is searched for it
            or its stem.
        seconds: the recording's length; turns that end later are shortened to it.

    Raises:
        UsageError: the file is unreadable or malformed, has no turn of the recording, more than
            100000 turns, or a turn that begins after the recording's end.
    """
    return open_turns(path)(recording, seconds)


def open_turns(
    path: str | os.PathLike[str],
) -> Callable[..., tuple[Turn, ...]]:
    """Read a file of turns once and return a function that selects a recording's turns.

    The function takes the recording's name, its length or None, and whether it is the only
    recording: only then are the turns of an RTTM with another file id used for it.

    Raises:
        UsageError: as ``read_turns``, for the file; the function raises it for the recording.
    """
    name = safe_name(path)
    rows: list[_TurnRow] = []
    for row in _reader_for(path)(name, _read_text(path)):
        if len(rows) == MAX_TURNS:
            raise UsageError(
                f"{name}: expected at most {MAX_TURNS} turns; split the file by recording"
            )
        rows.append(row)
    if not rows:
        raise UsageError(f"{name}: expected speaker turns, got none; pass a file with turns")

    def turns_of(
        recording: str, seconds: float | None = None, lone: bool = True
    ) -> tuple[Turn, ...]:
        turns = [_clip_turn(row, seconds) for row in _select_rows(name, rows, recording, lone)]
        return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end)))

    return turns_of


def _reader_for(path: str | os.PathLike[str]) -> Callable[[str, str], Iterator[_TurnRow]]:
    suffix = PurePath(path).suffix.lower()
    if suffix not in _READERS:
        raise UsageError(
            f"{safe_name(path)}: expected a file of turns as {', '.join(_READERS)}; convert it"
        )
    return _READERS[suffix]


def _read_text(path: str | os.PathLike[str]) -> str:
    name = safe_name(path)
    try:
        if not Path(path).is_file():
            raise UsageError(f"{name}: no such file; expected the path of a file with turns")
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read; check the path and its permissions") from error
    if len(data) > MAX_BYTES:
        limit = f"{MAX_BYTES // 2**20} MiB"
        raise UsageError(f"{name}: expected at most {limit}; split it by recording")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{name}: expected a text file; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _select_rows(name: str, rows: list[_TurnRow], recording: str, only: bool) -> list[_TurnRow]:
    """Rows of the recording; for a single recording, all rows of an RTTM with a single file id."""
    path = PurePath(recording)
    spellings = {recording, path.name, path.stem, "_".join(path.stem.split())}
    names = {spelling.casefold() for spelling in spellings}
    selected = [row for row in rows if row.file is None or row.file.casefold() in names]
    files = list(dict.fromkeys(safe_name(row.file) for row in rows if row.file is not None))
    if not selected and only and len(files) == 1 and name.lower().endswith(".rttm"):
        return rows
    if not selected:
        others = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        raise UsageError(
            f"{name}: expected turns of {safe_name(recording)}, got turns of {others}; "
            "pass the file of this recording"
        )
    return selected


def _clip_turn(row: _TurnRow, seconds: float | None) -> Turn:
    """The row's turn, shortened to the recording's length."""
    if seconds is None or row.turn.end <= seconds:
        return row.turn
    if row.turn.start >= seconds:
        times = f"begins at {row.turn.start:.3f} s, the recording ends at {seconds:.3f} s"
        raise UsageError(f"{row.where}: a turn {times}; check that it belongs to this recording")
    return replace(row.turn, end=seconds)


def _make_row(where: str, file: str | None, times: tuple[float, float], speaker: str) -> _TurnRow:
    start, end = times
    if not 0 <= start < end < math.inf:
        actual = f"a turn from {start:g} to {end:g} s"
        raise UsageError(f"{where}: expected 0 <= start < end, got {actual}")
    name = speaker.strip()
    return _TurnRow(where, file, Turn(start, end, None if name in ("", "<NA>") else name))


def _read_rttm(name: str, text: str) -> Iterator[_TurnRow]:
    for number, line in enumerate(io.StringIO(text), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        where = f"{name} line {number}"
        if len(fields) < 8:
            expected = "8 fields or more (SPEAKER file 1 start duration <NA> <NA> speaker)"
            raise UsageError(f"{where}: expected {expected}, got {len(fields)}")
        start = finite(where, fields[3])
        end = start + finite(where, fields[4])
        yield _make_row(where, fields[1], (start, end), fields[7])


def _read_table(name: str, text: str) -> Iterator[_TurnRow]:
    for turn in read_turn_table(name, text, MAX_TURNS):
        row = _make_row(turn.where, turn.file, turn.times, turn.speaker)
        yield replace(row, turn=replace(row.turn, channel=turn.channel, text=turn.text or None))


def _read_textgrid(name: str, text: str) -> Iterator[_TurnRow]:
    rows = [
        (
            interval.tier,
            _make_row(
                interval.where,
                None,
                (interval.start, interval.end),
                _speaker_of(interval.tier, interval.text),
            ),
        )
        for interval in parse_textgrid(name, text)
        if interval.text and interval.tier.lower() not in _OTHER_TIERS
    ]
    has_speakers = any(tier.lower() == "speaker" for tier, _ in rows)
    yield from (row for tier, row in rows if not (has_speakers and tier == "emotion"))


def _speaker_of(tier: str, text: str) -> str:
    """The speaker of an interval: the tier's name, except in tiers written by phonemo."""
    if tier.lower() == "speaker":
        return text
    return "" if tier == "emotion" else tier.removeprefix("emotion ")


_READERS: dict[str, Callable[[str, str], Iterator[_TurnRow]]] = {
    ".rttm": _read_rttm,
    ".textgrid": _read_textgrid,
    ".csv": _read_table,
    ".tsv": _read_table,
}
