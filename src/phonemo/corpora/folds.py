"""Folds and splits: ids of train, validation and test, with notes on the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from phonemo.config import ProtocolConfig
from phonemo.errors import LeakageError, ProtocolError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """Utterance ids of the three parts, each in manifest order.

    Raises:
        LeakageError: an id is in two parts.
        ProtocolError: an id is repeated in a part.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        self.check()

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Part name (train, validation, test) -> ids."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def check(self) -> None:
        """Raise unless every id occurs once and in one part."""
        owner: dict[str, str] = {}
        for part, ids in self.parts.items():
            for utterance in ids:
                owner_part = owner.setdefault(utterance, part)
                if owner_part != part:
                    raise LeakageError(f"{self.name}: {utterance} is in {owner_part} and in {part}")
            if len(set(ids)) != len(ids):
                repeated = Counter(ids).most_common(1)[0][0]
                raise ProtocolError(f"{self.name}: {repeated} is repeated in {part}")


@dataclass(frozen=True)
class Split:
    """Folds, the unit that separates them, and notes to report with every result."""

    protocol: ProtocolConfig
    unit: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]
