"""Lengths to masks and back. Samples to frames is phonemo.frames' arithmetic, found here too."""

from __future__ import annotations

import torch
from torch import Tensor

from phonemo.frames import fewest_samples, frames_of

__all__ = ["fewest_samples", "frames_of", "lengths_of", "mask_of"]


def mask_of(lengths: Tensor, size: int) -> Tensor:
    """Lengths (batch,) to a mask (batch, size) that is True where there is something."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def lengths_of(attention_mask: Tensor) -> Tensor:
    """A mask (batch, sample) of ones then zeros to lengths (batch,)."""
    return attention_mask.to(torch.long).sum(dim=1)
