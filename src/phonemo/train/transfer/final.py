"""The head that is shipped: picked by leaving each corpus out, fitted on all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from phonemo.config import TransferConfig
from phonemo.errors import UsageError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation import Reference
from phonemo.train.callbacks import Progress
from phonemo.train.transfer.bench import Bench
from phonemo.train.transfer.nested import Answers, Picked, calibrated
from phonemo.train.transfer.networks import Network
from phonemo.train.transfer.picking import calibrating, pick
from phonemo.train.transfer.pools import Condition
from phonemo.train.transfer.sources import Corpus, read_corpora
from phonemo.train.transfer.study import Cell, Study
from phonemo.train.transfer.testing import tested
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
        if picked.score is None:
            picked = _calibrated(study, picked, head, network)
        return Final(head, picked, network, tuple(teaching), labels)


def _calibrated(study: Study, picked: Picked, head: Reference, network: Network) -> Picked:
    """How sure a head is that had nothing to be picked by: on corpora that are only tested."""
    config, taught = study.config, (head.weight != 0).any(axis=1)
    teachers = {one.name for one in study.teaching()}
    conditions = {"single": Condition("single"), "adapted": calibrating(config)}
    inner: dict[str, dict[str, Answers]] = {}
    for name in config.calibrate_by or ():
        if name not in teachers:
            source = study.source(study.rows(network, picked.choice, name), name, config.seeds[0])
            inner[name] = {
                one.name: Answers(source.rows.truth, tuple(tested(head, source, one)), taught)
                for one in conditions.values()
            }
    sure = {key: calibrated(inner, one, config.risk) for key, one in conditions.items()}
    return replace(picked, single=sure["single"], adapted=sure["adapted"])
