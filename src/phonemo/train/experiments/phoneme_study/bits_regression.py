"""What vowels, voicing, duration and position explain of a segment's bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.corpora.g2p.alphabets import CLASSES, IPA_CLASS
from phonemo.evaluation.phonemes.ipa_places import kind_of, sonority_of
from phonemo.evaluation.phonemes.phoneme_schema import Coefficient, GroupRow
from phonemo.train.experiments.phoneme_study.phoneme_bits import PhonemeGains
from phonemo.train.experiments.phoneme_study.phoneme_segments import Segments
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64
from phonemo.train.experiments.phoneme_study.speaker_bootstrap import estimate, weighted_means
from phonemo.train.experiments.phoneme_study.study_corpus import Integers

_TERMS = (
    "voiceless consonant, middle third",
    "+ voiced",
    "+ vowel",
    "per doubling of duration",
    "first third",
    "last third",
    "before a pause",
)
#: Number of leading terms of each model, for the variance between phonemes.
_NESTED = {"voicing and vowels": 3, "and duration": 4, "and position": 7}


@dataclass(frozen=True)
class Drawn:
    """All drawn segments of a reading, each (row,)."""

    phoneme: Integers
    speaker: Integers
    bits: Floats64
    seconds: Floats64
    position: Floats64
    before_pause: npt.NDArray[np.bool_]
    symbols: tuple[str, ...]
    """By the index of ``phoneme``."""


def all_drawn(segments: Segments, measured: Mapping[str, PhonemeGains]) -> Drawn:
    """The segments that the bits were measured on."""
    rows = np.concatenate([gains.rows for gains in measured.values()])
    sizes = [len(gains.rows) for gains in measured.values()]
    return Drawn(
        phoneme=np.repeat(np.arange(len(measured)), sizes),
        speaker=segments.speaker[rows],
        bits=np.concatenate([gains.bits for gains in measured.values()]),
        seconds=segments.seconds[rows],
        position=segments.position[rows],
        before_pause=segments.before_pause[rows],
        symbols=tuple(measured),
    )


def group_rows(drawn: Drawn, weights: Floats64) -> Iterator[GroupRow]:
    """Mean bits of every stratum; phonemes count alike within one."""
    for factor, level, rows in _strata(drawn):
        present = np.unique(drawn.phoneme[rows])
        if not len(present):
            continue
        curves = [
            weighted_means(drawn.bits[one], drawn.speaker[one], weights)
            for one in (np.flatnonzero(rows & (drawn.phoneme == number)) for number in present)
            if len(np.unique(drawn.speaker[one])) > 1
        ]
        mean = _mean_of_known(np.array(curves)) if curves else np.array([np.nan])
        if not np.isnan(mean[0]):
            yield GroupRow(factor=factor, level=level, phonemes=len(curves), bits=estimate(mean))


def _mean_of_known(curves: Floats64) -> Floats64:
    """Mean over phonemes, (1 + resample,), of those that the drawn speakers have."""
    known = ~np.isnan(curves)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, curves, 0).sum(axis=0) / known.sum(axis=0))


def _strata(drawn: Drawn) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    classes = np.array([IPA_CLASS[symbol] for symbol in drawn.symbols])[drawn.phoneme]
    for name in CLASSES:
        yield "class", name, classes == name
    kinds = np.array([kind_of(symbol) for symbol in drawn.symbols])[drawn.phoneme]
    for kind in ("vowel", "voiced consonant", "voiceless consonant"):
        yield "kind", kind, kinds == kind
    sonority = np.array([sonority_of(symbol) for symbol in drawn.symbols])[drawn.phoneme]
    for level in ("sonorant consonant", "voiced obstruent"):  # the others are kinds
        yield "sonority", level, sonority == level
    short, long = np.quantile(drawn.seconds, [1 / 3, 2 / 3])
    yield "duration", "shortest third", drawn.seconds <= short
    yield "duration", "middle third", (drawn.seconds > short) & (drawn.seconds <= long)
    yield "duration", "longest third", drawn.seconds > long
    yield "position", "first third", drawn.position < 1 / 3
    yield "position", "middle third", (drawn.position >= 1 / 3) & (drawn.position <= 2 / 3)
    yield "position", "last third", drawn.position > 2 / 3
    yield "pause", "before a pause or the end", drawn.before_pause
    yield "pause", "elsewhere", ~drawn.before_pause


def regression(drawn: Drawn, weights: Floats64) -> tuple[Coefficient, ...]:
    """Least squares over segments, with intervals over speakers."""
    terms, known = _terms(drawn), ~np.isnan(drawn.bits)
    speakers = weights.shape[1]
    squares = np.zeros((speakers, len(_TERMS), len(_TERMS)))
    products = np.zeros((speakers, len(_TERMS)))
    for speaker in range(speakers):
        rows = known & (drawn.speaker == speaker)
        squares[speaker] = terms[rows].T @ terms[rows]
        products[speaker] = terms[rows].T @ drawn.bits[rows]
    solved = np.array(
        [
            np.linalg.pinv(np.tensordot(weight, squares, 1)) @ (weight @ products)
            for weight in weights
        ]
    )
    return tuple(
        Coefficient(term=name, bits=estimate(solved[:, number]))
        for number, name in enumerate(_TERMS)
    )


def explained(drawn: Drawn) -> dict[str, float]:
    """Adjusted share of the variance of phonemes' mean bits that their mean terms explain."""
    terms, known = _terms(drawn), ~np.isnan(drawn.bits)
    count = len(drawn.symbols)
    rows = [known & (drawn.phoneme == number) for number in range(count)]
    means = np.array([terms[one].mean(axis=0) for one in rows])
    bits = np.array([drawn.bits[one].mean() for one in rows])
    return {name: _adjusted(means[:, :size], bits) for name, size in _NESTED.items()}


def _adjusted(terms: Floats64, values: Floats64) -> float:
    """R squared, less what as many terms of noise would explain; 0 without degrees of freedom."""
    free = len(values) - int(np.linalg.matrix_rank(terms))
    total = float(((values - values.mean()) ** 2).sum())
    if free < 1 or total == 0:
        return 0.0
    rest = float(((values - terms @ (np.linalg.pinv(terms) @ values)) ** 2).sum())
    return round(1 - (rest / free) / (total / (len(values) - 1)), 4)


def _terms(drawn: Drawn) -> Floats64:
    """The regression's terms, (row, term)."""
    kinds = np.array([kind_of(symbol) for symbol in drawn.symbols])[drawn.phoneme]
    length = np.log2(np.maximum(drawn.seconds, 0.01))
    columns = [
        np.ones(len(drawn.bits)),
        kinds != "voiceless consonant",
        kinds == "vowel",
        length - np.median(length),
        drawn.position < 1 / 3,
        drawn.position > 2 / 3,
        drawn.before_pause,
    ]
    return np.stack(columns, axis=1).astype(np.float64)
