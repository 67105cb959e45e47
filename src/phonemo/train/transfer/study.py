"""What all parts of a study have in common, and the heads of one combination of choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phonemo.config import SystemConfig, TransferConfig
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation import Reference
from phonemo.train.transfer.bench import Bench
from phonemo.train.transfer.choices import Choice
from phonemo.train.transfer.networks import Network
from phonemo.train.transfer.rows import Rows
from phonemo.train.transfer.sources import Corpus
from phonemo.train.transfer.testing import Source
from phonemo.train.transfer.vectors import recordings_digest


@dataclass(frozen=True, eq=False)
class Study:
    """A config with its corpora, and what is computed once for all."""

    config: TransferConfig
    corpora: Mapping[str, Corpus]
    labels: LabelSet
    bench: Bench

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

    def rows(self, network: Network, choice: Choice, corpus: str) -> Rows:
        """The vectors that a combination reads of a corpus.

        Raises:
            ConfigError: the network has not what is read.
        """
        network.check(choice.statistics, choice.pooled)
        return self.bench.rows(network, choice.columns, self.corpora[corpus], self.labels)

    def head(self, network: Network, choice: Choice, teaching: Sequence[Corpus]) -> Reference:
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


def described(network: Network, choice: Choice, corpora: Sequence[Corpus]) -> str:
    """What the vectors of some corpora are."""
    digests = [recordings_digest(one) for one in corpora]
    return " ".join([network.digest, *choice.columns, *digests])
