"""Models with speakers that they were not trained on; an error if that cannot be shown.

Either one model folder and a manifest, or a study of ``phonemo transfer``: for each corpus the
system trained on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import CheckpointError, LabelError, LeakageError, RunError
from phonemo.files import loads_json
from phonemo.labels import LabelSet
from phonemo.loader import load_model
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.bundle import is_bundle
from phonemo.runtime.vad import VadTrack, detector_of
from phonemo.train.callbacks import RunProgress
from phonemo.train.provenance import provenance_of
from phonemo.train.transfer.corpora import read_corpora
from phonemo.train.transfer.selection import choices_of
from phonemo.train.transfer.study import Cell, Study, StudyBench
from phonemo.train.transfer.study_config import load_transfer_config
from phonemo.train.transfer.vectors import forbid_leaks


@dataclass(frozen=True)
class Heard:
    """One clip processed by a model.

    Attributes:
        values: the input vector (feature,) of the linear head; for models without profiles, the
            logarithms of the scores (emotion,).
        speech: whether voice activity was detected; other clips are in no pool.
    """

    values: np.ndarray
    speech: bool


@dataclass(frozen=True)
class Tested:
    """A model with the utterances of one corpus that it was not trained on.

    Attributes:
        name: the model's name.
        corpus: the corpus' name.
        manifest: the corpus.
        utterances: utterances chosen evenly over emotions and speakers.
        labels: the emotions to choose from.
        columns: their indices among the model's emotions.
        reference: the head's reference; None for a model without profiles.
        read: a function from one clip (sample,) at 16 kHz to its values.
        note: a note for readers, possibly empty.
        counts: whether it is part of the mean over corpora, or reported separately.
    """

    name: str
    corpus: str
    manifest: Manifest
    utterances: tuple[Utterance, ...]
    labels: LabelSet
    columns: tuple[int, ...]
    reference: Reference | None
    read: Callable[[np.ndarray], np.ndarray]
    note: str = ""
    counts: bool = True

    def recognize(self, clip: np.ndarray) -> Heard:
        """Process one clip, (sample,) at 16 kHz."""
        track = VadTrack(detector_of("energy"))
        track.push(clip)
        return Heard(self.read(clip), track.seconds(0, len(clip)) > 0)

    def clips(self) -> Iterator[np.ndarray]:
        """Yield the utterances' samples, (sample,) each."""
        for row in self.utterances:
            path = self.manifest.audio_path(row)
            yield load_waveform(path, start=row.start, end=row.end).samples

    @property
    def truth(self) -> np.ndarray:
        """Class indices, (utterance,)."""
        return np.array([self.labels.index(row.emotion or "") for row in self.utterances])

    @property
    def speakers(self) -> list[str]:
        """Speakers prefixed with the corpus; unknown ones are treated as distinct."""
        return [f"{self.corpus}/{row.speaker or row.id}" for row in self.utterances]


def open_pair(model: Path, manifest: Path, labels: LabelSet, count: int) -> Tested:
    """Open a model folder, and a manifest that it was not trained on.

    Args:
        model: the folder, whose provenance.json lists its training data.
        manifest: the corpus' manifest.
        labels: the emotions to choose from.
        count: number of utterances; 0 for all.

    Raises:
        LeakageError: it was trained on utterances or speakers of the corpus.
        CheckpointError: a bundle, which has no provenance.
    """
    if is_bundle(model):
        raise CheckpointError(
            f"{model}: expected a model folder, got a bundle, which has no "
            "provenance; pass the folder it was exported from"
        )
    opened = read_manifest(manifest)
    name = opened.header.corpus
    rows = [row for row in opened.utterances if row.emotion and row.emotion in labels]
    provenance = provenance_of(model)
    seen, speakers = provenance.overlap(name, rows)
    if seen or speakers:
        raise LeakageError(
            f"{model}: expected a model not trained on {name}, got one trained on "
            f"{seen} of its utterances and {len(speakers)} of its speakers; use another"
        )
    recognizer = load_model(model)
    columns = _columns(str(model), recognizer.labels, labels)

    def read(clip: np.ndarray) -> np.ndarray:
        if recognizer.reference is not None:
            return recognizer.vector_of(clip)
        scores = recognizer.predict(clip, RATE).scores
        return np.log(np.maximum([scores[label] for label in recognizer.labels], 1e-9))

    note = (
        f"the network was pretrained on {name} without labels"
        if name in provenance.trained_on
        else ""
    )
    chosen = spread_out(rows, labels, count)
    return Tested(
        *(model.name, name, opened, chosen, labels, columns, recognizer.reference, read, note)
    )


