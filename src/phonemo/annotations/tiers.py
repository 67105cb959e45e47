"""Tiers: emotions, speakers and phonemes as intervals without gaps or overlaps, as Praat needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, Word, segments_of

#: Shorter gaps between two phonemes are rounding errors, not pauses.
_MIN_GAP = 1e-6


@dataclass(frozen=True)
class TierInterval:
    """An interval of a tier, in seconds; an empty text is a gap."""

    start: float
    end: float
    text: str


def segment_label(segment: Segment) -> str:
    """Format emotion and score: "anger 0.75"."""
    return f"{segment.label} {segment.scores[segment.label]:.2f}"


def word_label(word: Word) -> str:
    """Format a word's emotion as ``segment_label`` does; empty if it is not recognized."""
    if word.label is None or word.scores is None:
        return ""
    return f"{word.label} {word.scores[word.label]:.2f}"


def single_line(text: str | None) -> str:
    """A speaker's name or a text without line breaks; empty for None."""
    return " ".join((text or "").split())


def tiers_of(found: Prediction) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the recording's end.

    Emotions have one tier, plus one tier of speakers if these are known, and of their texts, words
    and words' emotions. If segments overlap, each speaker has tiers "emotion <speaker>", "text
    <speaker>" and so on instead of these.
    """
    segments = segments_of(found)
    named = _emotion_tiers(segments) | _text_tiers(segments)
    tiers = {
        name: list(non_overlapping(intervals, found.seconds)) for name, intervals in named.items()
    }
    if found.spans is not None:
        tiers["phonemes"] = list(fill_gaps(found.spans, found.seconds))
        if any(span.share is not None for span in found.spans):
            shares = (
                TierInterval(span.start, span.end, _format_share(span.share))
                for span in found.spans
            )
            tiers["share"] = list(non_overlapping(shares, found.seconds))
    return tiers


def fill_gaps(spans: Iterable[PhonemeSpan], seconds: float) -> Iterator[TierInterval]:
    """Yield phonemes and the gaps between them, as ``non_overlapping`` does."""
    return non_overlapping(
        (TierInterval(span.start, span.end, span.symbol) for span in spans), seconds
    )


def non_overlapping(intervals: Iterable[TierInterval], seconds: float) -> Iterator[TierInterval]:
    """Yield intervals and the gaps between them, from 0 to the recording's end, none zero-length.

    If two overlap, the later one is shortened to begin at the earlier one's end, or skipped if
    nothing remains.
    """
    position = 0.0
    for interval in intervals:
        start, end = max(interval.start, position), min(interval.end, seconds)
        if end - start <= _MIN_GAP:
            continue
        if start - position > _MIN_GAP:
            yield TierInterval(position, start, "")
        else:
            start = position
        yield TierInterval(start, end, interval.text)
        position = end
    if seconds - position > _MIN_GAP or position == 0.0:
        yield TierInterval(position, seconds, "")


def _emotion_tiers(segments: Sequence[Segment]) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals of emotions or speakers."""
    overlap = _have_overlap(segments)
    tiers: dict[str, list[TierInterval]] = {} if overlap else {"emotion": []}
    for segment in segments:
        name = f"emotion {single_line(segment.speaker)}".rstrip() if overlap else "emotion"
        tiers.setdefault(name, []).append(
            TierInterval(segment.start, segment.end, segment_label(segment))
        )
    if not overlap and any(segment.speaker for segment in segments):
        tiers["speaker"] = [TierInterval(x.start, x.end, single_line(x.speaker)) for x in segments]
    return tiers


def _text_tiers(segments: Sequence[Segment]) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals of texts, words or the words' emotions; none without a transcript."""
    overlap = _have_overlap(segments)
    tiers: dict[str, list[TierInterval]] = {}
    for segment in segments:
        who = f" {single_line(segment.speaker)}".rstrip() if overlap else ""
        if segment.text is not None:
            interval = TierInterval(segment.start, segment.end, single_line(segment.text))
            tiers.setdefault(f"text{who}", []).append(interval)
        for word in segment.words:
            rows = {"words": single_line(word.text), "word emotion": word_label(word)}
            for name, text in rows.items():
                interval = TierInterval(word.start, word.end, text)
                tiers.setdefault(name + who, []).append(interval)
    return tiers


def _have_overlap(segments: Sequence[Segment]) -> bool:
    """Whether any two segments, sorted by start, overlap."""
    latest_end = 0.0
    for segment in segments:
        if latest_end - segment.start > _MIN_GAP:
            return True
        latest_end = max(latest_end, segment.end)
    return False


def _format_share(share: float | None) -> str:
    """Percentage points with three significant digits, since most shares are small."""
    return "" if share is None else f"{100 * share + 0.0:+.3g} %"
