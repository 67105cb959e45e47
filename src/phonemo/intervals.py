"""What was heard as stretches of time that do not overlap: what every writer draws from.

Praat's tiers cover a recording once and without gaps, whatever a network has heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from phonemo.prediction import PhonemeSpan, Prediction, Segment

#: Shorter silences between two phonemes are rounding, not pauses (TextGrid tiers have no gaps).
_SHORTEST = 1e-6


@dataclass(frozen=True)
class Interval:
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


def titled(segment: Segment) -> str:
    """Its emotion and score: "anger 0.75"."""
    return f"{segment.label} {segment.scores[segment.label]:.2f}"


def heard_in(one: Segment, found: Prediction) -> str:
    """The phonemes whose middle lies in a segment, parted by spaces."""
    middles = ((span.symbol, (span.start + span.end) / 2) for span in found.spans or ())
    return " ".join(symbol for symbol, middle in middles if one.start <= middle < one.end)


def one_line(text: str | None) -> str:
    """A speaker's name without line breaks; nothing for nobody."""
    return " ".join((text or "").split())


def tiers_of(found: Prediction) -> dict[str, list[Interval]]:
    """Tier name -> intervals from 0 to the recording's end.

    Emotions have one tier, and a tier of their speakers where these are known. Where segments
    overlap there is a tier "emotion <speaker>" for each speaker instead of both.
    """
    tiers = {
        name: list(covering(intervals, found.seconds))
        for name, intervals in _emotions(segments_of(found)).items()
    }
    if found.spans is not None:
        tiers["phonemes"] = list(filled(found.spans, found.seconds))
        if any(one.share is not None for one in found.spans):
            shares = (Interval(one.start, one.end, _signed(one.share)) for one in found.spans)
            tiers["share"] = list(covering(shares, found.seconds))
    return tiers


def filled(spans: Iterable[PhonemeSpan], seconds: float) -> Iterator[Interval]:
    """The phonemes with the gaps between them, as ``covering`` gives them."""
    return covering((Interval(one.start, one.end, one.symbol) for one in spans), seconds)


def covering(intervals: Iterable[Interval], seconds: float) -> Iterator[Interval]:
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
            yield Interval(now, start, "")
        else:
            start = now
        yield Interval(start, end, one.text)
        now = end
    if seconds - now > _SHORTEST or now == 0.0:
        yield Interval(now, seconds, "")


def _emotions(segments: Sequence[Segment]) -> dict[str, list[Interval]]:
    """Tier name -> the segments in it, and their speakers."""
    parted = _overlap(segments)
    tiers: dict[str, list[Interval]] = {} if parted else {"emotion": []}
    for one in segments:
        name = f"emotion {one_line(one.speaker)}".rstrip() if parted else "emotion"
        tiers.setdefault(name, []).append(Interval(one.start, one.end, titled(one)))
    if not parted and any(one.speaker for one in segments):
        tiers["speaker"] = [Interval(x.start, x.end, one_line(x.speaker)) for x in segments]
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
