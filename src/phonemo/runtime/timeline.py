"""Window scores to a timeline of emotions: cells, smoothed, and joined where they agree.

Time is divided into cells of half a window. A cell's scores are the mean of the surrounding
windows', weighted by the distance of their middles (a triangle) and by their seconds of speech.
Adjacent cells of one emotion become one segment, trimmed to the speech in them; a cell with little
speech joins its neighbor, so that no word is cut at the edge of a cell. A cell is decided as soon
as the last window it depends on is processed, and a segment when the cell after it is: at most
``SMOOTHING`` + 3 cells after its end (for windows of 3 s: 6 s).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import Segment
from phonemo.audio import RATE
from phonemo.runtime.parts.dimensions import DimensionReader
from phonemo.runtime.vad import CHUNK_SAMPLES

Floats = npt.NDArray[np.float64]

#: Windows on either side that a cell depends on, beyond the two that contain it.
SMOOTHING = 1
#: A longer pause splits cells of one emotion into two segments.
GAP_SECONDS = 1.0
#: A cell with less speech takes the emotion of a neighbor, where there is one near.
SLIGHT_SECONDS = 0.5

#: The first and one past the last sample of speech between two samples; None without speech.
Extent = Callable[[int, int], tuple[int, int] | None]


@dataclass(frozen=True)
class WindowScore:
    """Scores of one window."""

    scores: Floats
    """(emotion,), followed by the values of a trained head for dimensions."""
    weight: float
    """Seconds of speech in it."""


class Timeline:
    """Turns the scores of windows, added in time order, into segments.

    Args:
        labels: the emotions, in the order of the scores.
        hop: samples per cell: the window hop, half a window.
        extent: locates speech.
        smoothing: windows on either side, beyond the two that contain a cell.
        dimensions: reads them from the scores; None for a model without them.
    """

    def __init__(
        self,
        labels: Sequence[str],
        hop: int,
        extent: Extent,
        smoothing: int = SMOOTHING,
        dimensions: DimensionReader | None = None,
    ) -> None:
        self.labels = tuple(labels)
        self.segments: list[Segment] = []
        """All closed segments."""
        self._dimensions = dimensions
        self._hop, self._extent, self._reach = hop, extent, smoothing + 1
        self._scores: dict[int, WindowScore] = {}
        self._windows = self._cells = 0
        self._open: list[_Cell] = []

    def add(self, opinion: WindowScore | None) -> list[Segment]:
        """Add the next window's scores, None without speech; return the segments that closed."""
        if opinion is not None:
            self._scores[self._windows] = opinion
        self._windows += 1
        return self._decide(self._windows - self._reach + 1, self._windows * self._hop)

    def finish(self, samples: int) -> list[Segment]:
        """Decide all remaining cells of a recording of ``samples``; return the closed segments."""
        return [*self._decide(-(-samples // self._hop), samples), *self._close()]

    def _decide(self, stop: int, samples: int) -> list[Segment]:
        """Decide the cells before ``stop``, within the recording."""
        closed: list[Segment] = []
        for number in range(self._cells, stop):
            end = min((number + 1) * self._hop, samples)
            cell = self._cell(number, end)
            if not self._extends_segment(cell, end):
                closed += self._close(cell)
            self._open += [] if cell is None else [cell]
            self._scores.pop(number - self._reach, None)
            self._cells = number + 1
        return closed

    def _cell(self, number: int, end: int) -> _Cell | None:
        extent = self._extent(number * self._hop, end)
        weighted = [
            (score, score.weight * (1 - abs(window + 0.5 - number) / self._reach))
            for window in range(number - self._reach, number + self._reach)
            if (score := self._scores.get(window)) is not None
        ]
        total = sum(weight for _, weight in weighted)
        if extent is None or not total > 0:
            return None
        mean: Floats = (
            sum((score.scores * weight for score, weight in weighted), np.zeros(1)) / total
        )
        return _Cell(*extent, mean, int(mean[: len(self.labels)].argmax()))

    def _extends_segment(self, cell: _Cell | None, end: int) -> bool:
        """Whether the open segment may include this cell or, if it has no speech, a later one."""
        if not self._open:
            return True
        begins = end if cell is None else cell.start
        if begins - self._open[-1].end > GAP_SECONDS * RATE:
            return False
        decided = [member for member in self._open if not member.is_short]
        return cell is None or cell.is_short or not decided or cell.label == decided[-1].label

    def _close(self, following: _Cell | None = None) -> list[Segment]:
        """Close the open segment, extended to the next cell where that follows directly."""
        if not self._open:
            return []
        decided = [cell for cell in self._open if not cell.is_short] or self._open
        sizes = [cell.end - cell.start for cell in decided]
        mean = np.average([cell.scores for cell in decided], axis=0, weights=sizes)
        end = self._open[-1].end
        if following is not None and following.start - end < CHUNK_SAMPLES:
            end = following.start  # a cell may end within a chunk of voice activity
        segment = segment_of(
            self._open[0].start, end, self.labels, mean, dimensions=self._dimensions
        )
        self._open = []
        self.segments.append(segment)
        return [segment]


@dataclass(frozen=True)
class _Cell:
    """A stretch of speech with smoothed scores, as in ``WindowScore``."""

    start: int
    end: int
    scores: Floats
    label: int
    """Index of the highest score."""

    @property
    def is_short(self) -> bool:
        """Whether it contains little speech."""
        return self.end - self.start < SLIGHT_SECONDS * RATE


def segment_of(
    start: int,
    end: int,
    labels: Sequence[str],
    row: Floats,
    speaker: str | None = None,
    dimensions: DimensionReader | None = None,
) -> Segment:
    """Build a segment from samples and a row of scores, as in ``WindowScore``."""
    scores = row[: len(labels)]
    named = {name: float(score) for name, score in zip(labels, scores, strict=True)}
    label = labels[int(np.argmax(scores))]
    read = None if dimensions is None else dimensions.read(row)
    return Segment(start / RATE, end / RATE, label, named, speaker, dimensions=read)
