"""What every corpus reader gives: a card of published facts, and a reading of a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from phonemo.corpora.manifest import Utterance


@dataclass(frozen=True)
class Card:
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
class Reading:
    """The utterances found in a release's folder, and what was left out and why."""

    utterances: tuple[Utterance, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many entries were left out for it."""


@dataclass(frozen=True)
class Corpus:
    """A card and the function that reads such a release from its folder."""

    card: Card
    read: Callable[[Path], Reading]
