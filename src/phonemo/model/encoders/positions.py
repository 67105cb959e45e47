"""wav2vec 2.0 with Whisper's sinusoidal positions instead of the positional convolution.

A Transformer initialized from Whisper depends on those positions: its heads use them to attend
some frames back or ahead. Without them the teacher's third layer lost 13 points of UA on EmoDB
(LOG.md), and a positional convolution, with its local context, cannot replace them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, Wav2Vec2Config, Wav2Vec2Model

#: The period of the slowest sinusoid is this times 2 pi frames (Vaswani et al. 2017).
_SLOWEST = 10_000.0


class SinusoidalWav2Vec2Config(Wav2Vec2Config):
    """A wav2vec 2.0 with sinusoidal positions; the convolution's fields are ignored."""

    model_type = "wav2vec2-sinusoidal"

    first_position: int = 0


class SinusoidalPositions(nn.Module):
    """Frame positions without weights: sines, then cosines, of decreasing frequency."""

    def __init__(self, features: int, first: int) -> None:
        super().__init__()
        self.features = features
        self.first = first

    def forward(self, hidden: Tensor) -> Tensor:
        """Positions for hidden states (batch, frame, feature): (1, frame, feature)."""
        half = self.features // 2
        fall = math.log(_SLOWEST) / (half - 1)
        frequency = torch.exp(-fall * torch.arange(half, device=hidden.device))
        frames = torch.arange(hidden.shape[1], device=hidden.device) + self.first
        angles = frames[:, None] * frequency
        return torch.cat([angles.sin(), angles.cos()], dim=1)[None].to(hidden.dtype)


class SinusoidalWav2Vec2Model(Wav2Vec2Model):
    """Wav2Vec2Model with other positions."""

    config_class = SinusoidalWav2Vec2Config

    def __init__(self, config: SinusoidalWav2Vec2Config) -> None:
        super().__init__(config)
        encoder: Any = self.encoder
        encoder.pos_conv_embed = SinusoidalPositions(config.hidden_size, config.first_position)


AutoConfig.register(SinusoidalWav2Vec2Config.model_type, SinusoidalWav2Vec2Config)
AutoModel.register(SinusoidalWav2Vec2Config, SinusoidalWav2Vec2Model)