def open_study(folder: Path, system: str | None, seed: int | None, count: int) -> list[Tested]:
    """Open the systems of a study of phonemo transfer, each with its left-out corpus.

    Args:
        folder: a folder written by ``phonemo transfer``.
        system: the system; None is the first.
        seed: the seed; None is the first.
        count: number of utterances per corpus; 0 for all.

    Raises:
        RunError: a cell of the study is not finished.
    """
    config = load_transfer_config(folder / "transfer.yaml")
    labels = LabelSet(config.labels.names, config.labels.merge)
    study = Study(
        config, read_corpora(config, labels), labels, StudyBench(config, "", RunProgress())
    )
    name, number = system or next(iter(config.systems)), config.seeds[0] if seed is None else seed
    return [_open_cell(study, Cell(name, corpus, number), count) for corpus in config.left_out]


def spread_out(rows: Sequence[Utterance], labels: LabelSet, count: int) -> tuple[Utterance, ...]:
    """Select equally many of each emotion, evenly over speakers; all if count is 0."""
    by_emotion: dict[int, list[Utterance]] = {}
    for row in sorted(rows, key=lambda row: (row.speaker or "", row.id)):
        by_emotion.setdefault(labels.index(row.emotion or ""), []).append(row)
    each = -(-count // max(1, len(by_emotion)))
    chosen: list[Utterance] = []
    for number in sorted(by_emotion):
        group = by_emotion[number]
        size = min(len(group), each) if count else len(group)
        chosen += [group[place * len(group) // size] for place in range(size)]
    return tuple(chosen)


def _open_cell(study: Study, cell: Cell, count: int) -> Tested:
    config = cell.config(study)
    corpus = study.corpora[str(cell.left_out)]
    folder = Path(study.config.output) / "cells" / cell.system
    paths = list(folder.glob(f"{cell.left_out}-seed-{cell.seed}-*.json"))
    if not paths:
        raise RunError(f"{folder}: {cell.left_out} is not finished; run phonemo transfer first")
    newest = max(paths, key=lambda path: path.stat().st_mtime)
    picked = loads_json(newest.read_text(encoding="utf-8"))["picked"]
    choice = next((item for item in choices_of(config) if item.to_json() == picked), None)
    if choice is None:
        raise RunError(f"{newest}: has another config; run phonemo transfer again")
    teaching = study.teaching(cell.left_out)
    network = study.bench.network(config, choice, teaching, cell.seed)
    heard = forbid_leaks(network, corpus)
    head = study.head(network, choice, teaching)

    def read(clip: np.ndarray) -> np.ndarray:
        vectors = network.vectors(clip, choice.columns)
        return np.concatenate([vectors[name] for name in choice.columns])

    rows = [corpus.utterances[place] for place in corpus.chosen(study.labels)]
    chosen = spread_out(rows, study.labels, count)
    note = f"the network was pretrained on {corpus.name} without labels" if heard else ""
    columns = tuple(range(len(study.labels)))
    name = f"{cell.system}, seed {cell.seed}"
    counts = corpus.name in study.config.averaged
    return Tested(
        *(name, corpus.name, corpus.manifest, chosen, study.labels, columns, head, read, note),
        counts,
    )


def _columns(model: str, known: Sequence[str], labels: LabelSet) -> tuple[int, ...]:
    missing = [name for name in labels.names if name not in known]
    if missing:
        raise LabelError(
            f"{model}: expected a model of {labels}, got one of {', '.join(known)}; choose others "
            "with --labels"
        )
    return tuple(list(known).index(name) for name in labels.names)
