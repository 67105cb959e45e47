"""Adapts a recognizer to the speaker of a conversation, one vector per turn."""

from __future__ import annotations

from phonemo.annotations.prediction import Prediction
from phonemo.audio import RATE
from phonemo.runtime.adaptation.pool import STREAM_VECTORS, VectorPool
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import LEAST_POOL
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.windows import Samples


class SpeakerAdaptation:
    """A recognizer that each turn adapts for the turns that follow, from the sixth one on.

    The profile is personal data, a coarse voice print (docs/adaptation.md): it needs the speaker's
    consent, and it ends with this object unless ``profile`` is stored.

    Args:
        recognizer: the recognizer; it is not modified.

    Raises:
        ModelError: the model takes no profile.
    """

    def __init__(self, recognizer: EmotionRecognizer) -> None:
        self._first = self.recognizer = recognizer
        self._pool = VectorPool(recognizer.adaptable(), STREAM_VECTORS)

    @property
    def profile(self) -> Profile | None:
        """The profile of all turns so far; None before the first."""
        return self._pool.profile() if len(self._pool) else None

    def add(self, samples: Samples, prediction: Prediction) -> None:
        """Add a recognized turn, (sample,) at 16 kHz; one without speech is not added."""
        if prediction.label is None:
            return
        self._pool.add(self._first.vector_of(samples), len(samples) / RATE)
        if len(self._pool) >= LEAST_POOL:
            self.recognizer = self._first.refined_by(self._pool.profile())
