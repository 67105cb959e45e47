"""Attention and masking: by hand on 2 x 2 tensors, and against torch's own layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from phonemo.errors import ModelError
from phonemo.model.attention import MultiHeadAttention, masked_softmax, zero_padding

NAN = float("nan")


def test_attention_by_hand() -> None:
    """One head, all projections the identity, on two orthogonal frames."""
    attention = MultiHeadAttention(2, 1)
    for layer in (attention.query, attention.key, attention.value, attention.output):
        nn.init.eye_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    frames = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    # scores of frame 0: 1 / sqrt(2) and 0
    own = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    expected = torch.tensor([[[own, 1 - own], [1 - own, own]]])
    result = attention(frames, frames, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(result, expected)


def test_attention_is_torchs_own() -> None:
    """Twin: nn.MultiheadAttention with the same weights and a key padding mask."""
    torch.manual_seed(1)
    ours, theirs = MultiHeadAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    none = torch.zeros(8)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat((ours.query.weight, ours.key.weight, ours.value.weight))
        )
        theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, none, ours.value.bias)))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    reader, read = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    expected, _ = theirs(reader, read, read, key_padding_mask=~mask)
    torch.testing.assert_close(ours(reader, read, mask), expected)


def test_attention_without_valid_frames_uses_all_frames() -> None:
    """Without valid frames the softmax is not empty, which would give NaN."""
    torch.manual_seed(2)
    attention = MultiHeadAttention(4, 2)
    frames = torch.randn(1, 3, 4, requires_grad=True)
    result = attention(frames, frames, torch.zeros(1, 3, dtype=torch.bool))
    result.sum().backward()
    expected = attention(frames, frames, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(result, expected)
    assert frames.grad is not None
    assert frames.grad.isfinite().all()


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ModelError, match="expected attention_heads that divide the width 8, got 3"):
        MultiHeadAttention(8, 3)
    with pytest.raises(ModelError, match="divide the width 8, got 0"):
        MultiHeadAttention(8, 0)


def test_masked_softmax_by_hand() -> None:
    scores = torch.tensor([[[0.0], [math.log(3.0)], [NAN]]])
    mask = torch.tensor([[True, True, False]])
    expected = torch.tensor([[[0.25], [0.75], [0.0]]])
    torch.testing.assert_close(masked_softmax(scores, mask), expected)


def test_masked_softmax_over_nothing_is_zero_with_zero_gradient() -> None:
    scores = torch.randn(1, 3, 2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
        weights = masked_softmax(scores, torch.zeros(1, 3, dtype=torch.bool))
        weights.square().sum().backward()
    assert torch.equal(weights, torch.zeros(1, 3, 2))
    assert scores.grad is not None
    assert torch.equal(scores.grad, torch.zeros(1, 3, 2))


def test_zero_padding_overwrites_nan_and_stops_its_gradient() -> None:
    sequence = torch.tensor([[[1.0, 2.0], [NAN, NAN]]], requires_grad=True)
    clean = zero_padding(sequence, torch.tensor([[True, False]]))
    clean.square().sum().backward()
    assert torch.equal(clean, torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]))
    assert sequence.grad is not None
    assert torch.equal(sequence.grad, torch.tensor([[[2.0, 4.0], [0.0, 0.0]]]))
