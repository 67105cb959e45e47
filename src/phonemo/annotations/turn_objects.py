"""Convert what diarizers and transcribers return in Python to turns, without importing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from phonemo.annotations.transcript_json import rows_of
from phonemo.annotations.turn_rows import MAX_TURNS, Turn, TurnRow, from_one, make_row, problem_of
from phonemo.errors import UsageError

#: The fields of pyannote.audio 4's DiarizeOutput, the preferred one first.
_DIARIZATIONS = ("exclusive_speaker_diarization", "speaker_diarization")


def convert_turns(given: Any) -> tuple[Turn, ...]:
    """Convert to turns, in the given order, unusable ones included.

    Args:
        given: an iterable of ``Turn``; the result of Whisper, WhisperX or faster-whisper; a
            pyannote Annotation or DiarizeOutput; a data frame with the columns start, end and
            speaker; or an iterable of mappings, objects or tuples with these.

    Raises:
        UsageError: something else, no usable turn among them, or more than 100000 turns.
    """
    turns = tuple(row.turn for row in islice(_rows(given), MAX_TURNS + 1))
    if len(turns) > MAX_TURNS:
        raise UsageError(f"expected at most {MAX_TURNS} turns, got more; split the recording")
    if turns and all(problem_of(turn) is not None for turn in turns):
        times = f"{len(turns)}, the first from {turns[0].start:g} to {turns[0].end:g} s"
        raise UsageError(f"expected turns with 0 <= start < end in seconds, got {times}")
    return turns


def annotation_in(given: Any) -> Any:
    """Return the pyannote Annotation of an object: itself, or a field of pyannote 4's output.

    The exclusive diarization, in which one speaker speaks at a time, is preferred: each turn is
    recognized separately, and where two speak at once the emotion is that of neither. Of a pair (an
    Annotation and embeddings, of pyannote 3) the first is meant. None if there is no Annotation.
    """
    given = given[0] if isinstance(given, tuple) and len(given) == 2 else given
    fields = (getattr(given, name, None) for name in _DIARIZATIONS)
    found = [one for one in (*fields, given) if hasattr(one, "itertracks")]
    filled = (one for one in found if any(True for _ in one.itertracks(yield_label=True)))
    return next(filled, found[0] if found else None)


def annotation_rows(annotation: Any) -> Iterator[TurnRow]:
    """Yield the tracks of a pyannote Annotation as turns."""
    for segment, _, speaker in annotation.itertracks(yield_label=True):
        yield make_row("turns", None, (float(segment.start), float(segment.end)), str(speaker))


def _rows(given: Any) -> Iterator[TurnRow]:
    annotation = annotation_in(given)
    if isinstance(given, tuple) and len(given) == 2 and hasattr(given[1], "language"):
        given = given[0]  # faster-whisper returns its segments with information
    if annotation is not None:
        yield from annotation_rows(annotation)
    elif hasattr(given, "columns"):  # a data frame
        yield from from_one(list(rows_of("turns", _records(given))))
    elif isinstance(given, list | tuple) and all(isinstance(one, Turn) for one in given):
        yield from (_clipped(turn) for turn in given)
    else:
        yield from from_one(list(islice(rows_of("turns", given), MAX_TURNS + 1)))


def _records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a data frame of pandas, polars or pyarrow, with column names in lower case."""
    makers = (getattr(frame, name, None) for name in ("to_dicts", "to_pylist"))
    maker = next((one for one in makers if one is not None), None)
    rows = maker() if maker is not None else frame.to_dict("records")
    return [{str(name).lower(): value for name, value in row.items()} for row in rows]


def _clipped(turn: Turn) -> TurnRow:
    return TurnRow("turns", None, replace(turn, start=0.0) if turn.start < 0 else turn)
