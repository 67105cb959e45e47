"""What phonemo says of one recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """The emotion heard in a recording.

    Attributes:
        label: the emotion with the highest score.
        scores: probability of every emotion; they sum to one.
        seconds: length of the recording.
        phonemes: what the phoneme head heard; None for a network without one.
        warnings: short names: those of phonemo.audio.WARNINGS, and "windowed" where the
            recording was longer than the model hears at once.
    """

    label: str
    scores: dict[str, float]
    seconds: float
    phonemes: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "label": self.label,
            "scores": self.scores,
            "seconds": round(self.seconds, 3),
            "phonemes": None if self.phonemes is None else list(self.phonemes),
            "warnings": list(self.warnings),
        }
