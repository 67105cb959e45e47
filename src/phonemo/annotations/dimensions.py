"""Arousal and valence of a recording, and their derivation from the scores of its emotions.

A model without a head for dimensions has derived values: the mean of published norms of the
emotions' words, weighted by the emotions' scores. They say where on a plane of two axes the scores
lie; no rater judged a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: The dimensions that are derived. Dominance is not: no corpus here can test it.
DERIVED = ("arousal", "valence")

#: Norms by name: emotion -> arousal and valence, 0 to 1.
NORMS: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        # Russell and Mehrabian 1977, "Evidence for a three-factor theory of emotions", J. Research
        # in Personality 11: angry, bored, disgusted, fearful, happy, sad, surprised on -1 to 1,
        # whose origin is neutral.
        "russell-mehrabian-1977": {
            "anger": (0.795, 0.245),
            "boredom": (0.19, 0.175),
            "disgust": (0.675, 0.2),
            "fear": (0.8, 0.18),
            "happiness": (0.755, 0.905),
            "neutral": (0.5, 0.5),
            "sadness": (0.365, 0.185),
            "surprise": (0.835, 0.7),
        },
        # Warriner, Kuperman and Brysbaert 2013, "Norms of valence, arousal, and dominance for
        # 13,915 English lemmas", Behavior Research Methods 45: means of these words on 1 to 9.
        "warriner-2013": {
            "anger": (0.61625, 0.1875),
            "boredom": (0.1975, 0.22125),
            "calm": (0.08375, 0.73625),
            "disgust": (0.5, 0.29),
            "fear": (0.6425, 0.24125),
            "happiness": (0.6875, 0.935),
            "neutral": (0.30625, 0.5625),
            "sadness": (0.22625, 0.175),
            "surprise": (0.69625, 0.805),
        },
    }
)
#: The norms of derived values: selected by corpora left out (``phonemo dimensions``).
NORM = "russell-mehrabian-1977"


@dataclass(frozen=True)
class Dimensions:
    """Emotion as values of dimensions.

    Attributes:
        values: dimension -> value, 0 to 1: arousal from calm to excited, valence from negative to
            positive, in a trained model dominance from submissive to dominant.
        derived: whether they are derived from the emotions' scores by published norms; False for
            the output of a head that was trained on ratings.
    """

    values: Mapping[str, float]
    derived: bool

    @property
    def arousal(self) -> float | None:
        """From calm, 0, to excited, 1; None for a model without it."""
        return self.values.get("arousal")

    @property
    def valence(self) -> float | None:
        """From negative, 0, to positive, 1; None for a model without it."""
        return self.values.get("valence")

    @property
    def dominance(self) -> float | None:
        """From submissive, 0, to dominant, 1; None for derived dimensions."""
        return self.values.get("dominance")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**{name: round(v, 4) for name, v in self.values.items()}, "derived": self.derived}


def norms_of(labels: Sequence[str], name: str = NORM) -> tuple[tuple[float, float], ...] | None:
    """The norms of emotions, (emotion, dimension); None where an emotion has none."""
    norms = NORMS[name]
    if not all(label in norms for label in labels):
        return None
    return tuple(norms[label] for label in labels)


def mean_dimensions(parts: Iterable[tuple[Dimensions | None, float]]) -> Dimensions | None:
    """The weighted mean of dimensions; None where a part has none.

    Args:
        parts: the dimensions of each part, and its weight, 0 or more; at least one above 0.
    """
    known = []
    for dimensions, weight in parts:
        if dimensions is None:
            return None
        known.append((dimensions, weight))
    if not known:
        return None
    total = sum(weight for _, weight in known)
    names = known[0][0].values
    means = {name: sum(d.values[name] * weight for d, weight in known) / total for name in names}
    return Dimensions(means, known[0][0].derived)


def dimension_names(found: Iterable[Dimensions | None]) -> tuple[str, ...]:
    """Names of all dimensions that any of these has, in their order."""
    return tuple(dict.fromkeys(name for one in found if one is not None for name in one.values))


def dimension_cells(one: Dimensions | None, names: Sequence[str]) -> list[str]:
    """A cell for each name, then whether they are derived; empty where that is unknown."""
    if not names:
        return []
    cells = [f"{one.values[name]:.4f}" if one and name in one.values else "" for name in names]
    return [*cells, str(one.derived).lower() if one else ""]


def dimension_columns(names: Sequence[str]) -> list[str]:
    """Titles of the columns of ``dimension_cells``."""
    return [*names, "derived"] if names else []


def dimension_items(one: Dimensions | None) -> Iterator[tuple[str, str]]:
    """Each dimension's title, such as "arousal (derived)", with its value in two decimals."""
    if one is not None:
        for name, value in one.values.items():
            yield name + (" (derived)" if one.derived else ""), f"{value:.2f}"
