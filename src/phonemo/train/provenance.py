"""A network's training data, its ancestors' included, so that tests on it can be refused.

A pretrained backbone lists the corpora it was trained on without labels (``heard.json``), a
trained model its training speakers, utterances and recordings (``provenance.json``), each with its
ancestors'.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from phonemo.config import ModelConfig
from phonemo.corpora.copies.groups import read_digests
from phonemo.corpora.folds import Split
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.merge import by_corpus
from phonemo.errors import CheckpointError, LeakageError
from phonemo.files import loads_json
from phonemo.train import distributed

_PACKAGES = ("phonemo", "torch", "transformers", "accelerate", "peft", "numpy", "soundfile", "soxr")

HEARD = "heard.json"
PROVENANCE = "provenance.json"
#: Corpus name of every user-supplied table, which therefore does not identify its data.
_TABLE = "csv"
_DIGITS = 16
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class TrainedOn:
    """The labeled training data from one corpus."""

    speakers: frozenset[str] = frozenset()
    utterances: frozenset[str] = frozenset()
    """The first twelve hexadecimal digits of each id's hash."""

    def __or__(self, other: TrainedOn) -> TrainedOn:
        return TrainedOn(self.speakers | other.speakers, self.utterances | other.utterances)


@dataclass(frozen=True)
class Provenance:
    """A network's training data.

    Attributes:
        trained_on: corpora of its training data, with or without labels.
        taught: by corpus, its labeled training data.
        recordings: the first sixteen hexadecimal digits of its labeled recordings' digests, which
            do not depend on corpus, name or container; empty in older models.
    """

    trained_on: frozenset[str] = frozenset()
    taught: Mapping[str, TrainedOn] = field(default_factory=dict)
    recordings: frozenset[str] = frozenset()

    def __or__(self, other: Provenance) -> Provenance:
        names = self.taught.keys() | other.taught.keys()
        taught = {
            name: self.taught.get(name, TrainedOn()) | other.taught.get(name, TrainedOn())
            for name in names
        }
        return Provenance(
            self.trained_on | other.trained_on, taught, self.recordings | other.recordings
        )

    def overlap(
        self, corpus: str, utterances: Iterable[Utterance], digests: Mapping[str, str] = _NOTHING
    ) -> tuple[int, list[str]]:
        """Count the utterances that are training data, and list their speakers that are.

        Args:
            corpus: the corpus in the header of the utterances' manifest.
            utterances: the tested data.
            digests: utterance id -> digest of its samples, to recognize copies by.
        """
        count, speakers = 0, set[str]()
        for name, rows in by_corpus(corpus, utterances).items():
            taught = self.taught.get(name, TrainedOn())
            prefix = "" if name == corpus else f"{name}/"
            count += sum(
                _trace(name, utterance) in taught.utterances
                or digests.get(prefix + utterance.id, "")[:_DIGITS] in self.recordings
                for utterance in rows
            )
            speakers |= {
                utterance.speaker for utterance in rows if utterance.speaker
            } & taught.speakers
        return count, sorted(speakers)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        corpora = {
            name: {"speakers": sorted(data.speakers), "utterances": sorted(data.utterances)}
            for name, data in sorted(self.taught.items())
        }
        content = {"heard": sorted(self.trained_on), "corpora": corpora}
        return content | ({"recordings": sorted(self.recordings)} if self.recordings else {})


def provenance_from(
    corpus: str, utterances: Iterable[Utterance], digests: Mapping[str, str] = _NOTHING
) -> Provenance:
    """Return the provenance of a network trained on utterances from a corpus' manifest.

    Args:
        corpus: the corpus in the manifest's header.
        utterances: the training data.
        digests: utterance id -> digest of its samples.
    """
    utterances = list(utterances)
    recordings = frozenset(digests[row.id][:_DIGITS] for row in utterances if row.id in digests)
    taught = {
        name: TrainedOn(
            frozenset(utterance.speaker for utterance in rows if utterance.speaker),
            frozenset(_trace(name, utterance) for utterance in rows),
        )
        for name, rows in by_corpus(corpus, utterances).items()
    }
    return Provenance(frozenset(taught), taught, recordings)


