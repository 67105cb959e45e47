"""Fusion: combines an acoustic and a semantic sequence of the same frames into one.

Every class takes the same arguments and follows the same contract:

- each stream is first layer-normalized per frame, since CNN and Transformer features have very
  different scales, and then projected to the common width;
- padded frames may hold anything, NaN included; in the result they are 0;
- ``needs`` names the streams that are used; the others may be None and need not be computed.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from phonemo.model.attention import MultiHeadAttention, zero_padding


class Fusion(nn.Module):
    """Base of all fusions: an input projection for each required stream, and a final norm.

    ``forward(acoustic, semantic, mask)`` takes the streams as (batch, frame, feature) and the
    mask as (batch, frame), True where valid; it returns (batch, frame, feature) of ``width``
    features.

    Args:
        acoustic_features: features per acoustic frame.
        semantic_features: features per semantic frame.
        width: features per frame of the result.
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
    """Each stream attends to the other; both results are concatenated and projected.

    Both directions have a residual connection and a layer norm, like a layer of Vaswani et al.
    (2017). This is phonemo's interpretation of "an attention mechanism fuses the acoustic and the
    semantic features" (Li et al. 2024), whose abstract does not name the mechanism.
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
        acoustic_context = self.dropout(self.acoustic_reads(acoustic, semantic, mask))
        semantic_context = self.dropout(self.semantic_reads(semantic, acoustic, mask))
        both = (
            self.acoustic_norm(acoustic + acoustic_context),
            self.semantic_norm(semantic + semantic_context),
        )
        return zero_padding(self.norm(self.project(torch.cat(both, dim=2))), mask)


class FrameAttention(Fusion):
    """In each frame, a softmax over two weights mixes the streams.

    The score is additive attention's v . tanh(W x) (Bahdanau et al. 2015) with one W and v for
    both streams. v has no bias, which the softmax would cancel.
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
        """A convex mix of the streams with one weight per frame; shapes as in Fusion."""
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
        """A convex mix of the streams with one weight per feature; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        gate = self.gate(torch.cat((acoustic, semantic), dim=2)).sigmoid()
        return zero_padding(self.norm(gate * acoustic + (1 - gate) * semantic), mask)


class Concatenation(Fusion):
    """Both streams concatenated, through one non-linear layer: the control without attention."""

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
        """Concatenate and project; shapes as in Fusion."""
        acoustic, semantic = self.acoustic(acoustic, mask), self.semantic(semantic, mask)
        return zero_padding(self.norm(self.project(torch.cat((acoustic, semantic), dim=2))), mask)


class AcousticOnly(Fusion):
    """The acoustic stream only; the semantic one may be None."""

    needs = frozenset({"acoustic"})

    def forward(self, acoustic: Tensor, semantic: Tensor | None, mask: Tensor) -> Tensor:
        """The acoustic stream at the common width; shapes as in Fusion."""
        return zero_padding(self.norm(self.acoustic(acoustic, mask)), mask)


class SemanticOnly(Fusion):
    """The semantic stream only; the acoustic one may be None."""

    needs = frozenset({"semantic"})

    def forward(self, acoustic: Tensor | None, semantic: Tensor, mask: Tensor) -> Tensor:
        """The semantic stream at the common width; shapes as in Fusion."""
        return zero_padding(self.norm(self.semantic(semantic, mask)), mask)


class InputProjection(nn.Module):
    """Zeroes a stream's padding, normalizes its frames and projects them to the common width."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.project = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """(batch, frame, feature) to (batch, frame, feature), finite everywhere."""
        projected: Tensor = self.dropout(self.project(self.norm(zero_padding(stream, mask))))
        return projected


#: Name in ModelConfig.fusion -> class.
FUSIONS: dict[str, type[Fusion]] = {
    "cross_attention": CrossAttention,
    "frame_attention": FrameAttention,
    "gate": GatedFusion,
    "concatenation": Concatenation,
    "acoustic": AcousticOnly,
    "semantic": SemanticOnly,
}
