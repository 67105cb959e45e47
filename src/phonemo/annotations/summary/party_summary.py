"""The types of a call's summary, as plain data; ``summary.call_summary`` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """A segment in which an emotion has a high score.

    Attributes:
        start: start in seconds.
        end: end in seconds.
        label: the emotion.
        score: its probability.
    """

    start: float
    end: float
    label: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return {**times, "label": self.label, "score": round(self.score, 4)}


@dataclass(frozen=True)
class TrendPart:
    """The emotion of a party in a part of the recording.

    Attributes:
        start: start in seconds.
        end: end in seconds.
        label: the emotion with the highest mean score.
        scores: mean score of every emotion, weighted by seconds of speech.
    """

    start: float
    end: float
    label: str
    scores: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return {**times, "label": self.label, "scores": _rounded(self.scores)}


@dataclass(frozen=True)
class PartySummary:
    """A channel's, a speaker's or a recording's emotions.

    Attributes:
        seconds: length of the recording.
        speech_share: fraction of it in which the party speaks, 0 to 1: by voice activity for a
            channel or a recording, by the lengths of the turns for a speaker.
        emotions: emotion -> fraction of the party's segment time; empty without speech.
        mean_confidence: mean of the segments' highest scores, weighted by length; None without
            speech.
        strongest: at most three segments with the highest scores, highest first; neutral ones only
            where there are no others.
        trend: at most six equal parts of the recording, those without speech left out.
        change: mean scores in the last third of the recording minus those in the first; None if
            the party does not speak in both, or has a single segment.
        channel: the channel, from 1 on; None for the mix of all.
        speaker: the speaker; None if unknown.
    """

    seconds: float
    speech_share: float
    emotions: dict[str, float]
    mean_confidence: float | None
    strongest: tuple[Moment, ...] = ()
    trend: tuple[TrendPart, ...] = ()
    change: dict[str, float] | None = None
    channel: int | None = None
    speaker: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        confidence = self.mean_confidence
        return {
            **({} if self.channel is None else {"channel": self.channel}),
            **({} if self.speaker is None else {"speaker": self.speaker}),
            "seconds": round(self.seconds, 3),
            "speech_share": round(self.speech_share, 4),
            "silence_share": round(1 - self.speech_share, 4),
            "emotions": _rounded(self.emotions),
            "mean_confidence": None if confidence is None else round(confidence, 4),
            "strongest": [moment.to_dict() for moment in self.strongest],
            "trend": [part.to_dict() for part in self.trend],
            "change": None if self.change is None else _rounded(self.change),
        }


@dataclass(frozen=True)
class CallSummary:
    """The summary of a recording, a party each; ``summarize`` makes it."""

    parties: tuple[PartySummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"parties": [party.to_dict() for party in self.parties]}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) + 0.0 for name, value in values.items()}
