"""EmoDB's manual phone labels (``lablaut/*.lablaut``, in xlabel format) as IPA.

A row is ``start_seconds  colour  label<TAB>modifiers<TAB>stress`` and lasts until the next row
starts; before the first row is silence. xlabel files commonly give ends, but these give starts:
read as starts, vowels are loud and closures quiet; read as ends, the opposite. Every file of the
release ends with a pause, ``.``, that starts before the sound ends, so that each phone's end is
known.

The labels are SAMPA for German with additions by the annotators, which no published table explains.
The following was derived by comparing the labels of all 538 files with their sentences:

- ``_t`` and ``t`` are a plosive's closure (``_``: after silence), ``!t`` its burst, ``tasp`` its
  aspiration; an unreleased plosive has only ``t``; other labels, such as ``a`` or ``S``, are
  phones;
- ``B D G V L H`` are weakened, mostly voiced b d g v l h: "ha[B]e", "will [D]as", "Hause
  [G]efahren", "Karl [V]as", "P[L]atz", "dem [H]olz"; ``8`` is another b ("Agnes [8]esucht");
- ``R 4`` are r; ``X`` and ``x`` are the velar or uvular fricative of "na[X]", but also an r after a
  consonant, "t[X]inken": ``settle`` distinguishes them by position;
- a vowel with ``6`` is followed by a vocalized r: ``i6`` in "wir"; so is ``i@``;
- ``aU aO AO AU OU @O`` are the diphthong of "auf", which ``ao`` ("da oben") is not;
- doubled letters are long or shared by two words ("sind [n]enn"); length has no symbol here;
- ``?`` is a glottal stop, which is not a phoneme of German, and is dropped;
- ``.`` is silence, ``(`` a pause, ``(gef`` a filled pause;
- ``+nas``, ``-sth``, ``[+eng`` and so on mark the beginning or end of a modifier (voicing, creak,
  nasality ...); a row with nothing else belongs to the phone before it; digits in a third column
  are stress.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from phonemo.corpora.g2p.alphabets import IPA_CLASS, table
from phonemo.corpora.manifest import Phonemes
from phonemo.errors import CorpusError, PhonemeError

LablautKind = Literal["phone", "closure", "burst", "aspiration", "modifier", "pause", "unknown"]


class Settled(NamedTuple):
    """A symbol and the half-open range of input symbols that it was made from."""

    symbol: str
    first: int
    stop: int


_PLOSIVES = table("p:p b:b t:t d:d k:k g:ɡ")

_PHONES = table(
    """
    i:i I:ɪ y:y Y:ʏ e:e E:ɛ 9:œ @:ə 6:ɐ a:a A:a o:o O:ɔ u:u U:ʊ @E:ɛ
    aI:aɪ OY:ɔɪ aU:aʊ aO:aʊ AO:aʊ AU:aʊ OU:aʊ @O:aʊ
    i6:i+ɐ i@:i+ɐ I6:ɪ+ɐ I@:ɪ+ɐ Y6:ʏ+ɐ E6:ɛ+ɐ a6:a+ɐ @6:ə+ɐ ao:a+o ia:i+a e@:e+ə @a:ə+a
    f:f v:v vv:v V:v s:s ss:s z:z S:ʃ C:ç x:x X:x h:h H:h j:j J:j
    m:m mm:m n:n nn:n N:ŋ NN:ŋ l:l L:l R:ʁ 4:ʁ B:b 8:b D:d G:ɡ
    """
)

_PAUSES = (".", "(", "(gef", "?")

#: Label without modifiers -> its kind and IPA symbols; covers the whole release.
LABLAUT: dict[str, tuple[LablautKind, tuple[str, ...]]] = {
    **{label: ("phone", ipa) for label, ipa in _PHONES.items()},
    **{label: ("closure", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"_{label}": ("closure", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"!{label}": ("burst", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"{label}asp": ("aspiration", ipa) for label, ipa in _PLOSIVES.items()},
    **dict.fromkeys(_PAUSES, ("pause", ())),
    # typing errors: a burst without its letter, a modifier without its sign, dasp, gasp
    "!": ("burst", ()),
    "hoe": ("modifier", ()),
    "dsap": ("aspiration", ("d",)),
    "gas": ("aspiration", ("ɡ",)),
}

# A label with its modifiers, possibly without a space between them: "tasp +hoe,+spr", "I+nas", "d".
_TABLE_LABEL = re.compile(r"\s*(?P<base>[^\s+\-\[]*)(?P<modifiers>.*)", re.DOTALL)

_AFFRICATES = {("t", "s"): "t͡s", ("t", "ʃ"): "t͡ʃ", ("p", "f"): "p͡f"}


def classify(label: str) -> tuple[LablautKind, tuple[str, ...]]:
    """Return the kind of a label and its IPA; following modifiers and stress are ignored.

    A label of modifiers only, or an empty one, is a "modifier", which continues the phone before.
    Each of a plosive's three parts gives the plosive, except a burst written "!". Labels that are
    not in the release are "unknown".
    """
    match = _TABLE_LABEL.fullmatch(label)
    base = match["base"] if match else label
    if not base:
        return "modifier", ()
    return LABLAUT.get(base, ("unknown", ()))


def from_lablaut(label: str) -> tuple[str, ...]:
    """Convert a label to IPA; empty for pauses, modifiers and the glottal stop.

    Raises:
        PhonemeError: an unknown label.
    """
    kind, symbols = classify(label)
    if kind == "unknown":
        raise PhonemeError(
            f"unknown lablaut label {label!r}; expected one of the {len(LABLAUT)} labels of EmoDB "
            "in phonemo.corpora.readers.emodb_labels"
        )
    return symbols


def settle(symbols: Sequence[str]) -> tuple[Settled, ...]:
    """Convert consecutive phones to phonemes, which depend on their neighbors.

    An ``x`` at the beginning of an utterance or after a consonant is an r; ``t s``, ``t ʃ`` and
    ``p f`` are one affricate, as in the inventory. Each result has the range of its source symbols,
    so that their times can be joined.
    """
    settled: list[Settled] = []
    for index, symbol in enumerate(symbols):
        before = settled[-1].symbol if settled else ""
        if (before, symbol) in _AFFRICATES:
            joined = _AFFRICATES[before, symbol]
            settled[-1] = Settled(joined, settled[-1].first, index + 1)
        elif symbol == "x" and not _is_vowel(before):
            settled.append(Settled("ʁ", index, index + 1))
        else:
            settled.append(Settled(symbol, index, index + 1))
    return tuple(settled)


def _is_vowel(symbol: str) -> bool:
    return IPA_CLASS.get(symbol) in ("vowel", "diphthong")


_ROW = re.compile(r"(?P<start>\d+(?:\.\d+)?)\s+(?P<colour>-?\d+)(?P<label>.*)")
# Some rows repeat the color in front of the label; labels such as 6 and 9 are one digit.
_LABEL = re.compile(r"\s*(?:\d{2,}\s+)*(?P<base>[^\s+\-\[]*)")
#: Place of articulation: a burst belongs to a closure of the same place, voiced or not.
_PLACES = {"p": "lips", "b": "lips", "t": "ridge", "d": "ridge", "k": "velum", "ɡ": "velum"}


@dataclass(frozen=True)
class LabelledSegment:
    """A labeled segment of an utterance, in seconds from its start."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Phone:
    """One phone, in seconds from the utterance's start, and its inventory symbols."""

    start: float
    end: float
    symbols: tuple[str, ...]
    silent: bool = False
    """Whether it is, so far, only a closure after silence."""


