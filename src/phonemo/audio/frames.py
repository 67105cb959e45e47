"""Frame arithmetic of a convolution stack: number of frames and the samples that each one covers.

All of phonemo uses these functions, for torch tensors of lengths and for plain integers.
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
    """Number of frames that a stack of unpadded convolutions outputs.

    Args:
        samples: number of input samples, or a tensor of such numbers of any shape.
        kernels: kernel of each convolution, first to last.
        strides: stride of each convolution.
    """
    frames = samples
    for kernel, stride in zip(kernels, strides, strict=True):
        frames = (frames - kernel) // stride + 1
    return frames


def fewest_samples(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """The receptive field: the shortest input that gives one frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


@dataclass(frozen=True)
class FrameGrid:
    """Frame timing: frame n covers ``field_samples`` samples starting at n * ``hop_samples``.

    A frame represents the hop around the middle of its receptive field. *Positions* count hops:
    frame n extends from position n to n + 1, with its center at n + 1/2.
    """

    field_samples: int
    """The receptive field."""
    hop_samples: int
    """Samples between the starts of successive frames."""

    @classmethod
    def of(cls, kernels: Sequence[int], strides: Sequence[int]) -> FrameGrid:
        """Build the grid of a stack of unpadded convolutions, first to last."""
        return cls(fewest_samples(kernels, strides), math.prod(strides))

    def sample_at(self, position: float) -> float:
        """The (fractional) sample of a position; it may lie outside the recording."""
        return (position - 0.5) * self.hop_samples + self.field_samples / 2

    def fewest_samples(self, frames: int) -> int:
        """The shortest recording that gives this number of frames (at least one)."""
        return (frames - 1) * self.hop_samples + self.field_samples
