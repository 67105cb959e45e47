"""EmoDB's hand-made phone labels: xlabel files with one row for each acoustic event.

A row is ``start_seconds  colour  label<TAB>modifiers<TAB>stress`` and lasts until the next row
starts; what lies before the first row is silence. xlabel files commonly give ends, but these give
starts: read so, vowels are loud and closures quiet, and read as ends it is the other way round.
Every file of the release closes with a pause, ``.``, that starts before the sound ends, so that
each phone's end is known.

A label such as ``a`` or ``S`` is a phone; ``_t`` or ``t`` is a plosive's closure, ``!t`` its burst
and ``tasp`` its aspiration. A row without a label says that a modifier (voicing, creak, nasality
...) begins or ends inside the phone before it. ``.`` and ``(`` are pauses.

EmoDB's hand-made phone labels (``lablaut/*.lablaut``) as IPA.

The labels are SAMPA for German with the annotators' own additions, which no published table
explains; what follows was read off by setting the labels of all 538 files beside their sentences:

- ``_t`` and ``t`` are a plosive's closure (``_``: after silence), ``!t`` its burst, ``tasp`` its
  aspiration; where a plosive was not released, ``t`` stands alone;
- ``B D G V L H`` are weakened, mostly voiced b d g v l h: "ha[B]e", "will [D]as", "Hause
  [G]efahren", "Karl [V]as", "P[L]atz", "dem [H]olz"; ``8`` is one more b ("Agnes [8]esucht");
- ``R 4`` are r; ``X`` and ``x`` are the velar or uvular fricative of "na[X]", but the same letters
  were written for an r after a consonant, "t[X]inken": ``settle`` tells them apart by place;
- a vowel with ``6`` is followed by a vocalised r: ``i6`` in "wir"; so is ``i@``;
- ``aU aO AO AU OU @O`` are the diphthong of "auf", which ``ao`` ("da oben") is not;
- doubled letters are long or shared by two words ("sind [n]enn"); length has no symbol here;
- ``?`` is a glottal stop, which German does not tell words apart by, and gives nothing;
- ``.`` is silence, ``(`` a pause, ``(gef`` a filled one;
- ``+nas``, ``-sth``, ``[+eng`` and so on say how the voice or articulation changes from there on;
  digits in a third column are stress.
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
    """A symbol and the half-open range of those that it was made from."""

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

#: Label without modifiers -> its kind and its IPA symbols; total over the release.
LABLAUT: dict[str, tuple[LablautKind, tuple[str, ...]]] = {
    **{label: ("phone", ipa) for label, ipa in _PHONES.items()},
    **{label: ("closure", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"_{label}": ("closure", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"!{label}": ("burst", ipa) for label, ipa in _PLOSIVES.items()},
    **{f"{label}asp": ("aspiration", ipa) for label, ipa in _PLOSIVES.items()},
    **dict.fromkeys(_PAUSES, ("pause", ())),
    # slips of the pen: a burst without its letter, a modifier without its sign, dasp, gasp
    "!": ("burst", ()),
    "hoe": ("modifier", ()),
    "dsap": ("aspiration", ("d",)),
    "gas": ("aspiration", ("ɡ",)),
}

# A label with its modifiers, which may be glued to it: "tasp +hoe,+spr", "I+nas", "d".
_TABLE_LABEL = re.compile(r"\s*(?P<base>[^\s+\-\[]*)(?P<modifiers>.*)", re.DOTALL)

_AFFRICATES = {("t", "s"): "t͡s", ("t", "ʃ"): "t͡ʃ", ("p", "f"): "p͡f"}


def classify(label: str) -> tuple[LablautKind, tuple[str, ...]]:
    """What a label is, and its IPA; modifiers and stress after it make no difference.

    A label of modifiers alone, or an empty one, is a "modifier": it continues the phone before.
    Of a plosive's three parts each gives the plosive, except a burst written "!". Anything that
    the release does not hold is "unknown".
    """
    found = _TABLE_LABEL.fullmatch(label)
    base = found["base"] if found else label
    if not base:
        return "modifier", ()
    return LABLAUT.get(base, ("unknown", ()))


def from_lablaut(label: str) -> tuple[str, ...]:
    """The IPA symbols of a label; none for pauses, modifiers and the glottal stop.

    Raises:
        PhonemeError: an unknown label.
    """
    kind, symbols = classify(label)
    if kind == "unknown":
        raise PhonemeError(
            f"unknown lablaut label {label!r}; the {len(LABLAUT)} labels of EmoDB are known, in "
            "phonemo.corpora.readers.emodb_labels"
        )
    return symbols


def settle(symbols: Sequence[str]) -> tuple[Settled, ...]:
    """Phonemes of phones that follow each other: what their neighbours decide.

    An ``x`` that begins an utterance or follows a consonant is an r; ``t s``, ``t ʃ`` and ``p f``
    are one affricate, as in the inventory. Each result says which symbols it was made from, so
    that their times can be joined.
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
# Some rows repeat the colour in front of the label; labels such as 6 and 9 are one digit.
_LABEL = re.compile(r"\s*(?:\d{2,}\s+)*(?P<base>[^\s+\-\[]*)")
#: Where the mouth closes: a burst belongs to a closure of the same place, voiced or not.
_PLACES = {"p": "lips", "b": "lips", "t": "ridge", "d": "ridge", "k": "velum", "ɡ": "velum"}


@dataclass(frozen=True)
class LabelledSegment:
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


def parse_lablaut(text: str) -> tuple[LabelledSegment, ...]:
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
    rows: list[LabelledSegment] = []
    for number, line in enumerate(stripped[first:], start=first + 1):
        if line:
            earliest = rows[-1].start if rows else 0.0
            rows.append(_row(line, earliest, number))
    ended = [replace(row, end=after.start) for row, after in itertools.pairwise(rows)]
    return (*ended, *rows[-1:])


def join_phones(segments: Iterable[LabelledSegment]) -> tuple[Phone, ...]:
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


def _row(line: str, earliest: float, number: int) -> LabelledSegment:
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
    return LabelledSegment(start, start, label["base"] if label else "")


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


def _extended(phone: Phone, segment: LabelledSegment, kind: LablautKind) -> Phone:
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