def overlap_of(
    provenance: Provenance, manifest: Manifest, utterances: Sequence[Utterance]
) -> tuple[int, list[str]]:
    """As ``overlap``; decodes the utterances if the training recordings are known."""
    digests = read_digests(manifest, utterances) if provenance.recordings else {}
    return provenance.overlap(manifest.header.corpus, utterances, digests)


def provenance_of(folder: str | Path | None) -> Provenance:
    """Read the provenance in a backbone's or a model's folder; empty if there is none.

    Raises:
        CheckpointError: a provenance file is malformed.
    """
    provenance = Provenance()
    if folder is None:
        return provenance
    for name, read in ((HEARD, _from_pretraining), (PROVENANCE, _from_provenance)):
        path = Path(folder) / name
        if path.is_file():
            try:
                provenance = provenance | read(loads_json(path.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(f"{path}: malformed; copy the whole folder again") from error
    return provenance


def ancestors(model: ModelConfig) -> Provenance:
    """Return the provenance of the backbone and the start in a model config."""
    return provenance_of(model.backbone) | provenance_of(model.start)


def pretrained_on(
    model: ModelConfig,
    corpus: str,
    split: Split,
    utterances: Mapping[str, Utterance],
    digests: Mapping[str, str] = _NOTHING,
) -> tuple[str, ...]:
    """Return notes on the network's earlier training data; refuse leaks.

    Args:
        model: names the network.
        corpus: the tested corpus.
        split: its folds.
        utterances: its utterances by id.
        digests: utterance id -> digest of its samples.

    Raises:
        LeakageError: it was trained on test utterances or their speakers, and the protocol's name
            does not end with "-leaky".
    """
    provenance = ancestors(model)
    test_utterances = [
        utterances[identifier]
        for fold in split.folds
        for identifier in fold.test
        if identifier in utterances
    ]
    count, speakers = provenance.overlap(corpus, test_utterances, digests)
    if count or speakers:
        leak = (
            f"the network that this one starts from was trained on {count} of the test utterances "
            f"and {len(speakers)} of their speakers"
        )
        if not split.protocol.name.endswith("-leaky"):
            raise LeakageError(f"{leak}; start from one that was not")
        return (leak,)
    return tuple(
        f"the network that this one starts from was trained on other speakers of {name}"
        if name in provenance.taught
        else f"the network that this one starts from was trained on {name} without labels"
        for name in sorted((provenance.trained_on & set(corpus.split("+"))) - {_TABLE})
    )


def _from_pretraining(content: Mapping[str, Any]) -> Provenance:
    parent = content.get("before")
    inherited = _from_pretraining(parent) if parent else Provenance()
    return Provenance(_names(content["utterances"])) | inherited


def _names(values: Iterable[Any]) -> frozenset[str]:
    names = frozenset(values)
    if invalid := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"expected a string, got {invalid[0]!r}")
    return names


def _from_provenance(content: Mapping[str, Any]) -> Provenance:
    taught = {
        name: TrainedOn(_names(data["speakers"]), _names(data["utterances"]))
        for name, data in content["corpora"].items()
    }
    recordings = _names(content.get("recordings", ()))
    return Provenance(_names(content["heard"]) | frozenset(taught), taught, recordings)


def _trace(corpus: str, utterance: Utterance) -> str:
    return hashlib.sha256(f"{corpus}/{utterance.id}".encode()).hexdigest()[:12]


def environment(command: str) -> dict[str, Any]:
    """Return what a result depends on besides its config: command, machine and packages."""
    return {
        "command": command,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "torch_threads": torch.get_num_threads(),
        **(
            {"processes": distributed.current_rank().world}
            if distributed.current_rank().world > 1
            else {}
        ),
        "cuda": torch.version.cuda,
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }
