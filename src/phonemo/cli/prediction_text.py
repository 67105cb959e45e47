"""One prediction as text: a table with bars, or a line of JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from phonemo.files import dumps_json

#: Most phonemes shown for one recording.
_MAX_SYMBOLS = 60
_BAR = 20
#: Emotions of a mixture that are named.
_MIXED = 2


def table_row(row: Mapping[str, Any]) -> str:
    """Format one prediction for a terminal: file, scores as bars, segments; or its error."""
    from phonemo.errors import safe_name

    file = safe_name(row["file"])
    if "error" in row:
        return f"{file}\n  error: {row['error']}"
    ranked: Sequence[tuple[str, float]] = sorted(row["scores"].items(), key=lambda item: -item[1])
    channel = f"  channel {row['channel']}" if "channel" in row else ""
    lines = [f"{file}{channel}  ({row['seconds']:.1f} s)"]
    lines.append(f"  {_verdict(row)}")
    for name, score in ranked[:4]:
        lines.append(f"  {name:<12}{score:>6.1%}  {'█' * round(score * _BAR)}")
    lines += _dimension_lines(row)
    lines += _segment_lines(row["segments"])
    if row["phonemes"]:
        more = " ..." if len(row["phonemes"]) > _MAX_SYMBOLS else ""
        lines.append(f"  phonemes: {' '.join(row['phonemes'][:_MAX_SYMBOLS])}{more}")
    lines += _share_lines(row)
    lines += _profile_lines(row)
    parties = row.get("summary", {}).get("parties", ())
    for party in parties:
        lines += _party_lines(party, "the recording" if len(parties) == 1 else "unknown speakers")
    if row["warnings"]:
        lines.append(f"  warnings: {', '.join(row['warnings'])}")
    return "\n".join(lines)


def _verdict(row: Mapping[str, Any]) -> str:
    """The prediction in words: what it is, or that it is unsure, a mixture or no speech."""
    label, mixture = row["label"], row.get("mixture")
    if label is None:
        return "no speech detected; the scores below are meaningless"
    if mixture:
        parts = [f"{name} {share:.0%}" for name, share in list(mixture.items())[:_MIXED]]
        return f"mixed: {parts[0]} of the time, {', '.join(parts[1:])}"
    score = f"{label}, score {row['scores'][label]:.0%}"
    return f"unsure; closest: {score}" if row["unsure"] else score


def _dimension_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format arousal and valence, if the row has them."""
    values = dict(row.get("dimensions", {}))
    note = " (derived)" if values.pop("derived", False) else ""
    if values:
        yield f"  {', '.join(f'{name} {value:.2f}' for name, value in values.items())}{note}"


