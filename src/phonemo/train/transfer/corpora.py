"""Labelled vectors of several corpora, side by side.

The corpora of a study: read, reduced to the labels, and refused where they do not fit.
"""

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
    """Utterances as vectors, with what is known of them.

    Attributes:
        vectors: (utterance, feature), as the network gives them.
        truth: class indices (utterance,).
        corpus: (utterance,), by which corpora weigh the same in training.
        source: (utterance,), whose statistics a vector is standardised by: the corpus, or within
            one corpus the speaker.
        speaker: (utterance,), unique over corpora; one of its own where nobody is known.
    """

    vectors: npt.NDArray[np.float32]
    truth: Indices
    corpus: Names
    source: Names
    speaker: Names

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Some of the utterances."""
        return Rows(
            self.vectors[chosen],
            self.truth[chosen],
            self.corpus[chosen],
            self.source[chosen],
            self.speaker[chosen],
        )


def concatenate_rows(parts: Sequence[Rows]) -> Rows:
    """Several as one."""
    return Rows(
        np.concatenate([one.vectors for one in parts]),
        np.concatenate([one.truth for one in parts]),
        np.concatenate([one.corpus for one in parts]),
        np.concatenate([one.source for one in parts]),
        np.concatenate([one.speaker for one in parts]),
    )


@dataclass(frozen=True, eq=False)
class Corpus:
    """One corpus: all that has an emotion, whatever the labels of a study."""

    manifest: Manifest

    @property
    def name(self) -> str:
        """As its manifest says it."""
        return self.manifest.header.corpus

    @cached_property
    def utterances(self) -> tuple[Utterance, ...]:
        """Those that have an emotion."""
        return tuple(one for one in self.manifest.utterances if one.emotion)

    def chosen(self, labels: LabelSet) -> Indices:
        """Places of the utterances with one of the labels."""
        return np.array(
            [n for n, one in enumerate(self.utterances) if one.emotion in labels], np.int64
        )

    def truth(self, labels: LabelSet) -> Indices:
        """Class indices of the chosen ones."""
        rows = (self.utterances[place] for place in self.chosen(labels))
        return np.array([labels.index(one.emotion or "") for one in rows], np.int64)

    def speakers(self, labels: LabelSet) -> Names:
        """Of the chosen ones, each with its corpus; unknown ones are speakers of their own."""
        rows = (self.utterances[place] for place in self.chosen(labels))
        return np.array(
            [
                f"{self.name}/{one.speaker}" if one.speaker else f"{self.name}/utterance {one.id}"
                for one in rows
            ]
        )


def read_corpora(config: TransferConfig, labels: LabelSet) -> dict[str, Corpus]:
    """By name, the corpora of a study.

    Raises:
        ProtocolError: a corpus is there twice, holds none of the labels, is left out and not
            among the corpora, or fewer than two are left to learn from and pick by.
        LabelError: a corpus that is left out has a label that no other one teaches.
        ManifestError: a manifest cannot be read.
    """
    found: dict[str, Corpus] = {}
    for path in config.corpora:
        corpus = read_corpus(path, labels)
        if corpus.name in found:
            raise ProtocolError(
                f"{path}: expected a manifest for each corpus, got {corpus.name!r} twice; leave "
                "one out"
            )
        found[corpus.name] = corpus
    _check_left_out(config.left_out, found)
    teachers = _teachers(config, found)
    for name in config.left_out:
        _check_teachers(found[name], [one for one in teachers if one.name != name], labels)
    return found


def read_corpus(path: str | Path, labels: LabelSet) -> Corpus:
    """One of them; ProtocolError where it has none of the labels."""
    corpus = Corpus(read_manifest(path))
    if len(corpus.chosen(labels)) == 0:
        names = sorted({one.emotion or "" for one in corpus.utterances})
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
    strays = [name for name in left_out if name not in corpora]
    if strays:
        raise ProtocolError(
            f"left_out names {strays[0]!r}, got manifests of {', '.join(corpora)}; add its manifest"
        )


def _teachers(config: TransferConfig, corpora: Mapping[str, Corpus]) -> list[Corpus]:
    for key in ("teachers", "calibrate_by"):
        strays = [name for name in getattr(config, key) or () if name not in corpora]
        if strays:
            raise ProtocolError(
                f"{key} names {strays[0]!r}, got manifests of {', '.join(corpora)}; add its "
                "manifest"
            )
    return [corpora[name] for name in config.teachers or corpora]


def _check_teachers(corpus: Corpus, teachers: Sequence[Corpus], labels: LabelSet) -> None:
    if not teachers:
        raise ProtocolError(
            f"expected a corpus besides {corpus.name} to learn from, got none; add one to teachers"
        )
    taught = set(np.concatenate([one.truth(labels) for one in teachers]).tolist())
    strays = sorted(set(corpus.truth(labels).tolist()) - taught)
    if strays:
        raise LabelError(
            f"no corpus besides {corpus.name} has {labels.names[strays[0]]!r}, so that it cannot "
            "be learnt when that is left out; leave the label out, or merge it with labels.merge"
        )
