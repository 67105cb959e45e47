"""Cells of a table: seconds in the spellings of several programs, and paths of other systems."""

from __future__ import annotations

import math
import os
import re
from urllib.parse import unquote

from phonemo.errors import ManifestError, safe_name

#: Cells that mean an unknown value, lower-cased.
MISSING = ("", "nan", "nat", "none", "null", "na", "n/a", "<na>", "#n/a")
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "ms": 0.001}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)")
#: "0 days 00:00:01.5" (pandas), "00:01:02.5", "01:02.5", "00:00:01,500" (subtitles).
_CLOCK = re.compile(r"(?:(\d+) days?,?(?: \+?|$))?(?:(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d*)?))?")
#: "P0DT0H1M2.5S", as pandas writes to JSON.
_ISO = re.compile(r"p(?:(\d+)d)?(?:t(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?)?")
#: "1,500" may be 1.5 or 1500; "0,500" is a decimal comma.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+\s*[a-z]*")
#: Words for a channel in a table; None is the mean of all.
SIDES: dict[str, int | None] = {
    **{"left": 1, "l": 1, "right": 2, "r": 2},
    **{"mix": None, "mono": None},
}
_FACTORS = (86400, 3600, 60, 1)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_FILE_URL = "file://"


def parse_seconds(text: str, column: str, where: str) -> float | None:
    """Parse a time; None for an unknown one (an empty cell, nan, NaT).

    Seconds may be a number with or without a unit (1.5, "1.5s", "1500 ms"), a clock time
    ("00:01:02.5"), pandas's "0 days 00:00:01.5" or an ISO 8601 duration.

    Raises:
        ManifestError: another text, a negative or an infinite time.
    """
    if (plain := _number(text)) is not None:  # most tables have plain numbers
        return plain
    small = text.strip().lower()
    if small in MISSING:
        return None
    value = _seconds(small if _THOUSANDS.fullmatch(small) else decimal_point(small))
    if value is None or not math.isfinite(value) or value < 0:
        raise ManifestError(
            f"{where}: {column}: expected seconds >= 0, got {safe_name(repr(text))}"
        )
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _seconds(text: str) -> float | None:
    if (number := _NUMBER.fullmatch(text)) and number[2] in _UNITS:
        return float(number[1]) * _UNITS[number[2]]
    found = _CLOCK.fullmatch(text) or _ISO.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    parts = (float(part.replace(",", ".")) if part else 0.0 for part in found.groups())
    return sum(part * factor for part, factor in zip(parts, _FACTORS, strict=True))


def decimal_point(cell: str) -> str:
    """Write a decimal comma as a point; other cells are returned unchanged."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def portable_path(file: str, folder: str = "") -> str:
    r"""Return a path in a table as this system writes it.

    ``wav\a.wav`` becomes ``wav/a.wav`` unless a file has that very name; of a ``file://`` URL only
    the path is kept, unquoted unless a file has the quoted name. Blanks at the ends are removed in
    the same way. A name such as ``a%20b.wav`` is unquoted if only the unquoted one exists. A path
    with a drive letter gets slashes; other URLs are returned unchanged.

    Args:
        file: the path in the table.
        folder: the folder that it is relative to.
    """
    if file != file.strip() and not _exists(folder, file):
        file = file.strip() or file
    if file.lower().startswith(_FILE_URL):
        file = _without_scheme(file, folder)
    if ("\\" not in file and "%" not in file) or _is_url(file) or _exists(folder, file):
        return file
    path = file.replace("\\", "/")
    plain = unquote(path)
    return plain if plain != path and _exists(folder, plain) else path


def _is_url(file: str) -> bool:
    return "://" in file and not _DRIVE.match(file)


def is_windows_path(file: str) -> bool:
    """Whether a path has a drive letter, so that it is absolute on Windows."""
    return file[1:2] == ":" and bool(_DRIVE.match(file))


def _without_scheme(url: str, folder: str) -> str:
    path = url[len(_FILE_URL) :]
    path = path.removeprefix("localhost") if path.startswith("localhost/") else path
    plain = path if _exists(folder, path) else unquote(path)
    return plain[1:] if _DRIVE.match(plain[1:]) else plain


def _exists(folder: str, file: str) -> bool:
    try:
        return os.path.lexists(os.path.join(folder, file))
    except ValueError:  # a NUL character
        return False
