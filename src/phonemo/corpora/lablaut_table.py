"""EmoDB's hand-made phone labels (``lablaut/*.lablaut``) as IPA.

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

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from phonemo.corpora.ipa import IPA_CLASS, table
from phonemo.errors import PhonemeError

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
_LABEL = re.compile(r"\s*(?P<base>[^\s+\-\[]*)(?P<modifiers>.*)", re.DOTALL)

_AFFRICATES = {("t", "s"): "t͡s", ("t", "ʃ"): "t͡ʃ", ("p", "f"): "p͡f"}


def classify(label: str) -> tuple[LablautKind, tuple[str, ...]]:
    """What a label is, and its IPA; modifiers and stress after it make no difference.

    A label of modifiers alone, or an empty one, is a "modifier": it continues the phone before.
    Of a plosive's three parts each gives the plosive, except a burst written "!". Anything that
    the release does not hold is "unknown".
    """
    found = _LABEL.fullmatch(label)
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
            "phonemo.corpora.lablaut_table"
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
