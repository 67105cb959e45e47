"""Occlusion attribution: how much each phoneme adds to the winning emotion score.

A phoneme's share is the winning score minus the same score with the phoneme's frames left out of
pooling. Everything below pooling is unchanged: what the network carried from those frames into
their neighbors is not removed. Shares can be negative (evidence against the emotion) and do not sum
to the score: where several phonemes carry the same evidence, leaving out one changes little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid

Floats = npt.NDArray[np.floating]
Kept = npt.NDArray[np.bool_]

#: Features pooled at once; bounds the memory for a long window with many phonemes.
_MOST_FEATURES = 2_000_000

#: Kept frames (batch, frame) -> probabilities (batch, emotion).
Decide = Callable[[Kept], Floats]


def frames_within(spans: Sequence[PhonemeSpan], grid: FrameGrid, frames: int) -> Kept:
    """The frames whose centers lie in each phoneme, (phoneme, frame).

    Args:
        spans: in seconds from the first frame's samples.
        grid: frame positions.
        frames: number of frames.
    """
    centers = np.array([grid.sample_at(number + 0.5) for number in range(frames)]) / RATE
    bounds = np.array([(span.start, span.end) for span in spans], dtype=np.float64).reshape(-1, 2)
    inside: Kept = (centers >= bounds[:, :1]) & (centers < bounds[:, 1:])
    return inside


def score_drops(decide: Decide, left_out: Kept, features: int) -> npt.NDArray[np.float64]:
    """How far the winning score drops without some frames.

    Args:
        decide: the pooling head over one clip's frames.
        left_out: (batch, frame), True where a frame is left out.
        features: features per frame, which determine the memory use.

    Returns:
        (batch,); NaN where no frame would be left.
    """
    full = decide(np.ones((1, left_out.shape[1]), dtype=np.bool_))[0]
    winner = int(full.argmax())
    rows = max(1, _MOST_FEATURES // max(1, left_out.shape[1] * features))
    parts = [
        decide(~left_out[first : first + rows])[:, winner]
        for first in range(0, len(left_out), rows)
    ]
    without = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
    without[left_out.all(axis=1)] = np.nan
    return float(full[winner]) - without


def add_attribution(
    spans: Sequence[PhonemeSpan], decide: Decide, grid: FrameGrid, frames: int, features: int
) -> tuple[PhonemeSpan, ...]:
    """Add each phoneme's share in the emotion; None for the only phoneme of a clip."""
    drops = score_drops(decide, frames_within(spans, grid, frames), features)
    return tuple(
        replace(span, share=None if np.isnan(share) else float(share))
        for span, share in zip(spans, drops, strict=True)
    )
