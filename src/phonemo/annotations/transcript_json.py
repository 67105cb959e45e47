"""Read turns from JSON, as transcribers and diarizers write it and as their Python objects.

Whisper, WhisperX, faster-whisper, whisper.cpp, the Whisper pipelines of transformers, pyannote and
phonemo itself: all are a list of segments, under names that are listed here.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest
from typing import Any

from phonemo.annotations.prediction import Word
from phonemo.annotations.subtitles import parse_clock
from phonemo.annotations.turn_rows import TurnRow, encodable, make_row, problem_of
from phonemo.errors import UsageError, safe_name

#: The keys of a recording's segments, the most specific first.
_SEGMENTS = (
    *("segments", "transcription", "speakers", "chunks"),
    *("exclusive_diarization", "exclusiveDiarization", "diarization", "turns"),
)
_FIELDS = (
    *("start", "end", "duration", "offset", "offsets", "timestamps", "timestamp"),
    *("speaker", "text", "word", "words", "channel"),
)
#: The first fields of faster-whisper's segments, where they are named tuples.
_TUPLE = ("id", "seek", "start", "end", "text")
#: A longer pause between words without segments begins another.
_PAUSE_SECONDS = 1.0
#: Whisper's window: the longest segment.
_WINDOW_SECONDS = 30.0
_NEXT = "pass the JSON of Whisper, WhisperX, faster-whisper, whisper.cpp or pyannote"

#: Start and end in seconds; nan where a time is missing.
_Times = tuple[float, float]


def read_transcript(name: str, text: str) -> Iterator[TurnRow]:
    """Yield the segments of a JSON file, or of JSON lines, as turns.

    Args:
        name: the file's name, for messages.
        text: its content.

    Raises:
        UsageError: malformed JSON, or something else than segments with a start and an end.
    """
    if name.lower().endswith(".jsonl"):
        lines = enumerate(text.split("\n"), start=1)
        documents = [_parse(f"{name} line {number}", one) for number, one in lines if one.strip()]
        yield from rows_of(name, documents)
    else:
        yield from rows_of(name, _parse(name, text))


def rows_of(name: str, data: Any) -> Iterator[TurnRow]:
    """Yield the turns of one recording or several.

    Args:
        name: the file's name, for messages.
        data: a mapping or object with segments, or an iterable of segments or of such mappings. A
            segment is a mapping or an object with start and end in seconds, or with offsets in
            milliseconds; it may have a speaker, a text and words.

    Raises:
        UsageError: something else.
    """
    data = _field(data, "output") or data  # of pyannoteAI's jobs
    if _segments_in(data) is not None:
        data = [data]
    elif words := _lone_words(data):
        data = _utterances(name, words)
    if isinstance(data, str | bytes) or not isinstance(data, Iterable) or _is_mapping(data):
        raise UsageError(f"{name}: expected a list of segments, got {_kind(data)}; {_NEXT}")
    for number, item in enumerate(data, start=1):
        segments = _segments_in(item)
        if segments is None and _field(item, "error") is None:
            yield _row(f"{name} segment {number}", item, None)
        elif segments is not None:
            file = _field(item, "file")
            file = file if isinstance(file, str) else None
            words = _list(_field(item, "words"))
            segments = segments or _utterances(name, _lone_words(item))
            rows = (
                _row(f"{name} segment {count}", segment, file)
                for count, segment in enumerate(_closed(segments), start=1)
            )
            yield from _share_out(rows, words)


def _parse(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = where if " line " in where else f"{where} line {error.lineno}"
        raise UsageError(f"{place}: expected JSON, got {error.msg.lower()}; {_NEXT}") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number too long"
        raise UsageError(f"{where}: expected JSON, got data {reason}; {_NEXT}") from error


def _segments_in(data: Any) -> Sequence[Any] | None:
    """The segments of a recording; None for anything else."""
    if _field(data, "start") is not None:
        return None
    found = [_field(data, key) for key in _SEGMENTS]
    lists = [one for one in found if isinstance(one, list | tuple)]
    filled = [one for one in lists if one and not isinstance(one[0], str)]
    return next(iter([*filled, *lists]), None)


def _lone_words(data: Any) -> Sequence[Any]:
    """The words of a recording without segments: of OpenAI's API, WhisperX or Vosk."""
    if _field(data, "start") is not None:
        return ()
    found = (_list(_field(data, key)) for key in ("words", "word_segments", "result"))
    return next((one for one in found if one), ())


