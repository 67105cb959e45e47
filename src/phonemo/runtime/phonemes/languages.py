"""Phoneme language models that ship with phonemo, one a language.

They hold n-grams by name and fit every model with the phonemes of that language. None is the
default: what helps in one language harms in others (docs/phonemes.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.errors import UsageError
from phonemo.files import loads_json
from phonemo.runtime.phonemes.language_model import (
    MOST_SYMBOLS,
    DecoderSettings,
    PhonemeModel,
)

#: The start and the end of an utterance, in a file's n-grams.
BOUNDARY = "#"
#: A model must have the phonemes of this share of the counted n-grams.
_LEAST_SHARE = 0.95
_FOLDER = Path(__file__).parent


def language_names() -> tuple[str, ...]:
    """The languages that have a model, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@lru_cache(maxsize=8)
def language_model(language: str, symbols: tuple[str, ...]) -> PhonemeModel:
    """The model of a language for an inventory.

    Args:
        language: one of ``language_names``.
        symbols: the inventory's phonemes, the blank first.

    Raises:
        UsageError: an unknown language, an inventory above 255 symbols, or one that lacks phonemes
            of more than 5 % of the n-grams.
    """
    if language not in language_names() or len(symbols) > MOST_SYMBOLS:
        names = ", ".join(language_names())
        raise UsageError(
            f"expected one of {names} and at most {MOST_SYMBOLS} symbols, got {language!r} and "
            f"{len(symbols)}; choose best-path"
        )
    content = loads_json((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    counts = {tuple(gram.split()): count for gram, count in content["ngrams"].items()}
    index = {BOUNDARY: 0} | {name: place for place, name in enumerate(symbols) if place}
    known = {gram: count for gram, count in counts.items() if index.keys() >= set(gram)}
    if sum(known.values()) < _LEAST_SHARE * sum(counts.values()):
        lacking = sorted({name for gram in counts for name in gram} - index.keys())
        raise UsageError(
            f"expected a model with the phonemes of {language}, got one without "
            f"{', '.join(lacking[:5])}; choose another model, or best-path"
        )
    grams = np.array([[index[name] for name in gram] for gram in known], np.uint8)
    return PhonemeModel(
        len(symbols),
        grams,
        np.array(list(known.values()), np.uint32),
        settings=DecoderSettings(**content["settings"]),
    )


def language_content(model: PhonemeModel, symbols: Sequence[str], source: str) -> dict[str, Any]:
    """The content of a language's file.

    Args:
        model: counts and settings of ``fit_decoder`` (``phonemo.train.export.phoneme_decoder``).
        symbols: its inventory's phonemes, the blank first.
        source: what was counted, with its license.
    """
    names = (BOUNDARY, *symbols[1:])
    settings = model.settings
    return {
        "source": source,
        "settings": {
            "weight": settings.weight,
            "bonus": settings.bonus,
            "beam": settings.beam,
        },
        "ngrams": {
            " ".join(names[symbol] for symbol in gram): int(count)
            for gram, count in zip(model.grams, model.counts, strict=True)
        },
    }
