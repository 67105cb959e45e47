"""The waveform encoder's convolutions over time, in two equivalent implementations.

As convolutions, which are fastest in torch, in training and inference; and as products of
windows with a matrix, used in exported networks: there they run at the speed of matrix products,
can be quantized like them, and need no transposes around the layer norms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from phonemo.model.masks import frames_of, mask_of


def by_convolution(layers: Iterable[Any], signal: Tensor, lengths: Tensor) -> Tensor:
    """Run every layer as in transformers, except for the group norm.

    Args:
        layers: ``feature_extractor.conv_layers`` of a transformers network.
        signal: (batch, sample), zero in the padding.
        lengths: (batch,) in samples.

    Returns:
        (batch, frame, feature).
    """
    signal = signal[:, None]
    for layer in layers:
        lengths = frames_of(lengths, layer.conv.kernel_size, layer.conv.stride)
        if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
            frames = layer.conv(signal).transpose(1, 2)
            mask = mask_of(lengths, frames.shape[1])
            signal = layer.activation(masked_group_norm(layer.layer_norm, frames, mask))
            signal = signal.transpose(1, 2)
        else:
            signal = layer(signal)
    return signal.transpose(1, 2)


def by_products(layers: Iterable[Any], signal: Tensor, lengths: Tensor) -> Tensor:
    """Run the same layers with each convolution as windows times a matrix.

    Arguments are those of ``by_convolution``, which is used if a layer has no one-dimensional
    convolution (the log-mel baseline).
    """
    layers = list(layers)
    if not all(isinstance(layer.conv, nn.Conv1d) for layer in layers):
        return by_convolution(layers, signal, lengths)
    frames = signal[:, :, None]  # (batch, frame, feature): a sample is a frame of one feature
    for layer in layers:
        lengths = frames_of(lengths, layer.conv.kernel_size, layer.conv.stride)
        frames = convolved(layer.conv, frames)
        norm = getattr(layer, "layer_norm", None)
        if isinstance(norm, nn.GroupNorm):
            frames = masked_group_norm(norm, frames, mask_of(lengths, frames.shape[1]))
        elif norm is not None:
            frames = norm(frames)
        frames = layer.activation(frames)
    return frames


def convolved(conv: nn.Conv1d, frames: Tensor) -> Tensor:
    """A convolution without padding over (batch, frame, feature), as a matrix product."""
    (kernel,), (stride,) = conv.kernel_size, conv.stride
    windows = _windows(frames, kernel, stride)
    # (feature, window): a window is laid out frame by frame
    matrix = conv.weight.transpose(1, 2).reshape(conv.out_channels, -1)
    return nn.functional.linear(windows, matrix, conv.bias)


def masked_group_norm(norm: nn.GroupNorm, frames: Tensor, mask: Tensor) -> Tensor:
    """Group norm, with one channel per group, over the valid frames of (batch, frame, feature).

    Statistics that include padding would make a clip's result depend on its batch (transformers
    issues #10117 and #21534).
    """
    gap = ~mask[:, :, None]
    count = mask.sum(dim=1).to(frames.dtype)[:, None, None]
    frames = frames.masked_fill(gap, 0.0)
    centered = (frames - frames.sum(dim=1, keepdim=True) / count).masked_fill(gap, 0.0)
    variance = centered.square().sum(dim=1, keepdim=True) / count
    return centered * (torch.rsqrt(variance + norm.eps) * norm.weight) + norm.bias


def _windows(frames: Tensor, kernel: int, stride: int) -> Tensor:
    """Every window's frames, concatenated: (batch, frame, ``kernel`` times the features).

    Frames are grouped by ``stride``, so that a window is a few adjacent rows: slices and one
    concatenation, where a gather would fetch every sample separately.
    """
    batch, size, features = frames.shape
    count = (size - kernel) // stride + 1
    rows = -(-kernel // stride)
    short = (count + rows - 1) * stride - size  # padding of the last row; negative: excess frames
    frames = nn.functional.pad(frames, (0, 0, 0, short))
    blocks = frames.reshape(batch, count + rows - 1, stride * features)
    parts = [blocks[:, row : row + count] for row in range(rows)]
    last = (kernel - (rows - 1) * stride) * features
    parts[-1] = parts[-1][:, :, :last]
    return torch.cat(parts, dim=-1) if rows > 1 else parts[0]
