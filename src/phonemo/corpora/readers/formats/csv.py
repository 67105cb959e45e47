"""A custom corpus: a table with a header and one row per utterance.

Columns, in any order: ``file`` (required; relative to the table), ``emotion`` and ``transcript``
(at least one of them, or a rated dimension), ``id``, ``speaker``, ``gender`` (f or m), ``session``,
``dialog``, ``language`` (ISO 639-1), ``style`` (scripted, improvised, plain-to-emotional or
emotional-to-emotional), ``start`` and ``end`` (seconds), ``channel`` (from 1 on) and ``split``
(train, validation, test). Ratings are ``arousal``, ``valence`` and ``dominance`` with their
``scale`` (1-5), ``votes`` (anger 3; neutral 2) and ``intensity``; see
phonemo.corpora.ratings.table_ratings. phonemo.tables reads the table and knows other names of the
columns. An empty cell means unknown: in a table of unlabeled recordings all cells of ``emotion``
are empty. Other columns are not used, which is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from phonemo.corpora.manifest import DIMENSIONS, Utterance
from phonemo.corpora.ratings.table_ratings import COLUMNS as RATINGS
from phonemo.corpora.ratings.table_ratings import TableRatings
from phonemo.corpora.readers.base import CorpusCard, CorpusReading, is_shadow, listing
from phonemo.corpora.readers.emotion_names import EmotionNames
from phonemo.corpora.readers.formats.folder_names import part_of, split_names
from phonemo.corpora.readers.formats.table_cells import (
    cell,
    channel_cell,
    gender_cell,
    language_cell,
    locate,
    style_cell,
    times,
    transcript_cell,
)
from phonemo.errors import CorpusError, ManifestError, safe_name
from phonemo.tables import ALIASES, Table, TableRow, portable_path, read_table

CARD = CorpusCard(
    name="csv",
    title="Your own table (csv, tsv or json)",
    language=None,
    licence="yours",
    homepage="",
    acted=False,
    note="Without the column speaker, folds cannot be speaker-independent.",
)

COLUMNS = (
    *("file", "emotion", "id", "speaker", "gender", "session", "dialog", "language"),
    *("transcript", "style", "start", "end", "duration", "channel", "split"),
    *RATINGS,
)
#: A table needs one of these columns.
_CONTENT = ("emotion", "transcript", *DIMENSIONS)
#: Columns whose text is used as it is.
_FREE = ("speaker", "session", "dialog")
#: Other names of the column split.
_SPLITS = ("subset", "partition", "set")
#: Ignored without a note; their values are measured.
_MEASURED = ("duration", "sample_rate", "samplerate", "sampling_rate")
_SUFFIXES = (".csv", ".tsv")
_MAX_LISTED = 8


def read(root: Path) -> CorpusReading:
    """Read a table, or the only table in a folder.

    Raises:
        CorpusError: no or several tables, a missing column, or an invalid cell, with its line.
    """
    path = find_table(root)
    return TableReader().read(path, path.parent)


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


@dataclass
class TableReader:
    """Reads the tables of a corpus, which share their ids and their notes."""

    names: EmotionNames = field(default_factory=EmotionNames)
    _lines: dict[str, str] = field(default_factory=dict)
    _unused: dict[str, None] = field(default_factory=dict)
    _other_splits: Counter[str] = field(default_factory=Counter)
    _moved: int = 0

    def read(self, path: Path, root: Path) -> CorpusReading:
        """Read one table.

        Args:
            path: the table.
            root: the corpus's folder, which the utterances' files are relative to.

        Raises:
            CorpusError: a missing column, or an invalid cell, with its line.
        """
        ratings = TableRatings(str(path), self.names.convert)
        try:
            with path.open("rb") as stream:
                table = read_table(str(path), stream, COLUMNS, required=("file",))
                rows = self._rows(path, root, table, ratings)
        except ManifestError as error:
            raise CorpusError(str(error)) from error
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        if not rows:
            raise CorpusError(f"{path}: expected rows below the header, got none")
        utterances = tuple(ratings.apply(_with_splits(rows)))
        return CorpusReading(utterances, notes=self.notes(), warnings=ratings.warnings())

    def notes(self) -> tuple[str, ...]:
        """Lines about renamed emotions, unused columns and found files, of all tables read."""
        lines = [*self.names.notes()]
        if self._unused:
            lines.append(f"columns not used: {_listed(map(_with_hint, self._unused))}")
        if self._other_splits:
            values = _listed(map(safe_name, sorted(self._other_splits)))
            lines.append(f"splits other than train, validation and test, not used: {values}")
        if self._moved:
            lines.append(f"recordings found by the end of their path: {self._moved}")
        return tuple(lines)

    def _rows(
        self, path: Path, root: Path, table: Table, ratings: TableRatings
    ) -> list[tuple[Utterance, str | None]]:
        if table.header:
            raise CorpusError(f"{path}: expected a table, got a manifest; use it as it is")
        columns = set(table.columns)
        rows = []
        for row in table:
            columns |= row.cells.keys()
            part = self._part(row)
            rows.append((self._utterance(row, path.parent, root, ratings), part))
        if rows or table.columns:
            self._require_content(path, table, columns)
        return rows

    def _require_content(self, path: Path, table: Table, columns: Collection[str]) -> None:
        if not set(_CONTENT) & set(columns):
            got = _listed(map(_with_hint, table.columns))
            raise CorpusError(
                f"{path}:1: expected a column 'emotion', 'arousal' (or another dimension) or "
                f"'transcript', whose cells may be empty, got {got}"
            )

    def _part(self, row: TableRow) -> str | None:
        """The part of a split that a row names; other columns are noted as unused."""
        named = cell(row.cells, "split")
        for name, value in row.extra.items():
            is_split = name.lower() in _SPLITS and (not value or part_of(value))
            if is_split and named is None:
                named = value or None
            elif not is_split and name.lower() not in _MEASURED:
                self._unused.setdefault(name)
        part = None if named is None else part_of(named)
        if named is not None and part is None:
            self._other_splits[named] += 1
        return part

    def _utterance(
        self, row: TableRow, folder: Path, root: Path, ratings: TableRatings
    ) -> Utterance:
        cells, where = row.cells, row.where
        if not cells.get("file"):
            raise CorpusError(f"{where}: column 'file' is empty")
        file = self._file(cells["file"], folder, root)
        start, end = times(cells, where)
        fields: dict[str, Any] = {
            "start": start,
            "end": end,
            "channel": channel_cell(cells, where),
            "gender": gender_cell(cells, where),
            "language": language_cell(cells, where),
            "transcript": transcript_cell(cells),
            "style": style_cell(cells, where),
            "emotion": self.names.convert(cell(cells, "emotion")),
        }
        name = self._unique(cell(cells, "id") or _id(file, cells, fields), where)
        fields |= {column: cell(cells, column) for column in _FREE}
        fields |= ratings.read(name, cells, where)
        return Utterance(id=name, file=file, **fields)

    def _file(self, name: str, folder: Path, root: Path) -> str:
        file = locate(name, folder)
        self._moved += file != portable_path(name, str(folder))
        if folder == root or file.startswith("/"):
            return file
        return (folder / file).relative_to(root).as_posix()

    def _unique(self, name: str, where: str) -> str:
        """The id; CorpusError if an earlier row has it."""
        earlier = self._lines.setdefault(name, where)
        if earlier != where:
            line = earlier.rpartition(":")[2]
            raise CorpusError(
                f"{where}: id {safe_name(name)!r} is already in line {line}; ids must be unique"
            )
        return name


def _with_splits(rows: list[tuple[Utterance, str | None]]) -> Iterator[Utterance]:
    names = split_names(part for _, part in rows if part)
    for utterance, part in rows:
        yield utterance.model_copy(update={"split": names[part]}) if part else utterance


def _id(file: str, cells: Mapping[str, str], fields: Mapping[str, Any]) -> str:
    """The file without its extension, plus the segment and the channel if the row has them."""
    name = file.rpartition(".")[0] or file
    segment = "-".join(_time(cells.get(column, ""), fields[column]) for column in ("start", "end"))
    name += "" if segment == "-" else f"#{segment}"
    return name if fields["channel"] is None else f"{name}@{fields['channel']}"


def _time(text: str, seconds: float | None) -> str:
    """A time as the table writes it, unless that is no plain number."""
    if seconds is None:
        return ""
    return text if text.replace(".", "", 1).isdecimal() else f"{seconds:g}"


def _with_hint(column: str) -> str:
    """A column's name, with the known column that it may be meant to be."""
    known = [*COLUMNS, *(name for column in COLUMNS for name in ALIASES.get(column, ()))]
    close = [] if column in known else get_close_matches(column.lower(), known, 1, 0.85)
    return f"{safe_name(column)} (or {close[0]!r}?)" if close else safe_name(column)


def _listed(names: Iterable[str]) -> str:
    items = list(names)
    rest = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
