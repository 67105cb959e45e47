"""The backbone: a speech encoder of transformers, run so that padding has no effect.

phonemo has its own loop over the parts, for three reasons: the group norm of wav2vec2-base and
hubert-base runs over time, padding included (transformers issues #10117 and #21534);
data2vec's five positional convolutions leak padding from one to the next; and the loop can stop
at any layer and continue from there, so the output of frozen layers can be cached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from phonemo.audio.frames import FrameGrid
from phonemo.model.encoders.convolutions import by_convolution
from phonemo.model.encoders.logmel import NAME
from phonemo.model.encoders.positions import SinusoidalPositions
from phonemo.model.masks import fewest_samples, frames_of, mask_of, speech_frames

#: model_type of transformers -> whether its layers take and return a position bias.
BACKBONES: dict[str, bool] = {
    "wav2vec2": False,
    "wav2vec2-sinusoidal": False,
    "hubert": False,
    "wavlm": True,
    "data2vec-audio": False,
    NAME: False,
}


class Backbone(nn.Module):
    """Waveforms to the hidden states of every layer, exact under padding.

    Args:
        network: a bare Wav2Vec2Model, HubertModel, WavLMModel or Data2VecAudioModel.
        normalise: whether to normalize each clip to zero mean and unit variance over its own
            samples, as the backbone's preprocessor_config.json requires.
    """

    network: Any  # transformers' modules are reached by name, which torch types as Tensor | Module

    def __init__(self, network: nn.Module, normalise: bool) -> None:
        super().__init__()
        self.network = network
        self.normalise = normalise
        self.biased = BACKBONES[self.network.config.model_type]
        #: How the waveform is convolved; an export uses by_products.
        self.convolutions = by_convolution

    @property
    def depth(self) -> int:
        """The number of Transformer layers; hidden states are numbered 0 (input) to depth."""
        return len(self.network.encoder.layers)

    @property
    def acoustic_features(self) -> int:
        """Features per CNN frame."""
        return int(self.network.config.conv_dim[-1])

    @property
    def semantic_features(self) -> int:
        """Features per Transformer frame."""
        return int(self.network.config.hidden_size)

    @property
    def fewest_samples(self) -> int:
        """The shortest clip in samples; shorter ones are zero-padded to this."""
        config = self.network.config
        return fewest_samples(config.conv_kernel, config.conv_stride)

    @property
    def grid(self) -> FrameGrid:
        """The position of the frames in time."""
        config = self.network.config
        return FrameGrid.of(config.conv_kernel, config.conv_stride)

    def frames(self, samples: Tensor) -> Tensor:
        """Numbers of frames (batch,) for clips of ``samples`` (batch,)."""
        config = self.network.config
        samples = samples.clamp(min=self.fewest_samples)
        return frames_of(samples, config.conv_kernel, config.conv_stride)

    def convolve(self, waveform: Tensor, samples: Tensor) -> Tensor:
        """Waveforms (batch, sample) of lengths (batch,) to CNN output (batch, frame, feature).

        Padding, which may hold NaN, is set to zero first.
        """
        signal = self.signal(waveform, samples)
        layers = self.network.feature_extractor.conv_layers
        return self.convolutions(layers, signal, samples.clamp(min=self.fewest_samples))

    def signal(self, waveform: Tensor, samples: Tensor) -> Tensor:
        """The CNN's input: zero in the padding, normalized, at least ``fewest_samples`` long.

        Args:
            waveform: (batch, sample).
            samples: length of each, (batch,).
        """
        signal = waveform.masked_fill(~mask_of(samples, waveform.shape[1]), 0.0)
        if self.normalise:
            signal = _normalize(signal, samples)
        short = self.fewest_samples - signal.shape[1]
        return nn.functional.pad(signal, (0, short)) if short > 0 else signal

    def speech(self, waveform: Tensor, samples: Tensor, mask: Tensor) -> Tensor:
        """Frames that contain speech, (batch, frame).

        Args:
            waveform: (batch, sample).
            samples: length of each, (batch,).
            mask: (batch, frame), True where a frame is valid.
        """
        return speech_frames(self.signal(waveform, samples), mask, self.grid)

    def acoustic(self, cnn: Tensor) -> Tensor:
        """CNN output after its layer norm (transformers' extract_features); same shape."""
        norm = getattr(self.network.feature_projection, "layer_norm", None)
        normed: Tensor = cnn if norm is None else norm(cnn)
        return normed

    def project(self, cnn: Tensor) -> Tensor:
        """CNN output (batch, frame, feature) to the Transformer's width."""
        projected = self.network.feature_projection(cnn)
        first: Tensor = projected[0] if isinstance(projected, tuple) else projected
        return first

    def embed(self, projected: Tensor, mask: Tensor) -> Tensor:
        """Projected features to hidden state 0, with positions (batch, frame, feature)."""
        encoder = self.network.encoder
        hidden = projected.masked_fill(~mask[..., None], 0.0)
        hidden = hidden + self._positions(hidden, mask)
        if not self._norm_is_last():
            hidden = encoder.layer_norm(hidden)
        embedded: Tensor = encoder.dropout(hidden)
        return embedded

    def run(
        self, hidden: Tensor, mask: Tensor, start: int, numbers: Iterable[int]
    ) -> dict[int, Tensor]:
        """Run from hidden state ``start`` to the later ones of these ``numbers``, keyed by number.

        Values in padded frames are undefined and must not be used.
        """
        later = set(numbers)
        states = {start: hidden}
        attention = self._attention_mask(hidden, mask)
        bias = self._position_bias(hidden) if self.biased else None
        for number in range(start, max(later, default=start)):
            hidden = self._layer(number, hidden, attention, bias)
            states[number + 1] = hidden
        if self.depth in states and self._norm_is_last():
            states[self.depth] = self.network.encoder.layer_norm(states[self.depth])
        return {number: states[number] for number in later if number in states}

    def parts(self) -> list[list[nn.Module]]:
        """Parts that can be frozen, from the bottom: the CNN, the embedding, then each layer."""
        encoder = self.network.encoder
        embedding = [self.network.feature_projection, encoder.pos_conv_embed, encoder.dropout]
        if not self._norm_is_last():
            embedding.append(encoder.layer_norm)
        return [[self.network.feature_extractor], embedding, *([layer] for layer in encoder.layers)]

    def _norm_is_last(self) -> bool:
        return bool(getattr(self.network.config, "do_stable_layer_norm", False))

    def _positions(self, hidden: Tensor, mask: Tensor) -> Tensor:
        positional = self.network.encoder.pos_conv_embed
        if isinstance(positional, SinusoidalPositions):
            encoded: Tensor = positional(hidden)
            return encoded
        gap = ~mask[:, None, :]
        signal = hidden.transpose(1, 2)
        for stage in getattr(positional, "layers", ()):
            signal = stage(signal.masked_fill(gap, 0.0))
        if hasattr(positional, "conv"):
            batch_norm = getattr(positional, "batch_norm", None)
            if batch_norm is not None:
                signal = batch_norm(signal).masked_fill(gap, 0.0)
            signal = positional.activation(positional.padding(positional.conv(signal)))
        return signal.transpose(1, 2)

    def _attention_mask(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.biased:
            return mask
        lowest = torch.finfo(hidden.dtype).min
        return torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, lowest)[:, None, None]

    def _position_bias(self, hidden: Tensor) -> Tensor:
        batch, frames, _ = hidden.shape
        attention = self.network.encoder.layers[0].attention
        bias = attention.compute_bias(frames, frames)
        repeated: Tensor = bias.repeat(batch, 1, 1)
        return repeated

    def _layer(self, number: int, hidden: Tensor, attention: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.network.encoder.layers[number]
        if bias is None:
            result = layer(hidden, attention_mask=attention)
        else:
            result = layer(hidden, attention_mask=attention, position_bias=bias)
        output: Tensor = result[0] if isinstance(result, tuple) else result
        return output


def _normalize(signal: Tensor, samples: Tensor) -> Tensor:
    mask = mask_of(samples, signal.shape[1])
    count = samples[:, None].clamp(min=1)
    centered = (signal - signal.sum(dim=1, keepdim=True) / count).masked_fill(~mask, 0.0)
    variance = centered.square().sum(dim=1, keepdim=True) / count
    return centered / torch.sqrt(variance + 1e-7)
