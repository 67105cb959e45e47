"""audEERING's audformat: a folder with db.yaml, and tables as csv or parquet.

db.yaml and the tables are read without the package audformat, which would also load pickled caches
from the folder, and a pickle can run arbitrary code.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import (
    CorpusCard,
    CorpusReading,
    csv_errors,
    listing,
    table_lines,
    unique_ids,
)
from phonemo.corpora.readers.emotion_names import EmotionNames
from phonemo.errors import CorpusError, MissingExtraError

CARD = CorpusCard(
    name="audformat",
    title="An audformat database (audEERING)",
    language=None,
    licence="that of the database",
    homepage="https://audeering.github.io/audformat/",
    acted=False,
    note="The column emotion of a table; if several have one, pass the table's file, db.TABLE.csv.",
)

_HEADER = "db.yaml"
_COLUMN = "emotion"
_GENDERS: dict[str, Literal["f", "m"]] = {"f": "f", "female": "f", "m": "m", "male": "m"}
_DURATION = re.compile(
    r"(?:([0-9]{1,4}) days?,? *)?([0-9]{1,4}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,12})?)"
)

Row = Mapping[str, str]


def read(root: Path) -> CorpusReading:
    """Read a database's folder, or one of its tables, db.TABLE.csv.

    Raises:
        CorpusError: no db.yaml, no or several tables with emotions, or a malformed file.
    """
    folder = root.parent if root.is_file() else root
    header = _read_header(folder)
    tables = _emotion_tables(header, folder)
    name = _select_table(root, folder, tables)
    speakers = _speakers(header, folder)
    skipped: Counter[str] = Counter()
    names = EmotionNames()
    rows = [
        _utterance(row, speakers, _default_language(header), names, where)
        for row, where in _iter_rows(folder, name)
        if _has_emotion(row, skipped)
    ]
    if not rows:
        raise CorpusError(f"{folder}: expected emotions in table {name}, got none")
    return CorpusReading(unique_ids(rows, folder), dict(skipped), names.notes())


#: What PyYAML raises for values that their tags do not fit, such as !!timestamp of a word.
_TAGS = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; expected one with {_HEADER}")
    if not path.is_file():
        raise CorpusError(f"{folder}: expected a file {_HEADER} ({listing(folder)})")
    try:
        header = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, RecursionError, *_TAGS) as error:
        raise CorpusError(f"{path}: expected readable YAML; save the database again") from error
    if not isinstance(header, dict):
        raise CorpusError(f"{path}: expected a database header; save it again")
    return header


def _emotion_tables(header: Mapping[str, Any], folder: Path) -> dict[str, Mapping[str, Any]]:
    tables = header.get("tables") or {}
    if not isinstance(tables, dict):
        raise CorpusError(
            f"{folder / _HEADER}: expected a mapping under 'tables'; save the database again"
        )
    return {
        str(name): definition
        for name, definition in tables.items()
        if isinstance(definition, dict) and _COLUMN in _as_mapping(definition.get("columns"))
    }


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _select_table(root: Path, folder: Path, tables: Mapping[str, Any]) -> str:
    if root.is_file():
        name = root.name.removeprefix("db.").rpartition(".")[0]
        if name in tables:
            return name
        known = ", ".join(tables) or "none"
        raise CorpusError(f"{root}: expected a table with emotions; tables with emotions: {known}")
    if not tables:
        raise CorpusError(f"{folder}: no table has a column {_COLUMN!r}; rename the emotion column")
    if len(tables) > 1:
        raise CorpusError(
            f"{folder}: expected one table with emotions, got {len(tables)} ({', '.join(tables)}); "
            f"pass the file of one, such as {folder / ('db.' + next(iter(tables)) + '.csv')}"
        )
    return next(iter(tables))


def _iter_rows(folder: Path, name: str) -> Iterator[tuple[Row, str]]:
    """Yield the rows of a table with their locations."""
    stem = folder / f"db.{name}"
    for suffix, read_one in ((".csv", _csv_rows), (".parquet", _parquet_rows)):
        path = stem.with_name(stem.name + suffix)
        if os.path.isfile(path):  # Path.is_file raises if the name is too long
            yield from read_one(path)
            return
    raise CorpusError(
        f"{folder}: expected db.{name}.csv or db.{name}.parquet; save the database in one of them"
    )


def _csv_rows(path: Path) -> Iterator[tuple[Row, str]]:
    with csv_errors(path):
        reader = csv.DictReader(table_lines(path), strict=True)
        for row in reader:
            cells = {str(key): str(value or "") for key, value in row.items() if key is not None}
            yield cells, f"{path}:{reader.line_num}"


def _parquet_rows(path: Path) -> Iterator[tuple[Row, str]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise MissingExtraError("a table in parquet", "parquet") from error
    try:
        rows = read_table(path).to_pylist()
    except (ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise CorpusError(f"{path}: expected a readable parquet file; save it again") from error
    for number, row in enumerate(rows, start=1):
        cells = {key: "" if value is None else str(value) for key, value in row.items()}
        yield cells, f"{path} row {number}"


def _has_emotion(row: Row, skipped: Counter[str]) -> bool:
    if row.get(_COLUMN):
        return True
    skipped["no emotion"] += 1
    return False


def _utterance(
    row: Row, speakers: Mapping[str, Row], language: str | None, names: EmotionNames, where: str
) -> Utterance:
    file = (row.get("file") or "").replace("\\", "/")
    if not file:
        raise CorpusError(f"{where}: no file; expected the index columns file, start and end")
    start, end = (_parse_time(row.get(name, ""), where) for name in ("start", "end"))
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: expected end > start, got {start or 0:g} to {end:g} s")
    speaker = row.get("speaker") or None
    facts = speakers.get(speaker or "", {})
    return Utterance(
        id=file if start is None and end is None else f"{file}#{start or 0:g}-{end or 'end'}",
        file=file,
        start=start or None,
        end=end,
        speaker=speaker,
        gender=_GENDERS.get((row.get("gender") or facts.get("gender") or "").lower()),
        language=_language_code(row.get("language") or facts.get("language")) or language,
        transcript=row.get("transcription") or row.get("text") or None,
        emotion=names.convert(row[_COLUMN]),
    )


def _parse_time(text: str, where: str) -> float | None:
    """Parse audformat's time "0 days 00:00:01.500"; None for an open end."""
    if text in ("", "NaT", "None"):
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise CorpusError(f"{where}: expected a time such as 0 days 00:00:01.5, got {text[:40]!r}")
    days, hours, minutes, seconds = match.groups()
    whole_seconds = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60
    return round(whole_seconds + float(seconds), 6)


