"""Bits of every phoneme, from equal material: what one segment says about the emotion.

Each phoneme is measured on the same number of utterances, with the same mixture of emotions and as
few sentences as give that number, one segment of each. So a frequent phoneme has neither more
examples to fit the classifier on, nor more segments to average, nor more neighbors to cope with.
Several draws are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phonemo.train.experiments.phoneme_study.phoneme_segments import Segments
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64, held_out_bits
from phonemo.train.experiments.phoneme_study.study_corpus import Integers

#: Principal components of a segment's embedding that the classifier reads.
_COMPONENTS = 32
#: A place in a sentence with fewer segments is not centered by itself.
_LEAST_CONTEXT = 10


@dataclass(frozen=True)
class Material:
    """How much of every phoneme is measured."""

    segments: int = 150
    """Utterances that a phoneme is measured on, one segment of each; with fewer it is not."""
    draws: int = 5
    seed: int = 1


@dataclass(frozen=True)
class PhonemeGains:
    """The bits of one phoneme's drawn segments, all draws in a row.

    Attributes:
        rows: the segments, (draw * segment,).
        bits: what each says about its emotion, (draw * segment,).
        null: the same with emotions exchanged between the utterances of a speaker.
    """

    rows: Integers
    bits: Floats64
    null: Floats64


def measure_bits(
    segments: Segments,
    layer: int,
    labels: Integers,
    material: Material,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, PhonemeGains]:
    """Measure every phoneme with enough utterances.

    Args:
        segments: of a corpus.
        layer: the hidden state.
        labels: each utterance's emotion, (utterance,).
        material: how much of each.
        progress: called with (done, total) phonemes.
    """
    vectors = whitened(centered(segments, layer))
    exchanged = exchange_labels(segments, labels, material.seed)
    places = dict(measurable(segments, material.segments))
    measured = {}
    for number, (symbol, rows) in enumerate(places.items(), start=1):
        measured[segments.symbols[symbol]] = _measure(
            segments, vectors, rows, (labels, exchanged), material
        )
        if progress is not None:
            progress(number, len(places))
    return measured


def measurable(segments: Segments, least: int) -> Iterator[tuple[int, Integers]]:
    """Symbol and segments of every phoneme in at least so many utterances."""
    for symbol in np.unique(segments.symbol):
        rows = np.flatnonzero(segments.symbol == symbol)
        if len(np.unique(segments.utterance[rows])) >= least:
            yield int(symbol), rows


def most_utterances(segments: Segments) -> int:
    """The number of utterances of the most widespread phoneme."""
    return max(
        (len(np.unique(segments.utterance[rows])) for _, rows in measurable(segments, 1)), default=0
    )


def centered(segments: Segments, layer: int) -> Floats64:
    """Embeddings without the means of their place in the sentence and of their speaker.

    Both means are over all emotions. The first removes phonemes and their neighbors, the second
    voices. A place with few segments, as in free speech, has the mean of the phoneme subtracted.
    """
    vectors = segments.vectors[layer].astype(np.float64)
    counts = np.bincount(segments.context)
    alone = len(counts) + segments.symbol
    groups = np.where(counts[segments.context] < _LEAST_CONTEXT, alone, segments.context)
    return without_means(without_means(vectors, groups), segments.speaker)


def without_means(vectors: Floats64, groups: Integers) -> Floats64:
    """Subtract each group's mean.

    Args:
        vectors: (example, feature).
        groups: index of each example's group, (example,).
    """
    sums = np.zeros((int(groups.max()) + 1, vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    counts = np.maximum(np.bincount(groups, minlength=len(sums)), 1)
    return np.asarray(vectors - (sums / counts[:, None])[groups])


def whitened(vectors: Floats64) -> Floats64:
    """The first principal components, scaled to a variance of one, (example, component)."""
    scatter = np.cov(vectors, rowvar=False)
    values, directions = np.linalg.eigh(scatter)
    kept = np.argsort(-values)[:_COMPONENTS]
    kept = kept[values[kept] > 1e-9 * values.max()]
    return np.asarray(
        (vectors - vectors.mean(axis=0)) @ directions[:, kept] / np.sqrt(values[kept])
    )


def exchange_labels(segments: Segments, labels: Integers, seed: int) -> Integers:
    """Permute the emotions of each speaker's utterances, (utterance,): nothing can be known."""
    draw = np.random.default_rng(seed)
    owner = owners(segments, len(labels))
    exchanged = labels.copy()
    for speaker in np.unique(owner):
        rows = np.flatnonzero(owner == speaker)
        exchanged[rows] = labels[draw.permutation(rows)]
    return exchanged


