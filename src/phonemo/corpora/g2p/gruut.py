"""Convert text with gruut, using an indexed copy of its dictionary, to ARPAbet (English) or IPA.

gruut's dictionaries are SQLite files without an index, and every lookup of an unknown word takes 20
to 40 ms. Here the table is copied into memory once and indexed.

The tables below cover every symbol of the dictionaries of gruut 2.4, and its models for unknown
words output no others. Symbols are compared in NFC and without stress marks.

German uses the second of the two dictionaries in gruut's language package, which gruut selects with
``espeak=True``: it has every word of the first and 1,742 more, including "leben", "Freude" and
"neun", and its diphthongs are consistent, while the first, machine-generated one has aɪ̯, a eː,
a ɪ or ə iː for the same "ei". eSpeak itself is not used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from phonemo.corpora.g2p.alphabets import IPA_CLASS, table
from phonemo.errors import MissingExtraError, PhonemeError

#: Language -> gruut's language code.
GRUUT_LANGUAGES = {"en": "en-us", "de": "de-de", "it": "it-it", "fr": "fr-fr", "es": "es-es"}

#: Languages that use gruut's second dictionary.
SECOND_DICTIONARY = frozenset({"de"})

#: Language -> gruut's symbol -> symbols of the closed alphabet: ARPAbet for en, else IPA.
GRUUT: dict[str, dict[str, tuple[str, ...]]] = {
    "en": table(
        """
        ɑ:AA æ:AE ə:AH ʌ:AH ɔ:AO aʊ:AW aɪ:AY b:B t͡ʃ:CH d:D ð:DH ɛ:EH ɚ:ER eɪ:EY f:F ɡ:G h:HH ɪ:IH
        i:IY d͡ʒ:JH k:K l:L m:M n:N ŋ:NG oʊ:OW ɔɪ:OY p:P ɹ:R s:S ʃ:SH t:T θ:TH ʊ:UH u:UW v:V w:W
        j:Y z:Z ʒ:ZH
        """
    ),
    "de": table(
        """
        i:i iː:i ɪ:ɪ yː:y ʏ:ʏ e:e eː:e ø:ø øː:ø ɛ:ɛ ɛː:ɛ œ:œ ə:ə ɐ:ɐ ɜ:ɐ ɜː:œ a:a aː:a ɑ:a ɑː:a ʌ:a
        ɑ̃:ɑ̃ ɒ:ɔ ɔ:ɔ ɔː:ɔ o:o oː:o ʊ:ʊ uː:u p:p b:b t:t d:d k:k ɡ:ɡ m:m n:n n̩:ə+n ŋ:ŋ f:f v:v θ:θ ð:ð
        s:s z:z ʃ:ʃ ʒ:ʒ ç:ç x:x h:h j:j w:w l:l r:ʁ ɾ:ʁ ɹ:ʁ
        """
    ),
    "it": table(
        """
        i:i e:e ɛ:ɛ a:a ɔ:ɔ o:o u:u p:p b:b t:t d:d k:k ɡ:ɡ t͡s:t͡s d͡z:d͡z t͡ʃ:t͡ʃ d͡ʒ:d͡ʒ m:m ɱ:m n:n ɲ:ɲ
        ŋ:ŋ f:f v:v s:s z:z ʃ:ʃ r:r l:l ʎ:ʎ j:j w:w
        """
    ),
    "fr": table(
        """
        i:i e:e ɛ:ɛ a:a ɔ:ɔ o:o u:u y:y ø:ø œ:œ ə:ə ɛ̃:ɛ̃ ɑ̃:ɑ̃ ɔ̃:ɔ̃ œ̃:œ̃ p:p b:b t:t d:d k:k ɡ:ɡ m:m n:n
        ɲ:ɲ ŋ:ŋ f:f v:v s:s z:z ʃ:ʃ ʒ:ʒ ʁ:ʁ l:l j:j w:w ɥ:ɥ
        """
    ),
    "es": table(
        """
        i:i e:e a:a o:o u:u ai:aɪ au:aʊ ei:eɪ eu:e+u oi:ɔɪ ou:oʊ ja:j+a je:j+e jo:j+o ju:j+u wa:w+a
        we:w+e wi:w+i wo:w+o p:p b:b t:t d:d k:k g:ɡ t͡ʃ:t͡ʃ m:m n:n ɲ:ɲ f:f θ:θ s:s x:x ʝ:j l:l ʎ:ʎ
        ɾ:ɾ r:r
        """
    ),
}

_STRESS = "ˈˌ"

_JOINED = {
    "de": {
        **{("a", "ɪ"): "aɪ", ("a", "ʊ"): "aʊ", ("ɔ", "ø"): "ɔɪ", ("e", "ɪ"): "eɪ"},
        **{("t", "s"): "t͡s", ("t", "ʃ"): "t͡ʃ", ("p", "f"): "p͡f"},
    },
    "it": {
        **{("t", "t͡s"): "t͡s", ("d", "d͡z"): "d͡z"},
        **{("t", "t͡ʃ"): "t͡ʃ", ("d", "d͡ʒ"): "d͡ʒ"},
    },
}


def from_gruut(phonemes: Sequence[str], language: str) -> tuple[str, ...]:
    """Convert one word's phonemes from gruut to the closed alphabet of the language.

    Diphthongs and affricates that gruut writes as two symbols are joined, double consonants of
    German and Italian are written once, and a German r after a vowel and not before one is ``ɐ``.

    Raises:
        PhonemeError: a symbol outside the table.
    """
    symbols: list[str] = []
    joined = _JOINED.get(language, {})
    for phoneme in phonemes:
        for symbol in _map_symbols(phoneme, language):
            pair = (symbols[-1] if symbols else "", symbol)
            # A stressed second vowel begins a syllable: "beaufsichtigen" has no aʊ.
            if pair in joined and phoneme[0] not in _STRESS:
                symbols[-1] = joined[pair]
            elif not (joined and pair[0] == symbol and not _is_vowel(symbol)):
                symbols.append(symbol)
    return tuple(_vocalize_r(symbols) if language == "de" else symbols)


def _map_symbols(phoneme: str, language: str) -> tuple[str, ...]:
    bare = unicodedata.normalize("NFC", phoneme.lstrip(_STRESS))
    if bare not in GRUUT[language]:
        raise PhonemeError(
            f"gruut returned {phoneme!r} for language {language!r}, which is not in phonemo's "
            "phoneme table; report it, or omit the utterance's phonemes"
        )
    return GRUUT[language][bare]


def _vocalize_r(symbols: Sequence[str]) -> list[str]:
    bounded = ["", *symbols, ""]
    return [
        "ɐ" if symbol == "ʁ" and _is_vowel(before) and not _is_vowel(after) else symbol
        for before, symbol, after in zip(bounded, symbols, bounded[2:], strict=False)
    ]


def _is_vowel(symbol: str) -> bool:
    return IPA_CLASS.get(symbol) in ("vowel", "diphthong")


_COPY = (
    "CREATE TABLE word_phonemes AS SELECT word, pron_order, role, phonemes FROM disk.word_phonemes",
    "CREATE INDEX by_word ON word_phonemes (word)",
    "DETACH disk",
)


def optional_module(name: str) -> ModuleType:
    """Import a module of the extra ``g2p``; MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("converting text to phonemes", "g2p") from error


