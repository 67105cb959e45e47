"""Phoneme inventories: the symbols of the phoneme head, and the CTC targets of utterances.

There are six inventories over two alphabets (see ``phonemo.corpora.g2p.alphabets``):

- ``phonemes``: every symbol of the alphabet;
- ``vowels``: every vowel and diphthong; a run of consonants becomes one symbol "C", since the
  number of consonants is irrelevant to the vowels;
- ``broad``: seven phonetic classes, one per phoneme;
- ``emotional``: the phonemes that say most about the emotion, measured on each fold's training
  part (phonemo.train.experiments.emotional_phonemes), and the broad class of every other one;
- ``phoneme_x_emotion``: every symbol combined with the utterance's emotion, "a/anger";
- ``characters``: the characters of the training transcripts, "|" between words.

Index 0 is the CTC blank in all of them.
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
    """The closed list of symbols of a phoneme head, stored in the checkpoint.

    Raises:
        PhonemeError: an unknown name, a missing blank or a repeated symbol.
    """

    name: Inventory
    alphabet: Alphabet
    symbols: tuple[str, ...]
    """Symbols by index; the first is "<blank>"."""

    def __post_init__(self) -> None:
        if self.name not in get_args(Inventory) or self.alphabet not in get_args(Alphabet):
            raise PhonemeError(
                f"unknown inventory {self.name!r} over {self.alphabet!r}; inventories: "
                f"{', '.join(get_args(Inventory))}; alphabets: {', '.join(get_args(Alphabet))}"
            )
        if self.symbols[:1] != (BLANK,) or len(self.symbols) < 2:
            raise PhonemeError(f"inventory {self.name!r}: the first symbol must be {BLANK}")
        if len(set(self.symbols)) != len(self.symbols):
            raise PhonemeError(f"inventory {self.name!r}: symbols must be unique")

    def __len__(self) -> int:
        """Number of symbols including blank: the output width of the phoneme head."""
        return len(self.symbols)

    def encode(
        self, phonemes: Phonemes | None, transcript: str | None, emotion: str | None
    ) -> tuple[int, ...] | None:
        """Return the CTC target of an utterance, indices without blanks; None if there is none.

        ARPAbet phonemes are converted for an IPA inventory. There is no target if the required
        input is unknown or empty: the phonemes, for ``characters`` the transcript, for
        ``phoneme_x_emotion`` also the emotion.

        Raises:
            PhonemeError: a symbol, character or emotion outside the inventory; IPA phonemes for an
                ARPAbet inventory.
        """
        units = self._units(phonemes, transcript, emotion)
        return tuple(self._index(unit) for unit in units) or None

    def decode(self, indices: Iterable[int]) -> tuple[str, ...]:
        """Return the symbol of every index; PhonemeError for an index outside the inventory."""
        indices = [int(index) for index in indices]
        invalid = [index for index in indices if not 0 <= index < len(self.symbols)]
        if invalid:
            raise PhonemeError(
                f"index {invalid[0]} is outside the {len(self.symbols)} symbols of {self.name!r}"
            )
        return tuple(self.symbols[index] for index in indices)

    def collapse(self, frames: Iterable[int]) -> tuple[int, ...]:
        """Collapse a CTC path: merge repeats, then drop blanks.

        Args:
            frames: one index per frame, (frame,).
        """
        merged = _merge_repeats([int(index) for index in frames])
        return tuple(index for index in merged if index != 0)

    def to_json(self) -> dict[str, Any]:
        """Plain data for a checkpoint or bundle; ``from_json`` is its inverse."""
        return {"name": self.name, "alphabet": self.alphabet, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PhonemeInventory:
        """Load the data of ``to_json``; PhonemeError for anything else."""
        symbols = data.get("symbols")
        if not isinstance(symbols, list | tuple) or not all(isinstance(s, str) for s in symbols):
            raise PhonemeError("a stored phoneme inventory needs a list of strings under 'symbols'")
        return cls(data.get("name", ""), data.get("alphabet", ""), tuple(symbols))

    @property
    def vowels(self) -> tuple[int, ...]:
        """Indices of the symbols that are vowels or diphthongs, of any emotion."""
        classes: Mapping[str, str] = _CLASSES[self.alphabet]
        kinds = {"vowel", "diphthong"}
        return tuple(
            index
            for symbol, index in self._indices.items()
            if (name := symbol.partition("/")[0]) in kinds or classes.get(name) in kinds
        )

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
        self._check_symbols(symbols, classes)
        if self.name == "broad":
            return [classes[symbol] for symbol in symbols]
        if self.name == "emotional":
            known = self._indices
            return [symbol if symbol in known else classes[symbol] for symbol in symbols]
        return _collapse_consonants(symbols, classes)

    def _check_symbols(self, symbols: Sequence[str], known: Mapping[str, object]) -> None:
        for symbol in symbols:
            if symbol not in known:
                raise PhonemeError(_unknown_message(symbol, self))

    def _index(self, unit: str) -> int:
        if unit not in self._indices:
            raise PhonemeError(_unknown_message(unit, self))
        return self._indices[unit]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols) if index > 0}


def make_inventory(
    name: Inventory,
    alphabet: Alphabet,
    emotions: Sequence[str],
    transcripts: Iterable[str] = (),
    chosen: Sequence[str] = (),
) -> PhonemeInventory:
    """Build an inventory.

    Args:
        name: the kind of units.
        alphabet: the phoneme alphabet; irrelevant to ``characters``.
        emotions: emotions after merging, for ``phoneme_x_emotion`` only.
        transcripts: training transcripts, for ``characters`` only.
        chosen: the phonemes kept apart, for ``emotional`` only.

    Raises:
        PhonemeError: an unknown name or alphabet, a chosen symbol outside it, or no emotions or no
            transcripts where needed.
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
    elif name == "emotional":
        if unknown := set(chosen) - set(classes):
            raise PhonemeError(f"phonemes outside {alphabet}: {', '.join(sorted(unknown))}")
        units = [*chosen, *CLASSES]
    elif name == "phoneme_x_emotion":
        units = [f"{symbol}/{emotion}" for emotion in emotions for symbol in classes]
    else:
        units = sorted({unit for text in transcripts for unit in characters(text)})
    if not units:
        missing = "the training transcripts" if name == "characters" else "the emotions"
        raise PhonemeError(f"inventory {name!r} needs {missing}, got none")
    return PhonemeInventory(name, alphabet, (BLANK, *units))


