"""Config of the phoneme decoder that phonemo export adds to a bundle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phonemo.config.loading import BaseConfig

_Weight = Annotated[float, Field(ge=0, le=5)]
_Bonus = Annotated[float, Field(ge=0, le=20)]


class DecoderConfig(BaseConfig):
    """A phoneme language model: counted on speakers trained on, tuned on others."""

    manifests: tuple[str, ...] = Field(min_length=1)
    """Manifests with phonemes; those of the network's training speakers are counted."""
    order: Literal[2, 3] = 3
    """Phonemes in an n-gram."""
    beam: int = Field(default=8, ge=1, le=100)
    """Phoneme strings kept in each frame."""
    weights: tuple[_Weight, ...] = Field(default=(0.4, 0.7, 1.0, 1.3), min_length=1)
    """Weights of the language model to choose from, on speakers outside of split test."""
    bonuses: tuple[_Bonus, ...] = Field(default=(1.0, 2.0, 3.0, 4.0), min_length=1)
    """Bonuses for each phoneme (natural logarithm) to choose from."""