def gruut_words(text: str, language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each spoken word of a text, as expanded by gruut, with gruut's phonemes.

    Raises:
        PhonemeError: gruut's language package is not installed.
        MissingExtraError: gruut is not installed.
    """
    processor = _processor(language)
    graph, root = processor(text, lang=GRUUT_LANGUAGES[language])
    for sentence in processor.sentences(graph, root):
        for word in sentence:
            if word.is_spoken:
                yield word.text, tuple(word.phonemes or ())


@lru_cache
def _processor(language: str) -> Any:
    module = optional_module("gruut.text_processor")
    prefix = "espeak" if language in SECOND_DICTIONARY else ""
    dictionary = _dictionary(_language_folder(language) / prefix / "lexicon.db")
    return module.TextProcessor(
        default_lang=GRUUT_LANGUAGES[language], model_prefix=prefix, lookup_phonemes=dictionary
    )


def _language_folder(language: str) -> Path:
    spec = importlib.util.find_spec(f"gruut_lang_{language}")
    if spec is None or spec.origin is None:
        raise PhonemeError(
            f"gruut's package for language {language!r} is not installed; run pip install "
            f"'gruut[{language}]'"
        )
    return Path(spec.origin).parent


def _dictionary(path: Path) -> Any:
    """Gruut's lookup, with the same fallbacks, on an in-memory copy of the dictionary."""
    if not path.is_file():
        raise PhonemeError(f"{path}: no such dictionary; reinstall gruut's language package")
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    copy.execute("ATTACH ? AS disk", (str(path),))
    for statement in _COPY:
        copy.execute(statement)
    bare = optional_module("gruut.utils").remove_non_word_chars
    fallbacks = [str.lower, bare, lambda word: bare(word.lower())]
    phonemizer = optional_module("gruut.phonemize").SqlitePhonemizer
    return phonemizer(db_conn=copy, word_transform_funcs=fallbacks)
