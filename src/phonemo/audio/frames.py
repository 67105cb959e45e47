"""Frames in time: how many a stack of convolutions makes, and which samples each one hears.

The only owner of this arithmetic, for torch's tensors of lengths and for plain counts alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class _Countable(Protocol):
    """An integer, or a tensor of them."""

    def __sub__(self, other: int, /) -> Any: ...

    def __floordiv__(self, other: int, /) -> Any: ...


Count = TypeVar("Count", bound=_Countable)


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


@dataclass(frozen=True)
class FrameGrid:
    """Where frames lie: frame n hears ``field_samples`` samples, from n * ``hop_samples`` on.

    A frame stands for the hop around the middle of what it hears. *Positions* count hops along
    that line: frame n stands from position n to position n + 1, and its centre is n + 1/2.
    """

    field_samples: int
    """The receptive field."""
    hop_samples: int
    """From a frame to the next."""

    @classmethod
    def of(cls, kernels: Sequence[int], strides: Sequence[int]) -> FrameGrid:
        """The grid of a stack of unpadded convolutions, first to last."""
        return cls(fewest_samples(kernels, strides), math.prod(strides))

    def sample_at(self, position: float) -> float:
        """The sample, not rounded, of a position; it may lie outside the recording."""
        return (position - 0.5) * self.hop_samples + self.field_samples / 2

    def fewest_samples(self, frames: int) -> int:
        """The shortest recording that makes this many frames (at least one)."""
        return (frames - 1) * self.hop_samples + self.field_samples
