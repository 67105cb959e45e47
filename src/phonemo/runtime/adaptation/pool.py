"""A pool: the vectors of unlabelled recordings of one source, from which a profile is made."""

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

#: A pool of a stream keeps this many of its newest vectors.
STREAM_VECTORS = 1000


@dataclass(frozen=True, eq=False)
class Vectors:
    """What one recording adds to a pool.

    Attributes:
        rows: (vector, feature), before any profile's map. One for a recording that is decoded
            whole; of a longer one the windows that hold speech and do not overlap, so that
            five minutes weigh more than one sentence; none where there is no speech.
        seconds: of speech in them.
    """

    rows: Floats
    seconds: float


class VectorPool:
    """Vectors of one source; statistics and a profile of those so far, at any time.

    The same vectors give the same profile in whatever order they came.

    Args:
        reference: of the model.
        most: how many of the newest vectors are kept, for a pool that grows with a stream; None
            keeps all.

    Attributes:
        seconds: of speech, of everything that was added.
        silent: recordings without speech, which add nothing.
        failed: recordings that cannot be used, which add nothing.
    """

    def __init__(self, reference: Reference, most: int | None = None) -> None:
        if most is not None and most < 1:
            raise UsageError(f"most={most}; 1 or more is expected")
        self._reference = reference
        self._rows: deque[Floats] = deque(maxlen=most)
        self.reset()

    def __len__(self) -> int:
        """How many vectors it holds."""
        return len(self._rows)

    def add(self, vector: npt.ArrayLike, seconds: float = 0.0) -> None:
        """One vector, (feature,), with the seconds of speech that it is of.

        Raises:
            UsageError: it is not finite or of another width.
        """
        row = np.array(vector, dtype=np.float32)
        width = len(self._reference.centre)
        if row.shape != (width,) or not np.isfinite(row).all():
            raise UsageError(
                f"a vector of shape {row.shape} found, {width} finite features are expected"
            )
        self._rows.append(row)
        self.seconds += seconds

    def take(self, found: Vectors | PhonemoError) -> bool:
        """All vectors of one recording; whether there were any.

        Args:
            found: what EmotionRecognizer.vectors gives of a recording: an error is counted.
        """
        if isinstance(found, PhonemoError):
            self.failed += 1
            return False
        for row in found.rows:
            self.add(row, found.seconds / len(found.rows))
        self.silent += not len(found.rows)
        return len(found.rows) > 0

    def take_all(self, recordings: Iterable[Vectors | PhonemoError]) -> VectorPool:
        """The same of every recording; the pool itself."""
        for found in recordings:
            self.take(found)
        return self

    def reset(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self.seconds = 0.0
        self.silent = self.failed = 0

    def statistics(self) -> Statistics:
        """Of the vectors so far, not shrunk yet.

        Raises:
            UsageError: there is none; the message counts what was left out.
        """
        if not self._rows:
            raise UsageError(
                f"no speech to make a profile of: {self.silent} recordings without speech, "
                f"{self.failed} that cannot be used; give recordings of the source with speech"
            )
        return estimate(np.stack(self._rows), self._reference)

    def profile(self) -> Profile:
        """The profile of the vectors so far; errors as for ``statistics``."""
        return Profile.of(self.statistics(), self.seconds, self._reference)
