"""The two closed phoneme alphabets, their classes, and the conversion from ARPAbet to IPA.

``ARPABET`` is CMU's set of 39 without stress, for English only. ``IPA`` is a closed list shared by
English, German, Polish, Italian, French, Spanish and Mandarin, so that one network can be trained
on all of them. It is phonemic and as narrow as its source transcriptions:

- length, stress, syllables and tones have no symbol: German ``aː`` is ``a``, an Italian double
  consonant is written once;
- an affricate is one symbol (``t͡s``), because Polish distinguishes ``t͡ʂ`` (czy) from ``t ʂ``
  (trzy) and ARPAbet has CH and JH; sources that write two symbols for it are joined;
- the closing diphthongs are one symbol each, as in ARPAbet and in EmoDB's labels, and English
  ``ɔɪ`` and German ``ɔʏ`` are the same symbol; German vowel + vocalized r is two (``i ɐ``), and
  so is a Polish vowel + ``j``, as both are two phonemes;
- ARPAbet AH, which covers STRUT and schwa, is ``ə``, the more frequent of the two; ER is ``ɝ``;
- the Polish and French nasal vowels share symbols, Polish and Mandarin the retroflex and
  alveolo-palatal ones; German ``χ`` is ``x``; the glottal stop, a phoneme in none of them, has no
  symbol.

``IPA`` is only extended at its end, and checkpoints store their own copy, so that indices keep
their meaning. ``SPHINX`` maps the phones of IEMOCAP's forced alignments to ARPAbet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from phonemo.errors import PhonemeError

PhoneClass = Literal[
    "vowel", "diphthong", "plosive", "affricate", "fricative", "nasal", "approximant"
]

#: The broad phonetic classes, in the order of the ``broad`` inventory.
CLASSES: tuple[PhoneClass, ...] = (
    "vowel",
    "diphthong",
    "plosive",
    "affricate",
    "fricative",
    "nasal",
    "approximant",
)

_IPA_BY_CLASS: dict[PhoneClass, str] = {
    "vowel": "i ɪ ɨ y ʏ e ø ɛ œ ə ɐ ɝ a æ ɑ ɔ o ɤ ʊ u ɛ̃ ɑ̃ ɔ̃ œ̃",
    "diphthong": "aɪ aʊ ɔɪ eɪ oʊ",
    "plosive": "p b t d k ɡ pʰ tʰ kʰ",
    "affricate": "p͡f t͡s d͡z t͡ʃ d͡ʒ t͡ʂ d͡ʐ t͡ɕ d͡ʑ t͡sʰ t͡ʂʰ t͡ɕʰ",
    "fricative": "f v θ ð s z ʃ ʒ ʂ ʐ ɕ ʑ ç x h",
    "nasal": "m n ɲ ŋ",
    "approximant": "j w ɥ l ʎ r ɾ ɹ ʁ",
}


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Parse a phone table; "AY:aɪ i6:i+ɐ ʔ:" has three rows."""
    rows = (row.split(":") for row in text.split())
    return {source: tuple(symbols.split("+")) if symbols else () for source, symbols in rows}


#: ARPAbet without stress -> IPA, one to one.
ARPABET_TO_IPA: dict[str, str] = {
    phone: ipa
    for phone, (ipa,) in table(
        """
        AA:ɑ AE:æ AH:ə AO:ɔ AW:aʊ AY:aɪ B:b CH:t͡ʃ D:d DH:ð EH:ɛ ER:ɝ EY:eɪ F:f G:ɡ HH:h IH:ɪ IY:i
        JH:d͡ʒ K:k L:l M:m N:n NG:ŋ OW:oʊ OY:ɔɪ P:p R:ɹ S:s SH:ʃ T:t TH:θ UH:ʊ UW:u V:v W:w Y:j
        Z:z ZH:ʒ
        """
    ).items()
}

#: The 39 phonemes of the CMU dictionary, in alphabetical order.
ARPABET: tuple[str, ...] = tuple(ARPABET_TO_IPA)

#: Symbol -> class, for every symbol of IPA. ʁ counts as an approximant, like other rhotics.
IPA_CLASS: dict[str, PhoneClass] = {
    symbol: kind for kind, symbols in _IPA_BY_CLASS.items() for symbol in symbols.split()
}

#: Symbol -> class, for every symbol of ARPABET.
ARPABET_CLASS: dict[str, PhoneClass] = {
    symbol: IPA_CLASS[ipa] for symbol, ipa in ARPABET_TO_IPA.items()
}

#: The closed multilingual inventory, without blank.
IPA: tuple[str, ...] = tuple(IPA_CLASS)


def arpabet_to_ipa(phone: str) -> str:
    """Convert an ARPAbet phone without stress to IPA; PhonemeError for anything else."""
    if phone not in ARPABET_TO_IPA:
        raise PhonemeError(
            f"expected one of the 39 ARPAbet phonemes, got {phone!r}; remove stress digits with "
            "strip_stress"
        )
    return ARPABET_TO_IPA[phone]


def strip_stress(phone: str) -> str:
    """Remove the stress digit of an ARPAbet phone: "IY0" -> "IY".

    Raises:
        PhonemeError: the result is not one of the 39 phones.
    """
    bare = phone[:-1] if phone[-1:] in ("0", "1", "2") else phone
    if bare not in ARPABET_TO_IPA:
        raise PhonemeError(f"expected one of the 39 ARPAbet phones of the CMU set, got {phone!r}")
    return bare


def is_vowel(symbol: str, classes: Mapping[str, PhoneClass]) -> bool:
    """Whether a symbol of one alphabet's class table is a vowel or a diphthong."""
    return classes[symbol] in ("vowel", "diphthong")


#: Reduced vowels, flap and unreleased final stops, mapped to the 39.
_FOLDED = table("AX:AH AXR:ER IX:IH DX:T TS:T+S BD:B DD:D GD:G KD:K PD:P TD:T")

_FILLERS = ("SIL", "+BREATHING+", "+GARBAGE+", "+LAUGHTER+", "+LIPSMACK+")

#: Every phone of .phseg files -> ARPAbet; empty for silence and noise.
SPHINX: dict[str, tuple[str, ...]] = {
    **{phone: (phone,) for phone in ARPABET},
    **_FOLDED,
    **dict.fromkeys(_FILLERS, ()),
}


def from_sphinx(phone: str) -> tuple[str, ...]:
    """Convert the first token of a .phseg phone to ARPAbet; empty for silence and noise.

    Raises:
        PhonemeError: an unknown phone.
    """
    if phone not in SPHINX:
        raise PhonemeError(
            f"unknown phone {phone!r} in a SPHINX alignment; known phones: {', '.join(SPHINX)}"
        )
    return SPHINX[phone]