def _utterances(where: str, items: Sequence[Any]) -> list[dict[str, Any]]:
    """Segments of words, which end where the speaker changes or pauses."""
    groups: list[list[Any]] = []
    end, previous = math.inf, ""
    for item in items:
        word, speaker = _word(where, item)
        timed = _has_times(word)
        if not groups or (timed and (speaker != previous or word.start - end > _PAUSE_SECONDS)):
            groups.append([])
        groups[-1].append(item)
        if timed:
            end, previous = word.end, speaker
    return [_utterance(where, group) for group in groups]


def _utterance(where: str, items: list[Any]) -> dict[str, Any]:
    timed = [word for word, _ in (_word(where, item) for item in items) if _has_times(word)]
    start, end = (timed[0].start, timed[-1].end) if timed else (None, None)
    return {"start": start, "end": end, "words": items}


def _closed(segments: Sequence[Any]) -> Iterator[Any]:
    """Segments; one of transformers without an end ends with its window, or where one follows."""
    starts = [_list(_field(one, "timestamp"))[:1] for one in segments]
    for segment, following in zip_longest(segments, starts[1:], fillvalue=()):
        pair = _list(_field(segment, "timestamp"))
        if _is_mapping(segment) and len(pair) == 2 and pair[1] is None and pair[0] is not None:
            start = _number("segments", pair[0])
            end = following[0] if following else start + _WINDOW_SECONDS
            segment = dict(segment) | {"timestamp": (pair[0], end)}
        yield segment


def _as_segment(item: Any) -> Any:
    """A segment that is a text or a sequence as a mapping; anything else unchanged."""
    if isinstance(item, str):  # NeMo's Sortformer: "0.00 2.40 speaker_0"
        item = item.split(None, 2)
    if hasattr(item, "tolist"):
        item = item.tolist()  # a row of an array
    if not isinstance(item, list | tuple) or hasattr(item, "_fields"):
        return item
    if len(item) > 4 and isinstance(item[4], str):  # faster-whisper's named tuples, in JSON
        words = [one for one in item[5:] if isinstance(one, list) and one and _list(one[0])]
        return dict(zip(_TUPLE, item, strict=False)) | {"words": words[0] if words else None}
    if item and _field(item[0], "start") is not None:  # pyannote: (segment, track, speaker)
        times = {name: _field(item[0], name) for name in ("start", "end")}
        return {**times, "speaker": str(item[-1]) if len(item) > 1 else None}
    return dict(zip(("start", "end", "speaker"), item, strict=False))


def _words_of(item: Any) -> Sequence[Any]:
    """The words of a segment; of whisper.cpp's tokens, those that begin with a space begin one."""
    words: list[dict[str, Any]] = []
    for token in _list(_field(item, "tokens")):
        text, offsets = _field(token, "text"), _field(token, "offsets")
        if not isinstance(text, str) or not _is_mapping(offsets) or text.startswith("[_"):
            continue
        if text[:1] == " " or not words:
            words.append({"word": "", "offsets": dict(offsets)})
        words[-1]["word"] += text
        words[-1]["offsets"]["to"] = _field(offsets, "to")
    return _list(_field(item, "words")) or words


def _row(where: str, item: Any, file: str | None) -> TurnRow:
    item = _as_segment(item)
    if not any(_field(item, name) is not None for name in _FIELDS):
        names = ", ".join(map(safe_name, map(str, item)))[:80] if _is_mapping(item) else ""
        got = f"one with {names}" if names else _kind(item)
        raise UsageError(f"{where}: expected an object with start and end, got {got}; {_NEXT}")
    times = _times(where, item)
    words = [_word(where, one) for one in _words_of(item)]
    words = [(word, speaker) for word, speaker in words if word.text]
    speaker = _text(_field(item, "speaker")) or _commonest(speaker for _, speaker in words)
    text = _text(_field(item, "text")) or " ".join(word.text for word, _ in words)
    row = make_row(where, _file_of(item) or file, times, speaker, text)
    channel = _field(item, "channel")
    if isinstance(channel, int) and not isinstance(channel, bool) and 0 <= channel < 10_000:
        row = replace(row, turn=replace(row.turn, channel=channel))
    return _with_words(row, [word for word, _ in words])