def characters(transcript: str) -> tuple[str, ...]:
    """Split a transcript into lowercase NFC letters and digits, with "|" between words.

    An apostrophe inside a word is kept; all other characters are dropped or separate words.
    """
    text = unicodedata.normalize("NFC", transcript.lower()).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    spaced = "".join(letter if _is_letter(letter) or letter == "'" else " " for letter in text)
    words = [word.strip("'") for word in spaced.split()]
    return tuple(WORD_BOUNDARY.join(word for word in words if word))


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _in_alphabet(phonemes: Phonemes, alphabet: Alphabet) -> tuple[str, ...]:
    if phonemes.alphabet == alphabet:
        return phonemes.symbols
    if phonemes.alphabet == "arpabet":
        return tuple(arpabet_to_ipa(symbol) for symbol in phonemes.symbols)
    raise PhonemeError(
        f"phonemes of {phonemes.source!r} are IPA, but the inventory is ARPAbet, which is for "
        "English only; set model.auxiliary.alphabet: ipa"
    )


def _collapse_consonants(symbols: Sequence[str], classes: Mapping[str, PhoneClass]) -> list[str]:
    units: list[str] = []
    for symbol in symbols:
        unit = symbol if is_vowel(symbol, classes) else CONSONANT
        if unit != CONSONANT or units[-1:] != [CONSONANT]:
            units.append(unit)
    return units


def _merge_repeats(indices: Sequence[int]) -> list[int]:
    return [index for n, index in enumerate(indices) if n == 0 or index != indices[n - 1]]


def _unknown_message(unit: str, inventory: PhonemeInventory) -> str:
    if inventory.name == "characters":
        return f"character {unit!r} is not in the closed inventory of the training transcripts"
    if inventory.name == "phoneme_x_emotion":
        return f"{unit!r} is not a phoneme and emotion of the closed inventory; see its 'symbols'"
    return (
        f"phoneme {unit!r} is not in the closed {inventory.alphabet} inventory of "
        f"{inventory.name!r}; prepare the manifest again with this version"
    )
