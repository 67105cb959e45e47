"""Finding audio in a release's folders; what is left out is counted by reason.

What every corpus reader gives: a card of published facts, and a reading of a folder.
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

#: Audio file types that every corpus reader takes, in the order of preference.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")

SHADOW = "macOS ._ file"
NOT_AUDIO = "not wav, flac or ogg"
TWICE = "same name with another extension"


def require_folder(root: Path) -> None:
    """Raise CorpusError unless ``root`` is a folder."""
    if not root.exists():
        raise CorpusError(f"{root}: no such folder; give the folder that holds the release")
    if not root.is_dir():
        raise CorpusError(f"{root}: a file, not a folder; give the folder that holds the release")


def is_shadow(path: Path) -> bool:
    """Whether this is macOS metadata (``._name``) rather than the file it is named after."""
    return path.name.startswith("._")


def relative(path: Path, root: Path) -> str:
    """The path as a manifest holds it: relative to the root, forward slashes."""
    return path.relative_to(root).as_posix()


def audio_by_stem(folder: Path, skipped: Counter[str]) -> dict[str, Path]:
    """The audio files directly in a folder, by name without extension, sorted.

    What is no audio is counted into ``skipped``. Of ``a.wav`` and ``a.flac`` the wav is kept.
    """
    found: dict[str, Path] = {}
    for path in sorted(_files(folder), key=_preference):
        if is_shadow(path):
            skipped[SHADOW] += 1
        elif path.suffix.lower() not in AUDIO_SUFFIXES:
            skipped[NOT_AUDIO] += 1
        elif path.stem in found:
            skipped[TWICE] += 1
        else:
            found[path.stem] = path
    return dict(sorted(found.items()))


def read_text(path: Path, hint: str = "") -> str:
    """A text file of a release: UTF-8 (a byte order mark is dropped), else Latin-1.

    Raises:
        CorpusError: if it is not there; ``hint`` says what the layout should be.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file" + (f"; {hint}" if hint else ""))
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def table_lines(path: Path, hint: str = "") -> io.StringIO:
    """The lines of a table, cut where a table's lines end: a cell may hold U+2028, as texts do.

    Raises:
        CorpusError: as ``read_text``.
    """
    return io.StringIO(read_text(path, hint), newline="")


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """What the csv module finds wrong with a table, as CorpusError."""
    try:
        yield
    except csv.Error as error:
        raise CorpusError(f"{path}: not a table ({error})") from error


def listing(root: Path, most: int = 4) -> str:
    """A few names in a folder, for an error that says what was found instead."""
    names = sorted(path.name for path in root.iterdir())
    if not names:
        return "the folder is empty"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"found {', '.join(names[:most])}{rest}"


def _files(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_file()]


def _preference(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    rank = AUDIO_SUFFIXES.index(suffix) if suffix in AUDIO_SUFFIXES else len(AUDIO_SUFFIXES)
    return rank, path.name


def unique_ids(rows: Sequence[Utterance], where: Path) -> tuple[Utterance, ...]:
    """The utterances, whose ids are unique; CorpusError where two have the same."""
    twice = [one for one, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise CorpusError(f"{where}: {safe_name(twice[0])} is there twice; ids must be unique")
    return tuple(rows)


@dataclass(frozen=True)
class CorpusCard:
    """A corpus as its authors publish it; a count is None where they publish none."""

    name: str
    """The name in CORPORA and on the command line."""
    title: str
    language: str | None
    """ISO 639-1 code; None where each utterance has its own."""
    licence: str
    homepage: str
    acted: bool
    """True where actors or readers were told which emotion to show."""
    utterances: int | None = None
    speakers: int | None = None
    emotions: Mapping[str, int] | None = None
    """Canonical emotion -> utterances in the release."""
    note: str = ""
    """What a user must know before he trusts a number from this corpus."""


@dataclass(frozen=True)
class CorpusReading:
    """The utterances found in a release's folder, and what was left out and why."""

    utterances: tuple[Utterance, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many entries were left out for it."""


@dataclass(frozen=True)
class CorpusReader:
    """A card and the function that reads such a release from its folder."""

    card: CorpusCard
    read: Callable[[Path], CorpusReading]