def _file_of(item: Any) -> str | None:
    name = _field(item, "audio_filepath")
    return name if isinstance(name, str) else None


def _with_words(row: TurnRow, words: Sequence[Word]) -> TurnRow:
    if problem_of(row.turn) is not None:
        return row
    timed = tuple(_timed(row.turn.start, row.turn.end, words))
    return replace(row, turn=replace(row.turn, words=timed))


def _timed(start: float, end: float, words: Sequence[Word]) -> Iterator[Word]:
    """Words of a turn; those without times share the gap between their neighbors."""
    position = start
    following = [word.start for word in words if _has_times(word)]
    for timed, group in groupby(words, key=_has_times):
        members = list(group)
        if timed:
            yield from members
            position, following = members[-1].end, following[len(members) :]
            continue
        limit = max(position, following[0] if following else end)
        step = (limit - position) / len(members)
        for index, word in enumerate(members):
            first = position + index * step
            yield replace(word, start=first, end=first + step)


def _has_times(word: Word) -> bool:
    return 0 <= word.start <= word.end < math.inf


def _share_out(rows: Iterable[TurnRow], items: Sequence[Any]) -> Iterator[TurnRow]:
    """Give the words that a recording lists beside its segments to those without any."""
    words = [_word("words", item)[0] for item in items]
    words = sorted((one for one in words if one.text and _has_times(one)), key=_middle)
    middles = [_middle(word) for word in words]
    for row in rows:
        first, stop = (bisect_left(middles, time) for time in (row.turn.start, row.turn.end))
        yield row if row.turn.words or first >= stop else _with_words(row, words[first:stop])


def _middle(word: Word) -> float:
    return (word.start + word.end) / 2


def _word(where: str, item: Any) -> tuple[Word, str]:
    """A word, with nan for missing times, and its speaker."""
    if isinstance(item, list | tuple) and not hasattr(item, "_fields"):
        item = dict(zip(("start", "end", "word"), item, strict=False))
    text = _text(_field(item, "word")) or _text(_field(item, "text"))
    if isinstance(item, str):
        text = item
    start, end = _times(where, item)
    word = Word(" ".join(encodable(text).split()), start, end)
    return word, _text(_field(item, "speaker"))


def _times(where: str, item: Any) -> _Times:
    """Start and end in seconds, by whichever names the segment has."""
    milliseconds = _field(item, "offsets")
    if _is_mapping(milliseconds):  # whisper.cpp
        start, end = (_number(where, _field(milliseconds, key)) for key in ("from", "to"))
        return start / 1000, end / 1000
    pair = _field(item, "timestamp")
    if isinstance(pair, list | tuple) and len(pair) == 2:  # transformers
        return _number(where, pair[0]), _number(where, pair[1])
    clocks = _field(item, "timestamps")
    if _is_mapping(clocks):
        return _number(where, _field(clocks, "from")), _number(where, _field(clocks, "to"))
    begins = _field(item, "start")
    start = _number(where, _field(item, "offset") if begins is None else begins)
    end, duration = _field(item, "end"), _field(item, "duration")
    if end is None and duration is not None:
        return start, start + _number(where, duration)
    return start, _number(where, end)


def _number(where: str, value: Any) -> float:
    """A number of seconds; nan for None. Texts may be clock times."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        seconds = parse_clock(value)
        value = value if seconds is None else seconds
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, OverflowError):
            return math.inf
        shown = repr(safe_name(value)) if isinstance(value, str) else _kind(value)
        raise UsageError(f"{where}: expected a number of seconds, got {shown}; {_NEXT}") from error


def _field(data: Any, name: str) -> Any:
    """A field of a mapping or an object; None if it has none."""
    if _is_mapping(data):
        return data.get(name)
    if data is None or isinstance(data, str | bytes | int | float | list | dict):
        return None
    return None if callable(value := getattr(data, name, None)) else value


def _is_mapping(data: Any) -> bool:
    return isinstance(data, Mapping)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: Any) -> str:
    """Texts and whole numbers as text; empty for anything else."""
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**12
    return str(value) if isinstance(value, str) or whole else ""


def _commonest(names: Iterable[str]) -> str:
    counts = Counter(name for name in names if name)
    return counts.most_common(1)[0][0] if counts else ""


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value)) or type(value).__name__
