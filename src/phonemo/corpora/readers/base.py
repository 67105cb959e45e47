"""Shared parts of the corpus readers: finding audio, reading tables, cards and readings.

Skipped files and entries are counted by reason.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from phonemo.corpora.manifest import Utterance
from phonemo.errors import CorpusError, safe_name
from phonemo.files import SUFFIXES

_LOSSLESS_FIRST = (".wav", ".flac", ".ogg")
#: Audio file types of all corpus readers, in order of preference.
AUDIO_SUFFIXES = (*_LOSSLESS_FIRST, *(kind for kind in SUFFIXES if kind not in _LOSSLESS_FIRST))

SHADOW = "macOS ._ file"
NOT_AUDIO = "not a recording"
TWICE = "same name with another extension"


def require_folder(root: Path) -> None:
    """Raise CorpusError unless ``root`` is a folder."""
    if not root.exists():
        raise CorpusError(f"{root}: no such folder; pass the release's folder")
    if not root.is_dir():
        raise CorpusError(f"{root}: expected a folder, got a file; pass the release's folder")


def is_shadow(path: Path) -> bool:
    """Whether the path is macOS metadata (``._name``)."""
    return path.name.startswith("._")


def relative(path: Path, root: Path) -> str:
    """The path as stored in a manifest: relative to the root, with forward slashes."""
    return path.relative_to(root).as_posix()


def audio_by_stem(folder: Path, skipped: Counter[str]) -> dict[str, Path]:
    """Stem -> audio file, sorted, for the files directly in a folder.

    Other files are counted in ``skipped``. Of ``a.wav`` and ``a.flac`` the wav is kept.
    """
    audio: dict[str, Path] = {}
    for path in sorted(_files(folder), key=_preference):
        if is_shadow(path):
            skipped[SHADOW] += 1
        elif path.suffix.lower() not in AUDIO_SUFFIXES:
            skipped[NOT_AUDIO] += 1
        elif path.stem in audio:
            skipped[TWICE] += 1
        else:
            audio[path.stem] = path
    return dict(sorted(audio.items()))


def read_text(path: Path, hint: str = "") -> str:
    """Read a text file: UTF-8 (without the byte order mark), else Latin-1.

    Raises:
        CorpusError: the file is missing; ``hint`` describes the expected layout.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file" + (f"; {hint}" if hint else ""))
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def table_lines(path: Path, hint: str = "") -> io.StringIO:
    """Return a stream of a table's lines, not split at U+2028, which cells may contain.

    Raises:
        CorpusError: as ``read_text``.
    """
    return io.StringIO(read_text(path, hint), newline="")


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """Convert errors of the csv module to CorpusError."""
    try:
        yield
    except csv.Error as error:
        raise CorpusError(f"{path}: expected a table ({error})") from error


def listing(root: Path, most: int = 4) -> str:
    """A few names in a folder, for error messages."""
    names = sorted(path.name for path in root.iterdir())
    if not names:
        return "the folder is empty"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"got {', '.join(names[:most])}{rest}"


def _files(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_file()]


def _preference(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    rank = AUDIO_SUFFIXES.index(suffix) if suffix in AUDIO_SUFFIXES else len(AUDIO_SUFFIXES)
    return rank, path.name


def unique_ids(rows: Sequence[Utterance], where: Path) -> tuple[Utterance, ...]:
    """Return the utterances; CorpusError if two have the same id."""
    repeated = [
        utterance for utterance, count in Counter(row.id for row in rows).items() if count > 1
    ]
    if repeated:
        raise CorpusError(f"{where}: id {safe_name(repeated[0])} is repeated; ids must be unique")
    return tuple(rows)


@dataclass(frozen=True)
class CorpusCard:
    """Published facts about a corpus; a count is None if none is published."""

    name: str
    """The name in CORPORA and on the command line."""
    title: str
    language: str | None
    """ISO 639-1 code; None if it varies by utterance."""
    licence: str
    homepage: str
    acted: bool
    """Whether actors or readers portrayed prescribed emotions."""
    utterances: int | None = None
    speakers: int | None = None
    emotions: Mapping[str, int] | None = None
    """Canonical emotion -> number of utterances in the release."""
    note: str = ""
    """Caveats for results on this corpus."""


@dataclass(frozen=True)
class CorpusReading:
    """The utterances of a release, and the skipped entries."""

    utterances: tuple[Utterance, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of skipped entries."""
    notes: tuple[str, ...] = ()
    """How the release was understood: its layout, renamed emotions, unused columns."""
    warnings: tuple[str, ...] = ()
    """What may be wrong with it, each with the next step."""


@dataclass(frozen=True)
class CorpusReader:
    """A card and the function that reads the release from its folder."""

    card: CorpusCard
    read: Callable[[Path], CorpusReading]
