"""A study's corpora, and labeled vectors of several corpora in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import LabelError, ProtocolError
from phonemo.labels import LabelSet
from phonemo.train.transfer.study_config import TransferConfig

Names = npt.NDArray[np.str_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Vectors of utterances with their labels.

    Attributes:
        vectors: (utterance, feature), as computed by the network.
        truth: class indices (utterance,).
        corpus: (utterance,), for weighting corpora equally in training.
        source: (utterance,), whose statistics standardize a vector: the corpus, or within one
            corpus the speaker.
        speaker: (utterance,), unique over corpora; a separate name if the speaker is unknown.
    """

    vectors: npt.NDArray[np.float32]
    truth: Indices
    corpus: Names
    source: Names
    speaker: Names

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """Select utterances by a mask."""
        return Rows(
            self.vectors[mask],
            self.truth[mask],
            self.corpus[mask],
            self.source[mask],
            self.speaker[mask],
        )


def concatenate_rows(parts: Sequence[Rows]) -> Rows:
    """Concatenate several tables."""
    return Rows(
        np.concatenate([rows.vectors for rows in parts]),
        np.concatenate([rows.truth for rows in parts]),
        np.concatenate([rows.corpus for rows in parts]),
        np.concatenate([rows.source for rows in parts]),
        np.concatenate([rows.speaker for rows in parts]),
    )


@dataclass(frozen=True, eq=False)
class Corpus:
    """One corpus' utterances that have an emotion, independent of a study's labels."""

    manifest: Manifest

    @property
    def name(self) -> str:
        """Return the name in its manifest."""
        return self.manifest.header.corpus

    @cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        """Return the utterances that have an emotion."""
        return tuple(utterance for utterance in self.manifest.utterances if utterance.emotion)

    def chosen(self, labels: LabelSet) -> Indices:
        """Return indices of the utterances with one of the labels."""
        return np.array(
            [
                index
                for index, utterance in enumerate(self.utterances)
                if utterance.emotion in labels
            ],
            np.int64,
        )

    def truth(self, labels: LabelSet) -> Indices:
        """Return class indices of the chosen utterances."""
        utterances = (self.utterances[index] for index in self.chosen(labels))
        return np.array(
            [labels.index(utterance.emotion or "") for utterance in utterances], np.int64
        )

    def speakers(self, labels: LabelSet) -> Names:
        """Return the chosen utterances' speakers, with the corpus; unknown ones are distinct."""
        utterances = (self.utterances[index] for index in self.chosen(labels))
        return np.array(
            [
                f"{self.name}/{utterance.speaker}"
                if utterance.speaker
                else f"{self.name}/utterance {utterance.id}"
                for utterance in utterances
            ]
        )


def read_corpora(config: TransferConfig, labels: LabelSet) -> dict[str, Corpus]:
    """Read a study's corpora, by name.

    Raises:
        ProtocolError: a corpus is listed twice, has none of the labels, or is left out but not
            listed, or there is none to train on.
        LabelError: a left-out corpus has a label that no training corpus has.
        ManifestError: a manifest cannot be read.
    """
    corpora: dict[str, Corpus] = {}
    for path in config.corpora:
        corpus = read_corpus(path, labels)
        if corpus.name in corpora:
            raise ProtocolError(
                f"{path}: expected a manifest for each corpus, got {corpus.name!r} twice; leave "
                "one out"
            )
        corpora[corpus.name] = corpus
    _check_left_out(config.left_out, corpora)
    teachers = _teachers(config, corpora)
    for name in config.left_out:
        _check_teachers(
            corpora[name], [teacher for teacher in teachers if teacher.name != name], labels
        )
    return corpora


def read_corpus(path: str | Path, labels: LabelSet) -> Corpus:
    """Read a corpus; raise ProtocolError if it has none of the labels, or is merged."""
    corpus = Corpus(read_manifest(path))
    if len(corpus.chosen(labels)) == 0:
        names = sorted({utterance.emotion or "" for utterance in corpus.utterances})
        raise ProtocolError(
            f"{path}: expected utterances with one of the labels {labels}, got "
            f"{', '.join(names) or 'no emotion at all'}; take it out of corpora"
        )
    if "+" in corpus.name:
        raise ProtocolError(
            f"{path}: expected one corpus, got the merged {corpus.name}; name its parts instead"
        )
    return corpus


def _check_left_out(left_out: Sequence[str], corpora: Mapping[str, Corpus]) -> None:
    unknown = [name for name in left_out if name not in corpora]
    if unknown:
        raise ProtocolError(
            f"left_out names {unknown[0]!r}, got manifests of {', '.join(corpora)}; add its "
            "manifest"
        )


def _teachers(config: TransferConfig, corpora: Mapping[str, Corpus]) -> list[Corpus]:
    for key in ("teachers", "calibrate_by"):
        unknown = [name for name in getattr(config, key) or () if name not in corpora]
        if unknown:
            raise ProtocolError(
                f"{key} names {unknown[0]!r}, got manifests of {', '.join(corpora)}; add its "
                "manifest"
            )
    return [corpora[name] for name in config.teachers or corpora]


def _check_teachers(corpus: Corpus, teachers: Sequence[Corpus], labels: LabelSet) -> None:
    if not teachers:
        raise ProtocolError(
            f"expected a corpus besides {corpus.name} to train on, got none; add one to teachers"
        )
    taught = set(np.concatenate([teacher.truth(labels) for teacher in teachers]).tolist())
    untaught = sorted(set(corpus.truth(labels).tolist()) - taught)
    if untaught:
        raise LabelError(
            f"expected a corpus besides {corpus.name} with {labels.names[untaught[0]]!r}, got "
            "none to train on when it is left out; remove the label, or merge it with labels.merge"
        )
