"""Predictions as the files that other programs open: Praat, Audacity, spreadsheets.

Every writer takes a name (the recording's, as it was typed) and what was heard in it, and gives the
whole text of a file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from phonemo.prediction import PhonemeSpan, Prediction

#: Shorter silences between two phonemes are rounding, not pauses (TextGrid tiers have no gaps).
_SHORTEST = 1e-6


@dataclass(frozen=True)
class Interval:
    """A stretch of a tier, in seconds; an empty text is a gap."""

    start: float
    end: float
    text: str


def textgrid(name: str, found: Prediction) -> str:
    """A Praat TextGrid with the tiers "emotion" and, where they were heard, "phonemes".

    The long text format of Praat's manual, in UTF-8. Tiers cover the recording without gaps, as
    Praat wants them; nothing heard is an empty interval.
    """
    emotion = f"{found.label} {found.scores[found.label]:.2f}"
    tiers = {"emotion": [Interval(0.0, found.seconds, emotion)]}
    if found.spans is not None:
        tiers["phonemes"] = list(filled(found.spans, found.seconds))
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    head += ["xmin = 0", f"xmax = {found.seconds:.6f}", "tiers? <exists>"]
    head += [f"size = {len(tiers)}", "item []:"]
    body = [
        line
        for number, (tier, intervals) in enumerate(tiers.items(), start=1)
        for line in _tier(number, tier, found.seconds, intervals)
    ]
    return "\n".join([*head, *body]) + "\n"


def audacity(name: str, found: Prediction) -> str:
    """A label track of Audacity: start, end and text, parted by tabs."""
    rows = [(0.0, found.seconds, f"{found.label} {found.scores[found.label]:.2f}")]
    rows += [(one.start, one.end, one.symbol) for one in found.spans or ()]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows)


def csv_head(labels: Iterable[str]) -> str:
    """The first line of a table of predictions: file, label, seconds, scores, warnings, error."""
    return _csv_line(["file", "label", "seconds", *labels, "phonemes", "warnings", "error"])


def csv_row(name: str, found: Prediction, labels: Iterable[str]) -> str:
    """A line of that table; phonemes and warnings are parted by spaces."""
    scores = [f"{found.scores[label]:.6f}" if label in found.scores else "" for label in labels]
    heard = " ".join(found.phonemes or ())
    told = " ".join(found.warnings)
    return _csv_line([name, found.label, f"{found.seconds:.3f}", *scores, heard, told, ""])


def csv_error(name: str, error: str, labels: Sequence[str]) -> str:
    """A line of that table for a file that could not be used."""
    return _csv_line([name, "", "", *("" for _ in labels), "", "", error])


def filled(spans: Sequence[PhonemeSpan], seconds: float) -> Iterator[Interval]:
    """The phonemes with the gaps between them, from 0 to the recording's end, none of them empty.

    A phoneme that rounding has left no time is skipped.
    """
    now = 0.0
    for one in spans:
        start, end = max(one.start, now), min(one.end, seconds)
        if end - start <= _SHORTEST:
            continue
        if start - now > _SHORTEST:
            yield Interval(now, start, "")
        else:
            start = now
        yield Interval(start, end, one.symbol)
        now = end
    if seconds - now > _SHORTEST or now == 0.0:
        yield Interval(now, seconds, "")


def _tier(number: int, name: str, seconds: float, intervals: Sequence[Interval]) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f'        name = "{_quoted(name)}"'
    yield "        xmin = 0"
    yield f"        xmax = {seconds:.6f}"
    yield f"        intervals: size = {len(intervals)}"
    for place, one in enumerate(intervals, start=1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {one.start:.6f}"
        yield f"            xmax = {one.end:.6f}"
        yield f'            text = "{_quoted(one.text)}"'


def _quoted(text: str) -> str:
    """Praat doubles a quotation mark inside a string."""
    return text.replace('"', '""')


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


#: Formats of which each recording gets a file of its own: name -> suffix and writer.
BY_FILE: dict[str, tuple[str, Callable[[str, Prediction], str]]] = {
    "textgrid": (".TextGrid", textgrid),
    "audacity": (".labels.txt", audacity),
}
