"""Label sets: ordered emotion names, the way to an index and back, and merges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from phonemo.errors import LabelError

#: The canonical emotion names. Every corpus reader maps its own codes to these.
EMOTIONS = (
    "anger",
    "boredom",
    "calm",
    "disgust",
    "excited",
    "fear",
    "frustration",
    "happiness",
    "neutral",
    "other",
    "sadness",
    "surprise",
)


@dataclass(frozen=True)
class LabelSet:
    """Emotions in a fixed order, with merges applied before the look-up.

    ``LabelSet(("anger", "happiness"), {"excited": "happiness"})`` gives "excited" the index 1.

    Raises:
        LabelError: for an empty or repeated list of names, a merge into a name not in it, or a
            merge of a name that is in it (its own output could never be right).
    """

    names: tuple[str, ...]
    merge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise LabelError(f"{len(self.names)} labels given; at least two are needed")
        if len(set(self.names)) != len(self.names):
            raise LabelError(f"labels are repeated: {', '.join(self.names)}")
        strays = sorted(set(self.merge.values()) - set(self.names))
        if strays:
            raise LabelError(f"merge into unknown label {strays[0]!r}; labels: {self}")
        doubles = [old for old, new in self.merge.items() if old in self.names and old != new]
        if doubles:
            raise LabelError(
                f"{doubles[0]!r} is a label and also merged into {self.merge[doubles[0]]!r}; "
                "take it out of the labels or out of the merges"
            )

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, emotion: object) -> bool:
        return emotion in self.names or emotion in self.merge

    def index(self, emotion: str) -> int:
        """The index of an emotion after merging; LabelError if it has none."""
        name = self.merge.get(emotion, emotion)
        if name not in self.names:
            raise LabelError(f"unknown label {emotion!r}; labels: {self}")
        return self.names.index(name)

    def merged(self, emotion: str) -> str:
        """The name under which an emotion is counted."""
        return self.names[self.index(emotion)]

    def restrict(self, wanted: Iterable[str]) -> LabelSet:
        """The same order with only the wanted names; LabelError for one that is not here."""
        indices = sorted({self.index(name) for name in wanted})
        names = tuple(self.names[index] for index in indices)
        return LabelSet(names, {old: new for old, new in self.merge.items() if new in names})
