"""Long recordings: windows that overlap by half, cut as the samples come.

A recording that is longer than a model hears at once is heard in windows of ``WINDOW_SECONDS``, one
every half of that. Where the pieces end that it comes in does not matter: a file in blocks and a
stream in packets make the same windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE
from phonemo.errors import UsageError

#: A window with less speech is not heard.
LEAST_SPEECH_SECONDS = 0.25

Samples = npt.NDArray[np.float32]

#: The longest recording that is heard whole: attention grows with the square of the length.
#: (Evaluation hears each utterance whole, as the field does.)
WHOLE_SECONDS = 30.0
#: The length of a window: of those that were tried the best on RAVDESS (LOG.md).
WINDOW_SECONDS = 3.0
#: Shorter windows hold too little speech to say anything of.
LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class ClipScores:
    """What was heard in one window or recording."""

    scores: npt.NDArray[np.float64]
    """Probability of every emotion, (emotion,)."""
    spans: tuple[PhonemeSpan, ...] | None
    """Phonemes in time from the window's start; None for a network without a phoneme head."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds of work by its kind."""
    vector: npt.NDArray[np.float32] | None = None
    """What the emotion head read, before a profile's map, (feature,); None where it is unknown."""


@dataclass(frozen=True)
class Window:
    """A stretch of a recording."""

    start: int
    """Its first sample."""
    samples: Samples
    """(sample,)."""

    @property
    def end(self) -> int:
        """One past its last sample."""
        return self.start + len(self.samples)


class SlidingWindows:
    """Samples in pieces of any size to windows; holds one window and no more.

    The last window is shorter, and there is none for what the one before it has heard already.

    Args:
        window_seconds: the length of a window; a new one begins after half of it.

    Raises:
        UsageError: windows of less than ``LEAST_SECONDS``.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        if not window_seconds >= LEAST_SECONDS:
            wanted = f"{LEAST_SECONDS:g} or more are wanted"
            raise UsageError(f"windows of {window_seconds:g} seconds; {wanted}")
        self.hop = int(window_seconds * RATE) // 2
        """Samples from the start of a window to that of the next."""
        self.samples = 0
        """All that came."""
        self._start = 0
        self._held: list[Samples] = []

    def push(self, samples: Samples) -> Iterator[Window]:
        """The windows that became whole, with what follows, (sample,)."""
        self.samples += len(samples)
        self._held.append(samples)
        if self.samples < self._start + 2 * self.hop:
            return
        held = np.concatenate(self._held)
        while len(held) >= 2 * self.hop:
            yield Window(self._start, held[: 2 * self.hop])
            self._start += self.hop
            held = held[self.hop :]
        self._held = [held.copy()]  # a view would keep the whole piece

    def finish(self) -> Iterator[Window]:
        """The last window, where there is something that no other has heard."""
        heard = 0 if self._start == 0 else self._start + self.hop
        if self.samples > heard:
            yield Window(self._start, np.concatenate(self._held))
