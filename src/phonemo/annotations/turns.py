"""Read speaker turns from RTTM, TextGrid, tables, subtitles and transcripts.

The files are untrusted: reading any content gives turns or one clear error.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from phonemo.annotations.subtitles import read_subtitles
from phonemo.annotations.textgrid_turns import read_textgrid_turns
from phonemo.annotations.transcript_json import read_transcript
from phonemo.annotations.turn_rows import (
    MAX_TURNS,
    Turn,
    TurnRow,
    from_one,
    make_row,
    problem_of,
    seconds_of,
)
from phonemo.annotations.turn_table import read_turn_table
from phonemo.audio.channels import MAX_CHANNELS
from phonemo.errors import UsageError, safe_name

MAX_BYTES = 64 * 2**20
#: Files whose turns of another recording are those of a single one with another name.
_LENIENT = (".rttm", ".json", ".jsonl")
_CHANNEL = re.compile("[1-9][0-9]?")

__all__ = ["MAX_BYTES", "MAX_TURNS", "Turn", "TurnFile", "open_turns", "problem_of", "read_turns"]


def read_turns(
    path: str | os.PathLike[str], recording: str, seconds: float | None = None
) -> tuple[Turn, ...]:
    """Read the usable turns of a recording, sorted by start.

    Turns of zero or negative length, with a time that is not finite or, if the length is known,
    after the end are left out; ``EmotionRecognizer.predict`` counts these in ``turns_skipped``.

    Args:
        path: a file of at most 64 MiB: .rttm, .TextGrid (Praat's text formats), .csv, .tsv, .srt,
            .vtt, or .json and .jsonl (Whisper, WhisperX, faster-whisper, whisper.cpp, pyannote,
            phonemo).
        recording: the recording's name; a file with turns of several recordings is searched for it
            or its stem.
        seconds: the recording's length; turns that end later are shortened to it.

    Raises:
        UsageError: the file is unreadable or malformed, has no usable turn of the recording, or
            more than 100000 turns.
    """
    turns = open_turns(path)(recording)
    usable = [turn for turn in turns if problem_of(turn, seconds) is None]
    if not usable:
        raise UsageError(
            f"{safe_name(path)}: expected turns within {seconds:.3f} s of recording, got none; "
            "check that they belong to this recording and are in seconds"
        )
    return tuple(replace(turn, end=min(turn.end, seconds or turn.end)) for turn in usable)


@dataclass(frozen=True)
class TurnFile:
    """The turns of a file, of one recording or several."""

    name: str
    rows: Sequence[TurnRow]

    @property
    def has_text(self) -> bool:
        """Whether any turn has a text."""
        return any(row.turn.text is not None for row in self.rows)

    def __call__(self, recording: str, lone: bool = True) -> tuple[Turn, ...]:
        """Select the turns of a recording, sorted by start, unusable ones included.

        Args:
            recording: the recording's name.
            lone: whether it is the only recording: only then are the turns of an RTTM or JSON file
                with another file id used for it.

        Raises:
            UsageError: no turns of this recording, or no usable one.
        """
        rows = _select_rows(self.name, self.rows, recording, lone)
        if all(problem_of(row.turn) is not None for row in rows):
            first, count = rows[0], f"; none of {len(rows)} turns is usable" * (len(rows) > 1)
            times = f"a turn from {first.turn.start:g} to {first.turn.end:g} s"
            raise UsageError(f"{first.where}: expected 0 <= start < end, got {times}{count}")
        return tuple(sorted((row.turn for row in rows), key=_in_time))


def open_turns(path: str | os.PathLike[str]) -> TurnFile:
    """Read a file of turns once; calling the result selects a recording's turns.

    Raises:
        UsageError: as ``read_turns``, for the file; the result raises it for the recording.
    """
    name = safe_name(path)
    rows: list[TurnRow] = []
    for row in _reader_for(path)(name, _read_text(path)):
        if len(rows) == MAX_TURNS:
            raise UsageError(
                f"{name}: expected at most {MAX_TURNS} turns; split the file by recording"
            )
        rows.append(row)
    if not rows:
        raise UsageError(f"{name}: expected speaker turns, got none; pass a file with turns")
    return TurnFile(name, from_one(rows))


def _in_time(turn: Turn) -> tuple[float, float]:
    return (turn.start, turn.end) if problem_of(turn) is None else (math.inf, math.inf)


def _reader_for(path: str | os.PathLike[str]) -> Callable[[str, str], Iterator[TurnRow]]:
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


def _select_rows(name: str, rows: Sequence[TurnRow], recording: str, only: bool) -> list[TurnRow]:
    """Rows of the recording; for a single one, all of an RTTM or JSON file with one file id."""
    path = PurePath(recording)
    spellings = {recording, path.name, path.stem, "_".join(path.stem.split())}
    names = {spelling.casefold() for spelling in spellings}
    selected = [row for row in rows if row.file is None or row.file.casefold() in names]
    files = list(dict.fromkeys(safe_name(row.file) for row in rows if row.file is not None))
    if not selected and only and len(files) == 1 and name.lower().endswith(_LENIENT):
        return list(rows)
    if not selected:
        others = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        raise UsageError(
            f"{name}: expected turns of {safe_name(recording)}, got turns of {others}; "
            "pass the file of this recording"
        )
    return selected


def _read_rttm(name: str, text: str) -> Iterator[TurnRow]:
    # a diarizer of mixed channels calls them all 1; only another number means channels
    lines = [(number, fields, _channel_of(fields)) for number, fields in _rttm_lines(text)]
    numbered = {fields[1] for _, fields, channel in lines if channel is not None and channel > 1}
    for number, fields, channel in lines:
        row = _rttm_row(f"{name} line {number}", fields)
        if row.file in numbered and channel is not None:
            row = replace(row, turn=replace(row.turn, channel=channel))
        yield row


def _channel_of(fields: Sequence[str]) -> int | None:
    """The channel field of a line; None if it is no number of a channel."""
    field = fields[2] if len(fields) > 2 else ""
    number = int(field) if _CHANNEL.fullmatch(field) else 0
    return number if 1 <= number <= MAX_CHANNELS else None


def _rttm_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(io.StringIO(text), start=1):
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            yield number, fields


def _rttm_row(where: str, fields: Sequence[str]) -> TurnRow:
    if len(fields) < 8:
        expected = "8 fields or more (SPEAKER file 1 start duration <NA> <NA> speaker)"
        raise UsageError(f"{where}: expected {expected}, got {len(fields)}")
    start = seconds_of(where, fields[3])
    return make_row(where, fields[1], (start, start + seconds_of(where, fields[4])), fields[7])


def _read_table(name: str, text: str) -> Iterator[TurnRow]:
    for turn in read_turn_table(name, text, MAX_TURNS):
        row = make_row(turn.where, turn.file, turn.times, turn.speaker, turn.text)
        yield replace(row, turn=replace(row.turn, channel=turn.channel))


_READERS: dict[str, Callable[[str, str], Iterator[TurnRow]]] = {
    ".rttm": _read_rttm,
    ".textgrid": read_textgrid_turns,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
    ".json": read_transcript,
    ".jsonl": read_transcript,
}
