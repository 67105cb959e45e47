"""Windows to a timeline of emotions: cells, smoothed, and joined where they say the same.

Time is divided into cells of half a window. A cell's scores are the mean of those of the windows
around it, weighted by how near their middles are (a triangle) and by how much speech they hold.
Neighbouring cells of one emotion become one segment, trimmed to where somebody speaks; a cell with
little speech goes with its neighbour, so that no word is cut at the edge of a cell. A cell is
decided as soon as the last window that it listens to is heard, and a segment when the cell after it
is: no later than ``SMOOTHING`` + 3 cells after its end (for windows of 3 s: 6 s).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import Segment
from phonemo.audio import RATE
from phonemo.runtime.vad import CHUNK_SAMPLES

Floats = npt.NDArray[np.float64]

#: How many windows on either side a cell listens to, beyond the two that hold it.
SMOOTHING = 1
#: Cells of one emotion become two segments where nobody speaks for longer.
GAP_SECONDS = 1.0
#: A cell with less speech has no emotion of its own where a neighbour's is near.
SLIGHT_SECONDS = 0.5

#: The first and one past the last sample of speech between two samples; None where there is none.
Extent = Callable[[int, int], tuple[int, int] | None]


@dataclass(frozen=True)
class WindowScore:
    """What one window says."""

    scores: Floats
    """(emotion,)."""
    weight: float
    """Seconds of speech in it."""


class Timeline:
    """Opinions of windows in, segments out, in time.

    Args:
        labels: the emotions, in the order of the scores.
        hop: samples of a cell: from one window to the next, half of a window.
        extent: where somebody speaks.
        smoothing: windows on either side, beyond the two that hold a cell.
    """

    def __init__(
        self, labels: Sequence[str], hop: int, extent: Extent, smoothing: int = SMOOTHING
    ) -> None:
        self.labels = tuple(labels)
        self.segments: list[Segment] = []
        """All that are closed."""
        self._hop, self._extent, self._reach = hop, extent, smoothing + 1
        self._opinions: dict[int, WindowScore] = {}
        self._windows = self._cells = 0
        self._open: list[_Cell] = []

    def add(self, opinion: WindowScore | None) -> list[Segment]:
        """The next window's opinion, None where nobody speaks in it; the segments that closed."""
        if opinion is not None:
            self._opinions[self._windows] = opinion
        self._windows += 1
        return self._decide(self._windows - self._reach + 1, self._windows * self._hop)

    def finish(self, samples: int) -> list[Segment]:
        """Every cell that is left, for a recording of so many samples; what closed with it."""
        return [*self._decide(-(-samples // self._hop), samples), *self._close()]

    def _decide(self, stop: int, samples: int) -> list[Segment]:
        """The cells before ``stop``, as far as the recording goes."""
        closed: list[Segment] = []
        for number in range(self._cells, stop):
            end = min((number + 1) * self._hop, samples)
            cell = self._cell(number, end)
            if not self._goes_on(cell, end):
                closed += self._close(cell)
            self._open += [] if cell is None else [cell]
            self._opinions.pop(number - self._reach, None)
            self._cells = number + 1
        return closed

    def _cell(self, number: int, end: int) -> _Cell | None:
        extent = self._extent(number * self._hop, end)
        near = [
            (opinion, opinion.weight * (1 - abs(window + 0.5 - number) / self._reach))
            for window in range(number - self._reach, number + self._reach)
            if (opinion := self._opinions.get(window)) is not None
        ]
        total = sum(weight for _, weight in near)
        if extent is None or not total > 0:
            return None
        mean: Floats = sum((one.scores * weight for one, weight in near), np.zeros(1)) / total
        return _Cell(*extent, mean)

    def _goes_on(self, cell: _Cell | None, end: int) -> bool:
        """Whether the open segment may hold this cell, or, without speech in it, a later one."""
        if not self._open:
            return True
        begins = end if cell is None else cell.start
        if begins - self._open[-1].end > GAP_SECONDS * RATE:
            return False
        told = [one for one in self._open if not one.is_short]
        return cell is None or cell.is_short or not told or cell.label == told[-1].label

    def _close(self, following: _Cell | None = None) -> list[Segment]:
        """The open segment, up to the next cell where that follows at once."""
        if not self._open:
            return []
        told = [cell for cell in self._open if not cell.is_short] or self._open
        sizes = [cell.end - cell.start for cell in told]
        mean = np.average([cell.scores for cell in told], axis=0, weights=sizes)
        end = self._open[-1].end
        if following is not None and following.start - end < CHUNK_SAMPLES:
            end = following.start  # a cell may end within a chunk of voice activity
        segment = segment_of(self._open[0].start, end, self.labels, mean)
        self._open = []
        self.segments.append(segment)
        return [segment]


@dataclass(frozen=True)
class _Cell:
    """Samples of speech, and the smoothed scores (emotion,)."""

    start: int
    end: int
    scores: Floats

    @property
    def label(self) -> int:
        """The place of the highest score."""
        return int(self.scores.argmax())

    @property
    def is_short(self) -> bool:
        """Whether there is little speech in it."""
        return self.end - self.start < SLIGHT_SECONDS * RATE


def segment_of(
    start: int, end: int, labels: Sequence[str], scores: Floats, speaker: str | None = None
) -> Segment:
    """A segment from samples and scores (emotion,)."""
    named = {name: float(score) for name, score in zip(labels, scores, strict=True)}
    label = labels[int(np.argmax(scores))]
    return Segment(start / RATE, end / RATE, label, named, speaker)
