"""A user's own corpus: a table (csv or tsv) with a header row and one row for each utterance.

Columns, in any order: ``file`` (needed; relative to the table), ``emotion`` and ``transcript``
(at least one of them), ``id``, ``speaker``, ``gender`` (f or m), ``session``, ``dialog``,
``language`` (ISO 639-1), ``style`` (scripted, improvised, plain-to-emotional or
emotional-to-emotional), ``start`` and ``end`` (seconds). An empty cell means unknown: a table whose
cells of ``emotion`` are all empty is one of unlabelled recordings. Emotion names are the user's
own. ``duration_s`` and ``sample_rate`` may be there and are not used: every file is opened.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from phonemo.corpora.manifest import STYLES, Style, Utterance
from phonemo.corpora.readers.base import CorpusCard, CorpusReading, is_shadow, listing, table_lines
from phonemo.errors import CorpusError

CARD = CorpusCard(
    name="csv",
    title="A table of your own (csv or tsv)",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Give speaker, or folds cannot be made speaker-independent.",
)

COLUMNS = (
    "file",
    "emotion",
    "id",
    "speaker",
    "gender",
    "session",
    "dialog",
    "language",
    "transcript",
    "style",
    "start",
    "end",
)
#: Facts of the audio, which is measured itself.
MEASURED = ("duration_s", "sample_rate")

_SUFFIXES = (".csv", ".tsv")
_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
_STYLES: dict[str, Style] = {style: style for style in STYLES}
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def read(root: Path) -> CorpusReading:
    """Read a table, or the one table in a folder.

    Raises:
        CorpusError: no table or several, an unknown column, or a wrong cell, with its line.
    """
    path = find_table(root)
    utterances: list[Utterance] = []
    lines: dict[str, int] = {}
    for line, row in _rows(path):
        utterance = _utterance(row, f"{path}:{line}")
        if utterance.id in lines:
            raise CorpusError(
                f"{path}:{line}: id {utterance.id!r} is in line {lines[utterance.id]} already; "
                "ids must be unique"
            )
        lines[utterance.id] = line
        utterances.append(utterance)
    if not utterances:
        raise CorpusError(f"{path}: no rows below the header")
    return CorpusReading(tuple(utterances))


def find_table(root: Path) -> Path:
    """The table itself, or the one in a folder; CorpusError if there is not exactly one."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise CorpusError(f"{root}: no such file or folder; give a csv or tsv table")
    tables = [
        path
        for path in sorted(root.iterdir())
        if path.suffix.lower() in _SUFFIXES and not is_shadow(path)
    ]
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise CorpusError(f"{root}: no csv or tsv table in it ({listing(root)})")
    names = ", ".join(path.name for path in tables)
    raise CorpusError(f"{root}: {len(tables)} tables ({names}); give the path of one of them")


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    lines = table_lines(path)
    first = lines.readline()
    lines.seek(0)
    reader = csv.reader(lines, delimiter=_delimiter(first), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = _header(next(reader, []), path)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise CorpusError(
                    f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(header)}"
                )
            stripped = (cell.strip() for cell in cells)
            rows.append((reader.line_num, dict(zip(header, stripped, strict=True))))
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: not a csv table ({error})") from error
    return rows


def _delimiter(header: str) -> str:
    return max(",\t;", key=header.count)


def _header(cells: list[str], path: Path) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for name in header:
        if name not in (*COLUMNS, *MEASURED):
            raise CorpusError(f"{path}:1: unknown column {name!r}; known: {', '.join(COLUMNS)}")
        if header.count(name) > 1:
            raise CorpusError(f"{path}:1: column {name!r} is there twice")
    if "file" not in header:
        raise CorpusError(f"{path}:1: no column 'file'; the first line must name the columns")
    if "emotion" not in header and "transcript" not in header:
        raise CorpusError(
            f"{path}:1: no column 'emotion' and none 'transcript'; expected at least one of them, "
            "which may be empty"
        )
    return header


def _utterance(row: Mapping[str, str], where: str) -> Utterance:
    file = row["file"].replace("\\", "/")
    if not file:
        raise CorpusError(f"{where}: column 'file' is empty")
    start, end = _seconds(row, "start", where), _seconds(row, "end", where)
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: end {end:g} s is not after start {start or 0:g} s")
    return Utterance(
        id=row.get("id") or _id(file, row),
        file=file,
        start=start,
        end=end,
        speaker=row.get("speaker") or None,
        gender=_gender(row, where),
        session=row.get("session") or None,
        dialog=row.get("dialog") or None,
        language=_language(row, where),
        transcript=row.get("transcript") or None,
        style=_style(row, where),
        emotion=row.get("emotion") or None,
    )


def _id(file: str, row: Mapping[str, str]) -> str:
    """The file without its extension, and the segment where the row names one."""
    stem = file.rpartition(".")[0] or file
    segment = "-".join(row.get(column, "") for column in ("start", "end"))
    return stem if segment.strip("-") == "" else f"{stem}#{segment}"


def _seconds(row: Mapping[str, str], column: str, where: str) -> float | None:
    text = row.get(column)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise CorpusError(f"{where}: {column} {text!r} is not a number of seconds") from error
    if not math.isfinite(value) or value < 0:
        raise CorpusError(f"{where}: {column} {text!r}; seconds from 0 upwards are wanted")
    return value


def _gender(row: Mapping[str, str], where: str) -> Literal["f", "m"] | None:
    text = row.get("gender", "").lower()
    if text and text not in _GENDERS:
        raise CorpusError(f"{where}: gender {text!r}; f, m or an empty cell is wanted")
    return _GENDERS.get(text)


def _style(row: Mapping[str, str], where: str) -> Style | None:
    text = row.get("style", "").lower()
    if text and text not in _STYLES:
        raise CorpusError(
            f"{where}: style {text!r}; {', '.join(STYLES)} or an empty cell is wanted"
        )
    return _STYLES.get(text)


def _language(row: Mapping[str, str], where: str) -> str | None:
    text = row.get("language", "").lower()
    if text and not _LANGUAGE.fullmatch(text):
        raise CorpusError(f"{where}: language {text!r}; an ISO 639-1 code such as en is wanted")
    return text or None
