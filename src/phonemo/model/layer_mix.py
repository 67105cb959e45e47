"""Layer selection: the hidden states of the acoustic and the semantic stream, and their mix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def _lower_third(depth: int) -> tuple[int, ...]:
    return tuple(range(max(1, depth // 3) + 1))


def _last(depth: int) -> tuple[int, ...]:
    return (depth,)


def _upper_half(depth: int) -> tuple[int, ...]:
    return tuple(range(depth // 2 + 1, depth + 1))


def _all(depth: int) -> tuple[int, ...]:
    return tuple(range(depth + 1))


#: Stream name -> function from depth to the numbers of its hidden states (0 is the Transformer's
#: input); "cnn" has none: it is the CNN encoder's output.
ACOUSTIC = {"cnn": lambda depth: (), "lower_mix": _lower_third}
SEMANTIC = {"last": _last, "upper_mix": _upper_half, "all_mix": _all}


class LayerMix(nn.Module):
    """A learned convex mix of layers, each normalized per frame first.

    The weights are equal at first (Yang et al. 2021, SUPERB; Pepino et al. 2021). Without the norm
    the layers of a pre-layer-norm network, which grow with depth, would not be comparable.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Mix layers, each (batch, frame, feature), to (batch, frame, feature)."""
        shares = self.weights.softmax(dim=0)
        width = (int(states[0].shape[-1]),)  # as int: an ONNX trace would make it a tensor
        mixed = torch.zeros_like(states[0])
        for share, state in zip(shares, states, strict=True):
            mixed = mixed + share * nn.functional.layer_norm(state, width)
        return mixed


class LayerSelector(nn.Module):
    """Selects one hidden state, or a learned mix of several."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__()
        self.numbers = numbers
        self.mix = LayerMix(len(numbers)) if len(numbers) > 1 else None

    def forward(self, states: dict[int, Tensor]) -> Tensor:
        """Hidden states by number, each (batch, frame, feature), to one of that shape."""
        chosen = [states[number] for number in self.numbers]
        return chosen[0] if self.mix is None else self.mix(chosen)
