"""Heads: the utterance's emotion and rated dimensions, and the frames' phonemes."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from phonemo.model.attention import zero_padding

#: The index of CTC's blank in every phoneme inventory.
BLANK = 0
#: The share of blank frames that a new phoneme head predicts: about that of speech at 50 frames
#: and 12 phonemes per second.
BLANK_SHARE = 0.75
#: Equal to that of phonemo.evaluation.calibration; a test compares this head with the numpy code.
DISTANCE_POWER = 4


class EmotionHead(nn.Module):
    """One hidden layer from a vector to one logit per emotion.

    Args:
        features: features of the vector.
        emotions: number of emotions.
        dropout: share of features dropped in training, before each linear layer.
        hidden: features of the hidden layer.
    """

    def __init__(self, features: int, emotions: int, dropout: float, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            _output_layer(hidden, emotions),
        )

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature) to logits (batch, emotion)."""
        logits: Tensor = self.layers(vector)
        return logits


class LinearHead(nn.Module):
    """A linear layer over standardized features, from a vector to one logit per emotion.

    ``centre`` and ``spread`` are those of the training part; phonemo.train.heads.linear_head sets
    them together with the weights, and the ``class_means`` (emotion, feature), standardized, that
    adaptation needs. Where these are None, the model takes no profile. With a ``radius``, more
    distant vectors give flatter logits: phonemo.evaluation.calibration.flattened.

    Args:
        features: features of the vector.
        emotions: number of emotions.
        dropout: share of features dropped in training.
    """

    class_means: Tensor | None
    radius: float | None = None

    def __init__(self, features: int, emotions: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("class_means", None)
        self.layers = nn.Sequential(
            Standardise(features), nn.Dropout(dropout), _output_layer(features, emotions)
        )

    @property
    def standardise(self) -> Standardise:
        """The layer with ``centre`` and ``spread``."""
        return cast(Standardise, self.layers[0])

    @property
    def linear(self) -> nn.Linear:
        """The layer with the weights."""
        return cast(nn.Linear, self.layers[2])

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature) to logits (batch, emotion)."""
        standardized = self.standardise(vector)
        logits: Tensor = self.layers[1:](standardized)
        if self.radius is None:
            return logits
        square = standardized.square().mean(dim=1, keepdim=True)
        flattening = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER / 2)
        return cast(Tensor, logits / flattening)


def _output_layer(features: int, outputs: int) -> nn.Linear:
    """A linear layer, also without outputs, for a network without emotions."""
    layer = nn.Linear(features, max(outputs, 1))
    if not outputs:  # torch would warn that it initializes nothing
        layer.out_features = 0
        layer.weight, layer.bias = (
            nn.Parameter(torch.empty(0, features)),
            nn.Parameter(torch.empty(0)),
        )
    return layer


class Standardise(nn.Module):
    """Subtracts each feature's centre and divides by its spread; initially 0 and 1."""

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature), standardized."""
        return (vector - self.centre) / self.spread


class DimensionHead(nn.Module):
    """One hidden layer from a vector to a value from 0 to 1 for each rated dimension.

    Args:
        features: features of the vector.
        dimensions: number of rated dimensions.
        dropout: share of features dropped in training, before each linear layer.
    """

    def __init__(self, features: int, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.layers = EmotionHead(features, dimensions, dropout).layers

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature) to (batch, dimension) in 0..1."""
        values: Tensor = self.layers(vector)
        return values.sigmoid()


class LinearDimensionHead(nn.Module):
    """A linear layer over standardized features; phonemo.train.heads.ridge_head fits it.

    In evaluation the values are limited to 0..1; in training they are not, as a limit has no
    gradient. New heads give about 0.5.

    Args:
        features: features of the vector.
        dimensions: number of rated dimensions.
        dropout: share of features dropped in training.
    """

    def __init__(self, features: int, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.standardise = Standardise(features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, dimensions)
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
            self.linear.bias.fill_(0.5)

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature) to (batch, dimension), in 0..1 outside of training."""
        values: Tensor = self.linear(self.dropout(self.standardise(vector)))
        return values if self.training else values.clamp(0.0, 1.0)


class PhonemeHead(nn.Module):
    """A linear layer from each frame to one logit per symbol; index 0 is CTC's blank.

    It is a single layer, so that the phoneme features are learned below it, where the emotion head
    can use them.

    Args:
        features: features per frame.
        symbols: size of the inventory, blank included.
        dropout: share of features dropped in training.
    """

    def __init__(self, features: int, symbols: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(features, symbols)
        with torch.no_grad():
            # CTC first learns that most frames are blank. With this bias it need not shift all
            # frames in one direction in the first epochs, which would stall the emotion.
            odds = BLANK_SHARE / (1 - BLANK_SHARE) * (symbols - 1)
            self.output.bias.zero_()
            self.output.bias[BLANK] = math.log(odds)

    def forward(self, sequence: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, frame, feature) to logits (batch, frame, phoneme).

        Args:
            sequence: (batch, frame, feature).
            mask: (batch, frame), True where valid. It may be omitted where the padding is finite,
                as after every fusion; with other padding the gradients would not be.
        """
        if mask is not None:
            sequence = zero_padding(sequence, mask)
        logits: Tensor = self.output(self.dropout(sequence))
        return logits


def best_path(logits: Tensor, lengths: Tensor) -> list[list[int]]:
    """Greedy CTC decoding (Graves et al. 2006): best symbol per frame, repeats and blanks removed.

    Args:
        logits: (batch, frame, phoneme).
        lengths: (batch,), valid frames of each utterance; later frames are ignored.

    Returns:
        The indices of the recognized symbols, one list per utterance.
    """
    best = logits.argmax(dim=2).cpu()
    rows = zip(best, lengths.tolist(), strict=True)
    return [_collapse(torch.unique_consecutive(row[:length])) for row, length in rows]


def _collapse(merged: Tensor) -> list[int]:
    return [int(index) for index in merged.tolist() if index != BLANK]


#: Name in ModelConfig.head -> class.
HEADS: dict[str, type[EmotionHead | LinearHead]] = {"hidden": EmotionHead, "linear": LinearHead}

#: The same name -> class of the head for rated dimensions.
DIMENSION_HEADS: dict[str, type[DimensionHead | LinearDimensionHead]] = {
    "hidden": DimensionHead,
    "linear": LinearDimensionHead,
}

#: Task in AuxiliaryConfig.task -> class.
AUXILIARIES: dict[str, type[PhonemeHead]] = {"phonemes": PhonemeHead}
