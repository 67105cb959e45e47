"""File names for ids: readable, and different on every file system for different ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from unicodedata import normalize

from phonemo.errors import UsageError, safe_name

#: What does not stay in a name.
_UNSAFE = re.compile(r"[^\w.+-]|\.(?=\.*$)")
#: Names that Windows reserves, with any suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
#: Bytes of a name without its suffix; file systems allow 255, of an encrypted folder 143.
_MOST_BYTES = 120
_DIGITS = 8


def file_stems(ids: Iterable[str]) -> dict[str, str]:
    """Return the name of each id's file, without a suffix.

    Letters, digits and ``_.+-`` stay; anything else becomes ``_``. Names that a file system without
    cases, or without Unicode's normal forms, would not tell apart get digits of the id's SHA-256.

    Raises:
        UsageError: an id occurs twice.
    """
    stems: dict[str, str] = {}
    owners: dict[str, list[str]] = {}
    for name in ids:
        if name in stems:
            raise UsageError(f"expected unique ids, got {safe_name(name)!r} twice; rename one")
        stems[name] = _stem(name)
        owners.setdefault(_folded(stems[name]), []).append(name)
    return stems | dict(_with_digits(owners, stems))


def _with_digits(owners: dict[str, list[str]], stems: dict[str, str]) -> Iterator[tuple[str, str]]:
    for names in owners.values():
        for name in names if len(names) > 1 else ():
            digits = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
            yield name, f"{stems[name]}-{digits}"


def _stem(name: str) -> str:
    safe = _UNSAFE.sub("_", name)
    cut = safe.encode()[:_MOST_BYTES].decode(errors="ignore")
    return f"_{cut}" if not cut or cut.startswith(".") or _RESERVED.match(cut) else cut


def _folded(stem: str) -> str:
    return normalize("NFC", normalize("NFC", stem).casefold())
