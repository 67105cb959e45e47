"""audEERING's audformat: a folder with db.yaml, and tables as csv or parquet.

db.yaml and the tables are read by our own code. The package audformat would also read
the caches that lie beside them as pickles, and a pickle runs whatever somebody put into it.
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
from phonemo.corpora.readers.folders import canonical
from phonemo.errors import CorpusError, MissingExtraError

CARD = CorpusCard(
    name="audformat",
    title="An audformat database (audEERING)",
    language=None,
    licence="that of the database",
    homepage="https://audeering.github.io/audformat/",
    acted=False,
    note="The column emotion of any table; several: give the table's file, db.TABLE.csv.",
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
        CorpusError: no db.yaml, no table with emotions or several, or a malformed one.
    """
    folder = root.parent if root.is_file() else root
    header = _header(folder)
    tables = _tables(header, folder)
    name = _chosen(root, folder, tables)
    speakers = _speakers(header, folder)
    skipped: Counter[str] = Counter()
    rows = [
        _utterance(row, speakers, _languages(header), where)
        for row, where in _rows(folder, name)
        if _has_emotion(row, skipped)
    ]
    if not rows:
        raise CorpusError(f"{folder}: table {name} has no row with an emotion")
    return CorpusReading(unique_ids(rows, folder), dict(skipped))


def _header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; one with {_HEADER} is wanted")
    if not path.is_file():
        raise CorpusError(f"{folder}: no {_HEADER} in it ({listing(folder)})")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CorpusError(f"{path}: not YAML that can be read; save the database again") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: no header of a database; save it again")
    return found


def _tables(header: Mapping[str, Any], folder: Path) -> dict[str, Mapping[str, Any]]:
    tables = header.get("tables") or {}
    if not isinstance(tables, dict):
        raise CorpusError(f"{folder / _HEADER}: 'tables' is no mapping; save the database again")
    return {
        str(name): one
        for name, one in tables.items()
        if isinstance(one, dict) and _COLUMN in _mapping(one.get("columns"))
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _chosen(root: Path, folder: Path, tables: Mapping[str, Any]) -> str:
    if root.is_file():
        name = root.name.removeprefix("db.").rpartition(".")[0]
        if name in tables:
            return name
        raise CorpusError(f"{root}: no table of emotions; there are {', '.join(tables) or 'none'}")
    if not tables:
        raise CorpusError(f"{folder}: no table has a column {_COLUMN!r}; rename the one that has")
    if len(tables) > 1:
        raise CorpusError(
            f"{folder}: {len(tables)} tables with emotions ({', '.join(tables)}); give the file of "
            f"one, as {folder / ('db.' + next(iter(tables)) + '.csv')}"
        )
    return next(iter(tables))


def _rows(folder: Path, name: str) -> Iterator[tuple[Row, str]]:
    """The rows of a table, and where each stands."""
    stem = folder / f"db.{name}"
    for suffix, read_one in ((".csv", _csv_rows), (".parquet", _parquet_rows)):
        path = stem.with_name(stem.name + suffix)
        if os.path.isfile(path):  # pathlib's raises for a name that is too long
            yield from read_one(path)
            return
    raise CorpusError(
        f"{folder}: no db.{name}.csv and no db.{name}.parquet; save the database in one of them"
    )


def _csv_rows(path: Path) -> Iterator[tuple[Row, str]]:
    with csv_errors(path):
        reader = csv.DictReader(table_lines(path), strict=True)
        for row in reader:
            found = {str(key): str(value or "") for key, value in row.items() if key is not None}
            yield found, f"{path}:{reader.line_num}"


def _parquet_rows(path: Path) -> Iterator[tuple[Row, str]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise MissingExtraError("a table in parquet", "parquet") from error
    try:
        rows = read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise CorpusError(f"{path}: not parquet that can be read; save it again") from error
    for number, row in enumerate(rows, start=1):
        told = {key: "" if value is None else str(value) for key, value in row.items()}
        yield told, f"{path} row {number}"


def _has_emotion(row: Row, skipped: Counter[str]) -> bool:
    if row.get(_COLUMN):
        return True
    skipped["no emotion"] += 1
    return False


def _utterance(
    row: Row, speakers: Mapping[str, Row], language: str | None, where: str
) -> Utterance:
    file = (row.get("file") or "").replace("\\", "/")
    if not file:
        raise CorpusError(f"{where}: no file; the index of a table is file, start and end")
    start, end = (_seconds(row.get(name, ""), where) for name in ("start", "end"))
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: end {end:g} s is not after start {start or 0:g} s")
    speaker = row.get("speaker") or None
    facts = speakers.get(speaker or "", {})
    return Utterance(
        id=file if start is None and end is None else f"{file}#{start or 0:g}-{end or 'end'}",
        file=file,
        start=start or None,
        end=end,
        speaker=speaker,
        gender=_GENDERS.get((row.get("gender") or facts.get("gender") or "").lower()),
        language=_code(row.get("language") or facts.get("language")) or language,
        transcript=row.get("transcription") or row.get("text") or None,
        emotion=canonical(row[_COLUMN]),
    )


def _seconds(text: str, where: str) -> float | None:
    """A time as audformat writes it, "0 days 00:00:01.500"; None for an open end."""
    if text in ("", "NaT", "None"):
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise CorpusError(f"{where}: {text[:40]!r} is no time such as 0 days 00:00:01.5")
    days, hours, minutes, seconds = found.groups()
    whole = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60
    return round(whole + float(seconds), 6)


def _speakers(header: Mapping[str, Any], folder: Path) -> Mapping[str, Row]:
    """What is known of speakers: labels of their scheme, or a misc table of that name."""
    schemes = header.get("schemes")
    scheme = schemes.get("speaker") if isinstance(schemes, dict) else None
    labels = scheme.get("labels") if isinstance(scheme, dict) else None
    if isinstance(labels, str):  # the name of a misc table, whose first column is the speaker
        rows = [row for row, _ in _rows(folder, labels)]
        return {next(iter(row.values()), ""): row for row in rows}
    if isinstance(labels, dict):
        return {
            str(name): {str(key): str(value) for key, value in one.items()}
            for name, one in labels.items()
            if isinstance(one, dict)
        }
    return {}


def _languages(header: Mapping[str, Any]) -> str | None:
    """The database's language, if it has one alone."""
    found = header.get("languages") or []
    return _code(str(found[0])) if isinstance(found, list) and len(found) == 1 else None


#: audformat has ISO 639-3, manifests 639-1 where there is one.
_CODES = {
    **{"deu": "de", "ger": "de", "eng": "en", "pol": "pl", "ita": "it", "fra": "fr", "fre": "fr"},
    **{"spa": "es", "cmn": "zh", "zho": "zh", "chi": "zh", "por": "pt", "nld": "nl", "rus": "ru"},
    **{"jpn": "ja", "kor": "ko", "ara": "ar", "urd": "ur", "hin": "hi", "tur": "tr", "ell": "el"},
}


def _code(text: str | None) -> str | None:
    small = (text or "").lower()
    found = _CODES.get(small, small)
    return found if 2 <= len(found) <= 3 and found.isalpha() else None
