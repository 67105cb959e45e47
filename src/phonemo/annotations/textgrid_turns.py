"""Read turns from TextGrids: a tier for each speaker, or the tiers that phonemo writes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

from phonemo.annotations.prediction import Word
from phonemo.annotations.textgrid import TextGridInterval, parse_textgrid
from phonemo.annotations.turn_rows import TurnRow, make_row

#: Tiers written by phonemo that are no turns; the latter only beside those with emotions.
_OTHER_TIERS = {"phonemes", "share"}
_TEXT_TIER = re.compile(r"(text|words|word emotion)(?: (.*))?", re.DOTALL)
_CHANNEL_TIER = re.compile(r"emotion channel ([1-9]\d?)")
_EMOTION_TIER = re.compile(r"emotion( .*)?", re.DOTALL)

#: Start and end as in the file, and the speaker if each has tiers of their own.
_Place = tuple[float, float, str]


def read_textgrid_turns(name: str, text: str) -> Iterator[TurnRow]:
    """Yield the intervals with a text as turns, with texts and words if phonemo wrote them.

    Args:
        name: the file's name, for messages.
        text: its content.

    Raises:
        UsageError: not a TextGrid in a text format, or malformed.
    """
    intervals = [
        interval
        for interval in parse_textgrid(name, text)
        if interval.text and interval.tier.lower().partition(" channel ")[0] not in _OTHER_TIERS
    ]
    tiers = {interval.tier for interval in intervals}
    emotions = any(_EMOTION_TIER.fullmatch(tier) for tier in tiers)
    texts = {tier for tier in tiers if emotions and _TEXT_TIER.fullmatch(tier)}
    transcript = _Transcript(interval for interval in intervals if interval.tier in texts)
    speakers = any(tier.lower() == "speaker" for tier in tiers)
    for interval in intervals:
        if interval.tier not in texts and not (speakers and interval.tier == "emotion"):
            yield transcript.added(interval, _row(interval))


def _row(interval: TextGridInterval) -> TurnRow:
    times = (interval.start, interval.end)
    if match := _CHANNEL_TIER.fullmatch(interval.tier):
        row = make_row(interval.where, None, times, "")
        return replace(row, turn=replace(row.turn, channel=int(match[1])))
    return make_row(interval.where, None, times, _speaker_of(interval.tier, interval.text))


def _speaker_of(tier: str, text: str) -> str:
    """The speaker of an interval: the tier's name, except in tiers written by phonemo."""
    if tier.lower() == "speaker":
        return text
    return "" if tier == "emotion" else tier.removeprefix("emotion ")


class _Transcript:
    """The texts and words of a TextGrid by phonemo."""

    def __init__(self, intervals: Iterable[TextGridInterval]) -> None:
        self._texts: dict[_Place, str] = {}
        self._words: dict[str, list[Word]] = {}
        for interval in sorted(intervals, key=_middle):
            match = _TEXT_TIER.fullmatch(interval.tier)
            kind, speaker = match.groups(default="") if match else ("", "")
            if kind == "text":
                self._texts[interval.start, interval.end, speaker] = interval.text
            elif kind == "words" and interval.start <= interval.end:
                word = Word(interval.text, interval.start, interval.end)
                self._words.setdefault(speaker, []).append(word)
        self._middles = {name: list(map(_middle, words)) for name, words in self._words.items()}

    def added(self, interval: TextGridInterval, row: TurnRow) -> TurnRow:
        """The row with the text and words of its place."""
        speaker = interval.tier.removeprefix("emotion ") if " " in interval.tier else ""
        text = self._texts.get((interval.start, interval.end, speaker))
        middles = self._middles.get(speaker, [])
        first, stop = (bisect_left(middles, time) for time in (interval.start, interval.end))
        words = tuple(self._words.get(speaker, ())[first:stop])
        return replace(row, turn=replace(row.turn, text=text, words=words))


def _middle(part: TextGridInterval | Word) -> float:
    return (part.start + part.end) / 2
