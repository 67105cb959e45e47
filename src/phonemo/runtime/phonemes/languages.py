"""Phoneme language models that ship with phonemo, one a language.

They hold n-grams by name and fit every model with the phonemes of that language. None is the
default: what helps in one language harms in others (docs/phonemes.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phonemo.errors import UsageError
from phonemo.files import loads_json
from phonemo.runtime.phonemes.language_model import (
    MOST_BEAM,
    MOST_COUNT,
    ORDERS,
    DecoderSettings,
    PhonemeModel,
    check_size,
)

#: The start and the end of an utterance, in a file's n-grams.
BOUNDARY = "#"
#: A model must have the phonemes of this share of the counted n-grams.
_LEAST_SHARE = 0.95
_FOLDER = Path(__file__).parent


def language_names() -> tuple[str, ...]:
    """The languages that have a model, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def language_text(language: str) -> bytes:
    """The content of a language's file, UTF-8.

    Raises:
        UsageError: an unknown language.
    """
    if language not in language_names():
        names = ", ".join(language_names())
        raise UsageError(f"expected one of {names}, got {language!r}; choose best-path")
    return (_FOLDER / f"{language}.json").read_bytes()


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
    return _model_of(_language(language), symbols, language)


def lacking_phonemes(language: str, symbols: Sequence[str]) -> tuple[str, ...]:
    """The phonemes by which an inventory does not fit a language; none if it fits.

    Raises:
        UsageError: an unknown language.
    """
    return _lacking(_language(language).grams, symbols)


def model_of_content(content: Any, symbols: tuple[str, ...], language: str) -> PhonemeModel:
    """The model of a language's file for an inventory.

    Args:
        content: as of ``language_content``.
        symbols: the inventory's phonemes, the blank first.
        language: its name, for messages.

    Raises:
        UsageError: another content, an inventory above 255 symbols, or one that lacks phonemes of
            more than 5 % of the n-grams.
    """
    return _model_of(_parsed(content, language), symbols, language)


def _model_of(found: _Language, symbols: tuple[str, ...], language: str) -> PhonemeModel:
    check_size(len(symbols))
    if lacking := _lacking(found.grams, symbols):
        raise UsageError(
            f"expected a model with the phonemes of {language}, got one without "
            f"{', '.join(lacking[:5])}; choose another model, or best-path"
        )
    index = _index_of(symbols)
    known = {gram: count for gram, count in found.grams.items() if index.keys() >= set(gram)}
    return PhonemeModel(
        len(symbols),
        np.array([[index[name] for name in gram] for gram in known], np.uint8),
        np.array(list(known.values()), np.uint32),
        settings=DecoderSettings(**found.settings.model_dump()),
    )


@lru_cache(maxsize=8)
def _language(language: str) -> _Language:
    return _parsed(loads_json(language_text(language)), language)


def _parsed(content: Any, language: str) -> _Language:
    try:
        return _Language.model_validate(content)
    except ValidationError as error:
        raise UsageError(
            f"{language}: expected n-grams of 2 or 3 phonemes with their counts, and settings; "
            "count them again"
        ) from error


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    weight: float = Field(ge=0)
    bonus: float
    beam: int = Field(ge=1, le=MOST_BEAM)


class _Language(BaseModel):
    model_config = ConfigDict(strict=True)

    settings: _Settings
    ngrams: dict[str, Annotated[int, Field(ge=0, le=MOST_COUNT)]] = Field(min_length=1)

    @cached_property
    def grams(self) -> dict[tuple[str, ...], int]:
        """The counts by names."""
        return {tuple(gram.split(" ")): count for gram, count in self.ngrams.items()}

    @model_validator(mode="after")
    def _are_counted(self) -> Self:
        orders = {len(gram) for gram in self.grams}
        if len(orders) != 1 or not orders <= set(ORDERS) or not any(self.ngrams.values()):
            raise ValueError("expected counts of n-grams of one order")
        return self


def _index_of(symbols: Sequence[str]) -> dict[str, int]:
    return {BOUNDARY: 0} | {name: place for place, name in enumerate(symbols) if place}


def _lacking(counts: Mapping[tuple[str, ...], int], symbols: Sequence[str]) -> tuple[str, ...]:
    """The counted phonemes that an inventory lacks, if they are in too many n-grams."""
    index = _index_of(symbols)
    known = sum(count for gram, count in counts.items() if index.keys() >= set(gram))
    if known >= _LEAST_SHARE * sum(counts.values()):
        return ()
    return tuple(sorted({name for gram in counts for name in gram} - index.keys()))


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