def _segment_lines(segments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Format a timeline; nothing for a single segment without speaker and text."""
    from phonemo.errors import safe_name

    if len(segments) < 2 and not any(segment.keys() & {"speaker", "text"} for segment in segments):
        return
    for segment in segments:
        times = f"{_clock(segment['start'])} to {_clock(segment['end'])}"
        speaker = f"{safe_name(segment['speaker'])}: " if "speaker" in segment else ""
        yield f"  {times}  {speaker}{_scored(segment)}"
        yield from _text_lines(segment)


def _scored(segment: Mapping[str, Any]) -> str:
    """Format emotion and score; with a question mark if it is in doubt."""
    label = segment["label"]
    if label is None:
        return "no speech"
    return f"{label} {segment['scores'][label]:.0%}{'?' * segment['unsure']}"


def _word_label(word: Mapping[str, Any]) -> str:
    return f"{word['label']}{'?' * word['unsure']}" if "label" in word else ""


def _text_lines(segment: Mapping[str, Any]) -> Iterator[str]:
    """Format a transcript; where its words' emotions differ, or doubt, each stands before them."""
    from phonemo.errors import safe_text

    runs = groupby(segment.get("words", ()), key=_word_label)
    parts = [(label, " ".join(word["word"] for word in words)) for label, words in runs]
    if len(parts) > 1:
        yield "    " + safe_text(" ".join(f"[{label}] {text}" for label, text in parts))
    elif "text" in segment:
        yield "    " + safe_text(segment["text"])


def skipped_line(name: str, count: int, skipped: Mapping[str, int]) -> str:
    """Format the number of skipped turns and the reasons as one line."""
    from phonemo.annotations.turn_rows import SKIP_REASONS
    from phonemo.errors import safe_name

    reasons = ", ".join(f"{number} {SKIP_REASONS[key]}" for key, number in skipped.items())
    total = sum(skipped.values())
    return f"phonemo: {safe_name(name)}: {total} of {count} turns skipped: {reasons}"


def _share_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format the phonemes that stand out and the sum of all, if attribution was computed."""
    from phonemo.annotations.prediction import NOTABLE_SHARE

    spans = [span for span in row.get("spans") or () if span.get("share") is not None]
    if not spans or "no_speech" in row["warnings"]:
        return
    strongest = [span for span in spans if span["share"] >= NOTABLE_SHARE]
    strongest.sort(key=lambda span: -span["share"])
    symbols = (
        f"{span['symbol']} at {span['start']:.2f} s {100 * span['share']:+.2g} points"
        for span in strongest[:5]
    )
    none = f"no single phoneme (none adds {100 * NOTABLE_SHARE:g} points)"
    yield f"  carried by: {', '.join(symbols) or none}"
    if "windowed" not in row["warnings"]:  # in windows, shares belong to different emotions
        total = 100 * sum(span["share"] for span in spans)
        yield f"  all {len(spans)} phonemes: {total:+.2g} points"


def _profile_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format the profiles that were applied: the source's and the speakers'."""
    from phonemo.errors import safe_name

    if "profile" in row:
        yield f"  profile: {row['profile']['hash']} ({row['profile']['count']} vectors)"
    speakers = {
        segment["speaker"]: segment["profile"]
        for segment in row["segments"]
        if "profile" in segment
    }
    for speaker, profile in speakers.items():
        yield f"  profile of {safe_name(speaker)}: {profile['hash']} ({profile['count']} vectors)"


def _party_lines(party: Mapping[str, Any], unnamed: str) -> Iterator[str]:
    """Format a party of a summary: shares of speech and emotions, moments, trend.

    Args:
        party: plain data of a party.
        unnamed: the name of one without channel and speaker.
    """
    speech, confidence = party["speech_share"], party["mean_confidence"]
    shares = f"speech {speech:.0%}, silence {1 - speech:.0%}"
    shares += "" if confidence is None else f", mean confidence {confidence:.0%}"
    yield f"  summary of {_party_name(party) or unnamed}: {shares}"
    for name, share in sorted(party["emotions"].items(), key=lambda item: -item[1]):
        if share > 0:
            yield f"    {name:<12}{share:>6.1%}  {'█' * round(share * _BAR)}"
    moments = (
        f"{_clock(one['start'])} {one['label']} {one['score']:.0%}" for one in party["strongest"]
    )
    yield from _joined_line("strongest", moments)
    if len(party["trend"]) > 1:
        parts = (f"{_clock(one['start'])} {one['label']}" for one in party["trend"])
        yield from _joined_line("trend", parts)
    changes = sorted((party["change"] or {}).items(), key=lambda item: -abs(item[1]))
    points = (f"{name} {100 * value:+.0f}" for name, value in changes[:3])
    yield from _joined_line("last third minus first, points", points)


def _party_name(party: Mapping[str, Any]) -> str:
    from phonemo.errors import safe_name

    channel = [f"channel {party['channel']}"] if "channel" in party else []
    speaker = [safe_name(party["speaker"])] if "speaker" in party else []
    return ", ".join([*channel, *speaker])


def _joined_line(title: str, parts: Iterable[str]) -> Iterator[str]:
    line = ", ".join(parts)
    if line:
        yield f"    {title}: {line}"


def _clock(seconds: float) -> str:
    """Format seconds as h:mm:ss.s, without zero hours."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    short = f"{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
    return f"{hours}:{short}" if hours else short


def json_row(row: Mapping[str, Any]) -> str:
    """Format one prediction as a line of JSON in standard output's encoding."""
    return dumps_json(row, encoding=sys.stdout.encoding or "utf-8")