def _speakers(header: Mapping[str, Any], folder: Path) -> Mapping[str, Row]:
    """Facts about speakers, from the labels of their scheme or the misc table it names."""
    schemes = header.get("schemes")
    scheme = schemes.get("speaker") if isinstance(schemes, dict) else None
    labels = scheme.get("labels") if isinstance(scheme, dict) else None
    if isinstance(labels, str):  # the name of a misc table whose first column is the speaker
        rows = [row for row, _ in _iter_rows(folder, labels)]
        return {next(iter(row.values()), ""): row for row in rows}
    if isinstance(labels, dict):
        return {
            str(name): {str(key): str(value) for key, value in facts.items()}
            for name, facts in labels.items()
            if isinstance(facts, dict)
        }
    return {}


def _default_language(header: Mapping[str, Any]) -> str | None:
    """The database's language, if there is exactly one."""
    languages = header.get("languages") or []
    return (
        _language_code(str(languages[0]))
        if isinstance(languages, list) and len(languages) == 1
        else None
    )


#: audformat uses ISO 639-3, manifests use 639-1 if there is a code.
_CODES = {
    **{"deu": "de", "ger": "de", "eng": "en", "pol": "pl", "ita": "it", "fra": "fr", "fre": "fr"},
    **{"spa": "es", "cmn": "zh", "zho": "zh", "chi": "zh", "por": "pt", "nld": "nl", "rus": "ru"},
    **{"jpn": "ja", "kor": "ko", "ara": "ar", "urd": "ur", "hin": "hi", "tur": "tr", "ell": "el"},
}


def _language_code(text: str | None) -> str | None:
    small = (text or "").lower()
    code = _CODES.get(small, small)
    return code if 2 <= len(code) <= 3 and code.isalpha() else None
