"""Phoneme inventories: what the phoneme head recognises, and the way from an utterance to targets.

Five inventories over two alphabets (see ``phonemo.corpora.g2p.alphabets`` for what is in the
alphabets):

- ``phonemes``: every symbol of the alphabet;
- ``vowels``: every vowel and diphthong, all consonants as one symbol "C"; a run of consonants is
  one "C", since their number says nothing about the vowels;
- ``broad``: the seven phonetic classes, one for every phoneme;
- ``phoneme_x_emotion``: every symbol in every emotion, "a/anger"; the utterance's emotion decides;
- ``characters``: the characters of the training transcripts, "|" between words.

Index 0 is CTC's blank in all of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from phonemo.config import Alphabet, Inventory
from phonemo.corpora.g2p.alphabets import (
    ARPABET,
    ARPABET_CLASS,
    CLASSES,
    IPA,
    IPA_CLASS,
    PhoneClass,
    arpabet_to_ipa,
    from_sphinx,
    is_vowel,
    strip_stress,
)
from phonemo.corpora.manifest import Phonemes
from phonemo.corpora.readers.emodb_labels import classify, from_lablaut, settle
from phonemo.errors import PhonemeError

__all__ = [
    "ARPABET",
    "BLANK",
    "IPA",
    "PhonemeInventory",
    "arpabet_to_ipa",
    "classify",
    "from_lablaut",
    "from_sphinx",
    "make_inventory",
    "settle",
    "strip_stress",
]

BLANK = "<blank>"
CONSONANT = "C"
WORD_BOUNDARY = "|"

_CLASSES: dict[str, dict[str, PhoneClass]] = {"arpabet": ARPABET_CLASS, "ipa": IPA_CLASS}


@dataclass(frozen=True)
class PhonemeInventory:
    """The closed list of what a phoneme head tells apart; stored in the checkpoint as it is.

    Raises:
        PhonemeError: on making one, for an unknown name, a missing blank or a repeated symbol.
    """

    name: Inventory
    alphabet: Alphabet
    symbols: tuple[str, ...]
    """The symbol of every index; the first is "<blank>"."""

    def __post_init__(self) -> None:
        if self.name not in get_args(Inventory) or self.alphabet not in get_args(Alphabet):
            raise PhonemeError(
                f"unknown inventory {self.name!r} over {self.alphabet!r}; inventories: "
                f"{', '.join(get_args(Inventory))}; alphabets: {', '.join(get_args(Alphabet))}"
            )
        if self.symbols[:1] != (BLANK,) or len(self.symbols) < 2:
            raise PhonemeError(f"inventory {self.name!r}: the first of the symbols must be {BLANK}")
        if len(set(self.symbols)) != len(self.symbols):
            raise PhonemeError(f"inventory {self.name!r}: a symbol is there twice")

    def __len__(self) -> int:
        """The number of symbols, blank included: the width of the phoneme head's output."""
        return len(self.symbols)

    def encode(
        self, phonemes: Phonemes | None, transcript: str | None, emotion: str | None
    ) -> tuple[int, ...] | None:
        """The CTC target of an utterance: indices without blanks; None where it has no target.

        ARPAbet phonemes are turned into IPA where the inventory is IPA. There is no target where
        what the inventory needs is unknown or empty: phonemes, for ``characters`` the transcript,
        for ``phoneme_x_emotion`` also the emotion.

        Raises:
            PhonemeError: a symbol, character or emotion outside the inventory; IPA phonemes with
                an ARPAbet inventory.
        """
        units = self._units(phonemes, transcript, emotion)
        return tuple(self._index(unit) for unit in units) or None

    def decode(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The symbols of indices, one for one; PhonemeError for an index outside the inventory."""
        indices = [int(index) for index in indices]
        strays = [index for index in indices if not 0 <= index < len(self.symbols)]
        if strays:
            raise PhonemeError(
                f"index {strays[0]} is outside the {len(self.symbols)} symbols of {self.name!r}"
            )
        return tuple(self.symbols[index] for index in indices)

    def collapse(self, frames: Iterable[int]) -> tuple[int, ...]:
        """CTC's best path made a sequence: repeats merged, then blanks dropped.

        Args:
            frames: an index for every frame, (frame,).
        """
        merged = _merge_repeats([int(index) for index in frames])
        return tuple(index for index in merged if index != 0)

    def to_json(self) -> dict[str, Any]:
        """Plain data for a checkpoint or bundle; ``from_json`` is its inverse."""
        return {"name": self.name, "alphabet": self.alphabet, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PhonemeInventory:
        """The inventory that ``to_json`` wrote; PhonemeError where the data is not one."""
        symbols = data.get("symbols")
        if not isinstance(symbols, list | tuple) or not all(isinstance(s, str) for s in symbols):
            raise PhonemeError("a stored phoneme inventory needs a list of strings under 'symbols'")
        return cls(data.get("name", ""), data.get("alphabet", ""), tuple(symbols))

    def _units(
        self, phonemes: Phonemes | None, transcript: str | None, emotion: str | None
    ) -> Sequence[str]:
        if self.name == "characters":
            return characters(transcript or "")
        if phonemes is None:
            return ()
        symbols = _in_alphabet(phonemes, self.alphabet)
        if self.name == "phonemes":
            return symbols
        if self.name == "phoneme_x_emotion":
            return [] if emotion is None else [f"{symbol}/{emotion}" for symbol in symbols]
        classes = _CLASSES[self.alphabet]
        self._check(symbols, classes)
        if self.name == "broad":
            return [classes[symbol] for symbol in symbols]
        return _collapse_consonants(symbols, classes)

    def _check(self, symbols: Sequence[str], known: Mapping[str, object]) -> None:
        for symbol in symbols:
            if symbol not in known:
                raise PhonemeError(_unknown(symbol, self))

    def _index(self, unit: str) -> int:
        if unit not in self._indices:
            raise PhonemeError(_unknown(unit, self))
        return self._indices[unit]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols) if index > 0}


def make_inventory(
    name: Inventory,
    alphabet: Alphabet,
    emotions: Sequence[str],
    transcripts: Iterable[str] = (),
) -> PhonemeInventory:
    """The inventory of a name.

    Args:
        name: which units.
        alphabet: which phonemes they come from; makes no difference to ``characters``.
        emotions: the emotions of ``phoneme_x_emotion`` (as merged); the others ignore them.
        transcripts: the training transcripts, whose characters close ``characters``.

    Raises:
        PhonemeError: an unknown name or alphabet; no emotions or no transcripts where needed.
    """
    if alphabet not in _CLASSES:
        raise PhonemeError(f"unknown alphabet {alphabet!r}; alphabets: {', '.join(_CLASSES)}")
    classes = _CLASSES[alphabet]
    units: Sequence[str]
    if name == "phonemes":
        units = tuple(classes) if alphabet == "ipa" else ARPABET
    elif name == "vowels":
        units = [*(symbol for symbol in classes if is_vowel(symbol, classes)), CONSONANT]
    elif name == "broad":
        units = CLASSES
    elif name == "phoneme_x_emotion":
        units = [f"{symbol}/{emotion}" for emotion in emotions for symbol in classes]
    else:
        units = sorted({unit for text in transcripts for unit in characters(text)})
    if not units:
        wanted = "the training transcripts" if name == "characters" else "the emotions"
        raise PhonemeError(f"inventory {name!r} cannot be made without {wanted}")
    return PhonemeInventory(name, alphabet, (BLANK, *units))


def characters(transcript: str) -> tuple[str, ...]:
    """The characters of a transcript: lowercase NFC letters and digits, "|" between words.

    An apostrophe inside a word is kept; all other marks part words or are dropped.
    """
    text = unicodedata.normalize("NFC", transcript.lower()).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    kept = "".join(one if _is_letter(one) or one == "'" else " " for one in text)
    words = [word.strip("'") for word in kept.split()]
    return tuple(WORD_BOUNDARY.join(word for word in words if word))


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _in_alphabet(phonemes: Phonemes, alphabet: Alphabet) -> tuple[str, ...]:
    if phonemes.alphabet == alphabet:
        return phonemes.symbols
    if phonemes.alphabet == "arpabet":
        return tuple(arpabet_to_ipa(symbol) for symbol in phonemes.symbols)
    raise PhonemeError(
        f"phonemes of {phonemes.source!r} are IPA, but the inventory is ARPAbet, which serves "
        "English alone; set model.auxiliary.alphabet: ipa"
    )


def _collapse_consonants(symbols: Sequence[str], classes: Mapping[str, PhoneClass]) -> list[str]:
    units: list[str] = []
    for symbol in symbols:
        unit = symbol if is_vowel(symbol, classes) else CONSONANT
        if unit != CONSONANT or units[-1:] != [CONSONANT]:
            units.append(unit)
    return units


def _merge_repeats(indices: Sequence[int]) -> list[int]:
    return [one for n, one in enumerate(indices) if n == 0 or one != indices[n - 1]]


def _unknown(unit: str, inventory: PhonemeInventory) -> str:
    if inventory.name == "characters":
        return (
            f"character {unit!r} is not in the closed inventory made from the training transcripts"
        )
    if inventory.name == "phoneme_x_emotion":
        return f"{unit!r} is no phoneme and emotion of the closed inventory; see its 'symbols'"
    return (
        f"phoneme {unit!r} is not in the closed {inventory.alphabet} inventory of "
        f"{inventory.name!r}; prepare the manifest again with this version"
    )