def owners(segments: Segments, utterances: int) -> Integers:
    """Each utterance's speaker, (utterance,); -1 without any segment."""
    owner = np.full(utterances, -1)
    owner[segments.utterance] = segments.speaker
    return owner


def _measure(
    segments: Segments,
    vectors: Floats64,
    rows: Integers,
    labels: tuple[Integers, Integers],
    material: Material,
) -> PhonemeGains:
    chosen, bits, null = [], [], []
    for number in range(material.draws):
        draw = np.random.default_rng((material.seed, number))
        kept = draw_segments(segments, rows, labels[0], material.segments, draw)
        utterances, speakers = segments.utterance[kept], segments.speaker[kept]
        chosen.append(kept)
        bits.append(held_out_bits(vectors[kept], labels[0][utterances], speakers))
        null.append(held_out_bits(vectors[kept], labels[1][utterances], speakers))
    return PhonemeGains(np.concatenate(chosen), np.concatenate(bits), np.concatenate(null))


def draw_segments(
    segments: Segments, rows: Integers, labels: Integers, count: int, draw: np.random.Generator
) -> Integers:
    """Draw segments of as few sentences as have enough utterances, mixed as the corpus is.

    Emotions with too few utterances give all of theirs, and the rest is drawn from the others.

    Args:
        segments: of a corpus.
        rows: those of a phoneme.
        labels: each utterance's emotion, (utterance,).
        count: utterances to draw, one segment of each.
        draw: the generator.

    Returns:
        Rows, (count,).
    """
    pool = draw.permutation(_of_few_contexts(segments, rows, count, draw))
    emotions = labels[segments.utterance[pool]]
    shares = np.bincount(labels) / len(labels)
    taken = np.zeros(len(pool), dtype=np.bool_)
    for emotion, share in enumerate(shares):
        taken[np.flatnonzero(emotions == emotion)[: int(share * count)]] = True
    rest = np.flatnonzero(~taken)[: count - int(taken.sum())]
    taken[rest] = True
    return np.asarray(pool[taken])


def _of_few_contexts(
    segments: Segments, rows: Integers, count: int, draw: np.random.Generator
) -> npt.NDArray[np.int64]:
    """One segment of each utterance, of places in sentences in random order until they suffice."""
    contexts = segments.context[rows]
    pool: dict[int, int] = {}
    for context in draw.permutation(np.unique(contexts)):
        if len(pool) >= count:
            break
        for row in rows[contexts == context]:
            pool.setdefault(int(segments.utterance[row]), int(row))
    return np.array(list(pool.values()))


def utterance_bits(
    segments: Segments, vectors: Floats64, rows: Integers, labels: Integers
) -> float:
    """Bits of one phoneme by the mean of its segments in each utterance; 0 of a single speaker.

    Args:
        segments: of a corpus.
        vectors: centered and whitened, (row, feature).
        rows: the phoneme's segments, in all utterances that count.
        labels: each utterance's emotion, (utterance,).
    """
    if len(np.unique(segments.speaker[rows])) < 2:
        return 0.0
    utterances, places = np.unique(segments.utterance[rows], return_inverse=True)
    sums = np.zeros((len(utterances), vectors.shape[1]))
    np.add.at(sums, places, vectors[rows])
    means = sums / np.bincount(places)[:, None]
    owner = owners(segments, len(labels))[utterances]
    return float(np.nanmean(held_out_bits(means, labels[utterances], owner)))