def parse_lablaut(text: str) -> tuple[LabelledSegment, ...]:
    """Parse the rows of a label file; labels are without modifiers and may be "".

    Each row ends at the start of the next; the last one has zero length, since the file does not
    give its end.

    Raises:
        CorpusError: no end of the header (a line ``#``), a malformed row, or decreasing times.
    """
    lines = text.splitlines()
    if "#" not in (stripped := [line.strip() for line in lines]):
        raise CorpusError("expected a line '#' after the header of a label file")
    first = stripped.index("#") + 1
    rows: list[LabelledSegment] = []
    for number, line in enumerate(stripped[first:], start=first + 1):
        if line:
            earliest = rows[-1].start if rows else 0.0
            rows.append(_parse_row(line, earliest, number))
    ended = [replace(row, end=following.start) for row, following in itertools.pairwise(rows)]
    return (*ended, *rows[-1:])


def join_phones(segments: Iterable[LabelledSegment]) -> tuple[Phone, ...]:
    """Join closure, burst and aspiration to phones, and drop pauses.

    A closure at the beginning of an utterance or after a pause (``_t``) is silent, and its start is
    only estimated by the annotators. Therefore such a phone begins with its burst, if it has one.

    Raises:
        CorpusError: no pause after the last phone, so that its end is unknown.
        PhonemeError: an unknown label.
    """
    phones: list[Phone] = []
    open_phone = False  # whether a modifier or a plosive's next part would extend the last phone
    for segment in segments:
        kind, symbols = classify(segment.label)
        if open_phone and _extends(kind, symbols, phones[-1]):
            phones[-1] = _extend(phones[-1], segment, kind)
        else:
            open_phone = bool(from_lablaut(segment.label))
            if open_phone:
                silent = segment.label.startswith("_")
                phones.append(Phone(segment.start, segment.end, symbols, silent))
    if open_phone:
        raise CorpusError(_missing_end(phones[-1]))
    return tuple(phones)


