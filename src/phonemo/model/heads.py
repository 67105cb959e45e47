"""Heads: the emotion of an utterance, and the phonemes of its frames."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from phonemo.model.attention import zero_padding

#: The index of CTC's blank in every phoneme inventory.
BLANK = 0
#: The share of blank frames that a fresh phoneme head expects: about what speech at 50 frames
#: and 12 phonemes a second has.
BLANK_SHARE = 0.75
#: That of phonemo.evaluation.calibration; a test holds this head against its numpy twin.
DISTANCE_POWER = 4


class EmotionHead(nn.Module):
    """A vector to one score for each emotion, through one hidden layer.

    Args:
        features: features of the vector.
        emotions: how many emotions are told apart.
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
            nn.Linear(hidden, emotions),
        )

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature) to logits (batch, emotion)."""
        logits: Tensor = self.layers(vector)
        return logits


class LinearHead(nn.Module):
    """A vector to one score for each emotion, by a linear layer over standardised features.

    Its ``centre`` and ``spread`` are those of the training part; phonemo.train.linear_head sets
    them
    together with the weights, and the ``class_means`` (emotion, feature), standardised, that
    adaptation needs. Without these, None, the model takes no profile. Where there is a ``radius``,
    vectors further away give flatter logits: phonemo.evaluation.calibration.flattened.

    Args:
        features: features of the vector.
        emotions: how many emotions are told apart.
        dropout: share of features dropped in training.
    """

    class_means: Tensor | None
    radius: float | None = None

    def __init__(self, features: int, emotions: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("class_means", None)
        self.layers = nn.Sequential(
            Standardise(features), nn.Dropout(dropout), nn.Linear(features, emotions)
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
        standardised = self.standardise(vector)
        logits: Tensor = self.layers[1:](standardised)
        if self.radius is None:
            return logits
        square = standardised.square().mean(dim=1, keepdim=True)
        far = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER / 2)
        return cast(Tensor, logits / far)


class Standardise(nn.Module):
    """Each feature minus its centre, over its spread; 0 and 1 until somebody measures them."""

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    def forward(self, vector: Tensor) -> Tensor:
        """(batch, feature), standardised."""
        return (vector - self.centre) / self.spread


class PhonemeHead(nn.Module):
    """Each frame to one score for each symbol of the inventory; index 0 is CTC's blank.

    One linear layer only, so that what tells phonemes apart is learned below it, where the
    emotion profits.

    Args:
        features: features of a frame.
        symbols: size of the inventory, blank included.
        dropout: share of features dropped in training.
    """

    def __init__(self, features: int, symbols: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(features, symbols)
        with torch.no_grad():
            # CTC first learns that most frames are blank. Begun from there, it need not drive
            # all frames into one direction in the first epochs, which stalls the emotion.
            odds = BLANK_SHARE / (1 - BLANK_SHARE) * (symbols - 1)
            self.output.bias.zero_()
            self.output.bias[BLANK] = math.log(odds)

    def forward(self, sequence: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, frame, feature) to logits (batch, frame, phoneme).

        Args:
            sequence: (batch, frame, feature).
            mask: (batch, frame), True where valid. It may be left out where the padding is
                finite, as every fusion leaves it; with other padding the gradients would not be.
        """
        if mask is not None:
            sequence = zero_padding(sequence, mask)
        logits: Tensor = self.output(self.dropout(sequence))
        return logits


def best_path(logits: Tensor, lengths: Tensor) -> list[list[int]]:
    """Greedy CTC decoding (Graves et al. 2006): best symbol a frame, repeats merged, blanks out.

    Args:
        logits: (batch, frame, phoneme).
        lengths: (batch,), valid frames of each utterance; what follows them is not read.

    Returns:
        The indices of the recognised symbols, one list an utterance.
    """
    best = logits.argmax(dim=2).cpu()
    rows = zip(best, lengths.tolist(), strict=True)
    return [_collapse(torch.unique_consecutive(row[:length])) for row, length in rows]


def _collapse(merged: Tensor) -> list[int]:
    return [int(index) for index in merged.tolist() if index != BLANK]


#: Name in ModelConfig.head -> its class.
HEADS: dict[str, type[EmotionHead | LinearHead]] = {"hidden": EmotionHead, "linear": LinearHead}

#: Task in AuxiliaryConfig.task -> its head.
AUXILIARIES: dict[str, type[PhonemeHead]] = {"phonemes": PhonemeHead}
