"""A study, and its networks, vectors and heads, each computed once and cached."""

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

#: Incremented whenever the same vectors give other heads.
VERSION = 3
_MOST_ROWS, _MOST_HEADS = 48, 400


class StudyBench:
    """Caches a study's networks, vectors and heads.

    Args:
        config: the study's config.
        command: the command line.
        progress: receives progress.
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
        """Open the network of a choice, trained on these corpora with this seed if needed."""
        if system.network is not None:
            key: tuple[Any, ...] = (system.network,)
            return self._cached(key, lambda: open_network(str(system.network)))
        template = system.train[choice.training]
        folder = trained_on(self.config, template, teaching, seed, self.command, self.progress)
        start = template.model.start or template.model.backbone
        key = (str(folder), choice.start_share)
        return self._cached(key, lambda: open_network(str(folder), choice.start_share, start))

    def rows(
        self, network: FrozenNetwork, columns: Sequence[str], corpus: Corpus, labels: LabelSet
    ) -> Rows:
        """Return vectors of a corpus' utterances that have one of the labels."""
        emotions = (*labels.names, *sorted(labels.merge.items()))
        key = (network.digest, *columns, corpus.name, recordings_digest(corpus), emotions)
        if key not in self._rows:
            self._rows[key] = self._read(network, columns, corpus, labels)
            _evict(self._rows, _MOST_ROWS)
        self._rows.move_to_end(key)
        return self._rows[key]

    def head(
        self, parts: Mapping[str, Rows], of: str, classes: int, options: HeadOptions
    ) -> Reference:
        """Fit a head on rows, or read it from the cache.

        Args:
            parts: the training data, by name.
            of: identifies the rows' vectors: network, columns and recordings.
            classes: number of emotions.
            options: how to fit.
        """
        fitting = options.fitting()
        key = digest_of_facts(VERSION, of, classes, asdict(fitting), _fingerprints(parts))
        if key not in self._heads:
            self._heads[key] = self._fitted(key, parts, classes, fitting)
            _evict(self._heads, _MOST_HEADS)
        self._heads.move_to_end(key)
        return adjusted(self._heads[key], options)

    def _fitted(
        self, key: str, parts: Mapping[str, Rows], classes: int, options: HeadOptions
    ) -> Reference:
        path = self.home / "heads" / f"{key}.npz"
        head = _cached_head(path, classes)
        if head is None:
            content = packed(fit_head(concatenate_rows(list(parts.values())), classes, options))
            _write(path, content)
            # read back in its stored precision, so that a resumed study gets the same head
            head = unpacked(content, classes)
        return head

    def _cached(self, key: tuple[Any, ...], factory: Callable[[], FrozenNetwork]) -> FrozenNetwork:
        if key not in self._networks:
            if len(self._networks) > 4:  # many trained networks are used, each for a short time
                self._networks.clear()
            self._networks[key] = factory()
        return self._networks[key]

    def _read(
        self, network: FrozenNetwork, columns: Sequence[str], corpus: Corpus, labels: LabelSet
    ) -> Rows:
        folder = self.home.parent / "vectors"
        matrices = vectors_of(folder, network, corpus, columns, self.progress.features)
        chosen = corpus.chosen(labels)
        vectors = np.concatenate([matrices[name][chosen] for name in columns], axis=1)
        names = np.full(len(chosen), corpus.name)
        return Rows(
            vectors.astype(np.float32, copy=False),
            corpus.truth(labels),
            names,
            names,
            corpus.speakers(labels),
        )


def digest_of_facts(*facts: Any) -> str:
    """Return sixteen hexadecimal digits that identify plain data."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _fingerprints(parts: Mapping[str, Rows]) -> list[Any]:
    """Identify rows without their vectors."""
    return [
        [
            name,
            *(
                _column_digest(column)
                for column in (rows.truth, rows.corpus, rows.source, rows.speaker)
            ),
        ]
        for name, rows in parts.items()
    ]


def _column_digest(column: Any) -> str:
    return sha256("\n".join(map(str, column.tolist())).encode()).hexdigest()[:16]


def _evict(cache: OrderedDict[Any, Any], limit: int) -> None:
    while len(cache) > limit:
        cache.popitem(last=False)


def _cached_head(path: Path, classes: int) -> Reference | None:
    if not path.is_file():
        return None
    try:
        return unpacked(path.read_bytes(), classes)
    except CheckpointError:
        log.warning("%s: broken; fitting it again", path)
        return None


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Study:
    """A study's config, corpora and caches."""

    config: TransferConfig
    corpora: Mapping[str, Corpus]
    labels: LabelSet
    bench: StudyBench

    @property
    def emotion(self) -> int:
        """Return the majority class of one-sided pools."""
        config = self.config.one_sided
        return 0 if config is None else self.labels.index(config.emotion)

    def teaching(self, *left_out: str | None) -> list[Corpus]:
        """List the training corpora except these."""
        teachers = self.config.teachers or tuple(self.corpora)
        return [self.corpora[name] for name in teachers if name not in left_out]

    def source(self, rows: Rows, name: str, seed: int) -> Source:
        """Wrap a corpus' rows as a test source."""
        return Source(rows, name, self.emotion, len(self.labels), seed, self.config.draws)

    def rows(self, network: FrozenNetwork, choice: Choice, corpus: str) -> Rows:
        """Return a corpus' vectors for a combination.

        Raises:
            ConfigError: the network lacks a layer that is read.
        """
        network.check(choice.statistics, choice.pooled)
        return self.bench.rows(network, choice.columns, self.corpora[corpus], self.labels)

    def head(self, network: FrozenNetwork, choice: Choice, teaching: Sequence[Corpus]) -> Reference:
        """Return a combination's head, fitted on these corpora."""
        parts = {corpus.name: self.rows(network, choice, corpus.name) for corpus in teaching}
        of = described(network, choice, teaching)
        return self.bench.head(parts, of, len(self.labels), choice.head)


@dataclass(frozen=True)
class Cell:
    """A system with one corpus left out and one seed.

    Attributes:
        system: the system's name.
        left_out: the tested corpus; None leaves none out, for a head to ship.
        seed: seed of training and draws.
    """

    system: str
    left_out: str | None
    seed: int

    def config(self, study: Study) -> SystemConfig:
        """Return the system's config."""
        return study.config.systems[self.system]


def described(network: FrozenNetwork, choice: Choice, corpora: Sequence[Corpus]) -> str:
    """Identify vectors by network, columns and recordings."""
    digests = [recordings_digest(corpus) for corpus in corpora]
    return " ".join([network.digest, *choice.columns, *digests])
