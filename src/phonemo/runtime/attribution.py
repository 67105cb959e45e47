"""Which phonemes carried the emotion: the score without each of them.

A phoneme's share is the score of the emotion that was heard, minus what that score is when the
phoneme's frames are left out of pooling. Everything below pooling stays as it was: what the network
carried from those frames into their neighbours is not taken away. Shares can be negative (the
phoneme spoke against the emotion) and do not sum to the score: phonemes may say the same, and then
no single one is missed.
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

#: Features that are pooled at once; bounds the memory of a long window with many phonemes.
_MOST_FEATURES = 2_000_000

#: (batch, frame) of frames that are kept -> probabilities (batch, emotion).
Decide = Callable[[Kept], Floats]


def frames_within(spans: Sequence[PhonemeSpan], grid: FrameGrid, frames: int) -> Kept:
    """The frames whose centres lie in each phoneme, (phoneme, frame).

    Args:
        spans: in seconds from the first frame's samples on.
        grid: where the frames lie.
        frames: how many there are.
    """
    centres = np.array([grid.sample_at(number + 0.5) for number in range(frames)]) / RATE
    times = np.array([(one.start, one.end) for one in spans], dtype=np.float64).reshape(-1, 2)
    inside: Kept = (centres >= times[:, :1]) & (centres < times[:, 1:])
    return inside


def score_drops(decide: Decide, left_out: Kept, features: int) -> npt.NDArray[np.float64]:
    """How far the winning score falls without some frames.

    Args:
        decide: the pooling head over one clip's frames.
        left_out: (batch, frame), True where a frame is left out.
        features: of a frame, for the memory it takes.

    Returns:
        (batch,); NaN where no frame would be left.
    """
    whole = decide(np.ones((1, left_out.shape[1]), dtype=np.bool_))[0]
    winner = int(whole.argmax())
    rows = max(1, _MOST_FEATURES // max(1, left_out.shape[1] * features))
    parts = [
        decide(~left_out[first : first + rows])[:, winner]
        for first in range(0, len(left_out), rows)
    ]
    without = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
    without[left_out.all(axis=1)] = np.nan
    return float(whole[winner]) - without


def add_attribution(
    spans: Sequence[PhonemeSpan], decide: Decide, grid: FrameGrid, frames: int, features: int
) -> tuple[PhonemeSpan, ...]:
    """The phonemes with their shares in the emotion; None for the only phoneme of a clip."""
    found = score_drops(decide, frames_within(spans, grid, frames), features)
    return tuple(
        replace(span, share=None if np.isnan(share) else float(share))
        for span, share in zip(spans, found, strict=True)
    )
