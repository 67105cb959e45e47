"""Labelled vectors of several corpora, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Names = npt.NDArray[np.str_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Utterances as vectors, with what is known of them.

    Attributes:
        vectors: (utterance, feature), as the network gives them.
        truth: class indices (utterance,).
        corpus: (utterance,), by which corpora weigh the same in training.
        source: (utterance,), whose statistics a vector is standardised by: the corpus, or within
            one corpus the speaker.
        speaker: (utterance,), unique over corpora; one of its own where nobody is known.
    """

    vectors: npt.NDArray[np.float32]
    truth: Indices
    corpus: Names
    source: Names
    speaker: Names

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Some of the utterances."""
        return Rows(
            self.vectors[chosen],
            self.truth[chosen],
            self.corpus[chosen],
            self.source[chosen],
            self.speaker[chosen],
        )


def joined(parts: Sequence[Rows]) -> Rows:
    """Several as one."""
    return Rows(
        np.concatenate([one.vectors for one in parts]),
        np.concatenate([one.truth for one in parts]),
        np.concatenate([one.corpus for one in parts]),
        np.concatenate([one.source for one in parts]),
        np.concatenate([one.speaker for one in parts]),
    )
