"""A folder of recordings: its metadata table, as the audiofolder of datasets has it, or its names.

The table is ``metadata.csv``, ``.tsv`` or ``.jsonl`` with a column ``file_name``, in the folder or
in each of its subfolders (one for each split).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePath

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.readers.formats.csv import TableReader
from phonemo.corpora.readers.formats.folder_rows import FolderSplits
from phonemo.corpora.readers.formats.folders import read_folders
from phonemo.errors import CorpusError
from phonemo.files import is_recording, walk_files

_NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl")


def read_recordings(
    root: Path,
    *,
    emotion_level: int | None = None,
    speaker: str | None = None,
    language: str | None = None,
) -> CorpusReading:
    """Read a folder by its metadata tables if they have emotions or ratings, else by its names.

    Args:
        root: the folder.
        emotion_level: as for ``read_folders``; with it or a speaker, tables are not read.
        speaker: as for ``read_folders``.
        language: ISO 639-1 code of the recordings for which the table has none.

    Raises:
        CorpusError: as ``read_folders``.
        UsageError: as ``read_folders``.
    """
    tables = [] if emotion_level is not None or speaker is not None else _tables(root)
    notes: tuple[str, ...] = ()
    if tables:
        names = ", ".join(table.relative_to(root).as_posix() for table in tables)
        try:
            reading = _read_tables(root, tables, language)
        except CorpusError as error:
            notes = (f"not used: {error}",)
        else:
            if any(row.emotion or row.dimensions for row in reading.utterances):
                return replace(reading, notes=(f"read from {names}", *reading.notes))
            notes = (f"not used: {names}, without a column of emotions or ratings",)
    reading = read_folders(root, emotion_level=emotion_level, speaker=speaker, language=language)
    return replace(reading, notes=(*notes, *reading.notes))


def _tables(root: Path) -> list[Path]:
    """The folder's table, or those of its subfolders."""
    if not root.is_dir():
        return []
    own = [root / name for name in _NAMES if (root / name).is_file()]
    below = [path for name in _NAMES for path in sorted(root.glob(f"*/{name}")) if path.is_file()]
    return own[:1] or below


def _read_tables(root: Path, tables: list[Path], language: str | None) -> CorpusReading:
    reader = TableReader()
    readings = [reader.read(table, root) for table in tables]
    rows = [row for reading in readings for row in reading.utterances]
    warnings = tuple(warning for reading in readings for warning in reading.warnings)
    paths = {row.id: PurePath(row.file) for row in rows}
    splits = FolderSplits(tuple(paths.values()))
    completed = [_complete(row, splits.of(paths[row.id]), language) for row in rows]
    skipped = {"not in the table": unlisted} if (unlisted := _unlisted(root, rows)) else {}
    return CorpusReading(tuple(completed), skipped, (*splits.notes(), *reader.notes()), warnings)


def _unlisted(root: Path, rows: list[Utterance]) -> int:
    """The number of recordings in the folder that no row names."""
    named = {os.path.normpath(root / row.file) for row in rows}
    return sum(
        is_recording(name) and os.path.normpath(name) not in named for name in walk_files(str(root))
    )


def _complete(row: Utterance, split: str | None, language: str | None) -> Utterance:
    return row.model_copy(
        update={"split": row.split or split, "language": row.language or language}
    )
