"""Sliding windows for long recordings: half-overlapping windows cut while samples arrive.

A recording longer than ``WHOLE_SECONDS`` is processed in windows of ``WINDOW_SECONDS``, one every
half window. The windows do not depend on how the input is split into pieces: a file read in
blocks and a stream of packets give the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE
from phonemo.errors import UsageError

#: Windows with less speech are skipped.
LEAST_SPEECH_SECONDS = 0.25

Samples = npt.NDArray[np.float32]

#: The longest recording that is processed in one pass: attention grows with the square of the
#: length. (Evaluation processes every utterance in one pass, as is usual in the literature.)
WHOLE_SECONDS = 30.0
#: The window length; the best on RAVDESS of those tried (LOG.md).
WINDOW_SECONDS = 3.0
#: Shorter windows hold too little speech for a useful score.
LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction has beyond labels and scores."""

    shares: bool = False
    """Each phoneme's contribution to the winning score."""
    timeline: bool = False
    """Segments over time for a short recording too; long ones always have them."""


PLAIN = PredictOptions()


@dataclass(frozen=True)
class ClipScores:
    """Network output for one window or recording."""

    scores: npt.NDArray[np.float64]
    """Probability of every emotion, (emotion,)."""
    spans: tuple[PhonemeSpan, ...] | None
    """Phonemes in time from the window's start; None for a network without a phoneme head."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds spent, by kind of work."""
    vector: npt.NDArray[np.float32] | None = None
    """Input of the emotion head before a profile's map, (feature,); None where it is unknown."""
    dimensions: npt.NDArray[np.float64] | None = None
    """Values of a trained head for dimensions, (dimension,); None for a model without it."""

    @property
    def row(self) -> npt.NDArray[np.float64]:
        """The scores and, where there are such, the values of dimensions behind them."""
        if self.dimensions is None:
            return self.scores
        return np.concatenate((self.scores, self.dimensions))


@dataclass(frozen=True)
class Window:
    """A section of a recording."""

    start: int
    """Index of the first sample."""
    samples: Samples
    """(sample,)."""

    @property
    def end(self) -> int:
        """Index one past the last sample."""
        return self.start + len(self.samples)


class SlidingWindows:
    """Cuts samples, pushed in pieces of any size, into windows; buffers at most one window.

    The last window may be shorter; it is omitted where the window before it covers all samples.

    Args:
        window_seconds: window length; a new window begins after half of it.

    Raises:
        UsageError: ``window_seconds`` is below ``LEAST_SECONDS``.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        if not window_seconds >= LEAST_SECONDS:
            raise UsageError(
                f"expected windows of at least {LEAST_SECONDS:g} seconds, got {window_seconds:g}"
            )
        self.hop = int(window_seconds * RATE) // 2
        """Samples from the start of one window to the start of the next."""
        self.samples = 0
        """Samples received so far."""
        self._start = 0
        self._pending: list[Samples] = []

    def push(self, samples: Samples) -> Iterator[Window]:
        """Yield the windows completed by the next samples, (sample,); they may not change later."""
        self.samples += len(samples)
        self._pending.append(samples)
        if self.samples < self._start + 2 * self.hop:
            return
        pending = np.concatenate(self._pending)
        while len(pending) >= 2 * self.hop:
            yield Window(self._start, pending[: 2 * self.hop])
            self._start += self.hop
            pending = pending[self.hop :]
        self._pending = [pending.copy()]  # a view would keep the whole piece in memory

    def finish(self) -> Iterator[Window]:
        """Yield the last window, where samples remain that no window covers."""
        covered = 0 if self._start == 0 else self._start + self.hop
        if self.samples > covered:
            yield Window(self._start, np.concatenate(self._pending))
