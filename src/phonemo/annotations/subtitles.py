"""Read turns from subtitles: SubRip (SRT) and WebVTT, with speakers where they are named.

A speaker is named by WebVTT's voice tag ("<v Ann>"), by brackets ("[Ann]: ..."), by a diarizer's
name ("SPEAKER_00: ..."), or by "Ann: ..." if every cue of the file begins so.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from phonemo.annotations.turn_rows import TurnRow, make_row
from phonemo.errors import UsageError, safe_name

_CLOCK = r"(-?)(?:([0-9]{1,6}):)?([0-9]{1,3}):([0-9]{1,2})(?:[.,]([0-9]{1,9}))?"
_TIME = re.compile(_CLOCK)
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
#: Blocks of WebVTT that are not cues.
_NOT_CUES = re.compile(r"(WEBVTT|NOTE|STYLE|REGION)(?:\s|$)")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_MARKUP = re.compile(r"<[^>]*>")
#: SubRip's, which WebVTT does not know: "{\an8}".
_OVERRIDES = re.compile(r"\{\\[^}]*\}")
#: What phonemo writes behind the text of a segment.
_MARK = re.compile(r"\s*\[(?:[^\[\]]{1,100} [01]\.[0-9]{2}\??|no speech)\]\s*$")
_BRACKETED = re.compile(r"\[([^\[\]]{1,100})\]:\s*")
_NUMBERED = r"(?:speaker|spk|spkr)[ _-]?[0-9]{1,4}"
_DIARIZED = re.compile(rf"(?=\[|\(|{_NUMBERED}:)[\[(]?({_NUMBERED})[\])]?:?\s*", re.IGNORECASE)
_NO_NAME, _COLON = r":,;!?\[\]()<", r":(?:\s+|$)"
_PREFIXED = re.compile(rf"([^\W\d_][^{_NO_NAME}>]{{0,40}}){_COLON}")
#: In subtitles by phonemo, a name may begin with anything.
_OWN_PREFIX = re.compile(rf"([^\s{_NO_NAME}][^{_NO_NAME}]{{0,40}}){_COLON}")


@dataclass(frozen=True)
class _Cue:
    """A cue, or one voice of it; the text has no markup."""

    where: str
    times: tuple[float, float]
    text: str
    speaker: str | None = None


def parse_clock(text: str) -> float | None:
    """Parse a time such as "01:02:03,250" or "02:03.25" to seconds; None if it is none."""
    match = _TIME.fullmatch(text.strip())
    return None if match is None else _seconds(match.groups())


def read_subtitles(name: str, text: str) -> Iterator[TurnRow]:
    r"""Yield the cues of an SRT or WebVTT file as turns.

    Args:
        name: the file's name, for messages.
        text: its content, with line breaks "\\n".

    Raises:
        UsageError: a cue's times are malformed, or text comes before the first cue.
    """
    is_vtt = name.lower().endswith(".vtt")
    split = _voices if is_vtt else _without_markup
    cues = [cue for block in _blocks(name, text) for cue in split(block)]
    marked = bool(cues) and all(_MARK.search(cue.text) for cue in cues)
    if marked:  # by phonemo, which writes "Ann: text [anger 0.75]", and voice tags in WebVTT
        cues = [replace(cue, text=_MARK.sub("", cue.text)) for cue in cues]
    has_voices = any(cue.speaker for cue in cues) or (marked and is_vtt)
    prefix = _OWN_PREFIX if marked else _PREFIXED
    prefixed = (marked or len(cues) > 1) and all(prefix.match(cue.text) for cue in cues)
    for cue in cues:
        named = prefix.match(cue.text) if prefixed and not has_voices else None
        if marked and not has_voices and named is None:  # a name without a text
            named = prefix.fullmatch(cue.text)
        speaker, text = _speaker_of(cue, named)
        yield make_row(cue.where, None, cue.times, speaker, text)


def _blocks(name: str, text: str) -> Iterator[_Cue]:
    """Yield each cue with the lines below its times, markup included."""
    is_vtt, skipping = name.lower().endswith(".vtt"), False
    where, times, lines = "", (0.0, 0.0), list[str]()
    previous = ""
    for number, line in enumerate(text.split("\n"), start=1):
        begins = not previous.strip()
        previous = line
        if begins and line.strip():
            skipping = is_vtt and _NOT_CUES.match(line) is not None
        if "-->" in line:  # ends a comment too: it may not contain an arrow
            if where:
                yield _Cue(where, times, _cue_text(lines, ended=False))
            where, lines, skipping = f"{name} line {number}", [], False
            times = _parse_times(where, line)
        elif where and not skipping:
            lines.append(line)
        elif not (skipping or is_vtt or line.strip() == "" or line.strip().isdecimal()):
            raise UsageError(f"{name} line {number}: {_EXPECTED}, got {_shown(line)}; {_NEXT}")
    if where:
        yield _Cue(where, times, _cue_text(lines, ended=True))


_EXPECTED = "expected a time line such as 00:00:01,000 --> 00:00:02,500"
_NEXT = "save it as SRT or WebVTT"


def _cue_text(lines: list[str], ended: bool) -> str:
    """The text of a cue, without the number or identifier of the next one.

    An identifier, unlike a number, is one only where another cue follows.
    """
    kept = "\n".join(lines).rstrip().split("\n") if ended else list(lines)
    after_gap = len(kept) > 1 and bool(kept[-1].strip()) and not kept[-2].strip()
    number = bool(kept) and kept[-1].strip().isdecimal()
    if (after_gap and (number or not ended)) or (number and not ended):
        kept.pop()
    return "\n".join(kept)


def _parse_times(where: str, line: str) -> tuple[float, float]:
    match = _TIMES.fullmatch(line)
    if match is None:
        raise UsageError(f"{where}: {_EXPECTED}, got {_shown(line)}; {_NEXT}")
    groups = match.groups()
    return _seconds(groups[:5]), _seconds(groups[5:])


def _seconds(clock: tuple[str | None, ...]) -> float:
    sign, hours, minutes, seconds, fraction = clock
    whole = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0)
    return (-1 if sign else 1) * (whole + float(f"0.{fraction or 0}"))


def _without_markup(cue: _Cue) -> Iterator[_Cue]:
    """A cue of SRT, which has no voice tags."""
    yield replace(cue, text=_plain(_OVERRIDES.sub("", cue.text)))


def _voices(cue: _Cue) -> Iterator[_Cue]:
    """Split a cue of WebVTT at its voice tags."""
    first, *rest = _VOICE.split(cue.text)
    voices = list(zip(rest[::2], rest[1::2], strict=True))
    if _plain(first) or not voices:
        yield replace(cue, text=_plain(first))
    for speaker, text in voices:
        yield replace(cue, text=_plain(text), speaker=html.unescape(speaker).strip() or None)


def _plain(text: str) -> str:
    return " ".join(html.unescape(_MARKUP.sub("", text)).split())


def _speaker_of(cue: _Cue, prefix: re.Match[str] | None) -> tuple[str, str]:
    """The speaker, empty if unknown, and the text without it."""
    if cue.speaker is not None:
        return cue.speaker, cue.text
    named = _BRACKETED.match(cue.text) or _DIARIZED.match(cue.text) or prefix
    return (named[1], cue.text[named.end() :]) if named else ("", cue.text)


def _shown(line: str) -> str:
    return repr(safe_name(line.strip()[:60]))
