"""A phoneme language model: which phoneme follows which, counted on training transcriptions.

The n-grams of the highest order are stored as counts; those of lower orders are their sums. Orders
are interpolated with Witten and Bell's weights, so every phoneme has a probability after every
other. Index 0, CTC's blank, stands for the start and the end of an utterance.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from phonemo.errors import CheckpointError, PhonemeError, UsageError
from phonemo.files import read_npz

Floats = npt.NDArray[np.float32]

#: Longer contexts have too many entries for a dense table.
ORDERS = (2, 3)
_ARRAYS = ("symbols", "grams", "counts", "settings")
#: Limit for all unpacked arrays together: all trigrams of 255 symbols would have more.
_MOST_BYTES = 2**26
MOST_SYMBOLS = 255
MOST_COUNT = 2**32 - 1
MOST_BEAM = 1000


@dataclass(frozen=True)
class DecoderSettings:
    """How a language model is combined with the network's posteriors."""

    weight: float = 0.5
    """Factor of the language model's log probabilities; the network's have 1."""
    bonus: float = 0.5
    """Added for each phoneme (natural logarithm), as longer strings have lower probabilities."""
    beam: int = 8
    """Prefixes kept in each frame."""


@dataclass(frozen=True, eq=False)
class PhonemeModel:
    """N-gram counts of phonemes, and how to decode with them.

    Raises:
        PhonemeError: an order outside ``ORDERS``, or counts that do not fit.
    """

    symbols: int
    """Size of the inventory, blank included."""
    grams: npt.NDArray[np.uint8]
    """The n-grams seen, (gram, order)."""
    counts: npt.NDArray[np.uint32]
    """(gram,)."""
    settings: DecoderSettings = DecoderSettings()

    def __post_init__(self) -> None:
        grams, counts = self.grams, self.counts
        if grams.ndim != 2 or grams.shape[1] not in ORDERS or counts.shape != grams.shape[:1]:
            raise PhonemeError(
                f"expected n-grams of 2 or 3 phonemes with their counts, got {grams.shape} and "
                f"{counts.shape}; export the model again"
            )
        if not 2 <= self.symbols <= MOST_SYMBOLS or (len(grams) and grams.max() >= self.symbols):
            raise PhonemeError(
                f"expected n-grams of at most {self.symbols} symbols, got others; export the "
                "model again"
            )

    @property
    def order(self) -> int:
        """Phonemes in an n-gram: 2 or 3."""
        return int(self.grams.shape[1])

    @cached_property
    def table(self) -> Floats:
        """Natural log probabilities, (context, phoneme); column 0 is the end of the utterance.

        A context is its phonemes' index in base ``symbols``; that of the start is 0.
        """
        dense = np.zeros((self.symbols,) * self.order)
        np.add.at(dense, tuple(self.grams.T.astype(np.int64)), self.counts)
        below = np.full(self.symbols, 1 / self.symbols)
        for order in range(1, self.order + 1):
            below = _interpolated(dense.sum(axis=tuple(range(self.order - order))), below)
        table: Floats = np.log(below).reshape(-1, self.symbols).astype(np.float32)
        return table

    def with_settings(self, settings: DecoderSettings) -> PhonemeModel:
        """The same counts with other settings; the table is shared."""
        other = replace(self, settings=settings)
        other.__dict__["table"] = self.table
        return other

    def context_after(self, context: int, symbol: int) -> int:
        """The context after one more phoneme."""
        return int((context * self.symbols + symbol) % self.symbols ** (self.order - 1))


def count_phonemes(
    strings: Iterable[Sequence[int]],
    symbols: int,
    order: int = 2,
    settings: DecoderSettings = DecoderSettings(),
) -> PhonemeModel:
    """Count the n-grams of phoneme strings.

    Args:
        strings: indices in the inventory, without blanks.
        symbols: size of the inventory, blank included.
        order: phonemes in an n-gram.
        settings: stored with the counts.

    Raises:
        PhonemeError: an unknown order, no phonemes, or one outside the inventory.
    """
    if order not in ORDERS or symbols > MOST_SYMBOLS:
        raise PhonemeError(
            f"expected order 2 or 3 and at most {MOST_SYMBOLS} symbols, got order {order} and "
            f"{symbols} symbols; use another inventory"
        )
    counted: Counter[tuple[int, ...]] = Counter()
    for string in strings:
        padded = (*[0] * (order - 1), *string, 0)
        counted.update(zip(*(padded[start:] for start in range(order)), strict=False))
    if not counted or not all(0 <= index < symbols for gram in counted for index in gram):
        raise PhonemeError(f"expected phonemes below {symbols} to count, got none or others")
    grams = sorted(counted)
    counts = np.minimum([counted[gram] for gram in grams], MOST_COUNT)
    return PhonemeModel(
        symbols, np.array(grams, np.uint8), counts.astype(np.uint32), settings=settings
    )


def check_size(symbols: int) -> None:
    """Raise UsageError for an inventory that no language model can have."""
    if symbols > MOST_SYMBOLS:
        raise UsageError(
            f"expected a model of at most {MOST_SYMBOLS} symbols, got {symbols}; choose best-path"
        )


@lru_cache(maxsize=8)
def uniform_model(symbols: int) -> PhonemeModel:
    """A model without knowledge: the beam search then only adds up the paths of each string.

    Args:
        symbols: size of the inventory, blank included.

    Raises:
        UsageError: more symbols than a model may have.
    """
    check_size(symbols)
    nothing = np.zeros((0, min(ORDERS)), np.uint8), np.zeros(0, np.uint32)
    return PhonemeModel(symbols, *nothing, settings=DecoderSettings(weight=0.0, bonus=0.0))


def packed_model(model: PhonemeModel) -> bytes:
    """The model as the content of a bundle's phonemes.npz."""
    stream = io.BytesIO()
    settings = model.settings
    np.savez_compressed(
        stream,
        symbols=np.uint16(model.symbols),
        grams=model.grams,
        counts=model.counts,
        settings=np.array([settings.weight, settings.bonus, settings.beam], np.float64),
    )
    return stream.getvalue()


def unpacked_model(content: bytes, symbols: int) -> PhonemeModel:
    """The model of ``packed_model``, for an inventory of that size.

    Raises:
        CheckpointError: other content, or another inventory.
    """
    try:
        parts = read_npz(content, _ARRAYS, _MOST_BYTES)
        settings = parts["settings"].astype(np.float64, casting="safe")
        weight, bonus, beam = (float(value) for value in settings)
        if not (np.isfinite([weight, bonus]).all() and weight >= 0 and 1 <= beam <= MOST_BEAM):
            raise ValueError("settings")
        model = PhonemeModel(
            int(parts["symbols"]),
            parts["grams"].astype(np.uint8, casting="safe"),
            parts["counts"].astype(np.uint32, casting="safe"),
            settings=DecoderSettings(weight, bonus, int(beam)),
        )
    except (ValueError, TypeError, OverflowError, PhonemeError) as error:
        raise CheckpointError(
            "phonemes.npz: expected n-gram counts of phonemes; export the model again"
        ) from error
    if model.symbols != symbols:
        raise CheckpointError(
            f"phonemes.npz: expected {symbols} symbols as in the card, got {model.symbols}; export "
            "the model again"
        )
    return model


def _interpolated(
    counts: npt.NDArray[np.float64], below: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Probabilities of one order: the more kinds follow a context, the more the lower order counts.

    Args:
        counts: (..., phoneme).
        below: probabilities of the lower order, without the first phoneme of the context.
    """
    kinds = np.maximum((counts > 0).sum(axis=-1, keepdims=True), 1.0)
    mixed: npt.NDArray[np.float64] = (counts + kinds * below) / (
        counts.sum(axis=-1, keepdims=True) + kinds
    )
    return mixed
