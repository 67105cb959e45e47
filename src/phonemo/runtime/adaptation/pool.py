"""Vector pools: vectors of one source's unlabeled recordings, from which a profile is made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.errors import PhonemoError, UsageError
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import Reference, Statistics, estimate

Floats = npt.NDArray[np.float32]

#: A stream's pool keeps this many of its newest vectors.
STREAM_VECTORS = 1000


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors that one recording adds to a pool.

    Attributes:
        rows: (vector, feature), before any profile's map. One for a recording decoded in one pass;
            for a longer one those of the windows that contain speech and do not overlap, so that
            five minutes weigh more than one sentence; none without speech.
        seconds: of speech in them.
    """

    rows: Floats
    seconds: float


class VectorPool:
    """Collects vectors of one source; gives their statistics and profile at any time.

    The profile does not depend on the order of the vectors.

    Args:
        reference: the model's reference.
        most: number of newest vectors to keep, for a pool that grows with a stream; None keeps all.

    Attributes:
        seconds: of speech in everything that was added.
        silent: number of recordings without speech, which add nothing.
        failed: number of recordings that cannot be used, which add nothing.
    """

    def __init__(self, reference: Reference, most: int | None = None) -> None:
        if most is not None and most < 1:
            raise UsageError(f"expected most of 1 or more, got most={most}")
        self._reference = reference
        self._rows: deque[Floats] = deque(maxlen=most)
        self.reset()

    def __len__(self) -> int:
        """Number of vectors in the pool."""
        return len(self._rows)

    def add(self, vector: npt.ArrayLike, seconds: float = 0.0) -> None:
        """Add one vector, (feature,), and its seconds of speech.

        Raises:
            UsageError: it is not finite or of another width.
        """
        row = np.array(vector, dtype=np.float32)
        width = len(self._reference.centre)
        if row.shape != (width,) or not np.isfinite(row).all():
            raise UsageError(
                f"expected a vector of {width} finite features, got one of shape {row.shape}"
            )
        self._rows.append(row)
        self.seconds += seconds

    def take(self, found: Vectors | PhonemoError) -> bool:
        """Add all vectors of one recording; return whether there were any.

        Args:
            found: an item of EmotionRecognizer.vectors; errors are counted.
        """
        if isinstance(found, PhonemoError):
            self.failed += 1
            return False
        for row in found.rows:
            self.add(row, found.seconds / len(found.rows))
        self.silent += not len(found.rows)
        return len(found.rows) > 0

    def take_all(self, recordings: Iterable[Vectors | PhonemoError]) -> VectorPool:
        """Call ``take`` for every recording; return the pool."""
        for found in recordings:
            self.take(found)
        return self

    def reset(self) -> None:
        """Drop all vectors and counts."""
        self._rows.clear()
        self.seconds = 0.0
        self.silent = self.failed = 0

    def statistics(self) -> Statistics:
        """The statistics of the vectors so far, not shrunk yet.

        Raises:
            UsageError: the pool is empty; the message counts the recordings left out.
        """
        if not self._rows:
            raise UsageError(
                f"expected speech to make a profile from, got {self.silent} recordings without "
                f"speech, {self.failed} that cannot be used; add recordings with speech"
            )
        return estimate(np.stack(self._rows), self._reference)

    def profile(self) -> Profile:
        """The profile of the vectors so far; errors as for ``statistics``."""
        return Profile.of(self.statistics(), self.seconds, self._reference)
