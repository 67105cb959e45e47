"""Predictions: of a recording, its segments, words and phonemes, and as a data frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from phonemo.annotations.data_frames import build_frame
from phonemo.annotations.dimensions import Dimensions, dimension_names
from phonemo.annotations.summary.party_summary import CallSummary
from phonemo.errors import UsageError
from phonemo.labels import rescale_scores

#: The warning of a prediction whose highest score is below the model's threshold.
UNSURE = "unsure"
#: The warning of a prediction whose label is that of none of its segments.
TIMELINE_DIFFERS = "timeline_differs"
#: A recording is a mixture if it has this much speech (seconds), and no emotion has this share of
#: its time.
MIXTURE_SECONDS, MIXTURE_SHARE = 20.0, 0.5
#: Smallest share of a phoneme that stands out, 0 to 1. In 11 of 120 clips of EmoDB, leaving out as
#: many frames scattered over the clip changes the score as much; at 0.02, in 76 of them.
NOTABLE_SHARE = 0.05


@dataclass(frozen=True)
class PhonemeSpan:
    """A recognized phoneme with its times.

    Attributes:
        symbol: phoneme of the model's inventory.
        start: start in seconds.
        end: end in seconds.
        confidence: geometric mean of its probability over the frames that emit it, 0 to 1.
        share: its contribution to the score of the recognized emotion: that score minus the score
            without the phoneme's frames in pooling, -1 to 1; None if not computed.
    """

    symbol: str
    start: float
    end: float
    confidence: float
    share: float | None = None

    def moved(self, seconds: float) -> PhonemeSpan:
        """Return a copy shifted by ``seconds``."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        data = {"symbol": self.symbol, **times, "confidence": round(self.confidence, 4)}
        return data if self.share is None else data | {"share": round(self.share, 6)}


@dataclass(frozen=True)
class ProfileMark:
    """Identifies the profile that a prediction was made with.

    Attributes:
        hash: first digits of the SHA-256 of the profile's content.
        count: number of vectors in the profile.
    """

    hash: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"hash": self.hash, "count": self.count}


