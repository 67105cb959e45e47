"""Emotions as a corpus spells them, their canonical names, and what was renamed."""

from __future__ import annotations

from collections import Counter

from phonemo.errors import safe_name
from phonemo.labels import EMOTIONS, canonical_emotion

#: Number of spellings listed in one note.
_MAX_LISTED = 12


class EmotionNames:
    """Converts emotions to canonical names and counts the spellings that were changed or kept."""

    def __init__(self) -> None:
        self._renamed: Counter[tuple[str, str]] = Counter()
        self._kept: Counter[str] = Counter()

    def convert(self, word: str | None) -> str | None:
        """Return the canonical name of an emotion; unknown words in lower case, None for a blank.

        Args:
            word: the emotion as a table, a folder or an annotation spells it.
        """
        spelling = (word or "").strip()
        return self.record(spelling, canonical_emotion(spelling)) if spelling else None

    def record(self, spelling: str, name: str) -> str:
        """Count an emotion that was already converted, and return its name."""
        if name not in EMOTIONS:
            self._kept[name] += 1
        elif spelling != name:
            self._renamed[spelling, name] += 1
        return name

    def notes(self) -> tuple[str, ...]:
        """One line for the renamed emotions and one for those without a canonical name."""
        renamed = [
            f"{safe_name(spelling)} -> {safe_name(name)} ({count})"
            for (spelling, name), count in sorted(self._renamed.items())
        ]
        kept = [f"{safe_name(name)} ({count})" for name, count in sorted(self._kept.items())]
        lines = (("mapped", renamed), ("no name of phonemo's, kept", kept))
        return tuple(f"{title}: {_listed(parts)}" for title, parts in lines if parts)


def _listed(parts: list[str]) -> str:
    rest = len(parts) - _MAX_LISTED
    return ", ".join(parts[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
