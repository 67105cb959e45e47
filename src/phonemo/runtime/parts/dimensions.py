"""Arousal and valence beside the scores: derived from them, or from a trained head.

Wherever scores are averaged, over windows, turns or channels, a row holds the scores and behind
them the values of a trained head, so that both are averaged alike. Derived values need none: they
are linear in the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.annotations.dimensions import DERIVED, Dimensions, norms_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DimensionReader:
    """Reads dimensions from rows of scores.

    Attributes:
        emotions: number of scores at the start of a row.
        names: the dimensions.
        norms: (emotion, dimension) of derived dimensions; None for a trained head, whose values
            follow the scores in a row.
    """

    emotions: int
    names: tuple[str, ...]
    norms: Floats | None = None

    def read(self, row: Floats) -> Dimensions:
        """The dimensions of a row, (emotion,) or (emotion + dimension,)."""
        values = row[self.emotions :] if self.norms is None else row[: self.emotions] @ self.norms
        clipped = np.clip(values, 0.0, 1.0).tolist()
        return Dimensions(
            dict(zip(self.names, clipped, strict=True)), derived=self.norms is not None
        )


def derived_reader(labels: Sequence[str]) -> DimensionReader | None:
    """The reader of derived dimensions; None where an emotion has no published norm."""
    norms = norms_of(labels)
    return None if norms is None else DimensionReader(len(labels), DERIVED, np.array(norms))


def trained_reader(labels: Sequence[str], names: Sequence[str]) -> DimensionReader:
    """The reader of a trained head's values."""
    return DimensionReader(len(labels), tuple(names))
