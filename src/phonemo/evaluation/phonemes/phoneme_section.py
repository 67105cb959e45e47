"""The section of RESULTS.md and the terminal lines of a study of emotional phonemes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from phonemo.evaluation.markdown import code, markdown_table, plain
from phonemo.evaluation.phonemes.phoneme_chart import alt_text
from phonemo.evaluation.phonemes.phoneme_schema import (
    STATE_NAMES,
    Agreement,
    CorpusReadings,
    Estimate,
    PhonemeStudy,
    Reading,
)


def phoneme_sections(studies: Sequence[tuple[str, PhonemeStudy]]) -> Iterator[str]:
    """The lines of RESULTS.md; nothing without a study.

    Args:
        studies: each with its picture's address, relative to the page.
    """
    if studies:
        yield "## Which phonemes carry emotion\n"
    for picture, study in studies:
        yield from _study(picture, study)


def phoneme_lines(study: PhonemeStudy) -> Iterator[str]:
    """Lines for the terminal: the most and least informative phonemes, and the agreements."""
    for corpus in study.corpora:
        for reading in corpus.readings:
            listed = " ".join(f"{row.symbol} {row.bits.mean:.2f}" for row in reading.ranked)
            yield f"{corpus.name}, {STATE_NAMES[reading.state]}, {reading.alignment}: {listed}"
    for name, rows in study.agreements.items():
        for row in rows:
            yield (
                f"{name}: {row.first} and {row.second}, {row.over} ({row.shared}): rho "
                f"{row.rho:+.2f} ({row.low:+.2f} to {row.high:+.2f}), p {row.p:.4f}, adjusted "
                f"{row.adjusted:.4f}"
            )


def _study(picture: str, study: PhonemeStudy) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    yield f"![{plain(alt_text(study))}]({picture})\n"
    yield from _facts(study)
    for corpus in study.corpora:
        yield from _corpus(corpus)
    yield "Mean bits by stratum (phonemes of a stratum count alike):\n"
    yield _strata_table(study)
    yield (
        "Linear regression of a segment's bits, and the share of the variance between phonemes "
        "that its terms explain (adjusted):\n"
    )
    yield _regression_table(study)
    yield (
        "Rank correlations on the phonemes that both lists have; p from 10,000 permutations, "
        "adjusted by Holm over the rows of one measure:\n"
    )
    yield _agreement_table(study)


def _facts(study: PhonemeStudy) -> Iterator[str]:
    yield f"- measured by phonemo {study.phonemo} with {code(study.command)}"
    yield (
        f"- bits: a lower bound on the mutual information of one segment's mean embedding and the "
        f"emotion, on speakers left out; {study.segments} utterances of every phoneme, one segment "
        f"each, {study.draws} draws, seed {study.seed}; {plain(study.network)}, frozen"
    )
    yield (
        "- forced: forced alignment; by hand: the corpus' manual times; ms: median duration; "
        "intervals: 1000 resamples of the speakers"
    )
    yield (
        "- convolutions: each frame depends on 65 ms, so a segment of 60 ms on about 105 ms; "
        "highest state: each frame depends on the whole recording"
    )
    yield (
        "- cost of all, cost of one: points of UA lost without all frames of the phoneme, or "
        "without those of one of its segments, on average over utterances that have it"
    )
    yield (
        "- with permuted emotions: the control; reliability: rank correlation of the lists of two "
        "halves of the speakers (Spearman-Brown)\n"
    )


def _corpus(corpus: CorpusReadings) -> Iterator[str]:
    names = ", ".join(corpus.emotions)
    left_out = f", {corpus.unaligned} unaligned" if corpus.unaligned else ""
    yield (
        f"#### {plain(corpus.name)} ({plain(corpus.language)})\n\n- {corpus.utterances} utterances"
        f"{left_out}, {corpus.sentences} sentences, {corpus.speakers} speakers; emotions: "
        f"{plain(names)} (entropy {corpus.entropy:.2f} bits)"
    )
    yield f"- aligned by {plain(corpus.aligner or 'a layer fitted on the corpus')}"
    for reading in corpus.readings:
        count = len(reading.phonemes)
        null = sum(row.null for row in reading.phonemes) / count
        cost = sum(row.segment_cost.mean for row in reading.phonemes) / count
        yield (
            f"- {STATE_NAMES[reading.state]}, {reading.alignment}: reliability of the list "
            f"{reading.reliability:.2f}; with permuted emotions {null:+.3f} bits on average; UA "
            f"of the whole utterances {100 * reading.ua:.1f} %; cost of one segment {cost:+.1f} "
            "points on average"
        )
    yield f"- chosen in training folds (highest state): {_chosen(corpus)}\n"
    yield _phoneme_table(corpus)


def _chosen(corpus: CorpusReadings) -> str:
    """Phonemes by how many of the folds choose them."""
    counts = Counter(symbol for chosen in corpus.folds.values() for symbol in chosen)
    ordered = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    return ", ".join(f"{symbol} {counts[symbol]}/{len(corpus.folds)}" for symbol in ordered)


def _phoneme_table(corpus: CorpusReadings) -> str:
    """A row for each phoneme, ranked by the convolutions."""
    local, wide = corpus.reading("convolutions"), corpus.reading("highest")
    hand = corpus.reading("convolutions", "by hand")
    if local is None or wide is None:
        return ""
    header = ["phoneme", "class", "utterances", "ms", "bits, convolutions", "bits, highest"]
    header += ["convolutions, by hand"] if hand else []
    header += ["cost of all, highest", "cost of one, highest"]
    others = {row.symbol: row for row in wide.phonemes}
    by_hand = {row.symbol: row for row in hand.phonemes} if hand else {}
    rows = []
    for row in local.ranked:
        other = others[row.symbol]
        cells = [row.symbol, row.phonetic_class, str(row.utterances), f"{1000 * row.seconds:.0f}"]
        cells += [_text(row.bits), _text(other.bits)]
        if hand:
            cells.append(_text(by_hand[row.symbol].bits) if row.symbol in by_hand else "")
        rows.append([*cells, _text(other.cost, 1), _text(other.segment_cost)])
    return markdown_table(header, rows)


def _strata_table(study: PhonemeStudy) -> str:
    readings = list(_readings(study))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name, reading in readings:
        for row in reading.groups:
            text = f"{_text(row.bits)}, {row.phonemes}"
            cells.setdefault((row.factor, row.level), {})[name] = text
    names = [name for name, _ in readings]
    rows = [
        [factor, level, *(found.get(name, "") for name in names)]
        for (factor, level), found in cells.items()
    ]
    return markdown_table(["factor", "level", *names], rows)


def _regression_table(study: PhonemeStudy) -> str:
    readings = list(_readings(study))
    terms = [row.term for row in readings[0][1].regression]
    rows = [
        [term, *(_text(reading.regression[number].bits) for _, reading in readings)]
        for number, term in enumerate(terms)
    ]
    rows += [
        [
            f"explained: {name}",
            *(f"{100 * reading.explained[name]:.0f} %" for _, reading in readings),
        ]
        for name in readings[0][1].explained
    ]
    return markdown_table(["term", *(name for name, _ in readings)], rows)


def _readings(study: PhonemeStudy) -> Iterator[tuple[str, Reading]]:
    """Every reading with its name, the convolutions' first."""
    for state in ("convolutions", "highest"):
        for corpus in study.corpora:
            for reading in corpus.readings:
                if reading.state == state:
                    hand = ", by hand" if reading.alignment == "by hand" else ""
                    yield f"{corpus.name}, {STATE_NAMES[state]}{hand}", reading


def _agreement_table(study: PhonemeStudy) -> str:
    header = ["of", "lists", "over", "phonemes", "Spearman (95 %)", "p", "adjusted"]
    rows = [_agreement_row(name, row) for name, rows in study.agreements.items() for row in rows]
    return markdown_table(header, rows)


def _agreement_row(name: str, row: Agreement) -> list[str]:
    lists = f"{row.first} / {row.second}"
    rho = f"{row.rho:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
    return [name, lists, row.over, str(row.shared), rho, f"{row.p:.4f}", f"{row.adjusted:.4f}"]


def _text(value: Estimate, digits: int = 2) -> str:
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"
