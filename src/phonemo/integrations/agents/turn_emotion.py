"""What a voice agent receives: the emotion of a user's turn, or of a part of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from phonemo.annotations.dimensions import Dimensions
from phonemo.annotations.prediction import Prediction, Segment

Kind = Literal["window", "pause", "turn"]

#: The warning of a turn with less speech than a prediction needs.
TOO_SHORT = "too_short"


@dataclass(frozen=True)
class TurnEmotion:
    """The emotion of a user's turn: its final one, or a live one while the user speaks.

    Attributes:
        kind: "turn": of the whole turn, once, at its end; "pause": of the turn up to a pause;
            "window": of the last 3 s, which is not smoothed.
        turn: number of the turn, from 1 on.
        label: the emotion with the highest score; None if no speech was found, or too little.
        scores: probability of every emotion; empty if there was too little speech.
        unsure: whether the label is in doubt; without the mark it may still be wrong.
        start: start in seconds from the turn's first speech.
        end: end in seconds.
        dimensions: arousal and valence; None for a model without them.
        prediction: the prediction of the turn so far; None for a window and if there was too
            little speech.
        warnings: those of the prediction; "too_short" if there was too little speech.
        latency: seconds from the end of the turn to this result; None for a live one.
    """

    kind: Kind
    turn: int
    label: str | None
    scores: dict[str, float]
    unsure: bool
    start: float
    end: float
    dimensions: Dimensions | None = None
    prediction: Prediction | None = None
    warnings: tuple[str, ...] = ()
    latency: float | None = field(default=None, compare=False)

    @property
    def is_final(self) -> bool:
        """Whether it is that of the whole turn."""
        return self.kind == "turn"

    def describe(self) -> str:
        """One sentence for the prompt of a language model, with the doubt that there is.

        It names the classifier, because a label is what acted speech sounds like, not what a person
        feels (docs/explanation/ethics.md).
        """
        what = "last turn" if self.is_final else "turn so far"
        if self.label is None:
            return f"Speech emotion classifier, user's {what}: no result (too little speech)."
        score = f"{self.label}, score {self.scores[self.label]:.2f}"
        if self.unsure:
            return f"Speech emotion classifier, user's {what}: unsure (closest: {score})."
        return f"Speech emotion classifier, user's {what}: sounds like {score}; it may be wrong."

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {"kind": self.kind, "turn": self.turn, "label": self.label}
        data |= {"unsure": self.unsure, "scores": self.scores}
        data |= {"start": round(self.start, 3), "end": round(self.end, 3)}
        data |= {} if self.dimensions is None else {"dimensions": self.dimensions.to_dict()}
        return data | {"warnings": list(self.warnings)}


def emotion_of_segment(segment: Segment, turn: int) -> TurnEmotion:
    """The live emotion of a window of a turn."""
    return TurnEmotion(
        kind="window",
        turn=turn,
        label=segment.label,
        scores=segment.scores,
        unsure=segment.is_doubtful,
        start=segment.start,
        end=segment.end,
        dimensions=segment.dimensions,
    )


def emotion_of_prediction(prediction: Prediction, kind: Kind, turn: int) -> TurnEmotion:
    """The emotion of a turn, or of its beginning up to a pause."""
    return TurnEmotion(
        kind=kind,
        turn=turn,
        label=prediction.label,
        scores=prediction.scores,
        unsure=prediction.unsure,
        start=0.0,
        end=prediction.seconds,
        dimensions=prediction.dimensions,
        prediction=prediction,
        warnings=prediction.warnings,
    )


def emotion_of_nothing(turn: int) -> TurnEmotion:
    """The final emotion of a turn with too little speech."""
    return TurnEmotion("turn", turn, None, {}, True, 0.0, 0.0, warnings=(TOO_SHORT,))
