"""What a split is: folds of train, validation and test, with the notes that go with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from phonemo.config import ProtocolConfig
from phonemo.errors import LeakageError, ProtocolError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """Utterance ids of the three parts, each in the order of the manifest.

    Raises:
        LeakageError: an id is in two parts. A fold that leaks cannot be made.
        ProtocolError: an id is twice in one part.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        self.check()

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The ids by the name of their part: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def check(self) -> None:
        """Raise unless every id is in one part and only once."""
        owner: dict[str, str] = {}
        for part, ids in self.parts.items():
            for one in ids:
                other = owner.setdefault(one, part)
                if other != part:
                    raise LeakageError(f"{self.name}: {one} is in {other} and in {part}")
            if len(set(ids)) != len(ids):
                twice = Counter(ids).most_common(1)[0][0]
                raise ProtocolError(f"{self.name}: {twice} is twice in {part}")


@dataclass(frozen=True)
class Split:
    """Folds, the unit they are cut by, and notes that belong beside every result."""

    protocol: ProtocolConfig
    unit: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]
