"""Convert text to phonemes with gruut, pypinyin, phonemo's rules for Polish, or eSpeak.

Text that cannot be converted raises an error that names it; nothing is dropped silently. (gruut
returns nothing for unsupported languages and drops unknown letters.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version

from phonemo.corpora.g2p.espeak import espeak_version, phonemize_espeak
from phonemo.corpora.g2p.gruut import GRUUT_LANGUAGES, from_gruut, gruut_words, optional_module
from phonemo.corpora.g2p.pinyin import from_pinyin
from phonemo.corpora.g2p.polish import phonemize_polish
from phonemo.corpora.manifest import Phonemes
from phonemo.errors import PhonemeError

#: The letters of each language besides a to z; other letters lose their accents or raise an error.
_LETTERS = {
    "en": "",
    "de": "äöüß",
    "it": "àèéìíîòóùú",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü",
    "pl": "ąćęłńóśźż",
}

_CODE = re.compile("[a-z]{2,3}")
_NOISE_TAG = re.compile(r"\[[^\]]*\]")
#: Signs with several possible readings.
_READ_OUT = "%&@#*/\\_"
_CURRENCY = "$€£¥"


def phonemize(text: str, language: str) -> Phonemes:
    """Convert text to phonemes: ARPAbet without stress for English, IPA for other languages.

    Tags in square brackets, such as ``[LAUGHTER]``, are not speech and are removed. Text in all
    capitals is read as words, not letter by letter. Numbers are expanded for English, German,
    Italian, French and Spanish.

    Args:
        text: a transcript.
        language: ISO 639-1 code: a key of ``BACKENDS``, or any that eSpeak has a voice for.

    Raises:
        PhonemeError: a language without a backend or installed data; a character without a
            pronunciation; a text without any phoneme.
        MissingExtraError: the extra ``g2p``, or ``espeak`` for a language that is not in
            ``BACKENDS``, is not installed.
    """
    convert = _backend(language)
    cleaned = _clean(text, language)
    symbols = tuple(convert(cleaned, language)) if cleaned else ()
    if not symbols:
        raise PhonemeError(f"expected words, got {text!r}; leave transcripts without speech empty")
    return Phonemes(
        alphabet="arpabet" if language == "en" else "ipa",
        source=backend(language),
        symbols=symbols,
    )


def backend(language: str) -> str:
    """Name and version of a language's backend: "gruut 2.4.0 de".

    Raises:
        PhonemeError: a language without a backend.
        MissingExtraError: the extra ``g2p`` or ``espeak`` is not installed.
    """
    if _backend(language) is phonemize_espeak:
        return f"espeak {espeak_version()} {language}"
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
    words = "".join(character if character.isalnum() else " " for character in text).split()
    for word in words:
        styles = (pypinyin.Style.INITIALS, pypinyin.Style.FINALS)
        initials, finals = (
            pypinyin.lazy_pinyin(word, style=style, strict=True, errors=_no_pinyin)
            for style in styles
        )
        for initial, final in zip(initials, finals, strict=True):
            yield from from_pinyin(initial, final)


def _no_pinyin(characters: str) -> str:
    raise PhonemeError(f"{characters!r} has no pinyin; write Mandarin in Chinese characters only")


#: Language -> conversion function.
BACKENDS: dict[str, Callable[[str, str], Iterator[str]]] = {
    **dict.fromkeys(GRUUT_LANGUAGES, _by_gruut),
    "pl": _by_rules,
    "zh": _by_pinyin,
}


def _backend(language: str) -> Callable[[str, str], Iterator[str]]:
    if language in BACKENDS:
        return BACKENDS[language]
    if not _CODE.fullmatch(language):
        raise PhonemeError(
            f"no phonemes for language {language!r}; known: {', '.join(sorted(BACKENDS))}, and "
            "other ISO 639-1 codes with the extra espeak"
        )
    return phonemize_espeak


@cache
def _version(package: str) -> str:
    optional_module(package)
    return version(package)


def _clean(text: str, language: str) -> str:
    """Remove tags and foreign accents; PhonemeError for characters without a pronunciation."""
    text = unicodedata.normalize("NFC", _NOISE_TAG.sub(" ", text)).replace("\u2019", "'")
    if language == "zh":
        return text.strip()
    if text.isupper() and any(len(word) > 1 for word in text.split()):
        text = text.lower()
    text = "".join(_normalize_character(character, language) for character in text)
    return text if any(character.isalnum() for character in text) else ""


def _normalize_character(character: str, language: str) -> str:
    if character.isascii() and (character.isalnum() or character.isspace()):
        return character
    if character.isalpha():
        return _normalize_letter(character, language)
    if language not in _LETTERS and unicodedata.category(character)[0] in "MN":
        return character  # vowel signs and digits of other scripts
    kind = unicodedata.category(character)
    if kind == "Pd" and character != "-":
        return " , "  # gruut joins the words on both sides of a long dash
    if character in _READ_OUT or (kind[0] not in "PZ" and character not in _CURRENCY):
        raise PhonemeError(
            f"the sign {character!r} has no unique pronunciation; write it as a word or remove it"
        )
    return character


def _normalize_letter(character: str, language: str) -> str:
    if language not in _LETTERS or character.lower() in _LETTERS[language]:
        return character
    base = unicodedata.normalize("NFD", character)[0]
    if not base.isascii():
        raise PhonemeError(
            f"the letter {character!r} is not in language {language!r}; check the language"
        )
    return base
