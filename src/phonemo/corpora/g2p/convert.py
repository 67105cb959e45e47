"""Text to phonemes, when a corpus is prepared: gruut, pypinyin, or phonemo's own rules for Polish.

What cannot be converted is an error that names it; nothing is left out of a text unsaid. (gruut
answers with nothing for languages it cannot do, and leaves out letters that it does not know.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version

from phonemo.corpora.g2p.gruut import GRUUT_LANGUAGES, from_gruut, gruut_words, optional_module
from phonemo.corpora.g2p.pinyin import from_pinyin
from phonemo.corpora.g2p.polish import phonemize_polish
from phonemo.corpora.manifest import Phonemes
from phonemo.errors import PhonemeError

#: The letters of each language beside a to z; other letters lose their accents or are refused.
_LETTERS = {
    "en": "",
    "de": "äöüß",
    "it": "àèéìíîòóùú",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü",
    "pl": "ąćęłńóśźż",
}

_NOISE_TAG = re.compile(r"\[[^\]]*\]")
#: Signs that are read out as a word, and differently by everyone.
_READ_OUT = "%&@#*/\\_"
_CURRENCY = "$€£¥"


def phonemize(text: str, language: str) -> Phonemes:
    """The phonemes of a text: ARPAbet without stress for English, IPA for other languages.

    Tags in square brackets, such as ``[LAUGHTER]``, are not speech and give nothing. Text in
    capitals alone is read as words, not letter by letter. Numbers are read out for English,
    German, Italian, French and Spanish.

    Args:
        text: a transcript.
        language: ISO 639-1 code; the known ones are the keys of ``BACKENDS``.

    Raises:
        PhonemeError: a language without a backend or without its installed part; a character or
            sign that has no pronunciation there; a text without any phoneme.
        MissingExtraError: the optional part ``g2p`` is not installed.
    """
    convert = _backend(language)
    cleaned = _clean(text, language)
    symbols = tuple(convert(cleaned, language)) if cleaned else ()
    if not symbols:
        raise PhonemeError(f"no word in {text!r}; leave the transcript empty where nobody speaks")
    return Phonemes(
        alphabet="arpabet" if language == "en" else "ipa",
        source=backend(language),
        symbols=symbols,
    )


def backend(language: str) -> str:
    """What converts a language, with its version: "gruut 2.4.0 de".

    Raises:
        PhonemeError: a language without a backend.
        MissingExtraError: the optional part ``g2p`` is not installed.
    """
    if _backend(language) is _by_rules:
        return f"phonemo rules {language}"
    package = "pypinyin" if language == "zh" else "gruut"
    return f"{package} {_version(package)} {language}"


def _by_rules(text: str, language: str) -> Iterator[str]:
    yield from phonemize_polish(text)


def _by_gruut(text: str, language: str) -> Iterator[str]:
    for word, phonemes in gruut_words(text, language):
        if not phonemes:
            raise PhonemeError(f"gruut has no {language!r} pronunciation for {word!r}")
        yield from from_gruut(phonemes, language)


def _by_pinyin(text: str, language: str) -> Iterator[str]:
    pypinyin = optional_module("pypinyin")
    words = "".join(one if one.isalnum() else " " for one in text).split()
    for word in words:
        styles = (pypinyin.Style.INITIALS, pypinyin.Style.FINALS)
        initials, finals = (
            pypinyin.lazy_pinyin(word, style=style, strict=True, errors=_no_pinyin)
            for style in styles
        )
        for initial, final in zip(initials, finals, strict=True):
            yield from from_pinyin(initial, final)


def _no_pinyin(characters: str) -> str:
    raise PhonemeError(f"{characters!r} has no pinyin; write Mandarin in Chinese characters alone")


#: Language -> what converts it.
BACKENDS: dict[str, Callable[[str, str], Iterator[str]]] = {
    **dict.fromkeys(GRUUT_LANGUAGES, _by_gruut),
    "pl": _by_rules,
    "zh": _by_pinyin,
}


def _backend(language: str) -> Callable[[str, str], Iterator[str]]:
    if language not in BACKENDS:
        raise PhonemeError(
            f"no phonemes for language {language!r}; known: {', '.join(sorted(BACKENDS))}"
        )
    return BACKENDS[language]


@cache
def _version(package: str) -> str:
    optional_module(package)
    return version(package)


def _clean(text: str, language: str) -> str:
    """The text with tags and foreign accents gone; PhonemeError for what nobody can read out."""
    text = unicodedata.normalize("NFC", _NOISE_TAG.sub(" ", text)).replace("\u2019", "'")
    if language == "zh":
        return text.strip()
    if text.isupper() and any(len(word) > 1 for word in text.split()):
        text = text.lower()
    text = "".join(_readable(one, language) for one in text)
    return text if any(one.isalnum() for one in text) else ""


def _readable(character: str, language: str) -> str:
    if character.isascii() and (character.isalnum() or character.isspace()):
        return character
    if character.isalpha():
        return _letter(character, language)
    kind = unicodedata.category(character)
    if kind == "Pd" and character != "-":
        return " , "  # gruut takes words on both sides of a long dash for one
    if character in _READ_OUT or (kind[0] not in "PZ" and character not in _CURRENCY):
        raise PhonemeError(
            f"the sign {character!r} has no one pronunciation; write it as a word or leave it out"
        )
    return character


def _letter(character: str, language: str) -> str:
    if character.lower() in _LETTERS[language]:
        return character
    base = unicodedata.normalize("NFD", character)[0]
    if not base.isascii():
        raise PhonemeError(
            f"the letter {character!r} is not one of language {language!r}; is the language right?"
        )
    return base
