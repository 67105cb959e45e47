"""Praat's text files as a row of values, the long format and the short one alike.

Praat itself reads them so: what is neither a string nor a number that stands alone is a comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonemo.annotations.prediction import TierInterval
from phonemo.errors import UsageError, safe_name

#: A string, in which quotation marks are doubled; one that is not closed; a comment; a word.
_PRAAT = re.compile(r'"((?:[^"]++|"")*+)"|(")|!.*|([^\s"]++)')
_NUMBER = re.compile(r"[+-]?\.?[0-9]")


class PraatText:
    """The strings and numbers of a Praat text file; every other word is a comment."""

    def __init__(self, name: str, text: str) -> None:
        self.where = f"{name} line 1"
        self._name = name
        self._values = self._read(text)

    def text(self) -> str:
        """The next value, a string."""
        value = next(self._values, None)
        if isinstance(value, str):
            return value
        raise self._unlike("a text in quotes", value)

    def number(self) -> float:
        """The next value, a finite number."""
        value = next(self._values, None)
        if isinstance(value, float):
            return value
        raise self._unlike("a number", value)

    def _unlike(self, wanted: str, value: object) -> UsageError:
        found = "the end of the file" if value is None else safe_name(str(value))
        return UsageError(f"{self.where}: {found} found; {wanted} is wanted: save it from Praat")

    def _read(self, text: str) -> Iterator[str | float]:
        line, seen = 1, 0
        for found in _PRAAT.finditer(text):
            line, seen = line + text.count("\n", seen, found.start()), found.start()
            self.where = f"{self._name} line {line}"
            quoted, opened, word = found.groups()
            if opened:
                raise UsageError(f"{self.where}: a quote is not closed; save it from Praat again")
            if quoted is not None:
                yield quoted.replace('""', '"')
            elif word and _NUMBER.match(word):
                yield finite(self.where, word)


def finite(where: str, text: str) -> float:
    """A finite number of seconds; UsageError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(
            f"{where}: {safe_name(text)!r} found; a finite number of seconds is wanted"
        )
    return number


@dataclass(frozen=True)
class TextGridInterval:
    """An interval of a TextGrid as it stands there, and where ("talk.TextGrid line 14")."""

    where: str
    tier: str
    start: float
    end: float
    text: str


def parse_textgrid(name: str, text: str) -> Iterator[TextGridInterval]:
    """The intervals of a TextGrid in a text format, gaps included; points are left out.

    Raises:
        UsageError: it is none, or it is malformed; with the line.
    """
    file = PraatText(name, text)
    if not file.text().startswith("ooTextFile") or file.text() != "TextGrid":
        raise UsageError(f"{name}: no TextGrid in a text format; save it from Praat as text")
    file.number(), file.number()
    for _ in _times(file):
        kind, tier = file.text(), file.text()
        file.number(), file.number()
        for _ in _times(file):
            start = file.number()
            end = file.number() if kind == "IntervalTier" else start
            said = file.text().strip()
            if kind == "IntervalTier":
                yield TextGridInterval(file.where, tier, start, end, said)


def read_tiers(path: Path) -> dict[str, list[TierInterval]]:
    """The interval tiers of a TextGrid in one of Praat's text formats, in UTF-8 or UTF-16.

    Returns:
        Tier name -> its intervals, gaps included; tiers of one name are joined.

    Raises:
        UsageError: it cannot be read, or is malformed; with the line.
    """
    name = safe_name(str(path))
    tiers: dict[str, list[TierInterval]] = {}
    for one in parse_textgrid(name, _decoded(name, path)):
        interval = _interval(one.where, one.start, one.end, one.text)
        tiers.setdefault(one.tier.strip(), []).append(interval)
    return tiers


def _times(file: PraatText) -> range:
    """As many as the next number says; a count that lies meets the end of the file."""
    return range(max(0, int(file.number())))


def _interval(where: str, start: float, end: float, text: str) -> TierInterval:
    if start < 0 or end <= start:
        raise UsageError(f"{where}: an interval from {start:g} to {end:g} s; save it from Praat")
    return TierInterval(start, end, text)


def _decoded(name: str, path: Path) -> str:
    try:
        data = path.read_bytes()
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        return data.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: cannot be read; check the path and its rights") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not a text file; save it from Praat as text") from error
