"""Find speech in recordings that are too quiet for absolute levels.

Each chunk of voice activity has a level and a peak, in dB of full scale. A recording with some
chunks of a usual peak is left to the usual rule. In any other one, speech stands out from the
noise floor, a low percentile of the levels: of the whole clip where that is known, else of the last
seconds, so that a stream and a file read in blocks of any size give the same result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

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


class FaintSpeech:
    """Classifies chunks of quiet recordings by their levels; keeps state."""

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
