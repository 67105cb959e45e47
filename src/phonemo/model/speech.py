"""Frames that hold speech, by their level: so that silence around an utterance changes nothing.

A recording's reference level is the mean power of its frames, weighted by that power: silent frames
add nothing to it, however many there are. Frames more than ``RANGE_DB`` below it do not count.
"""

from __future__ import annotations

from torch import Tensor, nn

from phonemo.frames import FrameGrid

#: Frames this far below the reference level are pauses.
RANGE_DB = 30.0
#: Added to the sum of powers: digital silence has a reference of 0 and every frame of it counts.
_LEAST = 1e-20


def speech_frames(signal: Tensor, mask: Tensor, grid: FrameGrid) -> Tensor:
    """Which frames hold speech.

    Args:
        signal: waveforms (batch, sample) without an offset, zero in the padding, long enough for
            the frames of ``mask``.
        mask: (batch, frame), True where a frame is valid.
        grid: where the frames lie.

    Returns:
        (batch, frame), True where a valid frame is within ``RANGE_DB`` of the reference level. At
        least one frame of every clip is.
    """
    square = signal.square()[:, None]
    means = nn.functional.avg_pool1d(square, grid.field_samples, grid.hop_samples)[:, 0]
    power = means[:, : mask.shape[1]].masked_fill(~mask, 0.0)  # (batch, frame)
    reference = power.square().sum(dim=1) / (power.sum(dim=1) + _LEAST)
    found: Tensor = (power >= reference[:, None] * 10 ** (-RANGE_DB / 10)) & mask
    return found
