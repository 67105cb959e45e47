"""The columns of a table: their other names, and those that carry nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Literal

from phonemo.errors import ManifestError, safe_name
from phonemo.files import SUFFIXES

#: Column -> other names for it. Case, spaces, hyphens and units in parentheses do not matter.
ALIASES: dict[str, tuple[str, ...]] = {
    "file": (
        *("path", "filename", "file_name", "filepath", "file_path", "audio", "audio_path"),
        *("audio_filepath", "audio_file", "audio_filename", "audiofile", "wav", "wav_path"),
        *("wav_file", "wav_filename", "wavfile", "recording", "recording_path", "clip", "uri"),
    ),
    "start": (
        *("offset", "begin", "start_time", "starttime", "onset", "begin_time", "start_s"),
        *("start_sec", "start_seconds", "begin_s"),
    ),
    "end": (
        *("stop", "end_time", "endtime", "stop_time", "finish", "end_s", "end_sec"),
        "end_seconds",
    ),
    "duration": ("duration_s", "dur", "duration_sec", "duration_seconds"),
    "emotion": ("label", "category", "class", "emotion_label", "emotions", "emo"),
    "speaker": (
        *("speaker_id", "speakerid", "spk", "spkid", "spk_id", "subject", "subject_id"),
        *("client_id", "actor", "actor_id"),
    ),
    "transcript": ("text", "sentence", "transcription", "transcripts"),
    "gender": ("sex",),
    "channel": ("channel_id",),
    "language": ("lang", "locale"),
    "arousal": ("activation", "act", "aro", "emoact"),
    "valence": ("val", "pleasure", "emoval"),
    "dominance": ("dom", "emodom"),
    "votes": ("emotion_votes",),
    "intensity": ("emotional_intensity",),
    "id": ("utt_id", "uttid", "utterance_id", "utt"),
}
TIMES = ("start", "end", "duration")
#: Most other names, and most columns, that a message lists.
_LISTED, _LISTED_COLUMNS = 3, 8
MOST_COLUMNS = 1000

_INDEX = re.compile(r"(unnamed(_\d+)+)?")  # pandas: an empty name, "Unnamed: 0", "Unnamed: 0.1"
_STORED_INDEX = re.compile(r"index_level_\d+")  # pandas in Parquet: "__index_level_0__", last
_MILLISECONDS = re.compile(r"(.+?)_?(?:ms|msec|millis|milliseconds)")
#: "extra" is any other column, "unnamed" one whose header is empty, "index" pandas's row numbers.
Use = Literal["cell", "milliseconds", "extra", "unnamed", "index"]
OTHERS: tuple[Use, ...] = ("extra", "unnamed", "index")


@dataclass(frozen=True)
class Column:
    """A column: the name under which its cells are returned, and how."""

    name: str
    use: Use


def resolve_columns(
    header: Sequence[str], known: Collection[str], where: str
) -> tuple[Column, ...]:
    """Return the columns of a header, in its order.

    Args:
        header: the names as written.
        known: the names of ALIASES that the caller uses, and others that have no aliases.
        where: the location for messages.

    Raises:
        ManifestError: two columns that mean the same, unless one of them has the exact name.
    """
    if len(header) > MOST_COLUMNS:
        raise ManifestError(
            f"{where}: expected at most {MOST_COLUMNS} columns, got {len(header)}; check the table"
        )
    names = [_simple(name) for name in header]
    meanings = [_meaning(name, known, names) for name in names]
    uses = [_use(position, names, meanings, header, where) for position in range(len(names))]
    extras = _distinct(header, uses)
    return tuple(
        Column(next(extras) if use in ("extra", "unnamed") else meanings[position] or "", use)
        for position, use in enumerate(uses)
    )


def expected_column(name: str) -> str:
    """Describe a column and its most common other names, for messages: 'file' (or 'path' ...)."""
    others = ALIASES.get(name, ())[:_LISTED]
    return f"{name!r} (or {', '.join(map(repr, others))})" if others else repr(name)


def count_known(header: Sequence[str], known: Collection[str]) -> int:
    """Count the names of a header that stand for known columns."""
    names = [_simple(name) for name in header[:MOST_COLUMNS]]
    return sum(_meaning(name, known, names) is not None for name in names)


def require_columns(
    columns: Collection[Column], required: Collection[str], header: Sequence[str], where: str
) -> None:
    """Raise ManifestError unless all required columns exist."""
    present = {column.name for column in columns if column.use not in OTHERS}
    missing = [name for name in required if name not in present]
    if not missing:
        return
    expected = f"{where}: expected a column {expected_column(missing[0])}"
    if any(is_recording(cell) for cell in header):
        raise ManifestError(
            f"{expected}, got the path of a recording; add a header line such as file,emotion "
            "(batch also takes a list of paths: .txt)"
        )
    given = (
        ", ".join(safe_name(cell.strip()) or "''" for cell in header[:_LISTED_COLUMNS]) or "none"
    )
    raise ManifestError(f"{expected}, got {given}; rename a column")


def is_recording(cell: str) -> bool:
    """Whether a cell looks like the path of a recording."""
    return PureWindowsPath(cell.strip()).suffix.lower() in SUFFIXES


def _simple(name: str) -> str:
    """Lower case, with underscores for everything else between the letters."""
    return re.sub(r"\W+", "_", name.strip("\ufeff \t\r\n").lower()).strip("_")


def _meaning(name: str, known: Collection[str], names: Collection[str]) -> str | None:
    """The known column that a name stands for."""
    if name == "offset" and "onset" in names:
        name = "end"  # tables of sound events have onset and offset; NeMo's offset is a start
    if name in known:
        return name
    others = (column for column in known if name in ALIASES.get(column, ()))
    scaled = _MILLISECONDS.fullmatch(name)
    if scaled is not None and (base := _meaning(scaled[1], known, ())) in TIMES:
        return base
    return next(others, None)


def _use(
    position: int,
    names: Sequence[str],
    meanings: Sequence[str | None],
    header: Sequence[str],
    where: str,
) -> Use:
    name, meaning = names[position], meanings[position]
    if meaning is None:
        if _INDEX.fullmatch(name):
            return "index" if _is_index(position, names) else "unnamed"
        return "index" if _STORED_INDEX.fullmatch(name) else "extra"
    same = [other for other, value in enumerate(meanings) if value == meaning]
    exact = [other for other in same if names[other] == meaning]
    if len(same) > 1 and exact != [position]:
        if len(exact) == 1:
            return "extra"
        first, second = (safe_name(header[other].strip()) for other in (exact or same)[:2])
        raise ManifestError(
            f"{where}: columns {first!r} and {second!r} both mean {meaning!r}; rename or remove one"
        )
    return "milliseconds" if meaning in TIMES and _MILLISECONDS.fullmatch(name) else "cell"


def _is_index(position: int, names: Sequence[str]) -> bool:
    """Whether only index columns precede: an unnamed column among others may hold something."""
    return all(_INDEX.fullmatch(name) for name in names[:position])


def _distinct(header: Sequence[str], uses: Sequence[Use]) -> Iterator[str]:
    """The names of the extra columns; a repeated name gets a number, as in pandas."""
    seen: set[str] = set()
    for position, (name, use) in enumerate(zip(header, uses, strict=True), start=1):
        if use in ("extra", "unnamed"):
            base = label = name.strip("\ufeff \t\r\n") or f"column {position}"
            number = 0
            while label in seen:
                number += 1
                label = f"{base}.{number}"
            seen.add(label)
            yield label
