"""Where the symbols of the IPA alphabet stand on its chart, and which are voiced."""

from __future__ import annotations

from phonemo.corpora.g2p.alphabets import IPA_CLASS, is_vowel
from phonemo.evaluation.phonemes.phoneme_schema import Kind, Sonority

#: Vowel -> (0 front to 1 back, 0 close to 1 open, rounded), on the IPA's trapezoid.
VOWELS: dict[str, tuple[float, float, bool]] = {
    "i": (0.0, 0.0, False),
    "y": (0.0, 0.0, True),
    "ɪ": (0.2, 1 / 6, False),
    "ʏ": (0.2, 1 / 6, True),
    "ɨ": (0.5, 0.0, False),
    "e": (0.0, 1 / 3, False),
    "ø": (0.0, 1 / 3, True),
    "ɛ": (0.0, 2 / 3, False),
    "œ": (0.0, 2 / 3, True),
    "æ": (0.0, 5 / 6, False),
    "ə": (0.5, 1 / 2, False),
    "ɝ": (0.5, 2 / 3, False),
    "ɐ": (0.5, 5 / 6, False),
    "a": (0.0, 1.0, False),
    "ɑ": (1.0, 1.0, False),
    "ɔ": (1.0, 2 / 3, True),
    "o": (1.0, 1 / 3, True),
    "ɤ": (1.0, 1 / 3, False),
    "ʊ": (0.8, 1 / 6, True),
    "u": (1.0, 0.0, True),
}
#: Columns of the table of consonants; dentals of other manners count as alveolar.
PLACES = (
    "labial",
    "dental",
    "alveolar",
    "postalveolar",
    "retroflex",
    "(alveolo-)palatal",
    "velar",
    "uvular, glottal",
)
#: Rows, each with the symbols of a place: voiceless first, as the IPA prints them.
MANNERS: dict[str, tuple[str, ...]] = {
    "plosive": ("p b", "", "t d", "", "", "", "k ɡ", ""),
    "affricate": ("p͡f", "", "t͡s d͡z", "t͡ʃ d͡ʒ", "t͡ʂ d͡ʐ", "t͡ɕ d͡ʑ", "", ""),
    "fricative": ("f v", "θ ð", "s z", "ʃ ʒ", "ʂ ʐ", "ɕ ʑ ç", "x", "h"),
    "nasal": ("m", "", "n", "", "", "ɲ", "ŋ", ""),
    "approximant, trill": ("w", "", "l r ɾ ɹ", "", "", "j ɥ ʎ", "", "ʁ"),
}
_VOICELESS = frozenset("ptkfθsʃʂɕçxh")


def kind_of(symbol: str) -> Kind:
    """Vowel (diphthongs too), voiced or voiceless consonant."""
    if is_vowel(symbol, IPA_CLASS):
        return "vowel"
    voiceless = symbol.rstrip("ʰ").split("͡")[-1] in _VOICELESS
    return "voiceless consonant" if voiceless else "voiced consonant"


def sonority_of(symbol: str) -> Sonority:
    """Vowel (diphthongs too), nasal or approximant, voiced obstruent, or voiceless consonant."""
    kind = kind_of(symbol)
    if kind != "voiced consonant":
        return kind
    return (
        "sonorant consonant"
        if IPA_CLASS[symbol] in ("nasal", "approximant")
        else "voiced obstruent"
    )
