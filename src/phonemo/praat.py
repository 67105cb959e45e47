"""Praat's text files as a row of values, the long format and the short one alike.

Praat itself reads them so: what is neither a string nor a number that stands alone is a comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from phonemo.errors import UsageError
from phonemo.sources import shown

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
        found = "the end of the file" if value is None else shown(str(value))
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
        raise UsageError(f"{where}: {shown(text)!r} found; a finite number of seconds is wanted")
    return number
