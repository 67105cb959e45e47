"""EmoDB's hand-made phone labels: xlabel files with one row for each acoustic event.

A row is ``start_seconds  colour  label<TAB>modifiers<TAB>stress`` and lasts until the next row
starts; what lies before the first row is silence. xlabel files commonly give ends, but these give
starts: read so, vowels are loud and closures quiet, and read as ends it is the other way round.
Every file of the release closes with a pause, ``.``, that starts before the sound ends, so that
each phone's end is known.

A label such as ``a`` or ``S`` is a phone; ``_t`` or ``t`` is a plosive's closure, ``!t`` its burst
and ``tasp`` its aspiration. A row without a label says that a modifier (voicing, creak, nasality
...) begins or ends inside the phone before it. ``.`` and ``(`` are pauses.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from phonemo.corpora.lablaut_table import LablautKind, classify, from_lablaut, settle
from phonemo.corpora.manifest import Phonemes
from phonemo.errors import CorpusError

_ROW = re.compile(r"(?P<start>\d+(?:\.\d+)?)\s+(?P<colour>-?\d+)(?P<label>.*)")
# Some rows repeat the colour in front of the label; labels such as 6 and 9 are one digit.
_LABEL = re.compile(r"\s*(?:\d{2,}\s+)*(?P<base>[^\s+\-\[]*)")
#: Where the mouth closes: a burst belongs to a closure of the same place, voiced or not.
_PLACES = {"p": "lips", "b": "lips", "t": "ridge", "d": "ridge", "k": "velum", "ɡ": "velum"}


@dataclass(frozen=True)
class Segment:
    """A labelled stretch of an utterance, in seconds from its start."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Phone:
    """One phone, in seconds from the utterance's start, and how the inventory writes it."""

    start: float
    end: float
    symbols: tuple[str, ...]
    silent: bool = False
    """Whether so far it is a closure after silence."""


def parse_lablaut(text: str) -> tuple[Segment, ...]:
    """The rows of a label file in order, label without modifiers; "" where the row has none.

    Each ends where the next one starts; the last one, whose end the file does not give, has no
    length.

    Raises:
        CorpusError: no header end (a line ``#``), a malformed row, or times that run backwards.
    """
    lines = text.splitlines()
    if "#" not in (stripped := [line.strip() for line in lines]):
        raise CorpusError("no line '#' after the header of a label file")
    first = stripped.index("#") + 1
    rows: list[Segment] = []
    for number, line in enumerate(stripped[first:], start=first + 1):
        if line:
            earliest = rows[-1].start if rows else 0.0
            rows.append(_row(line, earliest, number))
    ended = [replace(row, end=after.start) for row, after in itertools.pairwise(rows)]
    return (*ended, *rows[-1:])


def join_phones(segments: Iterable[Segment]) -> tuple[Phone, ...]:
    """The phones: closure, burst and aspiration joined, pauses left out.

    A closure at the beginning of an utterance or after a pause (``_t``) is silence whose start
    nobody can hear: its row's time is the annotators' guess, and as quiet as what lies before it.
    So such a phone begins with its burst where it has one.

    Raises:
        CorpusError: no pause after the last phone, so that its end is unknown.
        PhonemeError: a label outside the table.
    """
    phones: list[Phone] = []
    goes_on = False  # whether a modifier or a plosive's next part would continue the last phone
    for segment in segments:
        kind, symbols = classify(segment.label)
        if goes_on and _continues(kind, symbols, phones[-1]):
            phones[-1] = _extended(phones[-1], segment, kind)
        else:
            goes_on = bool(from_lablaut(segment.label))
            if goes_on:
                silent = segment.label.startswith("_")
                phones.append(Phone(segment.start, segment.end, symbols, silent))
    if goes_on:
        raise CorpusError(_no_end(phones[-1]))
    return tuple(phones)


def lablaut_phonemes(text: str) -> Phonemes | None:
    """The phonemes of a label file with their times; None where it labels no phone.

    Raises:
        CorpusError: a malformed file.
        PhonemeError: a label outside the table.
    """
    symbols: list[str] = []
    times: list[tuple[float, float]] = []
    for run in _runs(join_phones(parse_lablaut(text))):
        raw = [symbol for phone in run for symbol in phone.symbols]
        shares = [share for phone in run for share in _shares(phone)]
        for one in settle(raw):
            symbols.append(one.symbol)
            times.append((shares[one.first][0], shares[one.stop - 1][1]))
    if not symbols:
        return None
    return Phonemes(alphabet="ipa", source="lablaut", symbols=tuple(symbols), times=tuple(times))


def _row(line: str, earliest: float, number: int) -> Segment:
    """One row as a segment that has no length yet."""
    row = _ROW.fullmatch(line)
    if row is None:
        raise CorpusError(f"line {number} of a label file is not 'start colour label': {line!r}")
    start = float(row["start"])
    if not math.isfinite(start):
        raise CorpusError(f"line {number} of a label file starts at no time that a number can hold")
    if start < earliest:
        raise CorpusError(f"line {number} of a label file starts before the row above it")
    label = _LABEL.match(row["label"])
    return Segment(start, start, label["base"] if label else "")


def _no_end(phone: Phone) -> str:
    what = f"the last phone of a label file, '{' '.join(phone.symbols)}' from {phone.start} s"
    return f"{what}, has no end: rows give starts only, so close the file with a pause row, '.'"


def _continues(kind: LablautKind, symbols: Sequence[str], phone: Phone) -> bool:
    if kind == "modifier":
        return True
    place = _PLACES.get(phone.symbols[-1])
    if kind == "burst":
        return place is not None and (not symbols or _PLACES[symbols[0]] == place)
    return kind == "aspiration" and place is not None


def _extended(phone: Phone, segment: Segment, kind: LablautKind) -> Phone:
    if phone.silent and kind == "burst":
        return Phone(segment.start, segment.end, phone.symbols)
    return replace(phone, end=segment.end)


def _runs(phones: Sequence[Phone]) -> list[list[Phone]]:
    """Phones that touch each other; a pause parts them, so that none joins or decides another."""
    runs: list[list[Phone]] = []
    for phone in phones:
        if runs and runs[-1][-1].end == phone.start:
            runs[-1].append(phone)
        else:
            runs.append([phone])
    return runs


def _shares(phone: Phone) -> list[tuple[float, float]]:
    """A phone that the inventory writes as several symbols gives each an equal share of time."""
    parts = len(phone.symbols)
    step = (phone.end - phone.start) / parts
    edges = [round(phone.start + step * part, 6) for part in range(parts + 1)]
    return list(itertools.pairwise(edges))
