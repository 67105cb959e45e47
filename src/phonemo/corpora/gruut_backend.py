"""gruut, with its dictionary looked up fast: text to words of gruut's own phonemes.

gruut's dictionaries are SQLite files without an index, and a word that is not in them is sought
again every time, at 20 to 40 ms a search. Here the table is copied once into memory and indexed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from phonemo.corpora.gruut_tables import GRUUT_LANGUAGES, SECOND_DICTIONARY
from phonemo.errors import MissingExtraError, PhonemeError

_COPY = (
    "CREATE TABLE word_phonemes AS SELECT word, pron_order, role, phonemes FROM disk.word_phonemes",
    "CREATE INDEX by_word ON word_phonemes (word)",
    "DETACH disk",
)


def optional_module(name: str) -> ModuleType:
    """A module of the extra ``g2p``; MissingExtraError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("converting text to phonemes", "g2p") from error


def gruut_words(text: str, language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each spoken word of a text, as gruut reads it out, with gruut's phonemes for it.

    Raises:
        PhonemeError: the language's part of gruut is not installed.
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
            f"gruut's part for language {language!r} is not installed: "
            f"pip install 'gruut[{language}]'"
        )
    return Path(spec.origin).parent


def _dictionary(path: Path) -> Any:
    """Gruut's own look-up, with the same fallbacks, over a copy of the dictionary in memory."""
    if not path.is_file():
        raise PhonemeError(f"{path}: no dictionary there; install gruut's language part again")
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    copy.execute("ATTACH ? AS disk", (str(path),))
    for statement in _COPY:
        copy.execute(statement)
    bare = optional_module("gruut.utils").remove_non_word_chars
    fallbacks = [str.lower, bare, lambda word: bare(word.lower())]
    phonemizer = optional_module("gruut.phonemize").SqlitePhonemizer
    return phonemizer(db_conn=copy, word_transform_funcs=fallbacks)
