"""One reading of a corpus: bits and costs of its phonemes with intervals over speakers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phonemo.corpora.g2p.alphabets import IPA_CLASS
from phonemo.errors import ProtocolError
from phonemo.evaluation.phonemes.ipa_places import kind_of
from phonemo.evaluation.phonemes.phoneme_schema import PhonemeRow, Reading
from phonemo.train.experiments.phoneme_study.bits_regression import (
    all_drawn,
    explained,
    group_rows,
    regression,
)
from phonemo.train.experiments.phoneme_study.left_out_phonemes import LeftOut, leave_out
from phonemo.train.experiments.phoneme_study.phoneme_bits import (
    Material,
    PhonemeGains,
    measure_bits,
    most_utterances,
)
from phonemo.train.experiments.phoneme_study.phoneme_segments import Alignment, Segments
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import Floats64
from phonemo.train.experiments.phoneme_study.speaker_bootstrap import (
    estimate,
    speaker_weights,
    split_half,
    unweighted_accuracies,
    weighted_means,
)
from phonemo.train.experiments.phoneme_study.study_corpus import CONVOLUTIONS, StudyCorpus


@dataclass(frozen=True)
class MeasuredReading:
    """A reading, and its bits and costs under each resample of the speakers.

    Attributes:
        result: what is stored.
        bits: phoneme -> (1 + resample,); the first is the measured value.
        costs: the same for the cost of all frames.
    """

    result: Reading
    bits: dict[str, Floats64]
    costs: dict[str, Floats64]


def read_phonemes(
    corpus: StudyCorpus,
    segments: Segments,
    layer: int,
    alignment: Alignment,
    material: Material,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredReading:
    """Measure one hidden state, or the convolutions' output, with one alignment.

    Args:
        corpus: the corpus.
        segments: its aligned phonemes.
        layer: the hidden state.
        alignment: where the segments' times are from.
        material: how much of each phoneme is measured.
        progress: called with (done, total) phonemes.

    Raises:
        ProtocolError: no phoneme is in enough utterances.
    """
    labels = corpus.labels
    if (most := most_utterances(segments)) < material.segments:
        raise ProtocolError(
            f"{corpus.name}: expected a phoneme in {material.segments} utterances or more, got at "
            f"most {most}; lower --segments, or raise --utterances"
        )
    measured = measure_bits(segments, layer, labels, material, progress)
    left_out = dict(leave_out(segments, layer, labels, material.segments))
    weights = speaker_weights(int(segments.speaker.max()) + 1, corpus.name, material.seed)
    bits = {
        symbol: weighted_means(gains.bits, segments.speaker[gains.rows], weights)
        for symbol, gains in measured.items()
    }
    costs = {symbol: _cost(left_out[symbol], weights) for symbol in measured}
    drawn = all_drawn(segments, measured)
    rows = [
        _row(segments, symbol, measured[symbol], bits[symbol], left_out[symbol], weights)
        for symbol in measured
    ]
    result = Reading(
        alignment=alignment,
        state="convolutions" if layer == CONVOLUTIONS else "highest",
        phonemes=tuple(rows),
        groups=tuple(group_rows(drawn, weights)),
        regression=regression(drawn, weights),
        explained=explained(drawn),
        reliability=split_half(_sums(segments, measured), material.seed),
        ua=_whole_ua(left_out),
    )
    return MeasuredReading(result, bits, costs)


def _cost(found: LeftOut, weights: Floats64) -> Floats64:
    """UA points lost without the phoneme, (1 + resample,)."""
    whole = unweighted_accuracies(found.right, found.utterances, weights)
    return 100 * (whole - unweighted_accuracies(found.right_without, found.utterances, weights))


def _segment_cost(found: LeftOut, weights: Floats64) -> Floats64:
    whole = unweighted_accuracies(found.right_segments, found.segments, weights)
    without = unweighted_accuracies(found.right_without_segment, found.segments, weights)
    return 100 * (whole - without)


def _row(
    segments: Segments,
    symbol: str,
    gains: PhonemeGains,
    bits: Floats64,
    left_out: LeftOut,
    weights: Floats64,
) -> PhonemeRow:
    rows = np.flatnonzero(segments.symbol == segments.symbols.index(symbol))
    return PhonemeRow(
        symbol=symbol,
        phonetic_class=IPA_CLASS[symbol],
        kind=kind_of(symbol),
        utterances=len(np.unique(segments.utterance[rows])),
        segments=len(rows),
        seconds=round(float(np.median(segments.seconds[rows])), 4),
        bits=estimate(bits),
        null=round(float(np.nanmean(gains.null)), 4),
        cost=estimate(_cost(left_out, weights), 2),
        segment_cost=estimate(_segment_cost(left_out, weights), 3),
    )


def _sums(
    segments: Segments, measured: dict[str, PhonemeGains]
) -> dict[str, tuple[Floats64, Floats64]]:
    """Phoneme -> sums of bits and counts by speaker."""
    count, sums = int(segments.speaker.max()) + 1, {}
    for symbol, gains in measured.items():
        speakers = segments.speaker[gains.rows]
        known = ~np.isnan(gains.bits)
        sums[symbol] = (
            np.bincount(speakers[known], gains.bits[known], count).astype(np.float64),
            np.bincount(speakers[known], minlength=count).astype(np.float64),
        )
    return sums


def _whole_ua(left_out: dict[str, LeftOut]) -> float:
    """UA with every phoneme, in the utterances of the most widespread one."""
    widest = max(left_out.values(), key=lambda one: one.utterances.sum())
    ones = np.ones((1, len(widest.utterances)))
    return round(float(unweighted_accuracies(widest.right, widest.utterances, ones)[0]), 4)
