"""Streaming adaptation: a stream's windows adapt the recognizer for the windows that follow."""

from __future__ import annotations

from phonemo.annotations.prediction import ProfileMark
from phonemo.errors import ModelError
from phonemo.runtime.adaptation.adaptable import Adaptable
from phonemo.runtime.adaptation.pool import STREAM_VECTORS, Floats, VectorPool
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import LEAST_POOL
from phonemo.runtime.windows import ClipScores, PredictOptions, Samples

#: The profile is updated when this share of its pool is new: statistics of a thousand vectors take
#: about a second, and three new ones change nothing.
_RENEWED_SHARE = 1 / 16


class GrowingProfile:
    """A stream's recognizer, adapted by the stream's own windows.

    Results depend only on the order of the windows. A pool of fewer than ``LEAST_POOL`` vectors is
    not applied: class shares cannot be estimated from it. The statistics are shrunk towards the
    profile that the recognizer already applies, or else the training sources.

    Args:
        listener: the recognizer; it is not modified.

    Raises:
        ModelError: the model takes no profile.
    """

    def __init__(self, listener: Adaptable) -> None:
        self._first = self._current = listener
        self._pool = VectorPool(listener.adaptable(), STREAM_VECTORS)
        self._new_vectors = 0

    @property
    def applied(self) -> ProfileMark | None:
        """Mark of the profile that is applied to the next window."""
        return self._current.applied

    @property
    def profile(self) -> Profile | None:
        """The profile of all windows so far; None before the first."""
        return self._pool.profile() if len(self._pool) else None

    def recognize(self, samples: Samples, options: PredictOptions) -> ClipScores:
        """Process one window, (sample,), with the profile so far."""
        return self._current._recognize_clip(samples, options)

    def add(self, vector: Floats | None, seconds: float) -> None:
        """Add a recognized window: its vector, (feature,), and its seconds of speech.

        Raises:
            ModelError: the model outputs no vector.
        """
        if vector is None:
            raise ModelError("this model outputs no vector for a profile; export it again")
        self._pool.add(vector, seconds)
        self._new_vectors += 1
        if len(self._pool) >= LEAST_POOL and self._new_vectors >= _RENEWED_SHARE * len(self._pool):
            self._update_profile()

    def reset(self, everything: bool = False) -> None:
        """Drop all windows and return to the original recognizer.

        Args:
            everything: whether to drop the profile of the original recognizer, too.
        """
        if everything:
            self._first = self._first.with_profile(None)
        self._pool.reset()
        self._current = self._first
        self._new_vectors = 0

    def _update_profile(self) -> None:
        self._current = self._first.refined_by(self._pool.profile())
        self._new_vectors = 0
