"""What leaving a phoneme's frames out of the pooled embedding costs, in UA on held-out speakers.

An utterance is the mean over its phonemes' frames, and a linear discriminant with a ridge gives its
emotion. Two costs are measured: of all frames of a phoneme, left out in training and test, in the
utterances that have it; and of one segment alone, in which frequent phonemes have no advantage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from phonemo.train.experiments.phoneme_study.phoneme_bits import (
    measurable,
    owners,
    without_means,
)
from phonemo.train.experiments.phoneme_study.phoneme_segments import Segments
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64, speaker_folds
from phonemo.train.experiments.phoneme_study.study_corpus import Integers

#: Added to the covariance within classes, as a share of its mean variance.
_RIDGE = 0.3


@dataclass(frozen=True)
class LeftOut:
    """Correct decisions with and without a phoneme, by speaker and emotion: (speaker, emotion)."""

    utterances: Floats64
    right: Floats64
    right_without: Floats64
    segments: Floats64
    right_segments: Floats64
    right_without_segment: Floats64


@dataclass(frozen=True)
class _Discriminants:
    """A linear discriminant for each fold, fitted on the speakers of the others.

    Attributes:
        fold: which of them tests an utterance, (utterance,).
        weights: (fold, class, feature).
        biases: (fold, class).
    """

    fold: Integers
    weights: Floats64
    biases: Floats64

    def decide(self, vectors: Floats64, utterances: Integers) -> Integers:
        """The class of each vector, (example,), by the discriminant that tests its utterance."""
        decided = np.zeros(len(vectors), dtype=np.int64)
        for number, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = self.fold[utterances] == number
            decided[rows] = (vectors[rows] @ weights.T + biases).argmax(axis=1)
        return decided


def leave_out(
    segments: Segments, layer: int, labels: Integers, least: int
) -> Iterator[tuple[str, LeftOut]]:
    """Leave out every phoneme that at least so many utterances have, in turn.

    Args:
        segments: of a corpus.
        layer: the hidden state.
        labels: each utterance's emotion, (utterance,).
        least: utterances.
    """
    owner = owners(segments, len(labels))
    sums, frames = _sums(segments, layer, np.arange(len(segments)), len(labels))
    whole = _means(sums, frames, owner)
    everywhere = _fit_folds(whole, labels, owner)
    right = everywhere.decide(whole, np.arange(len(labels))) == labels
    for symbol, rows in measurable(segments, least):
        less, fewer = _sums(segments, layer, rows, len(labels))
        rest = _means(sums - less, frames - fewer, owner)
        found = np.unique(segments.utterance[rows])
        found = found[owner[found] >= 0]
        decided = _fit_folds(rest, labels, owner).decide(rest[found], found)
        one = _one_segment(segments, layer, rows, (sums, frames), owner)
        answers = everywhere.decide(one, segments.utterance[rows])
        of_rows = segments.utterance[rows]
        yield (
            segments.symbols[symbol],
            LeftOut(
                *_tables(found, [right[found], decided == labels[found]], labels, owner),
                *_tables(of_rows, [right[of_rows], answers == labels[of_rows]], labels, owner),
            ),
        )


def _tables(
    utterances: Integers, answers: list[Integers], labels: Integers, owner: Integers
) -> list[Floats64]:
    """All examples, and those that are right each time: (speaker, emotion)."""
    shape = int(owner.max()) + 1, int(labels.max()) + 1
    tables = []
    for weights in [np.ones(len(utterances)), *answers]:
        table = np.zeros(shape)
        np.add.at(table, (owner[utterances], labels[utterances]), weights)
        tables.append(table)
    return tables


def _sums(
    segments: Segments, layer: int, rows: Integers, utterances: int
) -> tuple[Floats64, Floats64]:
    """Sums over the frames of segments, (utterance, feature), and frames, (utterance,)."""
    held, frames = segments.utterance[rows], segments.frames[rows]
    sums = np.zeros((utterances, segments.vectors[layer].shape[1]))
    np.add.at(sums, held, segments.vectors[layer][rows] * frames[:, None])
    counts = np.bincount(held, weights=frames, minlength=utterances)
    return sums, counts.astype(np.float64)


def _means(sums: Floats64, frames: Floats64, owner: Integers) -> Floats64:
    """Means without those of the speakers, (utterance, feature)."""
    return without_means(sums / np.maximum(frames, 1)[:, None], owner + 1)


def _one_segment(
    segments: Segments,
    layer: int,
    rows: Integers,
    whole: tuple[Floats64, Floats64],
    owner: Integers,
) -> Floats64:
    """The utterance of each segment without it, less the speaker's mean: (segment, feature)."""
    sums, frames = whole
    held = segments.utterance[rows]
    own = segments.vectors[layer][rows] * segments.frames[rows][:, None]
    rest = (sums[held] - own) / np.maximum(frames[held] - segments.frames[rows], 1)[:, None]
    plain = sums / np.maximum(frames, 1)[:, None]
    return np.asarray(rest - (plain - without_means(plain, owner + 1))[held])


def _fit_folds(vectors: Floats64, labels: Integers, owner: Integers) -> _Discriminants:
    """Discriminants fitted on utterances with segments; those of owner -1 have no vector."""
    classes, fold, fitted = int(labels.max()) + 1, np.zeros(len(labels), dtype=np.int64), []
    for number, test in enumerate(speaker_folds(owner)):
        fold[test], rest = number, ~test & (owner >= 0)
        fitted.append(_fit(vectors[rest], labels[rest], classes))
    weights, biases = zip(*fitted, strict=True)
    return _Discriminants(fold, np.stack(weights), np.stack(biases))


def _fit(vectors: Floats64, labels: Integers, classes: int) -> tuple[Floats64, Floats64]:
    """Fisher's discriminant with a ridge and equal priors: weights (class, feature), biases."""
    one_hot = np.eye(classes)[labels]
    counts = one_hot.sum(axis=0)
    means = one_hot.T @ vectors / np.maximum(counts, 1)[:, None]
    rest = vectors - means[labels]
    within = rest.T @ rest / len(labels)
    within += _RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    weights = np.linalg.solve(within, means.T).T
    biases = -0.5 * (weights * means).sum(axis=1)
    return weights, np.where(counts > 0, biases, -np.inf)
