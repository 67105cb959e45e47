"""Convert text of further languages with eSpeak NG, mapped to the closed IPA inventory.

eSpeak NG and phonemizer are GPL-3: the extra ``espeak`` is opt-in, this is the only module that
imports them, and languages with another backend never use them.

eSpeak writes finer differences than the inventory has. Stress, length, tones, syllabicity and
secondary articulations (palatalized, pharyngealized, labialized) are dropped, two-letter
affricates are joined, and sounds without a symbol become the nearest one, which the table below
names. A symbol that is not in the table is an error, so that nothing is dropped unseen.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from phonemo.corpora.g2p.alphabets import IPA, table
from phonemo.errors import MissingExtraError, PhonemeError

#: ISO 639-1 code -> eSpeak's voice, where they differ.
_VOICES = {"no": "nb"}
#: Stress, length, tones, syllable marks and linking: not phonemes of the inventory.
_DROPPED = "ˈˌːˑ.'|‖-˥˦˧˨˩ʼ~" + "1234567"
#: Superscripts of secondary articulations; ʰ is kept where the inventory has the symbol.
_SECONDARY = "ʰʱʲʷˠˤˀᵊⁿˡᵝ"
_TILDE = "\u0303"

_TWO_LETTERS = table(
    """
    tʃ:t͡ʃ dʒ:d͡ʒ ts:t͡s dz:d͡z tɕ:t͡ɕ dʑ:d͡ʑ tʂ:t͡ʂ dʐ:d͡ʐ pf:p͡f
    aɪ:aɪ ai:aɪ aʊ:aʊ au:aʊ ɔɪ:ɔɪ oɪ:ɔɪ eɪ:eɪ ei:eɪ oʊ:oʊ ou:oʊ əʊ:oʊ
    """
)
#: Nasal vowels without a symbol become the nearest one that has one; close ones lose the nasality.
_NASAL = table("a:ɑ̃ ɐ:ɑ̃ ɑ:ɑ̃ æ:ɛ̃ e:ɛ̃ ɛ:ɛ̃ o:ɔ̃ ɔ:ɔ̃ ø:œ̃ œ:œ̃ ə:ɑ̃ ʌ:ɑ̃ i:i ɪ:ɪ u:u ʊ:ʊ ɨ:ɨ y:y")
_NEAREST = table(
    """
    ε:ɛ ɒ:ɔ ʌ:ə ɜ:ɐ ɚ:ɝ ɘ:ɨ ɵ:ø ʉ:u ɯ:ɨ ɞ:œ ᵻ:ɪ ᵿ:ʊ
    g:ɡ q:k c:k ɟ:ɡ ʈ:t ɖ:d ɢ:ɡ ɓ:b ɗ:d ɠ:ɡ ʄ:d͡ʒ ʔ:
    ɸ:f β:v ʋ:v ɣ:ɡ χ:x ħ:h ʕ: ɦ:h ɧ:ʃ ʝ:j ɬ:l ɮ:l
    ɱ:m ɳ:n ɴ:ŋ ɫ:l ɭ:l ʟ:l ɽ:ɾ ɻ:ɹ ɺ:ɾ ʀ:ʁ ʍ:w ɰ:j
    """
)
#: Languages whose ``c`` and ``ɟ`` are affricates; elsewhere they are palatal plosives.
_INDIC = frozenset(("as", "bn", "gu", "hi", "kok", "mr", "ne", "or", "pa", "sd", "ur"))
_AFFRICATES = table("c:t͡ʃ ɟ:d͡ʒ")


def phonemize_espeak(text: str, language: str) -> Iterator[str]:
    """Yield the symbols of the IPA inventory for a text.

    Args:
        text: letters, spaces and punctuation of the language; numbers are read out.
        language: ISO 639-1 code.

    Raises:
        PhonemeError: eSpeak has no such voice, or returned a symbol outside the table.
        MissingExtraError: the extra ``espeak`` is not installed.
    """
    voice = _voice(language)
    from phonemizer.separator import Separator

    separator = Separator(phone="_", word=" ", syllable="")
    for line in voice.phonemize([text], separator=separator, strip=True):
        for phone in line.replace(" ", "_").split("_"):
            yield from from_espeak(phone, language)


def espeak_version() -> str:
    """Version of eSpeak NG; MissingExtraError if the extra ``espeak`` is not installed."""
    return ".".join(map(str, _library().version()))


def from_espeak(phone: str, language: str) -> tuple[str, ...]:
    """Convert one phone from eSpeak to symbols of the inventory; empty for a mark.

    Raises:
        PhonemeError: a symbol outside the table.
    """
    letters = "".join(letter for letter in _letters(phone) if letter[0] not in _DROPPED)
    parts, symbols = _letters(letters), list[str]()
    while parts:
        bare = "".join(_bare(letter) for letter in parts[:2])
        if len(parts) > 1 and bare in _TWO_LETTERS and _TILDE not in "".join(parts[:2]):
            (joined,) = _TWO_LETTERS[bare]
            aspirated = f"{joined}ʰ" if parts[1].endswith("ʰ") else joined
            symbols.append(aspirated if aspirated in IPA else joined)
            parts = parts[2:]
        else:
            symbols += _one_letter(parts.pop(0), phone, language)
    return tuple(symbols)


def _letters(phone: str) -> list[str]:
    """Split into base letters with their combining marks and superscripts."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", phone):
        if letters and (unicodedata.combining(character) or character in _SECONDARY):
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _bare(letter: str) -> str:
    """The letter without marks, but ç, which is a letter of its own."""
    return "ç" if letter.startswith("c\u0327") else letter[0]


def _one_letter(letter: str, phone: str, language: str) -> tuple[str, ...]:
    bare = _bare(letter)
    if bare in _SECONDARY:  # a release that eSpeak writes as a phone of its own
        return ()
    if _TILDE in letter and bare in _NASAL:
        return _NASAL[bare]
    if "ʰ" in letter and f"{bare}ʰ" in IPA:
        return (f"{bare}ʰ",)
    if language in _INDIC and bare in _AFFRICATES:
        return _AFFRICATES[bare]
    if bare in _NEAREST:
        return _NEAREST[bare]
    if bare not in IPA:
        raise PhonemeError(
            f"eSpeak returned {phone!r} for language {language!r}, which is not in phonemo's "
            "phoneme table; report it, or omit the utterance's phonemes"
        )
    return (bare,)


@cache
def _library() -> Any:
    """Phonemizer's eSpeak backend, with the library and data of espeakng-loader."""
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise MissingExtraError("converting further languages to phonemes", "espeak") from error
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend


@cache
def _voice(language: str) -> Any:
    library, voice = _library(), _VOICES.get(language, language)
    if voice not in library.supported_languages():
        raise PhonemeError(f"eSpeak has no voice for language {language!r}; check the code")
    logger = logging.getLogger(__name__)
    logger.setLevel(logging.ERROR)  # it warns of every word that eSpeak reads in another language
    return library(voice, with_stress=False, language_switch="remove-flags", logger=logger)