@dataclass(frozen=True)
class Word:
    """A word of a transcript, with the emotion around it once that is recognized.

    Attributes:
        text: the word as in the transcript.
        start: start in seconds.
        end: end in seconds.
        label: the emotion with the highest score; None if not recognized.
        scores: probability of every emotion, of the windows around the word; None if not
            recognized.
        unsure: whether the highest score is below the model's threshold.
    """

    text: str
    start: float
    end: float
    label: str | None = None
    scores: dict[str, float] | None = None
    unsure: bool = False

    def among(self, names: Iterable[str]) -> Word:
        """Restrict to some emotions, as ``Prediction.among`` does, if they are recognized."""
        if self.scores is None:
            return self
        scores = rescale_scores(self.scores, names)
        return replace(self, label=_best_label(scores), scores=scores)

    def top(self, count: int) -> Word:
        """Keep the highest scores, if the emotions are recognized."""
        return (
            self if self.scores is None else replace(self, scores=_top_scores(self.scores, count))
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        data = {"word": self.text, **times}
        if self.label is None:
            return data
        return data | {"label": self.label, "unsure": self.unsure, "scores": self.scores}


@dataclass(frozen=True)
class Segment:
    """A part of a recording and its emotion.

    Attributes:
        start: start in seconds.
        end: end in seconds.
        label: the emotion with the highest score; None for a turn without speech.
        scores: probability of every emotion.
        speaker: the speaker, if turns were given.
        profile: the speaker's statistics, if the segment was adapted with them.
        channel: the channel, from 1 on, if it was chosen; None for the mix of all.
        text: the turn's text, if a transcript was given.
        words: the turn's words with their emotions, if a transcript with words was given.
        unsure: whether the highest score is below the model's threshold.
        dimensions: arousal and valence of all emotions' scores, whichever are chosen among; None
            for a model without them.
    """

    start: float
    end: float
    label: str | None
    scores: dict[str, float]
    speaker: str | None = None
    profile: ProfileMark | None = None
    channel: int | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    unsure: bool = False
    dimensions: Dimensions | None = None

    @property
    def score(self) -> float:
        """The score of the label; without a label the highest one."""
        return _score_of(self.label, self.scores)

    @property
    def is_doubtful(self) -> bool:
        """Whether it is unsure, or has no label."""
        return self.unsure or self.label is None

    def among(self, names: Iterable[str]) -> Segment:
        """Restrict to some emotions; arguments and errors are those of ``Prediction.among``."""
        emotions = tuple(names)
        scores = rescale_scores(self.scores, emotions)
        words = tuple(word.among(emotions) for word in self.words)
        label = None if self.label is None else _best_label(scores)
        return replace(self, label=label, scores=scores, words=words)

    def top(self, count: int) -> Segment:
        """Keep the highest scores only, of its words too."""
        words = tuple(word.top(count) for word in self.words)
        return replace(self, scores=_top_scores(self.scores, count), words=words)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        times = {"start": round(self.start, 4), "end": round(self.end, 4)}
        data: dict[str, Any] = {
            **times,
            "label": self.label,
            "unsure": self.is_doubtful,
            "scores": self.scores,
        }
        data |= {} if self.dimensions is None else {"dimensions": self.dimensions.to_dict()}
        data |= {} if self.speaker is None else {"speaker": self.speaker}
        data |= {} if self.channel is None else {"channel": self.channel}
        data |= {} if self.text is None else {"text": self.text}
        data |= {"words": [word.to_dict() for word in self.words]} if self.words else {}
        return data if self.profile is None else data | {"profile": self.profile.to_dict()}


@dataclass(frozen=True)
class Prediction:
    """The emotion recognized in a recording.

    Attributes:
        label: the emotion with the highest score; None if no speech was found.
        scores: probability of every emotion; they sum to one. Without speech they mean nothing.
        seconds: length of the recording.
        spans: recognized phonemes with their times; None for a network without a phoneme head.
        warnings: names from phonemo.audio.WARNINGS; "windowed" if the recording exceeds the model's
            window, "no_speech" if no voice was detected, "unsure" if the highest score is below the
            model's threshold, "timeline_differs" if no segment has the label of the whole.
        segments: emotions over time: one segment for a short recording, the turns if given, else
            the timeline. Parts without speech are omitted.
        speech_ratio: fraction of the recording with speech, 0 to 1; None if not computed.
        timings: processing seconds by stage ("decode", "network", "phonemes"); they vary between
            runs and are excluded from comparison.
        profile: the applied profile; None if there was none.
        channel: the channel, from 1 on, if it was chosen; None for the mix of all.
        channels: for ``channels="split"``, the prediction of each channel with sound.
        turns_skipped: reason -> number of turns skipped for it: "no_length", "beyond_end",
            "too_short", "not_finite"; empty without turns.
        summary: the summary by party, where phonemo.annotations.summary.call_summary added it.
        dimensions: arousal and valence, as for a segment.
    """

    label: str | None
    scores: dict[str, float]
    seconds: float
    spans: tuple[PhonemeSpan, ...] | None = None
    warnings: tuple[str, ...] = field(default=())
    segments: tuple[Segment, ...] = ()
    speech_ratio: float | None = None
    timings: dict[str, float] = field(default_factory=dict, compare=False)
    profile: ProfileMark | None = None
    channel: int | None = None
    channels: tuple[Prediction, ...] = ()
    turns_skipped: dict[str, int] = field(default_factory=dict)
    summary: CallSummary | None = None
    dimensions: Dimensions | None = None

    @property
    def phonemes(self) -> tuple[str, ...] | None:
        """The symbols of the spans."""
        return None if self.spans is None else tuple(span.symbol for span in self.spans)

    @property
    def score(self) -> float:
        """The score of the label; without a label the highest one."""
        return _score_of(self.label, self.scores)

    @property
    def unsure(self) -> bool:
        """Whether the label is in doubt: a score below the model's threshold, or no speech."""
        return self.label is None or UNSURE in self.warnings

    @property
    def mixture(self) -> dict[str, float] | None:
        """Emotion -> fraction of the segments' time, largest first, where none has most of it.

        None for a recording with less than ``MIXTURE_SECONDS`` of segments, or with an emotion that
        has half of their time or more.
        """
        shares = time_shares(self.segments)
        lengths = sum(segment.end - segment.start for segment in self.segments)
        is_long = bool(shares) and lengths >= MIXTURE_SECONDS
        return shares if is_long and max(shares.values()) < MIXTURE_SHARE else None

    def flag_unsure(self, threshold: float) -> Prediction:
        """Return a copy with the warning "unsure" if the highest score is below the threshold."""
        if max(self.scores.values()) >= threshold:
            return self
        return replace(self, warnings=(*self.warnings, UNSURE))

    def flag_timeline(self) -> Prediction:
        """Return a copy with "timeline_differs" only if no segment has the label of the whole.

        The whole and its segments have different inputs, one pass over all and windows of it.
        """
        labels = {segment.label for segment in self.segments} - {None}
        differs = self.label is not None and bool(labels) and self.label not in labels
        if differs == (TIMELINE_DIFFERS in self.warnings):
            return self
        others = tuple(name for name in self.warnings if name != TIMELINE_DIFFERS)
        return replace(self, warnings=(*others, TIMELINE_DIFFERS) if differs else others)

    def without_shares(self) -> Prediction:
        """Return a copy whose phonemes have no shares, which are those of another emotion."""
        spans = self.spans and tuple(replace(span, share=None) for span in self.spans)
        return replace(self, spans=spans)

    def among(self, names: Iterable[str]) -> Prediction:
        """Restrict to some emotions; their scores are rescaled to sum to one, a summary is dropped.

        Shares of phonemes are dropped too if the emotion they belong to is no longer the label.

        Args:
            names: at least two emotions that have a score, in any order.

        Raises:
            LabelError: an emotion without a score, or fewer than two.
        """
        emotions = tuple(names)
        scores = rescale_scores(self.scores, emotions)
        parts = tuple(segment.among(emotions) for segment in self.segments)
        channels = tuple(channel.among(emotions) for channel in self.channels)
        label = None if self.label is None else _best_label(scores)
        chosen = replace(
            self, label=label, scores=scores, segments=parts, channels=channels, summary=None
        )
        chosen = chosen if label == self.label else chosen.without_shares()
        return chosen.flag_timeline()

    def top(self, count: int) -> Prediction:
        """Keep the highest scores only, unscaled, highest first.

        Raises:
            UsageError: a count below one.
        """
        if count < 1:
            raise UsageError(f"expected a number of top scores of at least 1, got {count}")
        parts = tuple(segment.top(count) for segment in self.segments)
        channels = tuple(channel.top(count) for channel in self.channels)
        scores = _top_scores(self.scores, count)
        return replace(self, scores=scores, segments=parts, channels=channels)

    def narrowed(self, names: Iterable[str], top_k: int | None) -> Prediction:
        """Apply ``among`` if there are names, then ``top`` if a count is given."""
        emotions = tuple(names)
        prediction = self.among(emotions) if emotions else self
        return prediction if top_k is None else prediction.top(top_k)

    def without_dimensions(self) -> Prediction:
        """Return a copy without dimensions, for formats that show them on request."""
        parts = tuple(replace(segment, dimensions=None) for segment in self.segments)
        channels = tuple(channel.without_dimensions() for channel in self.channels)
        return replace(self, dimensions=None, segments=parts, channels=channels)

    def to_pipeline(self, top_k: int | None = None) -> list[dict[str, Any]]:
        """Return the format of transformers' ``pipeline("audio-classification")``, best first."""
        ranked = self.top(len(self.scores) if top_k is None else top_k).scores
        return [{"score": score, "label": label} for label, score in ranked.items()]

    def to_pandas(self, file: str = "") -> Any:
        """Return a data frame with a row per segment and audformat's index (file, start, end).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas([(file, self)])

    def to_dict(self, spans: bool = False) -> dict[str, Any]:
        """Plain data for JSON; ``spans`` adds the times of the phonemes."""
        data: dict[str, Any] = {
            "label": self.label,
            "unsure": self.unsure,
            "scores": self.scores,
            "seconds": round(self.seconds, 3),
            "phonemes": None if self.phonemes is None else list(self.phonemes),
            "warnings": list(self.warnings),
            "speech_ratio": None if self.speech_ratio is None else round(self.speech_ratio, 4),
            "segments": [segment.to_dict() for segment in self.segments],
        }
        if self.mixture is not None:
            data["mixture"] = {name: round(share, 4) for name, share in self.mixture.items()}
        if self.dimensions is not None:
            data["dimensions"] = self.dimensions.to_dict()
        if self.profile is not None:
            data["profile"] = self.profile.to_dict()
        if self.channel is not None:
            data["channel"] = self.channel
        if self.turns_skipped:
            data["turns_skipped"] = self.turns_skipped
        if spans:
            timed = self.spans
            data["spans"] = None if timed is None else [span.to_dict() for span in timed]
        if self.channels:  # the parties of their summaries are those of this one
            parts = (replace(part, summary=None) for part in self.channels)
            data["channels"] = [part.to_dict(spans) for part in parts]
        return data if self.summary is None else data | {"summary": self.summary.to_dict()}


def _best_label(scores: dict[str, float]) -> str:
    return max(scores, key=scores.__getitem__)


def _top_scores(scores: dict[str, float], count: int) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1])[:count])


def _score_of(label: str | None, scores: dict[str, float]) -> float:
    return max(scores.values()) if label is None else scores[label]


def time_shares(segments: Iterable[Segment]) -> dict[str, float]:
    """Emotion -> fraction of the segments' time, largest first; empty without any."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.label is not None:
            seconds[segment.label] = seconds.get(segment.label, 0.0) + segment.end - segment.start
    total = sum(seconds.values())
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    return {name: value / total for name, value in ranked} if total > 0 else {}


def segments_of(found: Prediction) -> tuple[Segment, ...]:
    """Return the segments sorted by start.

    A Prediction without segments gives one for the whole recording, or none if it has the warning
    "no_speech".
    """
    if found.segments:
        return tuple(sorted(found.segments, key=lambda segment: segment.start))
    if found.label is None or "no_speech" in found.warnings:
        return ()
    return (
        Segment(
            0.0,
            found.seconds,
            found.label,
            found.scores,
            unsure=found.unsure,
            dimensions=found.dimensions,
        ),
    )


def phonemes_within(one: Segment, found: Prediction) -> str:
    """Phonemes whose midpoint lies in a segment, separated by spaces."""
    middles = ((span.symbol, (span.start + span.end) / 2) for span in found.spans or ())
    return " ".join(symbol for symbol, middle in middles if one.start <= middle < one.end)


def to_pandas(answers: Iterable[tuple[str, Prediction]]) -> Any:
    """Build a pandas.DataFrame with a row per segment.

    Its index is audformat's segmented index: file, and start and end as timedelta64[ns]. Its
    columns are label, unsure, the score of each emotion (NaN if the model does not have it),
    speaker, speech_ratio, phonemes (those whose midpoint lies in the segment, separated by spaces;
    None for a model without them) and warnings; if the model has dimensions, arousal and valence,
    and derived: whether they come from the scores; if a transcript was given for any recording,
    text;
    if a profile was applied to any, profile: its hash; if channels were chosen, channel. A
    recording without speech has one row without label and scores. One whose channels are processed
    each on its own has the rows of each channel.

    Args:
        answers: file names and their predictions.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    segments = [
        (name, prediction, segment)
        for name, recording in answers
        for prediction in recording.channels or (recording,)
        for segment in segments_of(prediction) or (Segment(0.0, prediction.seconds, None, {}),)
    ]
    emotions = list(
        dict.fromkeys(label for _, prediction, _ in segments for label in prediction.scores)
    )
    columns = ["label", "unsure", *emotions, "speaker", "speech_ratio", "phonemes", "warnings"]
    rows = [_build_row(prediction, segment, emotions) for _, prediction, segment in segments]
    dimensions = [segment.dimensions for _, _, segment in segments]
    names = dimension_names(dimensions)
    if names:
        columns += [*names, "derived"]
        rows = [
            [*row, *(one and one.values.get(name) for name in names), one and one.derived]
            for row, one in zip(rows, dimensions, strict=True)
        ]
    texts = [segment.text for _, _, segment in segments]
    if any(text is not None for text in texts):
        columns.append("text")
        rows = [[*row, text] for row, text in zip(rows, texts, strict=True)]
    marks = [segment.profile or prediction.profile for _, prediction, segment in segments]
    if any(marks):
        columns.append("profile")
        rows = [[*row, mark and mark.hash] for row, mark in zip(rows, marks, strict=True)]
    channels = [segment.channel or prediction.channel for _, prediction, segment in segments]
    if any(channels):
        columns.append("channel")
        rows = [[*row, number] for row, number in zip(rows, channels, strict=True)]
    places = [(name, segment.start, segment.end) for name, _, segment in segments]
    return build_frame(rows, columns, places, [*emotions, *names, "speech_ratio"])


def _build_row(prediction: Prediction, segment: Segment, emotions: list[str]) -> list[Any]:
    scores = [segment.scores.get(label) for label in emotions]
    phonemes = None if prediction.spans is None else phonemes_within(segment, prediction)
    return [
        segment.label,
        segment.is_doubtful,
        *scores,
        segment.speaker,
        prediction.speech_ratio,
        phonemes,
        " ".join(prediction.warnings),
    ]
