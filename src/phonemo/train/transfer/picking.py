"""Which combination a cell uses, and how sure its answers are: nested tests, run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phonemo.calibration import UNCALIBRATED
from phonemo.config import TransferConfig
from phonemo.train.transfer.choices import Choice, choices_of
from phonemo.train.transfer.nested import Answers, Picked, calibrated, check_nested, score_of
from phonemo.train.transfer.networks import forbid_leaks
from phonemo.train.transfer.pools import Condition
from phonemo.train.transfer.study import Cell, Study
from phonemo.train.transfer.testing import tested


def pick(study: Study, cell: Cell) -> tuple[Picked, list[dict[str, Any]]]:
    """What nested tests pick for a cell, and the score of every combination.

    Args:
        study: with its corpora.
        cell: whose corpus is left out of everything.

    Raises:
        PhonemoError: of any kind.
    """
    choices = choices_of(cell.config(study))
    names = [one.name for one in study.teaching(cell.left_out)]
    if not check_nested(choices, names, cell.system):
        return Picked(choices[0], None, UNCALIBRATED, UNCALIBRATED), []
    scores: list[float] = []
    for number, choice in enumerate(choices, start=1):
        inner = nested_answers(study, choice, cell, study.config.select_by)
        scores.append(score_of(inner, study.config.select_by))
        study.bench.progress.step(number, len(choices), {"ua": max(scores)})
    best = int(np.argmax(scores))
    adapted = calibrating(study.config)
    inner = nested_answers(study, choices[best], cell, ("single", adapted.name))
    trusted = study.config.calibrate_by
    inner = {name: one for name, one in inner.items() if trusted is None or name in trusted}
    found = Picked(
        choices[best],
        scores[best],
        calibrated(inner, Condition("single"), study.config.risk),
        calibrated(inner, adapted, study.config.risk),
    )
    rows = zip(choices, scores, strict=True)
    return found, [one.to_json() | {"score": score} for one, score in rows]


def calibrating(config: TransferConfig) -> Condition:
    """The condition that adapted answers are calibrated on: the first of select_by, or all."""
    adapting = [name for name in config.select_by if Condition(name).adapts]
    return Condition(adapting[0] if adapting else "pool-all")


def nested_answers(
    study: Study, choice: Choice, cell: Cell, names: Sequence[str]
) -> dict[str, dict[str, Answers]]:
    """Answers on each corpus that teaches, from heads that it did not teach.

    Args:
        study: with its corpora.
        choice: the combination.
        cell: whose corpus is left out.
        names: of conditions.

    Returns:
        By corpus, by condition.
    """
    system, found = cell.config(study), {}
    for left in study.teaching(cell.left_out):
        teaching = study.teaching(cell.left_out, left.name)
        below = teaching if system.inner == "network" else study.teaching(cell.left_out)
        network = study.bench.network(system, choice, below, cell.seed)
        if system.inner == "network":
            forbid_leaks(network, left, "set inner=head, which picks by a network that knows it")
        head = study.head(network, choice, teaching)
        source = study.source(study.rows(network, choice, left.name), left.name, cell.seed)
        taught = (head.weight != 0).any(axis=1)
        found[left.name] = {
            name: Answers(source.rows.truth, tuple(tested(head, source, Condition(name))), taught)
            for name in names
        }
    return found
