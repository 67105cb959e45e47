"""A custom corpus: a table (csv or tsv) with a header and one row per utterance.

Columns, in any order: ``file`` (required; relative to the table), ``emotion`` and ``transcript``
(at least one of them), ``id``, ``speaker``, ``gender`` (f or m), ``session``, ``dialog``,
``language`` (ISO 639-1), ``style`` (scripted, improvised, plain-to-emotional or
emotional-to-emotional), ``start`` and ``end`` (seconds). An empty cell means unknown: in a table of
unlabeled recordings all cells of ``emotion`` are empty. Emotion names are free. ``duration_s`` and
``sample_rate`` are allowed but ignored, since every file is opened.
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
    title="Your own table (csv or tsv)",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Without the column speaker, folds cannot be speaker-independent.",
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
#: Allowed but ignored columns; their values are measured.
MEASURED = ("duration_s", "sample_rate")

_SUFFIXES = (".csv", ".tsv")
_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
_STYLES: dict[str, Style] = {style: style for style in STYLES}
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def read(root: Path) -> CorpusReading:
    """Read a table, or the only table in a folder.

    Raises:
        CorpusError: no or several tables, an unknown column, or an invalid cell, with its line.
    """
    path = find_table(root)
    utterances: list[Utterance] = []
    lines: dict[str, int] = {}
    for line, row in _rows(path):
        utterance = _utterance(row, f"{path}:{line}")
        if utterance.id in lines:
            raise CorpusError(
                f"{path}:{line}: id {utterance.id!r} is already in line {lines[utterance.id]}; "
                "ids must be unique"
            )
        lines[utterance.id] = line
        utterances.append(utterance)
    if not utterances:
        raise CorpusError(f"{path}: expected rows below the header, got none")
    return CorpusReading(tuple(utterances))


def find_table(root: Path) -> Path:
    """Return a table, or the only table in a folder; CorpusError unless there is exactly one."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise CorpusError(f"{root}: no such file or folder; expected a csv or tsv table")
    tables = [
        path
        for path in sorted(root.iterdir())
        if path.suffix.lower() in _SUFFIXES and not is_shadow(path)
    ]
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise CorpusError(f"{root}: expected a csv or tsv table ({listing(root)})")
    names = ", ".join(path.name for path in tables)
    raise CorpusError(f"{root}: expected one table, got {len(tables)} ({names}); pass one of them")


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
                    f"{path}:{reader.line_num}: expected {len(header)} cells, got {len(cells)}"
                )
            stripped = (cell.strip() for cell in cells)
            rows.append((reader.line_num, dict(zip(header, stripped, strict=True))))
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: expected a csv table ({error})") from error
    return rows


def _delimiter(header: str) -> str:
    return max(",\t;", key=header.count)


def _header(cells: list[str], path: Path) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for name in header:
        if name not in (*COLUMNS, *MEASURED):
            raise CorpusError(f"{path}:1: unknown column {name!r}; known: {', '.join(COLUMNS)}")
        if header.count(name) > 1:
            raise CorpusError(f"{path}:1: column {name!r} is repeated")
    if "file" not in header:
        raise CorpusError(f"{path}:1: expected a header line with a column 'file'")
    if "emotion" not in header and "transcript" not in header:
        raise CorpusError(
            f"{path}:1: expected a column 'emotion' or 'transcript', whose cells may be empty"
        )
    return header


def _utterance(row: Mapping[str, str], where: str) -> Utterance:
    file = row["file"].replace("\\", "/")
    if not file:
        raise CorpusError(f"{where}: column 'file' is empty")
    start, end = _seconds(row, "start", where), _seconds(row, "end", where)
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: expected end > start, got {start or 0:g} to {end:g} s")
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
    """The file without its extension, plus the segment if the row has one."""
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
        raise CorpusError(f"{where}: expected {column} in seconds, got {text!r}") from error
    if not math.isfinite(value) or value < 0:
        raise CorpusError(f"{where}: expected {column} as seconds from 0 on, got {text!r}")
    return value


def _gender(row: Mapping[str, str], where: str) -> Literal["f", "m"] | None:
    text = row.get("gender", "").lower()
    if text and text not in _GENDERS:
        raise CorpusError(f"{where}: expected gender f, m or an empty cell, got {text!r}")
    return _GENDERS.get(text)


def _style(row: Mapping[str, str], where: str) -> Style | None:
    text = row.get("style", "").lower()
    if text and text not in _STYLES:
        raise CorpusError(
            f"{where}: expected style {', '.join(STYLES)} or an empty cell, got {text!r}"
        )
    return _STYLES.get(text)


def _language(row: Mapping[str, str], where: str) -> str | None:
    text = row.get("language", "").lower()
    if text and not _LANGUAGE.fullmatch(text):
        raise CorpusError(f"{where}: expected an ISO 639-1 language such as en, got {text!r}")
    return text or None
