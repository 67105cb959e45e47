"""Label sets: ordered emotion names, their indices, and merges."""

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
    """Emotions in a fixed order; merges are applied before the lookup.

    ``LabelSet(("anger", "happiness"), {"excited": "happiness"})`` gives "excited" the index 1.

    Raises:
        LabelError: fewer than two names, repeated names, a merge into an unknown name, or a merge
            of a name in the list (its own output could never be correct).
    """

    names: tuple[str, ...]
    merge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise LabelError(f"expected at least two labels, got {len(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise LabelError(f"labels are repeated: {', '.join(self.names)}")
        unknown = sorted(set(self.merge.values()) - set(self.names))
        if unknown:
            raise LabelError(f"merge into unknown label {unknown[0]!r}; labels: {self}")
        ambiguous = [old for old, new in self.merge.items() if old in self.names and old != new]
        if ambiguous:
            raise LabelError(
                f"{ambiguous[0]!r} is a label and also merged into {self.merge[ambiguous[0]]!r}; "
                "remove it from the labels or from the merges"
            )

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, emotion: object) -> bool:
        return emotion in self.names or emotion in self.merge

    def index(self, emotion: str) -> int:
        """Return the index of an emotion after merging; LabelError if there is none."""
        name = self.merge.get(emotion, emotion)
        if name not in self.names:
            raise LabelError(f"unknown label {emotion!r}; labels: {self}")
        return self.names.index(name)

    def merged(self, emotion: str) -> str:
        """Return the label of an emotion after merging."""
        return self.names[self.index(emotion)]

    def restrict(self, wanted: Iterable[str]) -> LabelSet:
        """Keep only the wanted names, in the same order; LabelError for an unknown one."""
        indices = sorted({self.index(name) for name in wanted})
        names = tuple(self.names[index] for index in indices)
        return LabelSet(names, {old: new for old, new in self.merge.items() if new in names})


def rescale_scores(scores: dict[str, float], names: Iterable[str]) -> dict[str, float]:
    """Rescale the scores of some emotions to sum to one.

    Raises:
        LabelError: an emotion without a score, fewer than two, or a sum of 0.
    """
    emotions = LabelSet(tuple(scores)).restrict(names).names
    total = sum(scores[name] for name in emotions)
    if not total > 0:
        raise LabelError(f"all scores of {', '.join(emotions)} are 0; add other emotions")
    return {name: scores[name] / total for name in emotions}
