"""A speaker turn, and the checks that all readers of turns share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from phonemo.annotations.prediction import Word
from phonemo.errors import UsageError, safe_name

MAX_TURNS = 100_000
#: Why a turn is skipped -> how that is said.
SKIP_REASONS = {
    "no_length": "of zero or negative length",
    "beyond_end": "after the end of the recording",
    "not_finite": "without finite times",
    "too_short": "too short",
}


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
class TurnRow:
    """A turn, its location ("turns.rttm line 3") and its recording."""

    where: str
    file: str | None
    turn: Turn


def problem_of(turn: Turn, seconds: float | None = None) -> str | None:
    """Why a turn is unusable, a key of ``SKIP_REASONS``; None if it is not.

    Args:
        turn: any turn.
        seconds: the recording's length, if known.
    """
    if not (math.isfinite(turn.start) and math.isfinite(turn.end)):
        return "not_finite"
    if turn.end <= turn.start:
        return "no_length"
    return "beyond_end" if seconds is not None and turn.start >= seconds else None


def make_row(
    where: str,
    file: str | None,
    times: tuple[float, float],
    speaker: str,
    text: str = "",
    words: tuple[Word, ...] = (),
) -> TurnRow:
    """Build a row; a turn that begins before the recording is shortened to begin with it.

    An empty or "<NA>" speaker and an empty text become None. The turn may be unusable:
    ``problem_of`` finds out.
    """
    start, end = times
    name, content = encodable(speaker).strip(), " ".join(encodable(text).split())
    named = None if name in ("", "<NA>") else name
    start = 0.0 if start < 0 else start
    return TurnRow(where, file, Turn(start, end, named, text=content or None, words=words))


def from_one(rows: list[TurnRow]) -> list[TurnRow]:
    """Number channels from 1 where a program numbered them from 0."""
    if not any(row.turn.channel == 0 for row in rows):
        return rows
    return [
        row
        if row.turn.channel is None
        else replace(row, turn=replace(row.turn, channel=row.turn.channel + 1))
        for row in rows
    ]


def seconds_of(where: str, text: str) -> float:
    """Parse a number of seconds, which may not be finite; UsageError for anything else."""
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"{where}: expected a finite number of seconds, got {safe_name(text)!r}"
        ) from error


def encodable(text: str) -> str:
    """Replace lone surrogates and NUL, which JSON can hold and no text file can."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()
