"""The aligned phonemes of a corpus: the mean of each one's frames, its duration and position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from phonemo.audio import RATE
from phonemo.corpora.manifest import Utterance
from phonemo.errors import PhonemeError
from phonemo.runtime.phonemes.alignment import PAUSE_SECONDS, align
from phonemo.train.experiments.phoneme_study.alignment_layer import fit_alignment_layer
from phonemo.train.experiments.phoneme_study.recognized_posteriors import Posteriors
from phonemo.train.experiments.phoneme_study.study_corpus import (
    Floats,
    Integers,
    StudyCorpus,
    text_of,
)

Alignment = Literal["forced", "by hand"]
#: Utterances that the alignment's layer is fitted on.
_LAYER_UTTERANCES = 400
#: How far a phoneme extends into a pause, in frames: 40 ms, as in phonemo.runtime.phonemes.
_REACH = 2.0


@dataclass(frozen=True)
class Span:
    """A phoneme in time; positions count frames."""

    symbol: int
    start: float
    end: float
    before_pause: bool


@dataclass(frozen=True)
class Segments:
    """Every aligned phoneme of a corpus, a row for each; whatever is not said to be else is (row,).

    Attributes:
        symbols: the alphabet.
        symbol: index of the phoneme.
        utterance: index in the corpus' utterances.
        speaker: index of the speaker.
        context: index of the phoneme's place in its sentence: the same for all who say it.
        seconds: duration.
        position: 0 for the first phoneme of the utterance, 1 for the last.
        before_pause: whether a pause or the end follows.
        frames: number of frames.
        vectors: by hidden state, the mean over the frames, (row, feature).
    """

    symbols: tuple[str, ...]
    symbol: Integers
    utterance: Integers
    speaker: Integers
    context: Integers
    seconds: npt.NDArray[np.float64]
    position: npt.NDArray[np.float64]
    before_pause: npt.NDArray[np.bool_]
    frames: Integers
    vectors: dict[int, Floats]

    def __len__(self) -> int:
        return len(self.symbol)


def align_corpus(
    corpus: StudyCorpus, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[tuple[Span, ...]]:
    """Force-align every utterance by the corpus' posteriors, or else by a layer fitted on it.

    The layer is a linear CTC layer on the highest hidden state, fitted without emotions.

    Args:
        corpus: the corpus; utterances with fewer frames than phonemes get no spans.
        seed: of the layer, and of the utterances that it is fitted on.
        progress: called with (done, total) utterances.
    """
    posteriors = corpus.posteriors or _fitted_posteriors(corpus, seed)
    aligned = []
    for number, row in enumerate(corpus.utterances, start=1):
        aligned.append(_aligned(corpus, row, posteriors))
        if progress is not None:
            progress(number, len(corpus.utterances))
    return aligned


def _fitted_posteriors(corpus: StudyCorpus, seed: int) -> Posteriors:
    order = np.random.default_rng(seed).permutation(len(corpus.utterances))[:_LAYER_UTTERANCES]
    rows = [corpus.utterances[index] for index in sorted(order)]
    features = {row.id: corpus.frames(row.id, corpus.depth) for row in rows}
    layer = fit_alignment_layer(rows, features, corpus.inventory, seed)

    def posteriors(row: Utterance) -> npt.NDArray[np.float64]:
        frames = torch.from_numpy(corpus.frames(row.id, corpus.depth))
        with torch.no_grad():
            return np.asarray(layer(frames).double().log_softmax(dim=1))

    return posteriors


def spans_by_hand(corpus: StudyCorpus) -> list[tuple[Span, ...]] | None:
    """The manifest's own times; an utterance without has no spans. None if most are without."""
    timed = [
        row.phonemes is not None and row.phonemes.times is not None for row in corpus.utterances
    ]
    if 2 * sum(timed) < len(timed):
        return None
    pairs = zip(corpus.utterances, timed, strict=True)
    return [_timed(corpus, row) if known else () for row, known in pairs]


