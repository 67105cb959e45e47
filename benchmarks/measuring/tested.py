"""Models on speakers that they have not learnt from, refused where that cannot be shown.

Either one model folder and a manifest, or a study of ``phonemo transfer``: for each corpus the
system that learnt from the others.
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
    """One clip under a model.

    Attributes:
        values: the vector (feature,) that its linear head reads; of a model without profiles the
            logarithms of its scores (emotion,).
        speech: whether the voice activity finds any, without which a clip is in no pool.
    """

    values: np.ndarray
    speech: bool


@dataclass(frozen=True)
class Tested:
    """A model with the utterances of one corpus that it has not learnt from.

    Attributes:
        name: of the model.
        corpus: its name.
        manifest: the corpus.
        utterances: chosen evenly over emotions and speakers.
        labels: the emotions to choose from.
        columns: where they stand among the model's own.
        reference: of its head; None for a model that takes no profile.
        read: one clip (sample,) at 16 kHz to its values.
        note: what a reader must know; may be empty.
        counts: whether it is part of the mean over corpora, or reported beside it.
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
        """One clip, (sample,) at 16 kHz."""
        track = VadTrack(detector_of("energy"))
        track.push(clip)
        return Heard(self.read(clip), track.seconds(0, len(clip)) > 0)

    def clips(self) -> Iterator[np.ndarray]:
        """The utterances' samples, (sample,) each."""
        for one in self.utterances:
            path = self.manifest.audio_path(one)
            yield load_waveform(path, start=one.start, end=one.end).samples

    @property
    def truth(self) -> np.ndarray:
        """Class indices, (utterance,)."""
        return np.array([self.labels.index(one.emotion or "") for one in self.utterances])

    @property
    def speakers(self) -> list[str]:
        """With their corpus; one of its own where nobody is known."""
        return [f"{self.corpus}/{one.speaker or one.id}" for one in self.utterances]


def open_pair(model: Path, manifest: Path, labels: LabelSet, count: int) -> Tested:
    """A model folder, and a manifest that it has not learnt from.

    Args:
        model: the folder, whose provenance.json says what it learnt from.
        manifest: of the corpus.
        labels: the emotions to choose from.
        count: how many utterances; 0 takes all.

    Raises:
        LeakageError: it learnt from utterances or speakers of the corpus.
        CheckpointError: a bundle, which does not say what it learnt from.
    """
    if is_bundle(model):
        raise CheckpointError(
            f"{model}: expected a model folder, got a bundle, which does not say whom it has "
            "learnt from; name the folder that it was exported from"
        )
    found = read_manifest(manifest)
    name = found.header.corpus
    rows = [one for one in found.utterances if one.emotion and one.emotion in labels]
    past = provenance_of(model)
    seen, speakers = past.overlap(name, rows)
    if seen or speakers:
        raise LeakageError(
            f"{model}: expected a model that has not learnt from {name}, got one that learnt from "
            f"{seen} of its utterances and {len(speakers)} of its speakers; name another"
        )
    listener = load_model(model)
    columns = _columns(str(model), listener.labels, labels)

    def read(clip: np.ndarray) -> np.ndarray:
        if listener.reference is not None:
            return listener.vector_of(clip)
        scores = listener.predict(clip, RATE).scores
        return np.log(np.maximum([scores[label] for label in listener.labels], 1e-9))

    note = f"the network heard {name} without labels" if name in past.heard else ""
    chosen = spread_out(rows, labels, count)
    return Tested(
        *(model.name, name, found, chosen, labels, columns, listener.reference, read, note)
    )


def open_study(folder: Path, system: str | None, seed: int | None, count: int) -> list[Tested]:
    """The systems of a study of phonemo transfer, each with the corpus that it was left without.

    Args:
        folder: what ``phonemo transfer`` wrote.
        system: which; None is the first.
        seed: which; None is the first.
        count: how many utterances of each corpus; 0 takes all.

    Raises:
        RunError: a cell of it is not finished.
    """
    config = load_transfer_config(folder / "transfer.yaml")
    labels = LabelSet(config.labels.names, config.labels.merge)
    study = Study(
        config, read_corpora(config, labels), labels, StudyBench(config, "", RunProgress())
    )
    name, number = system or next(iter(config.systems)), config.seeds[0] if seed is None else seed
    return [_of_study(study, Cell(name, one, number), count) for one in config.left_out]


def spread_out(rows: Sequence[Utterance], labels: LabelSet, count: int) -> tuple[Utterance, ...]:
    """So many of each emotion as of every other, evenly over speakers; all where count is 0."""
    by_emotion: dict[int, list[Utterance]] = {}
    for one in sorted(rows, key=lambda one: (one.speaker or "", one.id)):
        by_emotion.setdefault(labels.index(one.emotion or ""), []).append(one)
    each = -(-count // max(1, len(by_emotion)))
    found: list[Utterance] = []
    for number in sorted(by_emotion):
        own = by_emotion[number]
        size = min(len(own), each) if count else len(own)
        found += [own[place * len(own) // size] for place in range(size)]
    return tuple(found)


def _of_study(study: Study, cell: Cell, count: int) -> Tested:
    config = cell.config(study)
    corpus = study.corpora[str(cell.left_out)]
    home = Path(study.config.output) / "cells" / cell.system
    paths = list(home.glob(f"{cell.left_out}-seed-{cell.seed}-*.json"))
    if not paths:
        raise RunError(f"{home}: {cell.left_out} is not finished; run phonemo transfer first")
    newest = max(paths, key=lambda path: path.stat().st_mtime)
    picked = loads_json(newest.read_text(encoding="utf-8"))["picked"]
    choice = next((one for one in choices_of(config) if one.to_json() == picked), None)
    if choice is None:
        raise RunError(f"{newest}: is of another config; run phonemo transfer again")
    teaching = study.teaching(cell.left_out)
    network = study.bench.network(config, choice, teaching, cell.seed)
    heard = forbid_leaks(network, corpus)
    head = study.head(network, choice, teaching)

    def read(clip: np.ndarray) -> np.ndarray:
        found = network.vectors(clip, choice.columns)
        return np.concatenate([found[name] for name in choice.columns])

    rows = [corpus.utterances[place] for place in corpus.chosen(study.labels)]
    chosen = spread_out(rows, study.labels, count)
    note = f"the network heard {corpus.name} without labels" if heard else ""
    columns = tuple(range(len(study.labels)))
    name = f"{cell.system}, seed {cell.seed}"
    counts = corpus.name in study.config.averaged
    return Tested(
        *(name, corpus.name, corpus.manifest, chosen, study.labels, columns, head, read, note),
        counts,
    )


def _columns(model: str, known: Sequence[str], labels: LabelSet) -> tuple[int, ...]:
    strays = [name for name in labels.names if name not in known]
    if strays:
        raise LabelError(
            f"{model}: expected a model of {labels}, got one of {', '.join(known)}; choose others "
            "with --labels"
        )
    return tuple(list(known).index(name) for name in labels.names)
