"""What phonemo says of one recording.

What was heard as stretches of time that do not overlap: what every writer draws from.

Praat's tiers cover a recording once and without gaps, whatever a network has heard.

Predictions as a data frame that audformat's tables understand.

pandas is no part of phonemo: it is imported where a frame is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from phonemo.errors import LabelError, MissingExtraError, UsageError
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

    def flag_unsure(self, threshold: float) -> Prediction:
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


#: Shorter silences between two phonemes are rounding, not pauses (TextGrid tiers have no gaps).
_SHORTEST = 1e-6


@dataclass(frozen=True)
class TierInterval:
    """A stretch of a tier, in seconds; an empty text is a gap."""

    start: float
    end: float
    text: str


def segments_of(found: Prediction) -> tuple[Segment, ...]:
    """The emotions in time, by their start.

    A Prediction without segments, as one made by hand, has one for the whole recording; none
    where no speech was found.
    """
    if found.segments:
        return tuple(sorted(found.segments, key=lambda one: one.start))
    if "no_speech" in found.warnings:
        return ()
    return (Segment(0.0, found.seconds, found.label, found.scores),)


def segment_label(segment: Segment) -> str:
    """Its emotion and score: "anger 0.75"."""
    return f"{segment.label} {segment.scores[segment.label]:.2f}"


def phonemes_within(one: Segment, found: Prediction) -> str:
    """The phonemes whose middle lies in a segment, parted by spaces."""
    middles = ((span.symbol, (span.start + span.end) / 2) for span in found.spans or ())
    return " ".join(symbol for symbol, middle in middles if one.start <= middle < one.end)


def single_line(text: str | None) -> str:
    """A speaker's name without line breaks; nothing for nobody."""
    return " ".join((text or "").split())


def tiers_of(found: Prediction) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the recording's end.

    Emotions have one tier, and a tier of their speakers where these are known. Where segments
    overlap there is a tier "emotion <speaker>" for each speaker instead of both.
    """
    tiers = {
        name: list(non_overlapping(intervals, found.seconds))
        for name, intervals in _emotions(segments_of(found)).items()
    }
    if found.spans is not None:
        tiers["phonemes"] = list(fill_gaps(found.spans, found.seconds))
        if any(one.share is not None for one in found.spans):
            shares = (TierInterval(one.start, one.end, _signed(one.share)) for one in found.spans)
            tiers["share"] = list(non_overlapping(shares, found.seconds))
    return tiers


def fill_gaps(spans: Iterable[PhonemeSpan], seconds: float) -> Iterator[TierInterval]:
    """The phonemes with the gaps between them, as ``non_overlapping`` gives them."""
    return non_overlapping((TierInterval(one.start, one.end, one.symbol) for one in spans), seconds)


def non_overlapping(intervals: Iterable[TierInterval], seconds: float) -> Iterator[TierInterval]:
    """Intervals with the gaps between them, from 0 to the recording's end, none of them empty.

    Where two overlap, the later one begins at the earlier one's end; one that is left no time is
    skipped.
    """
    now = 0.0
    for one in intervals:
        start, end = max(one.start, now), min(one.end, seconds)
        if end - start <= _SHORTEST:
            continue
        if start - now > _SHORTEST:
            yield TierInterval(now, start, "")
        else:
            start = now
        yield TierInterval(start, end, one.text)
        now = end
    if seconds - now > _SHORTEST or now == 0.0:
        yield TierInterval(now, seconds, "")


def _emotions(segments: Sequence[Segment]) -> dict[str, list[TierInterval]]:
    """Tier name -> the segments in it, and their speakers."""
    parted = _overlap(segments)
    tiers: dict[str, list[TierInterval]] = {} if parted else {"emotion": []}
    for one in segments:
        name = f"emotion {single_line(one.speaker)}".rstrip() if parted else "emotion"
        tiers.setdefault(name, []).append(TierInterval(one.start, one.end, segment_label(one)))
    if not parted and any(one.speaker for one in segments):
        tiers["speaker"] = [TierInterval(x.start, x.end, single_line(x.speaker)) for x in segments]
    return tiers


def _overlap(segments: Sequence[Segment]) -> bool:
    """Whether two of them do; they come by their start."""
    latest = 0.0
    for one in segments:
        if latest - one.start > _SHORTEST:
            return True
        latest = max(latest, one.end)
    return False


def _signed(share: float | None) -> str:
    """In percentage points with three digits that count: most shares are small."""
    return "" if share is None else f"{100 * share + 0.0:+.3g} %"


def to_pandas(answers: Iterable[tuple[str, Prediction]]) -> Any:
    """A pandas.DataFrame with a row for each segment.

    Its index is audformat's segmented index: file, and start and end as timedelta64[ns]. Its
    columns are label, the score of each emotion (NaN where a model does not know it), speaker,
    speech_ratio, phonemes (those whose middle lies in the segment, parted by spaces; None for a
    model without them), warnings and, where a profile was applied to any, profile: the hash of the
    one that decided. A recording without speech has one row without label and
    scores, so that it is not missed.

    Args:
        answers: file names and what was heard in them.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    pandas = _pandas()
    heard = [
        (name, found, one)
        for name, found in answers
        for one in segments_of(found) or (Segment(0.0, found.seconds, "", {}),)
    ]
    emotions = list(dict.fromkeys(label for _, found, _ in heard for label in found.scores))
    columns = ["label", *emotions, "speaker", "speech_ratio", "phonemes", "warnings"]
    rows = [_row(found, one, emotions) for _, found, one in heard]
    marks = [one.profile or found.profile for _, found, one in heard]
    if any(marks):
        columns.append("profile")
        rows = [[*row, mark and mark.hash] for row, mark in zip(rows, marks, strict=True)]
    frame = pandas.DataFrame(rows, columns=columns, index=_index(pandas, heard), dtype=object)
    return frame.astype(dict.fromkeys([*emotions, "speech_ratio"], "float64"))


def _index(pandas: Any, heard: list[tuple[str, Prediction, Segment]]) -> Any:
    files = pandas.array([name for name, _, _ in heard], dtype="string")
    starts = _times(pandas, [one.start for _, _, one in heard])
    ends = _times(pandas, [one.end for _, _, one in heard])
    return pandas.MultiIndex.from_arrays([files, starts, ends], names=["file", "start", "end"])


def _times(pandas: Any, seconds: list[float]) -> Any:
    """Whole nanoseconds: a float of seconds would be cut, not rounded."""
    whole = [round(second * 1e9) for second in seconds]
    return pandas.to_timedelta(pandas.Series(whole, dtype="int64"), unit="ns")


def _row(found: Prediction, one: Segment, emotions: list[str]) -> list[Any]:
    scores = [one.scores.get(label) for label in emotions]
    phonemes = None if found.spans is None else phonemes_within(one, found)
    return [
        one.label or None,
        *scores,
        one.speaker,
        found.speech_ratio,
        phonemes,
        " ".join(found.warnings),
    ]


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError("a data frame", "pandas") from error
