"""Tiers: emotions, speakers and phonemes as intervals without gaps or overlaps, as Praat needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from phonemo.annotations.dimensions import dimension_items
from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment, Word, segments_of

#: Shorter gaps between two phonemes are rounding errors, not pauses.
_MIN_GAP = 1e-6
#: Behind an emotion in doubt, in every text format.
DOUBT = "?"


@dataclass(frozen=True)
class TierInterval:
    """An interval of a tier, in seconds; an empty text is a gap."""

    start: float
    end: float
    text: str


def segment_label(segment: Segment) -> str:
    """Format emotion and score: "anger 0.75"; "anger 0.45?" if unsure, empty without speech."""
    return _scored(segment.label, segment.score, segment.unsure)


def word_label(word: Word) -> str:
    """Format a word's emotion as ``segment_label`` does; empty if it is not recognized."""
    if word.label is None or word.scores is None:
        return ""
    return _scored(word.label, word.scores[word.label], word.unsure)


def _scored(label: str | None, score: float, unsure: bool) -> str:
    return "" if label is None else f"{label} {score:.2f}{DOUBT * unsure}"


def single_line(text: str | None) -> str:
    """A speaker's name or a text without line breaks; empty for None."""
    return " ".join((text or "").split())


def source_name(segment: Segment) -> str:
    """The speaker, or else the channel ("channel 1"); empty if neither is known."""
    if segment.speaker or segment.channel is None:
        return single_line(segment.speaker)
    return f"channel {segment.channel}"


def tiers_of(found: Prediction) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals from 0 to the recording's end.

    Emotions have one tier, plus a tier of each dimension that a prediction has, one of speakers if
    these are known, and of their texts, words and words' emotions. If segments overlap or are of
    chosen channels, each speaker, or else each channel, has tiers "emotion <name>", "text <name>"
    and so on instead of these. Channels processed each on its own have a tier of phonemes each.
    """
    segments = segments_of(found)
    named = _emotion_tiers(segments) | _dimension_tiers(segments) | _text_tiers(segments)
    tiers = {
        name: list(non_overlapping(intervals, found.seconds)) for name, intervals in named.items()
    }
    for part in found.channels or (found,):
        suffix = f" channel {part.channel}" if found.channels else ""
        tiers |= {name + suffix: list(rows) for name, rows in _phoneme_tiers(part, found.seconds)}
    return tiers


def _phoneme_tiers(
    found: Prediction, seconds: float
) -> Iterator[tuple[str, Iterator[TierInterval]]]:
    if found.spans is None:
        return
    yield "phonemes", fill_gaps(found.spans, seconds)
    if any(span.share is not None for span in found.spans):
        shares = (
            TierInterval(span.start, span.end, _format_share(span.share)) for span in found.spans
        )
        yield "share", non_overlapping(shares, seconds)


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
    apart = _are_apart(segments)
    tiers: dict[str, list[TierInterval]] = {} if apart else {"emotion": []}
    shared = _shared_names(segments)
    for segment in segments:
        name = f"emotion {_party_name(segment, shared)}".rstrip() if apart else "emotion"
        tiers.setdefault(name, []).append(
            TierInterval(segment.start, segment.end, segment_label(segment))
        )
    if not apart and any(segment.speaker for segment in segments):
        tiers["speaker"] = [TierInterval(x.start, x.end, single_line(x.speaker)) for x in segments]
    return tiers


def _dimension_tiers(segments: Sequence[Segment]) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals whose text is a number; derived ones say so in the name."""
    apart, shared = _are_apart(segments), _shared_names(segments)
    tiers: dict[str, list[TierInterval]] = {}
    for segment in segments:
        who = f" {_party_name(segment, shared)}".rstrip() if apart else ""
        for name, text in dimension_items(segment.dimensions):
            interval = TierInterval(segment.start, segment.end, text)
            tiers.setdefault(name + who, []).append(interval)
    return tiers


def _are_apart(segments: Sequence[Segment]) -> bool:
    """Whether each party has tiers of its own: on channels, or where segments overlap."""
    return any(segment.channel is not None for segment in segments) or _have_overlap(segments)


def _shared_names(segments: Sequence[Segment]) -> set[str]:
    """Names of speakers on several channels: tools name the speakers of each channel alike."""
    pairs = {(segment.speaker, segment.channel) for segment in segments if segment.speaker}
    counts = Counter(speaker for speaker, _ in pairs)
    return {speaker for speaker, count in counts.items() if speaker and count > 1}


def _party_name(segment: Segment, shared: set[str]) -> str:
    """The speaker, with the channel if others share the name, or the channel."""
    if segment.speaker not in shared:
        return source_name(segment)
    return f"{single_line(segment.speaker)} channel {segment.channel or 'mix'}"


def _text_tiers(segments: Sequence[Segment]) -> dict[str, list[TierInterval]]:
    """Tier name -> intervals of texts, words or the words' emotions; none without a transcript."""
    apart, shared = _are_apart(segments), _shared_names(segments)
    tiers: dict[str, list[TierInterval]] = {}
    for segment in segments:
        who = f" {_party_name(segment, shared)}".rstrip() if apart else ""
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
