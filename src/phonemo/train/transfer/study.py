"""What all cells of a study share: networks, vectors and heads, each computed once and kept.

What all parts of a study have in common, and the heads of one combination of choices.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.errors import CheckpointError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.profile import packed, unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.callbacks import RunProgress
from phonemo.train.transfer.corpora import Corpus, Rows, concatenate_rows
from phonemo.train.transfer.linear_heads import HeadOptions, adjusted, fit_head
from phonemo.train.transfer.selection import Choice
from phonemo.train.transfer.study_config import SystemConfig, TransferConfig
from phonemo.train.transfer.testing import Source
from phonemo.train.transfer.trained_networks import trained_on
from phonemo.train.transfer.vectors import (
    FrozenNetwork,
    open_network,
    recordings_digest,
    vectors_of,
)

log = logging.getLogger(__name__)

#: Raised whenever the same vectors give other heads.
VERSION = 3
_MOST_ROWS, _MOST_HEADS = 48, 400


class StudyBench:
    """Networks, vectors and heads of one study.

    Args:
        config: the study.
        command: what was typed.
        progress: shows what is computed.
    """

    def __init__(self, config: TransferConfig, command: str, progress: RunProgress) -> None:
        self.config, self.command, self.progress = config, command, progress
        self.home = Path(config.output)
        self._networks: dict[tuple[Any, ...], FrozenNetwork] = {}
        self._rows: OrderedDict[tuple[Any, ...], Rows] = OrderedDict()
        self._heads: OrderedDict[str, Reference] = OrderedDict()

    def network(
        self, system: SystemConfig, choice: Choice, teaching: Sequence[Corpus], seed: int
    ) -> FrozenNetwork:
        """The network of a choice; where it is trained, on these corpora with this seed."""
        if system.network is not None:
            key: tuple[Any, ...] = (system.network,)
            return self._once(key, lambda: open_network(str(system.network)))
        template = system.train[choice.training]
        folder = trained_on(self.config, template, teaching, seed, self.command, self.progress)
        start = template.model.start or template.model.backbone
        key = (str(folder), choice.start_share)
        return self._once(key, lambda: open_network(str(folder), choice.start_share, start))

    def rows(
        self, network: FrozenNetwork, columns: Sequence[str], corpus: Corpus, labels: LabelSet
    ) -> Rows:
        """The vectors of a corpus' utterances that have one of the labels."""
        key = (network.digest, tuple(columns), corpus.name, recordings_digest(corpus), str(labels))
        if key not in self._rows:
            self._rows[key] = self._read(network, columns, corpus, labels)
            _shortened(self._rows, _MOST_ROWS)
        self._rows.move_to_end(key)
        return self._rows[key]

    def head(
        self, parts: Mapping[str, Rows], of: str, classes: int, options: HeadOptions
    ) -> Reference:
        """A head that is fitted on rows, or read where one like it was fitted before.

        Args:
            parts: by name, what is learnt from.
            of: what the rows' vectors are: the network, the columns, the recordings.
            classes: how many emotions there are.
            options: how.
        """
        fitting = options.fitting()
        key = digest_of_facts(VERSION, of, classes, asdict(fitting), _fingerprints(parts))
        if key not in self._heads:
            self._heads[key] = self._fitted(key, parts, classes, fitting)
            _shortened(self._heads, _MOST_HEADS)
        self._heads.move_to_end(key)
        return adjusted(self._heads[key], options)

    def _fitted(
        self, key: str, parts: Mapping[str, Rows], classes: int, options: HeadOptions
    ) -> Reference:
        path = self.home / "heads" / f"{key}.npz"
        found = _cached_head(path, classes)
        if found is None:
            content = packed(fit_head(concatenate_rows(list(parts.values())), classes, options))
            _write(path, content)
            # as it is read again, in half the digits: the same however often a study is resumed
            found = unpacked(content, classes)
        return found

    def _once(self, key: tuple[Any, ...], opened: Callable[[], FrozenNetwork]) -> FrozenNetwork:
        if key not in self._networks:
            if len(self._networks) > 4:  # of trained ones many come by, each for a while
                self._networks.clear()
            self._networks[key] = opened()
        return self._networks[key]

    def _read(
        self, network: FrozenNetwork, columns: Sequence[str], corpus: Corpus, labels: LabelSet
    ) -> Rows:
        home = self.home.parent / "vectors"
        found = vectors_of(home, network, corpus, columns, self.progress.features)
        chosen = corpus.chosen(labels)
        vectors = np.concatenate([found[name][chosen] for name in columns], axis=1)
        names = np.full(len(chosen), corpus.name)
        return Rows(
            vectors.astype(np.float32, copy=False),
            corpus.truth(labels),
            names,
            names,
            corpus.speakers(labels),
        )


def digest_of_facts(*facts: Any) -> str:
    """Sixteen hexadecimal digits that name plain data."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _fingerprints(parts: Mapping[str, Rows]) -> list[Any]:
    """What rows are, besides the network that their vectors come from."""
    return [
        [name, *(_named(one) for one in (rows.truth, rows.corpus, rows.source, rows.speaker))]
        for name, rows in parts.items()
    ]


def _named(column: Any) -> str:
    return sha256("\n".join(map(str, column.tolist())).encode()).hexdigest()[:16]


def _shortened(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _cached_head(path: Path, classes: int) -> Reference | None:
    if not path.is_file():
        return None
    try:
        return unpacked(path.read_bytes(), classes)
    except CheckpointError:
        log.warning("%s: broken, and fitted again", path)
        return None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Study:
    """A config with its corpora, and what is computed once for all."""

    config: TransferConfig
    corpora: Mapping[str, Corpus]
    labels: LabelSet
    bench: StudyBench

    @property
    def emotion(self) -> int:
        """The class that one-sided pools are mostly of."""
        one = self.config.one_sided
        return 0 if one is None else self.labels.index(one.emotion)

    def teaching(self, *left_out: str | None) -> list[Corpus]:
        """All corpora that may teach, but these."""
        teachers = self.config.teachers or tuple(self.corpora)
        return [self.corpora[name] for name in teachers if name not in left_out]

    def source(self, rows: Rows, name: str, seed: int) -> Source:
        """Rows of a corpus as a source that is tested."""
        return Source(rows, name, self.emotion, len(self.labels), seed, self.config.draws)

    def rows(self, network: FrozenNetwork, choice: Choice, corpus: str) -> Rows:
        """The vectors that a combination reads of a corpus.

        Raises:
            ConfigError: the network has not what is read.
        """
        network.check(choice.statistics, choice.pooled)
        return self.bench.rows(network, choice.columns, self.corpora[corpus], self.labels)

    def head(self, network: FrozenNetwork, choice: Choice, teaching: Sequence[Corpus]) -> Reference:
        """The head of a combination, fitted on some corpora."""
        parts = {one.name: self.rows(network, choice, one.name) for one in teaching}
        of = described(network, choice, teaching)
        return self.bench.head(parts, of, len(self.labels), choice.head)


@dataclass(frozen=True)
class Cell:
    """A system with one corpus left out and one seed.

    Attributes:
        system: its name.
        left_out: the corpus that is tested; None leaves none out, for a head that is shipped.
        seed: of trainings and draws.
    """

    system: str
    left_out: str | None
    seed: int

    def config(self, study: Study) -> SystemConfig:
        """Of the system."""
        return study.config.systems[self.system]


def described(network: FrozenNetwork, choice: Choice, corpora: Sequence[Corpus]) -> str:
    """What the vectors of some corpora are."""
    digests = [recordings_digest(one) for one in corpora]
    return " ".join([network.digest, *choice.columns, *digests])
