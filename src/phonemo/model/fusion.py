"""Fusion: an acoustic and a semantic sequence of the same frames become one sequence.

Every class takes the same arguments and keeps the same contract:

- each stream is layer-normalised per frame first, since CNN and Transformer features have wild
  and different scales, and then brought to the common width;
- padded frames may hold anything, NaN included; in the result they are 0;
- ``needs`` names the streams that are read; the others may be None and need not be computed.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from phonemo.model.attention import MultiHeadAttention, zero_padding


class Fusion(nn.Module):
    """What all fusions have in common: an entrance for each stream they need, a norm at the end.

    ``forward(acoustic, semantic, mask)`` takes the streams as (batch, frame, feature) and the
    mask as (batch, frame), True where valid; it returns (batch, frame, feature) of ``width``
    features.

    Args:
        acoustic_features: features of an acoustic frame.
        semantic_features: features of a semantic frame.
        width: features of a frame of the result.
        attention_heads: heads of the fusion's attention, where it has one.
        dropout: share of features dropped in training.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"acoustic", "semantic"})

    def __init__(
        self,
        acoustic_features: int,
        semantic_features: int,
        width: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = width
        if "acoustic" in self.needs:
            self.acoustic = InputProjection(acoustic_features, width, dropout)
        if "semantic" in self.needs:
            self.semantic = InputProjection(semantic_features, width, dropout)
        self.norm = nn.LayerNorm(width)


class CrossAttention(Fusion):
    """Each stream reads the other by attention; both results are concatenated and projected.

    Both directions have a residual connection and a layer norm, as a layer of Vaswani et al.
    (2017) has. This is phonemo's reading of "an attention mechanism fuses the acoustic and the
    semantic features" (Li et al. 2024), whose abstract does not say which mechanism.
    """

    def __init__(
        self,
        acoustic_features: int,
        semantic_features: int,
        width: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__(acoustic_features, semantic_features, width, attention_heads, dropout)
        self.acoustic_reads = MultiHeadAttention(width, attention_heads)
        self.semantic_reads = MultiHeadAttention(width, attention_heads)
        self.acoustic_norm = nn.LayerNorm(width)
        self.semantic_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(2 * width, width)

    def forward(self, acoustic: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """Attention in both directions; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        heard = self.dropout(self.acoustic_reads(acoustic, semantic, mask))
        meant = self.dropout(self.semantic_reads(semantic, acoustic, mask))
        both = (self.acoustic_norm(acoustic + heard), self.semantic_norm(semantic + meant))
        return zero_padding(self.norm(self.project(torch.cat(both, dim=2))), mask)


class FrameAttention(Fusion):
    """In each frame a softmax over two weights says how much of each stream is taken.

    A score is additive attention's v . tanh(W x) (Bahdanau et al. 2015) with one W and v for
    both streams. v has no bias, which the softmax would take away.
    """

    def __init__(
        self,
        acoustic_features: int,
        semantic_features: int,
        width: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__(acoustic_features, semantic_features, width, attention_heads, dropout)
        self.score = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, acoustic: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """A convex mix of the streams, one weight a frame; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        shares = torch.cat((self.score(acoustic), self.score(semantic)), dim=2).softmax(dim=2)
        mixed = shares[:, :, :1] * acoustic + shares[:, :, 1:] * semantic
        return zero_padding(self.norm(mixed), mask)


class GatedFusion(Fusion):
    """A sigmoid gate for each feature of each frame mixes the streams (Arevalo et al. 2017)."""

    def __init__(
        self,
        acoustic_features: int,
        semantic_features: int,
        width: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__(acoustic_features, semantic_features, width, attention_heads, dropout)
        self.gate = nn.Linear(2 * width, width)

    def forward(self, acoustic: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """A convex mix of the streams, one weight a feature; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        opening = self.gate(torch.cat((acoustic, semantic), dim=2)).sigmoid()
        return zero_padding(self.norm(opening * acoustic + (1 - opening) * semantic), mask)


class Concatenation(Fusion):
    """The streams side by side, through one non-linear layer: no attention, the control."""

    def __init__(
        self,
        acoustic_features: int,
        semantic_features: int,
        width: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__(acoustic_features, semantic_features, width, attention_heads, dropout)
        self.project = nn.Sequential(nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, acoustic: Tensor, semantic: Tensor, mask: Tensor) -> Tensor:
        """Concatenated and projected; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        return zero_padding(self.norm(self.project(torch.cat((acoustic, semantic), dim=2))), mask)


class AcousticOnly(Fusion):
    """The acoustic stream alone; the semantic one may be None."""

    needs = frozenset({"acoustic"})

    def forward(self, acoustic: Tensor, semantic: Tensor | None, mask: Tensor) -> Tensor:
        """The acoustic stream at the common width; shapes as in Fusion."""
        return zero_padding(self.norm(self.acoustic(acoustic, mask)), mask)


class SemanticOnly(Fusion):
    """The semantic stream alone; the acoustic one may be None."""

    needs = frozenset({"semantic"})

    def forward(self, acoustic: Tensor | None, semantic: Tensor, mask: Tensor) -> Tensor:
        """The semantic stream at the common width; shapes as in Fusion."""
        return zero_padding(self.norm(self.semantic(semantic, mask)), mask)


class InputProjection(nn.Module):
    """One stream on its way in: padding overwritten, frames normalised, width made common."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.project = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """(batch, frame, feature) to (batch, frame, feature), finite everywhere."""
        entered: Tensor = self.dropout(self.project(self.norm(zero_padding(stream, mask))))
        return entered


#: Name in ModelConfig.fusion -> its class.
FUSIONS: dict[str, type[Fusion]] = {
    "cross_attention": CrossAttention,
    "frame_attention": FrameAttention,
    "gate": GatedFusion,
    "concatenation": Concatenation,
    "acoustic": AcousticOnly,
    "semantic": SemanticOnly,
}
