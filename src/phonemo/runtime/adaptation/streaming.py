"""A profile that grows with one stream: its windows adapt the recognizer of those that follow."""

from __future__ import annotations

from phonemo.annotations.prediction import ProfileMark
from phonemo.errors import ModelError
from phonemo.runtime.adaptation.adaptable import Adaptable
from phonemo.runtime.adaptation.pool import STREAM_VECTORS, Floats, VectorPool
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import LEAST_POOL, shrink_towards
from phonemo.runtime.windows import ClipScores, Samples

#: The profile is made anew when so much of its pool has come since: statistics of a thousand
#: vectors cost about a second, and three more change nothing.
_RENEWED_SHARE = 1 / 16


class GrowingProfile:
    """The recognizer of a stream, adapted by the stream's own windows.

    What it does depends on the order of the windows alone. A pool of fewer than ``LEAST_POOL``
    vectors is not applied: shares of classes cannot be told from it. The statistics are shrunk
    towards the profile that the recognizer applies already, or else the training sources.

    Args:
        listener: the model; it is unchanged.

    Raises:
        ModelError: the model takes no profile.
    """

    def __init__(self, listener: Adaptable) -> None:
        self._first = self._current = listener
        self._reference = listener.adaptable()
        self._pool = VectorPool(self._reference, STREAM_VECTORS)
        self._fresh = 0

    @property
    def applied(self) -> ProfileMark | None:
        """Names the profile that the next window is recognized with."""
        return self._current.applied

    @property
    def profile(self) -> Profile | None:
        """Of all windows so far; None before there is one."""
        return self._pool.profile() if len(self._pool) else None

    def recognize(self, samples: Samples, shares: bool) -> ClipScores:
        """One window, (sample,), by the profile so far."""
        return self._current._recognize_clip(samples, shares)

    def add(self, vector: Floats | None, seconds: float) -> None:
        """A window that was recognized: its vector, (feature,), and its seconds of speech.

        Raises:
            ModelError: the model gave no vector.
        """
        if vector is None:
            raise ModelError("this model gives no vector for a profile; export it again")
        self._pool.add(vector, seconds)
        self._fresh += 1
        if len(self._pool) >= LEAST_POOL and self._fresh >= _RENEWED_SHARE * len(self._pool):
            self._renew()

    def reset(self, everything: bool = False) -> None:
        """Forget all windows; the recognizer is again as it was given, or without any profile.

        Args:
            everything: whether the profile that it was given with is forgotten too.
        """
        if everything:
            self._first = self._first.with_profile(None)
        self._pool.reset()
        self._current = self._first
        self._fresh = 0

    def _renew(self) -> None:
        profile = self._pool.profile()
        source = shrink_towards(profile.statistics, self._reference, self._first.source)
        self._current = self._first.with_statistics(source, profile.mark)
        self._fresh = 0
