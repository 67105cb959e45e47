"""One system with one corpus left out and one seed: picked, calibrated, tested, written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo import metrics
from phonemo.calibration import Calibrated, softmax
from phonemo.config import SystemConfig, TransferConfig
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation import Reference
from phonemo.train.transfer.bench import Bench
from phonemo.train.transfer.choices import Choice, choices_of
from phonemo.train.transfer.nested import (
    Answers,
    Picked,
    calibrated,
    check_nested,
    score_of,
)
from phonemo.train.transfer.networks import Network, forbid_leaks
from phonemo.train.transfer.pools import Condition, conditions_of
from phonemo.train.transfer.rows import Indices, Rows
from phonemo.train.transfer.sources import Corpus
from phonemo.train.transfer.tables import counted
from phonemo.train.transfer.testing import Source, tested
from phonemo.train.transfer.vectors import recordings_digest

Floats = npt.NDArray[np.float64]

#: Raised whenever the same heads give other cells.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Study:
    """What all cells have in common."""

    config: TransferConfig
    corpora: Mapping[str, Corpus]
    labels: LabelSet
    bench: Bench

    @property
    def emotion(self) -> int:
        """The class that one-sided pools are mostly of."""
        one = self.config.one_sided
        return 0 if one is None else self.labels.index(one.emotion)

    def teaching(self, *left_out: str) -> list[Corpus]:
        """All corpora but these."""
        return [one for name, one in self.corpora.items() if name not in left_out]


@dataclass(frozen=True)
class Cell:
    """A system, a corpus that is left out, and a seed."""

    system: str
    left_out: str
    seed: int


def run_cell(study: Study, cell: Cell) -> dict[str, Any]:
    """The content of a cell's file.

    Args:
        study: with its corpora.
        cell: which.

    Raises:
        PhonemoError: of any kind.
    """
    system = study.config.systems[cell.system]
    picked, candidates = _picked(study, system, cell)
    teaching = study.teaching(cell.left_out)
    network = study.bench.network(system, picked.choice, teaching, cell.seed)
    unlabelled = forbid_leaks(network, study.corpora[cell.left_out])
    head = _head(study, network, picked.choice, teaching)
    rows = _rows(study, network, picked.choice, cell.left_out)
    conditions = [
        _condition(study, head, rows, one, cell, picked) for one in conditions_of(study.config)
    ]
    return {
        "system": cell.system,
        "left_out": cell.left_out,
        "seed": cell.seed,
        "picked": picked.choice.to_json(),
        "score": picked.score,
        "candidates": candidates,
        "calibration": {"single": asdict(picked.single), "adapted": asdict(picked.adapted)},
        "network": network.digest,
        "unlabelled": unlabelled,
        "utterances": len(rows),
        "speakers": sorted(set(rows.speaker.tolist())),
        "conditions": conditions,
    }


def calibrating(config: TransferConfig) -> Condition:
    """The condition that adapted answers are calibrated on: the first of select_by, or all."""
    adapting = [name for name in config.select_by if Condition(name).adapts]
    return Condition(adapting[0] if adapting else "pool-all")


def _picked(study: Study, system: SystemConfig, cell: Cell) -> tuple[Picked, list[dict[str, Any]]]:
    """What nested tests pick, and the score of every combination."""
    choices = choices_of(system)
    names = [one.name for one in study.teaching(cell.left_out)]
    if not check_nested(choices, names, cell.system):
        nothing = Calibrated()
        return Picked(choices[0], None, nothing, nothing), []
    scores = []
    for number, choice in enumerate(choices, start=1):
        inner = _inner(study, system, choice, cell, study.config.select_by)
        scores.append(score_of(inner, study.config.select_by))
        study.bench.progress.step(number, len(choices), {"ua": max(scores)})
    best = int(np.argmax(scores))
    adapted = calibrating(study.config)
    inner = _inner(study, system, choices[best], cell, ("single", adapted.name))
    found = Picked(
        choices[best],
        scores[best],
        calibrated(inner, Condition("single"), study.config.risk),
        calibrated(inner, adapted, study.config.risk),
    )
    told = [one.to_json() | {"score": score} for one, score in zip(choices, scores, strict=True)]
    return found, told


def _inner(
    study: Study, system: SystemConfig, choice: Choice, cell: Cell, names: Sequence[str]
) -> dict[str, dict[str, Answers]]:
    """Answers on each corpus that teaches, from heads that it did not teach."""
    found = {}
    for left in study.teaching(cell.left_out):
        teaching = study.teaching(cell.left_out, left.name)
        below = teaching if system.inner == "network" else study.teaching(cell.left_out)
        network = study.bench.network(system, choice, below, cell.seed)
        if system.inner == "network":
            forbid_leaks(network, left, "set inner=head, which picks by a network that knows it")
        head = _head(study, network, choice, teaching)
        source = _source(study, _rows(study, network, choice, left.name), left.name, cell.seed)
        found[left.name] = {
            name: Answers(
                source.rows.truth,
                tuple(tested(head, source, Condition(name))),
                (head.weight != 0).any(axis=1),
            )
            for name in names
        }
    return found


def _head(study: Study, network: Network, choice: Choice, teaching: Sequence[Corpus]) -> Reference:
    network.check(choice.statistics, choice.pooled)
    parts = {one.name: _rows(study, network, choice, one.name) for one in teaching}
    of = described(network, choice, teaching)
    return study.bench.head(parts, of, len(study.labels), choice.head)


def described(network: Network, choice: Choice, corpora: Sequence[Corpus]) -> str:
    """What the vectors of some corpora are."""
    digests = [recordings_digest(one) for one in corpora]
    return " ".join([network.digest, *choice.columns, *digests])


def _rows(study: Study, network: Network, choice: Choice, corpus: str) -> Rows:
    network.check(choice.statistics, choice.pooled)
    return study.bench.rows(network, choice.columns, study.corpora[corpus], study.labels)


def _source(study: Study, rows: Rows, name: str, seed: int) -> Source:
    return Source(rows, name, study.emotion, len(study.labels), seed, study.config.draws)


def _condition(
    study: Study, head: Reference, rows: Rows, condition: Condition, cell: Cell, picked: Picked
) -> dict[str, Any]:
    source = _source(study, rows, cell.left_out, cell.seed)
    sure = picked.adapted if condition.adapts else picked.single
    runs = [_run(rows, logits, sure) for logits in tested(head, source, condition)]
    return {"name": condition.name, "runs": runs}


def _run(rows: Rows, logits: Floats, sure: Calibrated) -> dict[str, Any]:
    """One draw's counts by speaker, and what its answers are worth."""
    classes = logits.shape[1]
    answers = logits.argmax(axis=1)
    return {
        "tables": counted(rows.truth, answers, rows.speaker, classes).reshape(-1).tolist(),
        **_selective(rows.truth, answers, softmax(logits / sure.temperature), sure),
    }


def _selective(
    truth: Indices, answers: Indices, scores: Floats, sure: Calibrated
) -> dict[str, Any]:
    """Answers given at the threshold, the wrong ones among them, and the calibration error."""
    given = scores.max(axis=1) >= sure.abstain_below
    return {
        "given": int(given.sum()),
        "wrong": int((answers != truth)[given].sum()),
        "ece": metrics.calibration(scores, truth).ece,
    }
