"""What phonemo says of one recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from phonemo.errors import LabelError, UsageError
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
        share: what it adds to the score of the emotion that was heard: that score minus what it
            is when the phoneme's frames are left out of pooling, -1 to 1; None where nobody asked.
    """

    symbol: str
    start: float
    end: float
    confidence: float
    share: float | None = None

    def moved(self, seconds: float) -> PhonemeSpan:
        """The same, so much later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        data = {"symbol": self.symbol, **times, "confidence": round(self.confidence, 4)}
        return data if self.share is None else data | {"share": round(self.share, 6)}


@dataclass(frozen=True)
class ProfileMark:
    """Names the profile that a prediction was made with.

    Attributes:
        hash: the beginning of the SHA-256 of the profile's content.
        count: how many vectors the profile is of.
    """

    hash: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"hash": self.hash, "count": self.count}


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording and the emotion heard in it.

    Attributes:
        start: where it begins, in seconds.
        end: where it ends, in seconds.
        label: the emotion with the highest score.
        scores: probability of every emotion.
        speaker: who speaks, where turns were given.
        profile: the statistics of the speaker, where the segment was adapted by them.
    """

    start: float
    end: float
    label: str
    scores: dict[str, float]
    speaker: str | None = None
    profile: ProfileMark | None = None

    def among(self, names: Iterable[str]) -> Segment:
        """The same, choosing among some emotions only; arguments and errors of Prediction.among."""
        scores = _scaled(self.scores, names)
        return replace(self, label=_best(scores), scores=scores)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        data = {**times, "label": self.label, "scores": self.scores}
        data |= {} if self.speaker is None else {"speaker": self.speaker}
        return data if self.profile is None else data | {"profile": self.profile.to_dict()}


@dataclass(frozen=True)
class Prediction:
    """The emotion heard in a recording.

    Attributes:
        label: the emotion with the highest score.
        scores: probability of every emotion; they sum to one.
        seconds: length of the recording.
        spans: the phonemes that were heard, in time; None for a network without a phoneme head.
        warnings: short names: those of phonemo.audio.WARNINGS, "windowed" where the recording was
            longer than the model hears at once, "no_speech" where no voice was found, and
            "unsure" where the highest score is below the model's threshold.
        segments: the emotions in time: one stretch for a short recording, the turns where they
            were given, else the timeline. Stretches without speech are left out.
        speech_ratio: share of the recording in which somebody speaks, 0 to 1; None where it was
            not looked at.
        timings: seconds of work by its kind ("decode", "network", "phonemes"); they differ from
            run to run and are no part of the answer.
        profile: the profile that was applied; None where the recording alone decided.
    """

    label: str
    scores: dict[str, float]
    seconds: float
    spans: tuple[PhonemeSpan, ...] | None = None
    warnings: tuple[str, ...] = field(default=())
    segments: tuple[Segment, ...] = ()
    speech_ratio: float | None = None
    timings: dict[str, float] = field(default_factory=dict, compare=False)
    profile: ProfileMark | None = None

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
        wanted = tuple(names)
        scores = _scaled(self.scores, wanted)
        parts = tuple(one.among(wanted) for one in self.segments)
        return replace(self, label=_best(scores), scores=scores, segments=parts)

    def top(self, count: int) -> Prediction:
        """The same with the highest scores only, the highest first; they keep their values.

        Raises:
            UsageError: a count below one.
        """
        if count < 1:
            raise UsageError(f"top {count} scores; 1 or more are wanted")
        parts = tuple(replace(one, scores=_highest(one.scores, count)) for one in self.segments)
        return replace(self, scores=_highest(self.scores, count), segments=parts)

    def narrowed(self, names: Iterable[str], top_k: int | None) -> Prediction:
        """``among`` the names where there are any, then ``top`` where a count is given."""
        wanted = tuple(names)
        found = self.among(wanted) if wanted else self
        return found if top_k is None else found.top(top_k)

    def to_pipeline(self, top_k: int | None = None) -> list[dict[str, Any]]:
        """The shape of transformers' ``pipeline("audio-classification")``: highest score first."""
        ranked = self.top(len(self.scores) if top_k is None else top_k).scores
        return [{"score": score, "label": label} for label, score in ranked.items()]

    def to_pandas(self, file: str = "") -> Any:
        """A data frame with a row for each segment and audformat's index (file, start, end).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from phonemo.tabular import to_pandas

        return to_pandas([(file, self)])

    def to_dict(self, spans: bool = False) -> dict[str, Any]:
        """Plain data for JSON; with spans, the times of the phonemes too."""
        data = {
            "label": self.label,
            "scores": self.scores,
            "seconds": round(self.seconds, 3),
            "phonemes": None if self.phonemes is None else list(self.phonemes),
            "warnings": list(self.warnings),
            "speech_ratio": None if self.speech_ratio is None else round(self.speech_ratio, 4),
            "segments": [one.to_dict() for one in self.segments],
        }
        if self.profile is not None:
            data["profile"] = self.profile.to_dict()
        if spans:
            timed = self.spans
            data["spans"] = None if timed is None else [one.to_dict() for one in timed]
        return data


def _scaled(scores: dict[str, float], names: Iterable[str]) -> dict[str, float]:
    """The scores of some emotions, scaled to sum to one."""
    wanted = LabelSet(tuple(scores)).restrict(names).names
    total = sum(scores[name] for name in wanted)
    if not total > 0:
        raise LabelError(f"every score of {', '.join(wanted)} is 0; choose among others too")
    return {name: scores[name] / total for name in wanted}


def _best(scores: dict[str, float]) -> str:
    return max(scores, key=scores.__getitem__)


def _highest(scores: dict[str, float], count: int) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1])[:count])
