"""What all cells of a study share: networks, vectors and heads, each computed once and kept."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.config import SystemConfig, TransferConfig
from phonemo.errors import CheckpointError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation import Reference
from phonemo.runtime.reference_file import packed, unpacked
from phonemo.train.callbacks import Progress
from phonemo.train.transfer.choices import Choice
from phonemo.train.transfer.heads import HeadOptions, adjusted, fit_head
from phonemo.train.transfer.networks import Network, open_network
from phonemo.train.transfer.rows import Rows, joined
from phonemo.train.transfer.sources import Corpus
from phonemo.train.transfer.trained import trained_on
from phonemo.train.transfer.vectors import recordings_digest, vectors_of

log = logging.getLogger(__name__)

#: Raised whenever the same vectors give other heads.
VERSION = 3
_MOST_ROWS, _MOST_HEADS = 48, 400


class Bench:
    """Networks, vectors and heads of one study.

    Args:
        config: the study.
        command: what was typed.
        progress: shows what is computed.
    """

    def __init__(self, config: TransferConfig, command: str, progress: Progress) -> None:
        self.config, self.command, self.progress = config, command, progress
        self.home = Path(config.output)
        self._networks: dict[tuple[Any, ...], Network] = {}
        self._rows: OrderedDict[tuple[Any, ...], Rows] = OrderedDict()
        self._heads: OrderedDict[str, Reference] = OrderedDict()

    def network(
        self, system: SystemConfig, choice: Choice, teaching: Sequence[Corpus], seed: int
    ) -> Network:
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
        self, network: Network, columns: Sequence[str], corpus: Corpus, labels: LabelSet
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
        found = _kept(path, classes)
        if found is None:
            content = packed(fit_head(joined(list(parts.values())), classes, options))
            _write(path, content)
            # as it is read again, in half the digits: the same however often a study is resumed
            found = unpacked(content, classes)
        return found

    def _once(self, key: tuple[Any, ...], opened: Callable[[], Network]) -> Network:
        if key not in self._networks:
            if len(self._networks) > 4:  # of trained ones many come by, each for a while
                self._networks.clear()
            self._networks[key] = opened()
        return self._networks[key]

    def _read(
        self, network: Network, columns: Sequence[str], corpus: Corpus, labels: LabelSet
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


def _kept(path: Path, classes: int) -> Reference | None:
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
