"""What the frozen part of a network gives: computed once per recording, stored, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

_LAYER = "layer_"


@dataclass
class FrozenFeatures:
    """The output of the layers below a boundary: (batch, frame, feature), but for ``frames``.

    Attributes:
        frames: valid frames of each recording, (batch,).
        cnn: the convolutions' output, where the boundary lies right above them; else None.
        acoustic: the convolutions' output as the acoustic stream reads it.
        speech: 1 where a frame holds speech, one feature; None where the network reads all frames.
        layers: hidden states by their number.
    """

    frames: Tensor
    cnn: Tensor | None = None
    acoustic: Tensor | None = None
    speech: Tensor | None = None
    layers: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def from_named(cls, frames: Tensor, named: Mapping[str, Tensor]) -> FrozenFeatures:
        """The inverse of :meth:`named`."""
        layers = {int(k[len(_LAYER) :]): v for k, v in named.items() if k.startswith(_LAYER)}
        return cls(frames, named.get("cnn"), named.get("acoustic"), named.get("speech"), layers)

    def named(self) -> dict[str, Tensor]:
        """The tensors that are there, by the names under which a cache stores them."""
        streams = {"cnn": self.cnn, "acoustic": self.acoustic, "speech": self.speech}
        states = {f"{_LAYER}{number}": state for number, state in self.layers.items()}
        return {name: value for name, value in streams.items() if value is not None} | states

    @property
    def padded_frames(self) -> int:
        """Frames of the longest recording, to which the others are padded."""
        return next(iter(self.named().values())).shape[1]

    def to(self, device: torch.device | str) -> FrozenFeatures:
        """The same on a device."""
        named = {name: value.to(device) for name, value in self.named().items()}
        return FrozenFeatures.from_named(self.frames.to(device), named)
