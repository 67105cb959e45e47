"""Convert the cells of a custom table to the fields of an utterance."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Literal

from phonemo.corpora.manifest import STYLES, Style
from phonemo.errors import CorpusError, safe_name
from phonemo.files import SUFFIXES
from phonemo.tables import parse_seconds, portable_path
from phonemo.tables.cells import SIDES

#: Cells that mean an unknown value, in lower case.
_UNKNOWN = ("", "nan", "nat", "<na>", "#n/a", "none", "null")
#: The same for texts, which may be the word "none".
_NO_TEXT = ("", "nan", "<na>")
_GENDERS: dict[str, Literal["f", "m"] | None] = {
    **dict.fromkeys(("f", "female", "woman", "w", "weiblich", "femme", "女"), "f"),
    **dict.fromkeys(("m", "male", "man", "männlich", "homme", "男"), "m"),
    **dict.fromkeys(("other", "unknown", "diverse", "x", "?", "-"), None),
}
_STYLES: dict[str, Style] = {style: style for style in STYLES}
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*")
_NUMBER = re.compile(r"([1-9][0-9]?)(?:\.0+)?")


def cell(cells: Mapping[str, str], column: str) -> str | None:
    """A cell's text; None if it is empty or means an unknown value."""
    text = cells.get(column, "")
    return None if text.lower() in _UNKNOWN else text


def transcript_cell(cells: Mapping[str, str]) -> str | None:
    """The transcript; None if it is unknown."""
    text = cells.get("transcript", "")
    return None if text.lower() in _NO_TEXT else text


def times(cells: Mapping[str, str], where: str) -> tuple[float | None, float | None]:
    """Start and end in seconds; None for the file's beginning and end.

    A duration counts from the start. Without a start it is that of the whole file and is ignored,
    since every file is opened.

    Raises:
        CorpusError: an end that is not after the start.
        ManifestError: a cell that is not a time.
    """
    start, end, duration = (
        parse_seconds(cells.get(column, ""), column, where)
        for column in ("start", "end", "duration")
    )
    if end is None and start is not None and duration is not None:
        end = start + duration
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: expected end > start, got {start or 0:g} to {end:g} s")
    return start, end


def gender_cell(cells: Mapping[str, str], where: str) -> Literal["f", "m"] | None:
    """The gender; CorpusError for another text."""
    text = (cell(cells, "gender") or "unknown").lower()
    if text not in _GENDERS:
        raise CorpusError(
            f"{where}: expected gender f, m or an empty cell, got {safe_name(repr(text))}"
        )
    return _GENDERS[text]


def style_cell(cells: Mapping[str, str], where: str) -> Style | None:
    """The style; CorpusError for another text."""
    text = (cell(cells, "style") or "").lower()
    if text and text not in _STYLES:
        raise CorpusError(
            f"{where}: expected style {', '.join(STYLES)} or an empty cell, got "
            f"{safe_name(repr(text))}"
        )
    return _STYLES.get(text)


def language_cell(cells: Mapping[str, str], where: str) -> str | None:
    """The language's code, without a region ("en-US" is en); CorpusError for another text."""
    text = (cell(cells, "language") or "").lower()
    match = _LANGUAGE.fullmatch(text)
    if text and match is None:
        raise CorpusError(
            f"{where}: expected an ISO 639-1 language such as en, got {safe_name(repr(text))}"
        )
    return match[1] if match else None


def channel_cell(cells: Mapping[str, str], where: str) -> int | None:
    """The channel from 1 on, also "left" and "right"; None mixes all; CorpusError otherwise."""
    text = (cell(cells, "channel") or "mix").lower()
    match = _NUMBER.fullmatch(text)
    if match is None and text not in SIDES:
        raise CorpusError(
            f"{where}: expected a channel from 1 (left) on, or an empty cell, got "
            f"{safe_name(repr(text))}"
        )
    return int(match[1]) if match else SIDES[text]


def locate(file: str, folder: Path) -> str:
    """The path of a recording as the manifest stores it, relative to the table's folder if it can.

    Paths of other systems get slashes. A file that does not exist is searched by the last parts of
    its path, since tables keep the absolute paths of the computer that wrote them, and with the
    suffixes of recordings, which some tables omit.

    Args:
        file: the path in the table.
        folder: the table's folder.
    """
    path = portable_path(file, str(folder))
    candidates = (path, *_last_parts(path))
    return next((found for found in candidates if _is_file(folder / found)), None) or next(
        (
            candidate + suffix
            for candidate in candidates
            if not _has_suffix(candidate)
            for suffix in SUFFIXES
            if _is_file(folder / (candidate + suffix))
        ),
        path,
    )


def _last_parts(path: str) -> Iterator[str]:
    """The ends of an absolute path, longest first."""
    if path.startswith("/") or PureWindowsPath(path).drive:
        parts = [part for part in path.split("/")[1:] if part]
        yield from ("/".join(parts[first:]) for first in range(len(parts)))


def _has_suffix(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _is_file(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a NUL character
        return False
