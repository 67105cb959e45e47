"""What a network has heard, through all that it was made from; so that no test is a memory.

A pretrained backbone says which corpora it heard without labels (``heard.json``), a trained model
which speakers and utterances it learnt from (``provenance.json``), its ancestors' included.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from phonemo.config import ModelConfig
from phonemo.corpora.folds import Split
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.merge import by_corpus
from phonemo.errors import CheckpointError, LeakageError
from phonemo.files import loads_json
from phonemo.train import distributed

_PACKAGES = ("phonemo", "torch", "transformers", "accelerate", "peft", "numpy", "soundfile", "soxr")

HEARD = "heard.json"
PROVENANCE = "provenance.json"
#: The corpus of every table of somebody's own: the name alone says nothing of what was heard.
_TABLE = "csv"


@dataclass(frozen=True)
class TrainedOn:
    """What was learnt from one corpus, labels included."""

    speakers: frozenset[str] = frozenset()
    utterances: frozenset[str] = frozenset()
    """Twelve hexadecimal digits of the hash of each name."""

    def __or__(self, other: TrainedOn) -> TrainedOn:
        return TrainedOn(self.speakers | other.speakers, self.utterances | other.utterances)


@dataclass(frozen=True)
class Provenance:
    """A network's past.

    Attributes:
        heard: corpora that it heard, with labels or without.
        taught: by corpus, what it learnt from with labels.
    """

    heard: frozenset[str] = frozenset()
    taught: Mapping[str, TrainedOn] = field(default_factory=dict)

    def __or__(self, other: Provenance) -> Provenance:
        names = self.taught.keys() | other.taught.keys()
        both = {
            n: self.taught.get(n, TrainedOn()) | other.taught.get(n, TrainedOn()) for n in names
        }
        return Provenance(self.heard | other.heard, both)

    def overlap(self, corpus: str, utterances: Iterable[Utterance]) -> tuple[int, list[str]]:
        """How many of a manifest's utterances were learnt from, and which of their speakers."""
        count, speakers = 0, set[str]()
        for name, rows in by_corpus(corpus, utterances).items():
            taught = self.taught.get(name, TrainedOn())
            count += sum(_trace(name, one) in taught.utterances for one in rows)
            speakers |= {one.speaker for one in rows if one.speaker} & taught.speakers
        return count, sorted(speakers)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        corpora = {
            name: {"speakers": sorted(one.speakers), "utterances": sorted(one.utterances)}
            for name, one in sorted(self.taught.items())
        }
        return {"heard": sorted(self.heard), "corpora": corpora}


def provenance_from(corpus: str, utterances: Iterable[Utterance]) -> Provenance:
    """The lineage of a network that learns from utterances of a manifest of this corpus."""
    taught = {
        name: TrainedOn(
            frozenset(one.speaker for one in rows if one.speaker),
            frozenset(_trace(name, one) for one in rows),
        )
        for name, rows in by_corpus(corpus, utterances).items()
    }
    return Provenance(frozenset(taught), taught)


def provenance_of(folder: str | Path | None) -> Provenance:
    """What a backbone's or a model's folder says of its past; nothing where it says nothing.

    Raises:
        CheckpointError: it says something that cannot be read.
    """
    found = Provenance()
    if folder is None:
        return found
    for name, read in ((HEARD, _from_pretraining), (PROVENANCE, _from_provenance)):
        path = Path(folder) / name
        if path.is_file():
            try:
                found = found | read(loads_json(path.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(f"{path}: malformed; copy the whole folder again") from error
    return found


def ancestors(model: ModelConfig) -> Provenance:
    """The past of what a config's network is made from."""
    return provenance_of(model.backbone) | provenance_of(model.start)


def pretrained_on(
    model: ModelConfig, corpus: str, split: Split, utterances: Mapping[str, Utterance]
) -> tuple[str, ...]:
    """Notes on what the network brings along; refuses what would make a test a memory.

    Raises:
        LeakageError: it learnt from test utterances or their speakers, and the protocol does not
            say by its name that it leaks.
    """
    past = ancestors(model)
    tested = [utterances[one] for fold in split.folds for one in fold.test if one in utterances]
    count, speakers = past.overlap(corpus, tested)
    if count or speakers:
        found = (
            f"the network that this one starts from learnt from {count} of the test utterances "
            f"and from {len(speakers)} of their speakers"
        )
        if not split.protocol.name.endswith("-leaky"):
            raise LeakageError(f"{found}; start from one that did not")
        return (found,)
    return tuple(
        f"the network that this one starts from has learnt from other speakers of {name}"
        if name in past.taught
        else f"the network that this one starts from has heard {name} without labels"
        for name in sorted((past.heard & set(corpus.split("+"))) - {_TABLE})
    )


def _from_pretraining(content: Mapping[str, Any]) -> Provenance:
    before = content.get("before")
    earlier = _from_pretraining(before) if before else Provenance()
    return Provenance(_names(content["utterances"])) | earlier


def _names(found: Iterable[Any]) -> frozenset[str]:
    names = frozenset(found)
    if strange := [one for one in names if not isinstance(one, str)]:
        raise TypeError(f"{strange[0]!r} is no name")
    return names


def _from_provenance(content: Mapping[str, Any]) -> Provenance:
    taught = {
        name: TrainedOn(_names(one["speakers"]), _names(one["utterances"]))
        for name, one in content["corpora"].items()
    }
    return Provenance(_names(content["heard"]) | frozenset(taught), taught)


def _trace(corpus: str, one: Utterance) -> str:
    return hashlib.sha256(f"{corpus}/{one.id}".encode()).hexdigest()[:12]


def environment(command: str) -> dict[str, Any]:
    """What a result depends on besides its config."""
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
