"""Multi-head attention, and the masking shared by fusion and pooling.

Padded frames may hold any value, NaN included. They are overwritten, never multiplied by zero,
because NaN times zero is NaN, in the gradients too.
"""

from __future__ import annotations

from torch import Tensor, finfo, nn
from torch.nn import functional

from phonemo.errors import ModelError


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention from one sequence to another (Vaswani et al. 2017).

    The keys have no bias: it would add the same to all scores of a query, which the softmax
    cancels. The attention weights have no dropout: on CPU that is the slow path, 2.4 times slower
    with gradients at 250 frames and 9 times at 750 (torch 2.13, two threads). Apply dropout to the
    result instead.

    Args:
        width: features of both sequences and of the result.
        heads: number of parallel attentions, each on its share of the features.

    Raises:
        ModelError: ``heads`` does not divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ModelError(
                f"expected attention_heads that divide the width {width}, got {heads}; "
                "change attention_heads or width"
            )
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, reader: Tensor, read: Tensor, mask: Tensor) -> Tensor:
        """Let every frame of ``reader`` attend to the valid frames of ``read``.

        Args:
            reader: the queries' sequence, (batch, frame, feature).
            read: the keys' and values' sequence, (batch, frame, feature); its padding must be
                finite (zero_padding).
            mask: (batch, frame) of ``read``, True where valid.

        Returns:
            (batch, frame, feature) with the frames of ``reader``.
        """
        # An utterance without any valid frame attends to its zeros: an empty softmax is NaN by
        # definition, and not every runtime makes it 0, as torch does.
        readable = mask | ~mask.any(dim=1, keepdim=True)
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(reader)),
            self._split(self.key(read)),
            self._split(self.value(read)),
            attn_mask=readable[:, None, None, :],
        )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output

    def _split(self, sequence: Tensor) -> Tensor:
        # (batch, frame, feature) with the heads as a second batch axis before the frames
        batch, frames, width = sequence.shape
        return sequence.view(batch, frames, self.heads, width // self.heads).transpose(1, 2)


def zero_padding(sequence: Tensor, mask: Tensor) -> Tensor:
    """Set padded frames of (batch, frame, feature) to zero; no gradient reaches them.

    Args:
        sequence: (batch, frame, feature); padding may hold anything.
        mask: (batch, frame), True where valid.
    """
    return sequence.masked_fill(~mask[:, :, None], 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the valid frames; exactly 0 on the others.

    Args:
        scores: (batch, frame, feature); each feature is a separate distribution over frames.
        mask: (batch, frame), True where valid. Without any valid frame all weights are 0.
    """
    padding = ~mask[:, :, None]
    # The lowest finite number, not -inf: without valid frames that gives NaN, which the two fills
    # would hide, and which stops torch's anomaly detection.
    shares = scores.masked_fill(padding, finfo(scores.dtype).min).softmax(dim=1)
    return shares.masked_fill(padding, 0.0)
