"""SpecAugment: spans of frames and of features set to zero (Park et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_spans(sequence: Tensor, spans: dict[str, Tensor] | None) -> Tensor:
    """Zero the spans of a sequence (batch, frame, feature).

    Args:
        sequence: (batch, frame, feature).
        spans: ``time`` (batch, span, 2) first and past-the-last frame; ``feature``
            (batch, span, 2) the same as shares of the width, so that one draw fits every stream.
    """
    if not spans:
        return sequence
    _, frames, features = sequence.shape
    if "time" in spans:
        sequence = sequence.masked_fill(_covered(spans["time"], frames)[:, :, None], 0.0)
    if "feature" in spans:
        edges = (spans["feature"] * features).round().to(torch.long)
        sequence = sequence.masked_fill(_covered(edges, features)[:, None, :], 0.0)
    return sequence


def _covered(spans: Tensor, size: int) -> Tensor:
    """Spans (batch, span, 2) to a mask (batch, size) that is True inside any of them."""
    places = torch.arange(size, device=spans.device)[None, None, :]
    inside = (places >= spans[..., :1]) & (places < spans[..., 1:])
    return inside.any(dim=1)