def lablaut_phonemes(text: str) -> Phonemes | None:
    """Read the phonemes of a label file with their times; None if it labels no phone.

    Raises:
        CorpusError: a malformed file.
        PhonemeError: an unknown label.
    """
    symbols: list[str] = []
    times: list[tuple[float, float]] = []
    for run in _group_runs(join_phones(parse_lablaut(text))):
        raw = [symbol for phone in run for symbol in phone.symbols]
        shares = [share for phone in run for share in _divide_time(phone)]
        for phoneme in settle(raw):
            symbols.append(phoneme.symbol)
            times.append((shares[phoneme.first][0], shares[phoneme.stop - 1][1]))
    if not symbols:
        return None
    return Phonemes(alphabet="ipa", source="lablaut", symbols=tuple(symbols), times=tuple(times))


def _parse_row(line: str, earliest: float, number: int) -> LabelledSegment:
    """Parse a row to a segment of zero length."""
    row = _ROW.fullmatch(line)
    if row is None:
        expected = "expected 'start colour label'"
        raise CorpusError(f"line {number} of a label file: {expected}, got {line!r}")
    start = float(row["start"])
    if not math.isfinite(start):
        raise CorpusError(f"line {number} of a label file: expected a finite start time")
    if start < earliest:
        raise CorpusError(f"line {number} of a label file starts before the row above it")
    label = _LABEL.match(row["label"])
    return LabelledSegment(start, start, label["base"] if label else "")


def _missing_end(phone: Phone) -> str:
    description = (
        f"the last phone of a label file, '{' '.join(phone.symbols)}' from {phone.start} s"
    )
    return f"{description}, has no end; add a final pause row, '.'"


def _extends(kind: LablautKind, symbols: Sequence[str], phone: Phone) -> bool:
    if kind == "modifier":
        return True
    place = _PLACES.get(phone.symbols[-1])
    if kind == "burst":
        return place is not None and (not symbols or _PLACES[symbols[0]] == place)
    return kind == "aspiration" and place is not None


def _extend(phone: Phone, segment: LabelledSegment, kind: LablautKind) -> Phone:
    if phone.silent and kind == "burst":
        return Phone(segment.start, segment.end, phone.symbols)
    return replace(phone, end=segment.end)


def _group_runs(phones: Sequence[Phone]) -> list[list[Phone]]:
    """Group adjacent phones; a pause separates groups, which do not affect each other."""
    runs: list[list[Phone]] = []
    for phone in phones:
        if runs and runs[-1][-1].end == phone.start:
            runs[-1].append(phone)
        else:
            runs.append([phone])
    return runs


def _divide_time(phone: Phone) -> list[tuple[float, float]]:
    """Divide a phone's time equally among its inventory symbols."""
    parts = len(phone.symbols)
    step = (phone.end - phone.start) / parts
    edges = [round(phone.start + step * part, 6) for part in range(parts + 1)]
    return list(itertools.pairwise(edges))
