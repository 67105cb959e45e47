"""Summarize a recording by party: a channel, a speaker, or the recording as a whole.

The numbers describe the recognized segments. They are as reliable as the model on such audio: a
share of 0.3 of anger in a call says that the model gave 30 % of the speech to anger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from phonemo.annotations.prediction import Prediction, Segment, segments_of, time_shares
from phonemo.annotations.summary.party_summary import CallSummary, Moment, PartySummary, TrendPart

#: The trend has at most this many parts, none shorter than ``_LEAST_PART`` seconds.
TREND_PARTS = 6
_LEAST_PART = 3.0
STRONGEST = 3
#: A part of the recording with less speech of a party (seconds) has no trend.
_LEAST_SPEECH = 0.1
#: Listed among the strongest moments only where there is nothing else.
_CALM = "neutral"

Floats = npt.NDArray[np.float64]


def summarize(prediction: Prediction) -> CallSummary:
    """Summarize a prediction.

    Its parties are the channels of a prediction with ``channels="split"``, the speakers if turns
    were given (channels and speakers if both), or the recording as a whole. A short recording has a
    single segment, and so no trend, unless it was predicted with ``timeline=True`` or with turns.
    Scores that ``top`` removed count as zero: summarize first.
    """
    parts = prediction.channels or (prediction,)
    return CallSummary(tuple(party for part in parts for party in _summarize_channel(part)))


def with_summary(prediction: Prediction) -> Prediction:
    """Return a copy whose ``summary`` is set, and that of each of its channels."""
    channels = tuple(with_summary(channel) for channel in prediction.channels)
    return replace(prediction, summary=summarize(prediction), channels=channels)


@dataclass(frozen=True)
class _Party:
    """The segments of one party and the emotions of the model."""

    seconds: float
    labels: tuple[str, ...]
    segments: tuple[Segment, ...]
    scores: Floats = field(init=False)
    """(segment, emotion)."""

    def __post_init__(self) -> None:
        rows = [[one.scores.get(name, 0.0) for name in self.labels] for one in self.segments]
        scores = np.array(rows, dtype=np.float64).reshape(-1, len(self.labels))
        object.__setattr__(self, "scores", scores)

    def overlaps(self, start: float, end: float) -> Floats:
        """Seconds of each segment between two times, (segment,)."""
        inside = [min(one.end, end) - max(one.start, start) for one in self.segments]
        return np.maximum(np.array(inside, dtype=np.float64), 0.0)

    def mean_scores(self, start: float, end: float) -> Floats | None:
        """Mean scores between two times, (emotion,); None without speech."""
        weights = self.overlaps(start, end)
        if not weights.sum() >= _LEAST_SPEECH:
            return None
        mean: Floats = weights @ self.scores / weights.sum()
        return mean


def _summarize_channel(prediction: Prediction) -> Iterator[PartySummary]:
    segments = segments_of(prediction)
    names = dict.fromkeys((segment.channel, segment.speaker) for segment in segments)
    if all(speaker is None for _, speaker in names) and len(names) < 2:
        channel = prediction.channel or next((channel for channel, _ in names), None)
        yield _summarize_party(prediction, segments, prediction.speech_ratio, channel, None)
        return
    for channel, speaker in sorted(names, key=_party_order):
        own = [one for one in segments if (one.channel, one.speaker) == (channel, speaker)]
        yield _summarize_party(prediction, own, None, channel or prediction.channel, speaker)


def _party_order(party: tuple[int | None, str | None]) -> tuple[int, bool, str]:
    channel, speaker = party
    return channel or 0, speaker is None, speaker or ""


def _summarize_party(
    prediction: Prediction,
    segments: Sequence[Segment],
    speech_share: float | None,
    channel: int | None,
    speaker: str | None,
) -> PartySummary:
    spoken = tuple(one for one in segments if one.label is not None)
    labels = dict.fromkeys((*prediction.scores, *(one.label or "" for one in spoken)))
    party = _Party(prediction.seconds, tuple(labels), spoken)
    return PartySummary(
        seconds=party.seconds,
        speech_share=_turn_share(party) if speech_share is None else speech_share,
        emotions=_emotion_shares(party),
        mean_confidence=_mean_confidence(party),
        strongest=tuple(_strongest(party)),
        trend=tuple(_trend(party)),
        change=_change(party),
        channel=channel,
        speaker=speaker,
    )


def _turn_share(party: _Party) -> float:
    """Fraction of the recording covered by the party's segments, 0 to 1."""
    covered = position = 0.0
    for segment in party.segments:
        covered += max(0.0, segment.end - max(segment.start, position))
        position = max(position, segment.end)
    return min(1.0, covered / party.seconds) if party.seconds > 0 else 0.0


def _lengths(party: _Party) -> Floats:
    return np.array([one.end - one.start for one in party.segments], dtype=np.float64)


def _emotion_shares(party: _Party) -> dict[str, float]:
    lengths = _lengths(party)
    if not lengths.sum() > 0:
        return {}
    return dict.fromkeys(party.labels, 0.0) | time_shares(party.segments)


def _mean_confidence(party: _Party) -> float | None:
    lengths = _lengths(party)
    if not lengths.sum() > 0:
        return None
    return float(np.average(party.scores.max(axis=1), weights=lengths))


def _strongest(party: _Party) -> Iterator[Moment]:
    marked = [one for one in party.segments if one.label != _CALM] or party.segments
    ranked = sorted(marked, key=lambda one: -one.score)
    for segment in ranked[:STRONGEST]:
        yield Moment(segment.start, segment.end, segment.label or "", segment.score)


def _trend(party: _Party) -> Iterator[TrendPart]:
    count = max(1, min(TREND_PARTS, int(party.seconds // _LEAST_PART)))
    edges = [party.seconds * index / count for index in range(count + 1)]
    for start, end in pairwise(edges):
        mean = party.mean_scores(start, end)
        if mean is not None:
            label = party.labels[int(mean.argmax())]
            yield TrendPart(start, end, label, _named(party, mean))


def _change(party: _Party) -> dict[str, float] | None:
    first = party.mean_scores(0.0, party.seconds / 3)
    last = party.mean_scores(party.seconds * 2 / 3, party.seconds)
    if first is None or last is None or len(party.segments) < 2:
        return None
    return _named(party, last - first)


def _named(party: _Party, values: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(party.labels, values, strict=True)}
