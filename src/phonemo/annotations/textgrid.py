"""Parse Praat's text files, in the long and the short format, as a sequence of values.

As in Praat itself, everything except strings and free-standing numbers is a comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phonemo.annotations.tiers import TierInterval
from phonemo.errors import UsageError, safe_name

#: A string with doubled quotation marks; an unclosed string; a comment; a word.
_PRAAT = re.compile(r'"((?:[^"]++|"")*+)"|(")|!.*|([^\s"]++)')
_NUMBER = re.compile(r"[+-]?\.?[0-9]")


class PraatText:
    """The strings and numbers of a Praat text file; every other word is a comment."""

    def __init__(self, name: str, text: str) -> None:
        self.where = f"{name} line 1"
        self._name = name
        self._values = self._read(text)

    def text(self) -> str:
        """Read the next value, a string."""
        value = next(self._values, None)
        if isinstance(value, str):
            return value
        raise self._unexpected("a text in quotes", value)

    def number(self) -> float:
        """Read the next value, a finite number."""
        value = next(self._values, None)
        if isinstance(value, float):
            return value
        raise self._unexpected("a number", value)

    def _unexpected(self, expected: str, value: object) -> UsageError:
        actual = "the end of the file" if value is None else safe_name(str(value))
        return UsageError(f"{self.where}: expected {expected}, got {actual}; save it from Praat")

    def _read(self, text: str) -> Iterator[str | float]:
        line, offset = 1, 0
        for match in _PRAAT.finditer(text):
            line, offset = line + text.count("\n", offset, match.start()), match.start()
            self.where = f"{self._name} line {line}"
            quoted, unclosed, word = match.groups()
            if unclosed:
                raise UsageError(f"{self.where}: a quote is not closed; save it from Praat again")
            if quoted is not None:
                yield quoted.replace('""', '"')
            elif word and _NUMBER.match(word):
                yield finite(self.where, word)


def finite(where: str, text: str) -> float:
    """Parse a finite number of seconds; UsageError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{where}: expected a finite number of seconds, got {safe_name(text)!r}")
    return number


@dataclass(frozen=True)
class TextGridInterval:
    """An unvalidated interval of a TextGrid and its location ("talk.TextGrid line 14")."""

    where: str
    tier: str
    start: float
    end: float
    text: str


def parse_textgrid(name: str, text: str) -> Iterator[TextGridInterval]:
    """Yield the intervals of a TextGrid in a text format, gaps included, points excluded.

    Raises:
        UsageError: not a TextGrid, or malformed; with the line.
    """
    file = PraatText(name, text)
    if not file.text().startswith("ooTextFile") or file.text() != "TextGrid":
        raise UsageError(
            f"{name}: expected a TextGrid in a text format; save it from Praat as text"
        )
    file.number(), file.number()
    for _ in _counted_range(file):
        kind, tier = file.text(), file.text()
        file.number(), file.number()
        for _ in _counted_range(file):
            start = file.number()
            end = file.number() if kind == "IntervalTier" else start
            label = file.text().strip()
            if kind == "IntervalTier":
                yield TextGridInterval(file.where, tier, start, end, label)


def read_tiers(path: Path) -> dict[str, list[TierInterval]]:
    """Read the interval tiers of a TextGrid in one of Praat's text formats, in UTF-8 or UTF-16.

    Returns:
        Tier name -> its intervals, gaps included; tiers with the same name are joined.

    Raises:
        UsageError: unreadable or malformed; with the line.
    """
    name = safe_name(str(path))
    tiers: dict[str, list[TierInterval]] = {}
    for row in parse_textgrid(name, _read_text(name, path)):
        interval = _validate_interval(row.where, row.start, row.end, row.text)
        tiers.setdefault(row.tier.strip(), []).append(interval)
    return tiers


def _counted_range(file: PraatText) -> range:
    """A range of the length read next; a count that is too large ends at the end of the file."""
    return range(max(0, int(file.number())))


def _validate_interval(where: str, start: float, end: float, text: str) -> TierInterval:
    if start < 0 or end <= start:
        raise UsageError(
            f"{where}: expected an interval with 0 <= start < end, got {start:g} to {end:g} s; "
            "save it from Praat"
        )
    return TierInterval(start, end, text)


def _read_text(name: str, path: Path) -> str:
    try:
        data = path.read_bytes()
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        return data.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: cannot be read; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: expected a text file; save it from Praat as text") from error
