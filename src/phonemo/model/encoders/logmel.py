"""The spectral baseline: a log-mel spectrogram, a small CNN and bidirectional LSTMs.

It has the same parts as wav2vec 2.0 (convolutions from samples to frames, a projection, layers), so
that everything that works with a backbone works with it: exact padding, fusion, phonemes, export.
Nothing in it is pretrained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from phonemo.audio import RATE

#: Its name in model.backbone.
NAME = "log-mel"


class LogMelConfig(PreTrainedConfig):
    """The shape of the network.

    ``conv_kernel`` and ``conv_stride`` are those over time, as in wav2vec 2.0. The last of
    ``conv_dim`` is the channels times the remaining mel bands, halved by each convolution.
    """

    model_type = NAME

    mels: int = 64
    channels: int = 32
    hidden_size: int = 256
    num_hidden_layers: int = 2
    conv_dim: tuple[int, ...] = (64, 32, 32 * 16)
    #: 25 ms windows every 10 ms, then two convolutions: one frame every 20 ms
    conv_kernel: tuple[int, ...] = (400, 3, 3)
    conv_stride: tuple[int, ...] = (160, 1, 2)
    hidden_dropout: float = 0.1


class LogMelModel(PreTrainedModel):
    """Log-mel frames, convolutions over time and frequency, a projection, bidirectional LSTMs."""

    config_class = LogMelConfig
    main_input_name = "input_values"

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config)
        self.feature_extractor = _Convolutions(config)
        self.feature_projection = _Projection(config)
        self.encoder = _Encoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep each layer's own initialization."""

    def forward(self, input_values: Tensor, **ignored: Any) -> BaseModelOutput:
        """Waveforms (batch, sample) without padding to frames (batch, frame, feature)."""
        signal = input_values[:, None]
        for layer in self.feature_extractor.conv_layers:
            signal = layer(signal)
        hidden = self.encoder.layer_norm(self.feature_projection(signal.transpose(1, 2)))
        hidden = self.encoder.dropout(hidden)
        everywhere = hidden.new_zeros(hidden.shape[:2])[:, None, None]
        states = [hidden]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], attention_mask=everywhere))
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=tuple(states))


@dataclass(frozen=True)
class _Sizes:
    """A convolution's kernel and stride over time, as the computation of frames reads them."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]


class LogMel(nn.Module):
    """Samples (batch, 1, sample) to log-mel energies (batch, 1, mel, frame), by convolution."""

    kernels: Tensor
    filters: Tensor

    def __init__(self, mels: int, window: int, hop: int) -> None:
        super().__init__()
        self.conv = _Sizes((window,), (hop,))
        # saved although they can be computed: transformers creates models without their values
        self.register_buffer("kernels", _fourier(window))
        self.register_buffer("filters", _mel_filters(mels, window))

    def forward(self, signal: Tensor) -> Tensor:
        """One window per frame, without padding."""
        # never in half precision: a clip's energies span ten orders of magnitude
        with torch.autocast(signal.device.type, enabled=False):
            parts = nn.functional.conv1d(signal.float(), self.kernels, stride=self.conv.stride)
            real, imaginary = parts.chunk(2, dim=1)
            energies = torch.matmul(self.filters, real.square() + imaginary.square())
            return torch.log(energies + 1e-6)[:, None]


class _Convolution(nn.Module):
    """Convolves time and mel bands, halving the bands: (batch, channel, mel, frame)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, last: bool) -> None:
        super().__init__()
        self.conv = _Sizes((kernel,), (stride,))
        self.convolve = nn.Conv2d(inputs, outputs, (3, kernel), (2, stride), (1, 0))
        self.norm = nn.LayerNorm(outputs)
        self.last = last

    def forward(self, signal: Tensor) -> Tensor:
        """Normalize over channels frame by frame, so that padding affects no other frame."""
        hidden = self.convolve(signal)
        hidden = self.norm(hidden.transpose(1, 3)).transpose(1, 3)
        hidden = nn.functional.gelu(hidden)
        return hidden.flatten(1, 2) if self.last else hidden


class _Convolutions(nn.Module):
    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        kernels, strides = config.conv_kernel, config.conv_stride
        between = [config.channels] * (len(kernels) - 2)
        inputs, outputs = [1, *between], [*between, config.channels]
        layers: list[nn.Module] = [LogMel(config.mels, kernels[0], strides[0])]
        for number, (before, after) in enumerate(zip(inputs, outputs, strict=True), start=1):
            last = number == len(kernels) - 1
            layers.append(_Convolution(before, after, kernels[number], strides[number], last))
        self.conv_layers = nn.ModuleList(layers)


class _Projection(nn.Module):
    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_dim[-1])
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)

    def forward(self, cnn: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.layer_norm(cnn))
        return projected


class _NoPositions(nn.Module):
    """An LSTM needs no positions."""

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.zeros_like(hidden[:1, :, :1])


class _Encoder(nn.Module):
    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        size, dropout = config.hidden_size, config.hidden_dropout
        self.pos_conv_embed = _NoPositions()
        self.layer_norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            [_Recurrent(size, dropout) for _ in range(config.num_hidden_layers)]
        )


class _Recurrent(nn.Module):
    """An LSTM in each direction, the backward one from each clip's own last frame."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.forwards = nn.LSTM(size, size // 2, batch_first=True)
        self.backwards = nn.LSTM(size, size // 2, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, frame, feature); the mask (batch, 1, 1, frame) is 0 on valid frames."""
        frames = (attention_mask[:, 0, 0] == 0).sum(dim=1)
        reversed_frames = _reverse_frames(hidden, frames)
        forward, _ = self.forwards(hidden)
        backward, _ = self.backwards(reversed_frames)
        both: Tensor = self.dropout(torch.cat([forward, _reverse_frames(backward, frames)], dim=2))
        return both


def _reverse_frames(hidden: Tensor, frames: Tensor) -> Tensor:
    """Reverse each clip's frames and leave its padding in place; its own inverse."""
    positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
    mirrored = frames[:, None] - 1 - positions
    indices = torch.where(mirrored >= 0, mirrored, positions)
    return torch.gather(hidden, 1, indices[..., None].expand(-1, -1, hidden.shape[2]))


def _fourier(window: int) -> Tensor:
    """Cosines, then sines, under a Hann window: (2 x band, 1, sample)."""
    times = torch.arange(window, dtype=torch.float64)
    bands = torch.arange(window // 2 + 1, dtype=torch.float64)
    angles = 2 * math.pi / window * bands[:, None] * times
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi / window * times)
    return (torch.cat([angles.cos(), angles.sin()]) * hann)[:, None].float()


def _mel_filters(mels: int, window: int) -> Tensor:
    """Triangular filters on O'Shaughnessy's mel scale, each reaching its neighbors' peaks."""
    bands = torch.linspace(0, RATE / 2, window // 2 + 1, dtype=torch.float64)
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    feet = 700 * (10 ** (torch.linspace(0, highest, mels + 2, dtype=torch.float64) / 2595) - 1)
    rise = (bands - feet[:-2, None]) / (feet[1:-1] - feet[:-2])[:, None]
    fall = (feet[2:, None] - bands) / (feet[2:] - feet[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0).float()


AutoConfig.register(NAME, LogMelConfig)
AutoModel.register(LogMelConfig, LogMelModel)
