"""Pooling: a sequence of frames becomes one vector, and says how much each frame counted.

Every class takes the same arguments and keeps the same contract:

- padded frames may hold anything, NaN included, and do not count;
- ``keep`` leaves out more frames, as the attribution of a decision to phonemes does. A frame
  left out is treated as padding: the vector is a function of the frames that are kept. (What
  the backbone and the fusion carried from it into its neighbours stays there.)
- where no frame is kept all weights are 0, and the vector is finite and means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phonemo.model.attention import MultiHeadAttention, masked_softmax, zero_padding

#: The least variance whose root is taken: the root's slope has no bound towards 0.
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Pooled:
    """A sequence as one vector.

    Attributes:
        vector: (batch, feature).
        weights: (batch, frame), the share of each frame; they sum to 1, and are 0 on frames
            that do not count. With several hops this is the mean over them.
    """

    vector: Tensor
    weights: Tensor


class Pooling(nn.Module):
    """What all poolings have in common.

    ``forward(sequence, mask, keep=None)`` takes the sequence as (batch, frame, feature) and both
    masks as (batch, frame), True where a frame is valid and where it is kept.

    Args:
        width: features of a frame.
        attention_heads: heads of the self-attention, where there is one.
        hops: rows of the structured self-attention.
        dropout: share of features dropped in training.
    """

    features: int
    """Features of the vector."""


class StructuredSelfAttention(Pooling):
    """Self-attention among the frames, then several weighted sums of them (Lin et al. 2017).

    The weights of ``hops`` sums are softmax(V tanh(W x)) over the frames ("A structured
    self-attentive sentence embedding", ICLR 2017, equation 6). Its sums stand side by side in
    the vector, as there. Its penalty on hops that look alike is left out: it is a second loss
    with a weight to tune, and nothing public says that the method phonemo follows had it.
    The block before it is multi-head self-attention with a residual connection and layer norm.
    """

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = hops * width
        self.attention = MultiHeadAttention(width, attention_heads)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.score = _score(width, hops)

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """A vector of hops times width features; shapes as in Pooling."""
        counted = _counted(mask, keep)
        sequence = zero_padding(sequence, counted)
        gathered = self.dropout(self.attention(sequence, sequence, counted))
        sequence = self.norm(sequence + gathered)
        weights = masked_softmax(self.score(sequence), counted)  # (batch, frame, feature)
        sums = weights.transpose(1, 2) @ sequence
        return Pooled(vector=sums.flatten(1), weights=weights.mean(dim=2))


class AttentiveStatistics(Pooling):
    """Weighted mean and standard deviation of the frames (Okabe et al., Interspeech 2018).

    The vector has twice the width. Equation 1 there adds a bias after v; the softmax takes it
    away again, so it is left out. The variance is the mean square distance from the mean, which
    keeps its digits where the mean is large, and is clamped before the root.
    """

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = 2 * width
        self.score = _score(width, 1)

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """A vector of means, then standard deviations; shapes as in Pooling."""
        counted = _counted(mask, keep)
        sequence = zero_padding(sequence, counted)
        weights = masked_softmax(self.score(sequence), counted)  # (batch, frame, feature)
        mean = (weights * sequence).sum(dim=1)
        variance = (weights * (sequence - mean[:, None]).square()).sum(dim=1)
        deviation = variance.clamp(min=LEAST_VARIANCE).sqrt()
        return Pooled(vector=torch.cat((mean, deviation), dim=1), weights=weights[:, :, 0])


class MaskedMean(Pooling):
    """The mean of the frames: each counts the same. It has nothing to learn."""

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = width

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """A vector of ``width`` features; shapes as in Pooling."""
        counted = _counted(mask, keep)
        counts = counted.to(sequence.dtype)
        weights = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        vector = (weights[:, :, None] * zero_padding(sequence, counted)).sum(dim=1)
        return Pooled(vector=vector, weights=weights)


def statistics(sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Tensor:
    """Mean and standard deviation over the frames that count: (batch, feature) of twice the width.

    Nothing is learnt, so what a layer knows reaches a linear head as a probe would read it.
    """
    counted = _counted(mask, keep)[:, :, None]
    sequence = zero_padding(sequence, counted[:, :, 0])
    count = counted.sum(dim=1).clamp(min=1).to(sequence.dtype)
    mean = sequence.sum(dim=1) / count
    away = (sequence - mean[:, None]).masked_fill(~counted, 0.0)
    variance = away.square().sum(dim=1) / count
    return torch.cat((mean, variance.clamp(min=LEAST_VARIANCE).sqrt()), dim=1)


def _score(width: int, hops: int) -> nn.Sequential:
    """V tanh(W x): (batch, frame, feature) to (batch, frame, feature) of ``hops`` features."""
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, hops, bias=False))


def _counted(mask: Tensor, keep: Tensor | None) -> Tensor:
    return mask if keep is None else mask & keep


#: Name in ModelConfig.pooling -> its class.
POOLINGS: dict[str, type[Pooling]] = {
    "structured": StructuredSelfAttention,
    "attentive_statistics": AttentiveStatistics,
    "mean": MaskedMean,
}
