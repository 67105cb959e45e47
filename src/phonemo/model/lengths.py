"""Samples to frames, lengths to masks: the only owner of this arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Count = TypeVar("Count", int, Tensor)


def frames_of(samples: Count, kernels: Sequence[int], strides: Sequence[int]) -> Count:
    """How many frames a stack of unpadded convolutions makes of this many samples.

    Args:
        samples: a count, or a tensor of counts of any shape.
        kernels: kernel of each convolution, first to last.
        strides: stride of each convolution.
    """
    frames = samples
    for kernel, stride in zip(kernels, strides, strict=True):
        frames = (frames - kernel) // stride + 1
    return frames


def fewest_samples(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """The receptive field: the shortest input that still makes one frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def mask_of(lengths: Tensor, size: int) -> Tensor:
    """Lengths (batch,) to a mask (batch, size) that is True where there is something."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def lengths_of(attention_mask: Tensor) -> Tensor:
    """A mask (batch, sample) of ones then zeros to lengths (batch,)."""
    return attention_mask.to(torch.long).sum(dim=1)
