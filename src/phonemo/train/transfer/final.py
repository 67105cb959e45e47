"""The head that is shipped: picked by leaving each corpus out, fitted on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from phonemo.config import TransferConfig
from phonemo.errors import UsageError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation import Reference
from phonemo.train.callbacks import Progress
from phonemo.train.transfer.bench import Bench
from phonemo.train.transfer.nested import Picked
from phonemo.train.transfer.networks import Network
from phonemo.train.transfer.picking import pick
from phonemo.train.transfer.sources import Corpus, read_corpora
from phonemo.train.transfer.study import Cell, Study
from phonemo.whole import locked


@dataclass(frozen=True, eq=False)
class Final:
    """What a system is when no corpus is left out.

    Attributes:
        head: on the vectors ``picked.choice.columns`` of the network, standardised by itself.
        picked: the combination, and temperature and threshold from answers on corpora that were
            left out: ``single`` for recordings by themselves, ``adapted`` for adapted ones.
        network: whose vectors they are.
        teachers: what it has learnt from.
        labels: the study's.
    """

    head: Reference
    picked: Picked
    network: Network
    teachers: tuple[Corpus, ...]
    labels: LabelSet


def fit_all(
    config: TransferConfig,
    system: str,
    seed: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Final:
    """Fit a system of a study on all of its corpora; what was computed before is used again.

    No score belongs to it: ``transfer`` tests the recipe, with corpora left out.

    Args:
        config: the study.
        system: its name.
        seed: one of the study's; None takes the first.
        command: what was typed, for trainings.
        progress: shows what is computed.

    Raises:
        PhonemoError: of any kind.
    """
    if system not in config.systems:
        raise UsageError(f"no system {system!r}; expected one of {', '.join(config.systems)}")
    labels = LabelSet(config.labels.names, config.labels.merge)
    bench = Bench(config, command, progress or Progress())
    study = Study(config, read_corpora(config, labels), labels, bench)
    cell = Cell(system, None, config.seeds[0] if seed is None else seed)
    with locked(Path(config.output)):
        torch.set_num_threads(config.threads)
        picked, _ = pick(study, cell)
        teaching = study.teaching()
        network = bench.network(cell.config(study), picked.choice, teaching, cell.seed)
        head = study.head(network, picked.choice, teaching)
        return Final(head, picked, network, tuple(teaching), labels)