def make_segments(
    corpus: StudyCorpus,
    spans: Sequence[Sequence[Span]],
    layers: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Segments:
    """Average each phoneme's frames.

    Args:
        corpus: the corpus.
        spans: of each utterance.
        layers: hidden states.
        progress: called with (done, total) utterances.
    """
    rows = []
    vectors: dict[int, list[Floats]] = {layer: [] for layer in layers}
    names = {row.speaker for row in corpus.utterances}
    speakers = {name: number for number, name in enumerate(sorted(map(str, names)))}
    for number, (row, found) in enumerate(zip(corpus.utterances, spans, strict=True)):
        states = {layer: corpus.frames(row.id, layer) for layer in layers}
        for place, span in enumerate(found):
            kept = _frames_in(span, len(states[layers[0]]))
            position = place / max(1, len(found) - 1)
            seconds = (span.end - span.start) * corpus.hop_seconds
            head = (span.symbol, number, speakers[str(row.speaker)], len(kept))
            rows.append((*head, seconds, position, span.before_pause))
            for layer, state in states.items():
                vectors[layer].append(state[kept].mean(axis=0))
        if progress is not None:
            progress(number + 1, len(spans))
    if not rows:
        raise PhonemeError(
            f"{corpus.name}: expected phonemes that fit their recordings, got none; prepare the "
            "corpus again"
        )
    return _as_arrays(corpus, rows, {layer: np.stack(found) for layer, found in vectors.items()})


def _as_arrays(
    corpus: StudyCorpus,
    rows: Sequence[tuple[int, int, int, int, float, float, bool]],
    vectors: dict[int, Floats],
) -> Segments:
    symbol, utterance, speaker, frames, seconds, position, paused = zip(*rows, strict=True)
    texts = [text_of(corpus.utterances[number]) for number in utterance]
    return Segments(
        context=_contexts(texts, utterance, symbol),
        symbols=corpus.inventory.symbols,
        symbol=np.array(symbol),
        utterance=np.array(utterance),
        speaker=np.array(speaker),
        seconds=np.array(seconds),
        position=np.array(position),
        before_pause=np.array(paused),
        frames=np.array(frames),
        vectors=vectors,
    )


def _contexts(texts: Sequence[str], utterances: Sequence[int], symbols: Sequence[int]) -> Integers:
    """Index of each segment's place, (row,): the sentence, the phoneme, and how often it was."""
    seen: dict[tuple[int, int], int] = {}
    places: dict[tuple[str, int, int], int] = {}
    numbers = []
    for text, utterance, symbol in zip(texts, utterances, symbols, strict=True):
        before = seen.get((utterance, symbol), 0)
        seen[utterance, symbol] = before + 1
        numbers.append(places.setdefault((text, symbol, before), len(places)))
    return np.array(numbers)


def _frames_in(span: Span, frames: int) -> Integers:
    """Frames whose middle lies in the span, and at least the nearest one."""
    first, last = round(span.start), round(span.end) - 1
    nearest = min(max(int((span.start + span.end) / 2), 0), frames - 1)
    kept = np.arange(max(first, 0), min(last, frames - 1) + 1)
    return kept if len(kept) else np.array([nearest])


def _aligned(corpus: StudyCorpus, row: Utterance, posteriors: Posteriors) -> tuple[Span, ...]:
    units = corpus.inventory.encode(row.phonemes, None, None) or ()
    scores = posteriors(row)
    try:
        found = align(scores, units)
    except PhonemeError:  # fewer frames than phonemes
        return ()
    longest = PAUSE_SECONDS / corpus.hop_seconds
    edges = list(_edges([(one.first, one.last + 1) for one in found], longest))
    starts = [max(0.0, found[0].first - _REACH), *(start for _, start, _ in edges)]
    ends = [*(end for end, _, _ in edges), min(float(len(scores)), found[-1].last + 1 + _REACH)]
    pauses = [*(paused for _, _, paused in edges), True]
    return tuple(
        Span(one.symbol, start, end, paused)
        for one, start, end, paused in zip(found, starts, ends, pauses, strict=True)
    )


def _edges(
    emitted: Sequence[tuple[int, int]], longest: float
) -> Iterator[tuple[float, float, bool]]:
    """End, next start and whether a pause lies between, for each two neighbors."""
    for (_, end), (start, _) in pairwise(emitted):
        if start - end > longest:
            yield end + _REACH, start - _REACH, True
        else:
            yield (end + start) / 2, (end + start) / 2, False


def _timed(corpus: StudyCorpus, row: Utterance) -> tuple[Span, ...]:
    """Spans of hand-made times; a gap as long as a forced alignment's pause is a pause."""
    assert row.phonemes is not None
    assert row.phonemes.times is not None
    units = corpus.inventory.encode(row.phonemes, None, None) or ()
    times = [(float(start), float(end)) for start, end in row.phonemes.times]
    gaps = [following[0] - one[1] > PAUSE_SECONDS for one, following in pairwise(times)]
    return tuple(
        Span(symbol, _position(corpus, start), _position(corpus, end), paused)
        for symbol, (start, end), paused in zip(units, times, [*gaps, True], strict=True)
    )


def _position(corpus: StudyCorpus, seconds: float) -> float:
    """Frames up to a time, the inverse of ``FrameGrid.sample_at``."""
    grid = corpus.grid
    return (seconds * RATE - grid.field_samples / 2) / grid.hop_samples + 0.5
