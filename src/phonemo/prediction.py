"""What phonemo says of one recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from phonemo.errors import LabelError
from phonemo.labels import LabelSet

#: The warning of an answer that is better not relied upon.
UNSURE = "unsure"


@dataclass(frozen=True)
class PhonemeSpan:
    """A phoneme that was heard, and when.

    Attributes:
        symbol: of the model's inventory.
        start: where it begins, in seconds.
        end: where it ends, in seconds.
        confidence: the geometric mean of its probability over the frames that emit it, 0 to 1.
    """

    symbol: str
    start: float
    end: float
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        return {"symbol": self.symbol, **times, "confidence": round(self.confidence, 4)}


@dataclass(frozen=True)
class Prediction:
    """The emotion heard in a recording.

    Attributes:
        label: the emotion with the highest score.
        scores: probability of every emotion; they sum to one.
        seconds: length of the recording.
        spans: the phonemes that were heard, in time; None for a network without a phoneme head.
        warnings: short names: those of phonemo.audio.WARNINGS, "windowed" where the recording was
            longer than the model hears at once, and "unsure" where the highest score is below
            the model's threshold.
    """

    label: str
    scores: dict[str, float]
    seconds: float
    spans: tuple[PhonemeSpan, ...] | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def phonemes(self) -> tuple[str, ...] | None:
        """The symbols of the spans."""
        return None if self.spans is None else tuple(one.symbol for one in self.spans)

    def doubted(self, threshold: float) -> Prediction:
        """The same, with the warning "unsure" if its highest score is below the threshold."""
        if max(self.scores.values()) >= threshold:
            return self
        return replace(self, warnings=(*self.warnings, UNSURE))

    def among(self, names: Iterable[str]) -> Prediction:
        """The same, choosing among some emotions only: their scores are scaled to sum to one.

        Args:
            names: two or more of the emotions that have a score, in any order.

        Raises:
            LabelError: an emotion without a score, or fewer than two.
        """
        wanted = LabelSet(tuple(self.scores)).restrict(names).names
        total = sum(self.scores[name] for name in wanted)
        if not total > 0:
            raise LabelError(f"every score of {', '.join(wanted)} is 0; choose among others too")
        scores = {name: self.scores[name] / total for name in wanted}
        return replace(self, label=max(wanted, key=scores.__getitem__), scores=scores)

    def to_dict(self, spans: bool = False) -> dict[str, Any]:
        """Plain data for JSON; with spans, the times of the phonemes too."""
        data = {
            "label": self.label,
            "scores": self.scores,
            "seconds": round(self.seconds, 3),
            "phonemes": None if self.phonemes is None else list(self.phonemes),
            "warnings": list(self.warnings),
        }
        if spans:
            timed = self.spans
            data["spans"] = None if timed is None else [one.to_dict() for one in timed]
        return data
