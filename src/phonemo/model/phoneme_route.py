"""Where the phoneme task enters the network: what its head reads, and how far its gradient flows.

Each setting is an arm of the paper's question, why recognizing phonemes would help the emotion:

- gradient ``all`` (the paper): the phonemes train every layer below their head;
- gradient ``fusion``: they train the fusion, not the layers below it;
- gradient ``none``: they train their own head, a control that shares nothing;
- ``layer``: they train the layers up to a hidden state, not the fusion;
- posteriors in ``fusion``: what the head recognizes is a further input of the fusion;
- posteriors in ``pooling``: the emotion is pooled from the vowels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from phonemo.errors import ModelError
from phonemo.model.fusion import FUSIONS


@dataclass(frozen=True)
class PhonemeRoute:
    """What the phoneme head reads, how far its gradient flows, and what else it feeds."""

    layer: int | None = None
    """The hidden state that the head reads; None reads the fusion."""
    gradient: str = "all"
    semantic_symbols: int = 0
    """Features of the posteriors in the semantic stream; 0 without."""
    vowels: tuple[int, ...] = ()
    """Symbols whose probability pools the emotion; empty without."""

    @classmethod
    def of(cls, auxiliary: Mapping[str, Any], fusion: str, depth: int) -> PhonemeRoute:
        """Read the auxiliary section; ModelError for an impossible combination."""
        layer, use = auxiliary.get("layer"), auxiliary.get("posteriors", "unused")
        gradient = auxiliary.get("gradient", "all")
        if layer is not None and layer > depth:
            raise ModelError(f"expected auxiliary.layer from 0 to {depth}, got {layer}")
        if use == "fusion" and (layer is None or "semantic" not in FUSIONS[fusion].needs):
            raise ModelError(
                "auxiliary.posteriors fusion: expected auxiliary.layer, and a fusion that reads "
                "the semantic stream"
            )
        if gradient == "fusion" and layer is not None:
            raise ModelError("auxiliary.gradient fusion: expected no auxiliary.layer")
        if use == "pooling" and not auxiliary.get("vowels"):
            raise ModelError("auxiliary.posteriors pooling: expected an inventory with vowels")
        symbols = len(auxiliary["symbols"]) if use == "fusion" else 0
        vowels = tuple(auxiliary["vowels"]) if use == "pooling" else ()
        return cls(layer, gradient, symbols, vowels)

    def stopped(self, sequence: Tensor) -> Tensor:
        """The head's input, without gradient where that is set."""
        return sequence.detach() if self.gradient == "none" else sequence


def posteriors_of(logits: Tensor) -> Tensor:
    """Probabilities as a further input; the emotion does not train the phoneme head by them."""
    return logits.detach().softmax(dim=2)


def with_vowels(
    passed: list[Tensor], logits: Tensor | None, vowels: tuple[int, ...], speech: bool
) -> list[Tensor]:
    """Insert each frame's probability of a vowel, (batch, frame, 1), before that of speech."""
    assert logits is not None
    probability = posteriors_of(logits)[:, :, list(vowels)].sum(dim=2, keepdim=True)
    return [*passed[:-1], probability, passed[-1]] if speech else [*passed, probability]
