"""A convolution is a product of windows with a matrix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from phonemo.model.encoders.convolutions import by_convolution, by_products, convolved
from tests import tiny_nets


@pytest.mark.parametrize(
    ("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (10, 5), (400, 160), (2, 2), (2, 3), (7, 4)]
)
@pytest.mark.parametrize("extra", [0, 1, 5])
def test_any_kernel_and_stride(kernel, stride, extra):
    torch.manual_seed(kernel + stride)
    conv = nn.Conv1d(2, 5, kernel, stride, bias=bool(extra))
    frames = torch.randn(3, kernel + 4 * stride + extra, 2)
    expected = conv(frames.mT).mT
    result = convolved(conv, frames)
    assert result.shape == expected.shape
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_one_window_is_enough():
    conv = nn.Conv1d(1, 4, 400, 160)
    frames = torch.randn(1, 400, 1)
    torch.testing.assert_close(convolved(conv, frames), conv(frames.mT).mT, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", tiny_nets.KINDS)
def test_both_convolutions_agree_for_every_backbone(kind):
    layers = tiny_nets.make_network(kind).eval().feature_extractor.conv_layers
    lengths = torch.tensor([9000, 4321])
    signal = torch.randn(2, 9000)
    signal[1, 4321:] = 0.0
    with torch.no_grad():
        expected = by_convolution(layers, signal, lengths)
        result = by_products(layers, signal, lengths)
    assert result.shape == expected.shape
    size = result.shape[1]
    valid = [size, size * 4321 // 9000 - 2]
    for row, frames in enumerate(valid):
        torch.testing.assert_close(
            result[row, :frames], expected[row, :frames], atol=1e-4, rtol=1e-4
        )
