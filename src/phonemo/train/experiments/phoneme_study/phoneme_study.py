"""Which phonemes carry the emotion: bits of every phoneme in several corpora, and agreement."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from phonemo.errors import ProtocolError
from phonemo.evaluation.phonemes.phoneme_schema import (
    STATE_NAMES,
    Agreement,
    CorpusReadings,
    PhonemeStudy,
)
from phonemo.files import atomic_write_text
from phonemo.train.experiments.phoneme_study.list_agreement import Curves, agreements
from phonemo.train.experiments.phoneme_study.phoneme_bits import (
    Material,
    centered,
    measurable,
    most_utterances,
    owners,
    utterance_bits,
    whitened,
)
from phonemo.train.experiments.phoneme_study.phoneme_reading import (
    MeasuredReading,
    read_phonemes,
)
from phonemo.train.experiments.phoneme_study.phoneme_segments import (
    Alignment,
    Segments,
    Span,
    align_corpus,
    make_segments,
    spans_by_hand,
)
from phonemo.train.experiments.phoneme_study.shrunken_gaussian import speaker_folds
from phonemo.train.experiments.phoneme_study.study_corpus import (
    CONVOLUTIONS,
    StudyCorpus,
    open_corpus,
    text_of,
)
from phonemo.version import __version__

PHONEMES, TABLE = "phonemes.json", "phonemes.csv"


#: Called with a task's name, and what is done of its total.
StudyProgress = Callable[[str, int, int], None]
#: A corpus' readings by hidden state and alignment.
Measured = dict[tuple[str, str], MeasuredReading]


@dataclass(frozen=True)
class StudyOptions:
    """What is measured, and how much of it."""

    network: str = "models/phonemo-small-backbone"
    emotions: tuple[str, ...] = ()
    utterances: int = 1440
    """Whole sentences of a corpus are drawn until so many utterances are reached."""
    keep: int = 12
    """Phonemes that a fold chooses."""
    material: Material = field(default_factory=Material)
    aligner: Path | None = None
    """The bundle that aligns corpora of few sentences; None fits a layer on each corpus."""


def _silent(_task: str, _done: int, _total: int) -> None:
    """Show nothing."""


def study_phonemes(
    manifests: Sequence[Path],
    folder: Path,
    command: str,
    options: StudyOptions | None = None,
    progress: StudyProgress = _silent,
) -> PhonemeStudy:
    """Measure the phonemes of every corpus, and write phonemes.json and phonemes.csv.

    Features are cached below the folder, so that an interrupted study goes on where it stopped.

    Args:
        manifests: corpora with phonemes.
        folder: the folder to write.
        command: as typed, for the results.
        options: what is measured.
        progress: shows how far it is.

    Raises:
        ProtocolError: a corpus cannot be measured, or two have one name.
    """
    options = options or StudyOptions()
    corpora, bits, costs = [], {}, {}
    hands: dict[str, Curves] = {}
    for path in manifests:
        corpus = _open(path, folder, options, progress)
        if corpus.name in bits:
            raise ProtocolError(
                f"expected corpora with names of their own, got {corpus.name} twice; name each "
                "manifest once"
            )
        result, measured = _measure(corpus, options, progress)
        corpora.append(result)
        bits[corpus.name] = {state: measured[state, "forced"].bits for state in _STATES}
        costs[corpus.name] = measured["highest", "forced"].costs
        for (state, alignment), reading in measured.items():
            if ("convolutions", "by hand") in measured:
                hands[f"{corpus.name}, {STATE_NAMES[state]}, {alignment}"] = reading.bits
    seed = options.material.seed
    study = PhonemeStudy(
        name=folder.absolute().name,
        command=command,
        phonemo=__version__,
        network=Path(options.network).name,
        segments=options.material.segments,
        draws=options.material.draws,
        seed=seed,
        keep=options.keep,
        corpora=tuple(corpora),
        agreements={
            "bits of the convolutions": _agree(bits, "convolutions", seed),
            "bits of the highest state": _agree(bits, "highest", seed),
            "costs of leaving a phoneme out": agreements(costs, seed),
            "readings of one corpus": agreements(hands, seed),
        },
    )
    write_study(study, folder)
    return study


_STATES = ("highest", "convolutions")


def _agree(
    bits: dict[str, dict[str, dict[str, np.ndarray]]], state: str, seed: int
) -> tuple[Agreement, ...]:
    return agreements({name: states[state] for name, states in bits.items()}, seed)


def _open(path: Path, folder: Path, options: StudyOptions, progress: StudyProgress) -> StudyCorpus:
    return open_corpus(
        path,
        options.network,
        options.emotions,
        folder / "cache",
        options.utterances,
        partial(progress, f"{path.stem}: frozen layers"),
        options.aligner,
    )


def _measure(
    corpus: StudyCorpus, options: StudyOptions, progress: StudyProgress
) -> tuple[CorpusReadings, Measured]:
    """All readings of a corpus, by state and alignment."""
    forced = align_corpus(
        corpus,
        options.material.seed,
        partial(progress, f"{corpus.name}: aligning"),
    )
    by_hand = spans_by_hand(corpus)
    measured: Measured = {}
    folds: dict[str, tuple[str, ...]] = {}
    alignments: list[tuple[Alignment, Sequence[Sequence[Span]]]] = [("forced", forced)]
    alignments += [("by hand", by_hand)] if by_hand is not None else []
    for alignment, spans in alignments:
        segments = make_segments(corpus, spans, (corpus.depth, CONVOLUTIONS))
        if alignment == "by hand" and most_utterances(segments) < options.material.segments:
            continue
        for state, layer in zip(_STATES, (corpus.depth, CONVOLUTIONS), strict=True):
            name = f"{corpus.name}: {STATE_NAMES[state]}, {alignment}"
            measured[state, alignment] = read_phonemes(
                corpus,
                segments,
                layer,
                alignment,
                options.material,
                partial(progress, name),
            )
        if alignment == "forced":
            folds = chosen_by_fold(segments, corpus, options)
    return _described(corpus, forced, folds, measured.values()), measured


def _described(
    corpus: StudyCorpus,
    forced: Sequence[Sequence[Span]],
    folds: dict[str, tuple[str, ...]],
    measured: Iterable[MeasuredReading],
) -> CorpusReadings:
    shares = np.bincount(corpus.labels) / len(corpus.labels)
    return CorpusReadings(
        name=corpus.name,
        language=corpus.language,
        emotions=corpus.emotions,
        utterances=len(corpus.utterances),
        aligner=corpus.aligner,
        unaligned=sum(not spans for spans in forced),
        sentences=len({text_of(row) for row in corpus.utterances}),
        speakers=len({row.speaker for row in corpus.utterances}),
        entropy=round(float(-(shares * np.log2(shares)).sum()), 4),
        folds=folds,
        readings=tuple(one.result for one in measured),
    )


def chosen_by_fold(
    segments: Segments, corpus: StudyCorpus, options: StudyOptions
) -> dict[str, tuple[str, ...]]:
    """The phonemes with the most bits on the training speakers of five folds.

    The test speakers' emotions are not read. All segments of a phoneme are averaged within an
    utterance, and all its utterances count, so that frequent phonemes gain.
    """
    labels = corpus.labels
    vectors = whitened(centered(segments, corpus.depth))
    owner = owners(segments, len(labels))
    chosen = {}
    for number, test in enumerate(speaker_folds(owner), start=1):
        training = ~test[segments.utterance]
        bits = {
            segments.symbols[symbol]: utterance_bits(
                segments, vectors, rows[training[rows]], labels
            )
            for symbol, rows in measurable(segments, options.material.segments)
        }
        ranked = sorted(bits, key=lambda name: (-bits[name], name))
        chosen[f"speakers-{number}"] = tuple(ranked[: options.keep])
    return chosen


def write_study(study: PhonemeStudy, folder: Path) -> None:
    """Write phonemes.json, and a row per corpus, reading and phoneme into phonemes.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False)
    atomic_write_text(folder / PHONEMES, text + "\n")
    table = io.StringIO()
    rows = list(_csv_rows(study))
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write_text(folder / TABLE, table.getvalue())


def _csv_rows(study: PhonemeStudy) -> Iterator[dict[str, object]]:
    for corpus in study.corpora:
        for reading in corpus.readings:
            head = {
                "corpus": corpus.name,
                "language": corpus.language,
                "alignment": reading.alignment,
                "state": reading.state,
            }
            for row in reading.ranked:
                yield head | _flat(row.model_dump())


def _flat(row: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {
                name: value["mean"],
                f"{name}_low": value["low"],
                f"{name}_high": value["high"],
            }
        else:
            flat[name] = value
    return flat
