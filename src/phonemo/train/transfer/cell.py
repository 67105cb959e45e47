"""One system with one corpus left out and one seed: picked, calibrated, tested, written down.

Which combination a cell uses, and how sure its answers are: nested tests, run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.evaluation import metrics
from phonemo.evaluation.calibration import UNCALIBRATED, TemperatureScaling, softmax
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.train.transfer.corpora import Indices
from phonemo.train.transfer.selection import (
    Choice,
    NestedLogits,
    Picked,
    check_nested,
    choices_of,
    nested_calibration,
    score_of,
)
from phonemo.train.transfer.study import Cell, Study
from phonemo.train.transfer.study_config import TransferConfig
from phonemo.train.transfer.testing import Condition, Source, conditions_of, counted, test_logits
from phonemo.train.transfer.vectors import forbid_leaks


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
        nested_calibration(inner, Condition("single"), study.config.risk),
        nested_calibration(inner, adapted, study.config.risk),
    )
    rows = zip(choices, scores, strict=True)
    return found, [one.to_json() | {"score": score} for one, score in rows]


def calibrating(config: TransferConfig) -> Condition:
    """The condition that adapted answers are calibrated on: the first of select_by, or all."""
    adapting = [name for name in config.select_by if Condition(name).adapts]
    return Condition(adapting[0] if adapting else "pool-all")


def nested_answers(
    study: Study, choice: Choice, cell: Cell, names: Sequence[str]
) -> dict[str, dict[str, NestedLogits]]:
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
            name: NestedLogits(
                source.rows.truth, tuple(test_logits(head, source, Condition(name))), taught
            )
            for name in names
        }
    return found


Floats = npt.NDArray[np.float64]

#: Raised whenever the same heads give other cells.
VERSION = 1


def run_cell(study: Study, cell: Cell) -> dict[str, Any]:
    """The content of a cell's file.

    Args:
        study: with its corpora.
        cell: with a corpus that is left out.

    Raises:
        PhonemoError: of any kind.
    """
    assert cell.left_out is not None
    picked, candidates = pick(study, cell)
    teaching = study.teaching(cell.left_out)
    network = study.bench.network(cell.config(study), picked.choice, teaching, cell.seed)
    unlabelled = forbid_leaks(network, study.corpora[cell.left_out])
    head = study.head(network, picked.choice, teaching)
    rows = study.rows(network, picked.choice, cell.left_out)
    source = study.source(rows, cell.left_out, cell.seed)
    return {
        **asdict(cell),
        "picked": picked.choice.to_json(),
        "score": picked.score,
        "candidates": candidates,
        "calibration": {"single": asdict(picked.single), "adapted": asdict(picked.adapted)},
        "network": network.digest,
        "unlabelled": unlabelled,
        "utterances": len(rows),
        "speakers": sorted(set(rows.speaker.tolist())),
        "conditions": [
            _condition(head, source, condition, picked) for condition in conditions_of(study.config)
        ],
    }


def _condition(
    head: Reference, source: Source, condition: Condition, picked: Picked
) -> dict[str, Any]:
    sure = picked.adapted if condition.adapts else picked.single
    runs = [_run(source, logits, sure) for logits in test_logits(head, source, condition)]
    return {"name": condition.name, "runs": runs}


def _run(source: Source, logits: Floats, sure: TemperatureScaling) -> dict[str, Any]:
    """One draw's counts by speaker, and what its answers are worth."""
    rows, answers = source.rows, logits.argmax(axis=1)
    tables = counted(rows.truth, answers, rows.speaker, source.classes)
    scores = softmax(logits / sure.temperature)
    return {"tables": tables.reshape(-1).tolist(), **_selective(rows.truth, answers, scores, sure)}


def _selective(
    truth: Indices, answers: Indices, scores: Floats, sure: TemperatureScaling
) -> dict[str, Any]:
    """Answers given at the threshold, the wrong ones among them, and the calibration error."""
    given = scores.max(axis=1) >= sure.abstain_below
    return {
        "given": int(given.sum()),
        "wrong": int((answers != truth)[given].sum()),
        "ece": metrics.calibration(scores, truth).ece,
    }
