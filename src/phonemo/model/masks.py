"""Masks: lengths to masks and back, SpecAugment, and frames that contain speech.

SpecAugment sets spans of frames and of features to zero (Park et al. 2019). The conversion of
samples to frames comes from phonemo.audio.frames.

Speech frames are found by their level, so that silence around an utterance has no effect. The
reference level is the mean power of the recording's frames, weighted by that power: silent frames
do not change it, however many there are. Frames more than ``RANGE_DB`` below it are no speech.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phonemo.audio.frames import FrameGrid, fewest_samples, frames_of

__all__ = ["fewest_samples", "frames_of", "lengths_of", "mask_of"]


def mask_of(lengths: Tensor, size: int) -> Tensor:
    """Lengths (batch,) to a mask (batch, size) that is True for valid positions."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def lengths_of(attention_mask: Tensor) -> Tensor:
    """A mask (batch, sample) of ones then zeros to lengths (batch,)."""
    return attention_mask.to(torch.long).sum(dim=1)


def mask_spans(sequence: Tensor, spans: dict[str, Tensor] | None) -> Tensor:
    """Zero spans of a sequence (batch, frame, feature).

    Args:
        sequence: (batch, frame, feature).
        spans: ``time`` (batch, span, 2) first and past-the-last frame; ``feature``
            (batch, span, 2) the same as fractions of the width, so that they fit every stream.
    """
    if not spans:
        return sequence
    _, frames, features = sequence.shape
    if "time" in spans:
        sequence = sequence.masked_fill(_span_mask(spans["time"], frames)[:, :, None], 0.0)
    if "feature" in spans:
        edges = (spans["feature"] * features).round().to(torch.long)
        sequence = sequence.masked_fill(_span_mask(edges, features)[:, None, :], 0.0)
    return sequence


def _span_mask(spans: Tensor, size: int) -> Tensor:
    """Spans (batch, span, 2) to a mask (batch, size) that is True inside any of them."""
    positions = torch.arange(size, device=spans.device)[None, None, :]
    inside = (positions >= spans[..., :1]) & (positions < spans[..., 1:])
    return inside.any(dim=1)


#: Frames this far below the reference level are pauses.
RANGE_DB = 30.0
#: Added to the sum of powers: for digital silence the reference is 0, and every frame is speech.
_EPSILON = 1e-20


def speech_frames(signal: Tensor, mask: Tensor, grid: FrameGrid) -> Tensor:
    """Find the frames that contain speech.

    Args:
        signal: waveforms (batch, sample) without an offset, zero in the padding, long enough for
            the frames of ``mask``.
        mask: (batch, frame), True where a frame is valid.
        grid: frame positions.

    Returns:
        (batch, frame), True where a valid frame is within ``RANGE_DB`` of the reference level;
        this holds for at least one frame of every clip.
    """
    square = signal.square()[:, None]
    means = nn.functional.avg_pool1d(square, grid.field_samples, grid.hop_samples)[:, 0]
    power = means[:, : mask.shape[1]].masked_fill(~mask, 0.0)  # (batch, frame)
    reference = power.square().sum(dim=1) / (power.sum(dim=1) + _EPSILON)
    speech: Tensor = (power >= reference[:, None] * 10 ** (-RANGE_DB / 10)) & mask
    return speech
