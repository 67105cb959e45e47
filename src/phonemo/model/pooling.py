"""Pooling: turns a sequence of frames into one vector and gives the weight of each frame.

Every class takes the same arguments and follows the same contract:

- padded frames may hold anything, NaN included, and do not count;
- ``keep`` leaves out more frames, as the attribution of a decision to phonemes does. Such a frame
  is treated as padding: the vector is a function of the kept frames. (What the backbone and the
  fusion carried from it into its neighbors stays there.)
- where no frame is kept all weights are 0, and the vector is finite but meaningless.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phonemo.model.attention import MultiHeadAttention, masked_softmax, zero_padding

#: The minimum variance before the root, whose slope is unbounded towards 0.
LEAST_VARIANCE = 1e-6
#: Added to a frame's probability of a vowel before it becomes its weight.
LEAST_VOWEL = 1e-3


@dataclass(frozen=True)
class Pooled:
    """A pooled sequence.

    Attributes:
        vector: (batch, feature).
        weights: (batch, frame), the weight of each frame; they sum to 1, and are 0 on frames
            that do not count. With several hops this is the mean over them.
    """

    vector: Tensor
    weights: Tensor


class Pooling(nn.Module):
    """Base of all poolings.

    ``forward(sequence, mask, keep=None)`` takes the sequence as (batch, frame, feature) and both
    masks as (batch, frame), True where a frame is valid and where it is kept.

    Args:
        width: features per frame.
        attention_heads: heads of the self-attention, where there is one.
        hops: rows of the structured self-attention.
        dropout: share of features dropped in training.
    """

    features: int
    """Features of the vector."""


class StructuredSelfAttention(Pooling):
    """Self-attention among the frames, then several weighted sums of them (Lin et al. 2017).

    The weights of ``hops`` sums are softmax(V tanh(W x)) over the frames ("A structured
    self-attentive sentence embedding", ICLR 2017, equation 6); the sums are concatenated, as there.
    The paper's penalty on similar hops is left out: it is a second loss with a weight to tune, and
    nothing public indicates that the method phonemo follows had it. The preceding block is
    multi-head self-attention with a residual connection and layer norm.
    """

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = hops * width
        self.attention = MultiHeadAttention(width, attention_heads)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.score = _score(width, hops)

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """Pool to hops times width features; shapes as in Pooling."""
        valid = _combine_masks(mask, keep)
        sequence = zero_padding(sequence, valid)
        attended = self.dropout(self.attention(sequence, sequence, valid))
        sequence = self.norm(sequence + attended)
        weights = masked_softmax(self.score(sequence), valid)  # (batch, frame, feature)
        sums = weights.transpose(1, 2) @ sequence
        return Pooled(vector=sums.flatten(1), weights=weights.mean(dim=2))


class AttentiveStatistics(Pooling):
    """Weighted mean and standard deviation of the frames (Okabe et al., Interspeech 2018).

    The vector has twice the width. Equation 1 there adds a bias after v, which the softmax cancels,
    so it is left out. The variance is the mean squared distance from the mean, which is precise
    for large means, and is clamped before the root.
    """

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = 2 * width
        self.score = _score(width, 1)

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """Pool to means, then standard deviations; shapes as in Pooling."""
        valid = _combine_masks(mask, keep)
        sequence = zero_padding(sequence, valid)
        weights = masked_softmax(self.score(sequence), valid)  # (batch, frame, feature)
        mean = (weights * sequence).sum(dim=1)
        variance = (weights * (sequence - mean[:, None]).square()).sum(dim=1)
        deviation = variance.clamp(min=LEAST_VARIANCE).sqrt()
        return Pooled(vector=torch.cat((mean, deviation), dim=1), weights=weights[:, :, 0])


class VowelStatistics(Pooling):
    """Mean and standard deviation of the frames, weighted by the probability of a vowel.

    Phoneme-aware pooling: voice quality and pitch lie in vowels, and CTC emits them at
    peaks. The weight has a floor, so that a clip without vowels is pooled evenly.
    """

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = 2 * width

    def forward(
        self,
        sequence: Tensor,
        mask: Tensor,
        keep: Tensor | None = None,
        vowels: Tensor | None = None,
    ) -> Pooled:
        """Pool to means, then deviations; ``vowels`` are the probabilities, (batch, frame)."""
        valid = _combine_masks(mask, keep).to(sequence.dtype)
        raw = valid if vowels is None else valid * (vowels + LEAST_VOWEL)
        weights = raw / raw.sum(dim=1, keepdim=True).clamp(min=LEAST_VARIANCE)
        sequence = zero_padding(sequence, valid > 0)
        mean = (weights[:, :, None] * sequence).sum(dim=1)
        distance = (sequence - mean[:, None]).square()
        variance = (weights[:, :, None] * distance).sum(dim=1)
        deviation = variance.clamp(min=LEAST_VARIANCE).sqrt()
        return Pooled(vector=torch.cat((mean, deviation), dim=1), weights=weights)


class MaskedMean(Pooling):
    """The mean of the frames, all with the same weight; it has no parameters."""

    def __init__(self, width: int, attention_heads: int, hops: int, dropout: float) -> None:
        super().__init__()
        self.features = width

    def forward(self, sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Pooled:
        """Pool to ``width`` features; shapes as in Pooling."""
        valid = _combine_masks(mask, keep)
        counts = valid.to(sequence.dtype)
        weights = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        vector = (weights[:, :, None] * zero_padding(sequence, valid)).sum(dim=1)
        return Pooled(vector=vector, weights=weights)


def statistics(sequence: Tensor, mask: Tensor, keep: Tensor | None = None) -> Tensor:
    """Mean and standard deviation over the valid frames: (batch, feature) of twice the width.

    It has no parameters, so a linear head uses a layer's features as a linear probe does.
    """
    valid = _combine_masks(mask, keep)[:, :, None]
    sequence = zero_padding(sequence, valid[:, :, 0])
    count = valid.sum(dim=1).clamp(min=1).to(sequence.dtype)
    mean = sequence.sum(dim=1) / count
    centered = (sequence - mean[:, None]).masked_fill(~valid, 0.0)
    variance = centered.square().sum(dim=1) / count
    return torch.cat((mean, variance.clamp(min=LEAST_VARIANCE).sqrt()), dim=1)


def _score(width: int, hops: int) -> nn.Sequential:
    """V tanh(W x): (batch, frame, feature) to (batch, frame, feature) of ``hops`` features."""
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, hops, bias=False))


def _combine_masks(mask: Tensor, keep: Tensor | None) -> Tensor:
    return mask if keep is None else mask & keep


#: Name in ModelConfig.pooling -> class.
POOLINGS: dict[str, type[Pooling]] = {
    "structured": StructuredSelfAttention,
    "attentive_statistics": AttentiveStatistics,
    "mean": MaskedMean,
}
