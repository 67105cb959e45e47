"""One cell of a study: a system with one corpus left out and one seed.

Nested tests pick the cell's combination and calibrate it; then it is tested.
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
    """Pick a cell's combination by nested tests; return it and all combinations' scores.

    Args:
        study: the study.
        cell: its left-out corpus is not used.

    Raises:
        PhonemoError: of any kind.
    """
    choices = choices_of(cell.config(study))
    names = [corpus.name for corpus in study.teaching(cell.left_out)]
    if not check_nested(choices, names, cell.system):
        return Picked(choices[0], None, UNCALIBRATED, UNCALIBRATED), []
    scores: list[float] = []
    for number, choice in enumerate(choices, start=1):
        nested = nested_answers(study, choice, cell, study.config.select_by)
        scores.append(score_of(nested, study.config.select_by))
        study.bench.progress.step(number, len(choices), {"ua": max(scores)})
    best = int(np.argmax(scores))
    adapted = calibrating(study.config)
    nested = nested_answers(study, choices[best], cell, ("single", adapted.name))
    calibration_corpora = study.config.calibrate_by
    nested = {
        name: logits
        for name, logits in nested.items()
        if calibration_corpora is None or name in calibration_corpora
    }
    picked = Picked(
        choices[best],
        scores[best],
        nested_calibration(nested, Condition("single"), study.config.risk),
        nested_calibration(nested, adapted, study.config.risk),
    )
    rows = zip(choices, scores, strict=True)
    return picked, [choice.to_json() | {"score": score} for choice, score in rows]


def calibrating(config: TransferConfig) -> Condition:
    """Return the condition for calibrating adapted predictions: select_by's first, or pool-all."""
    adapting = [name for name in config.select_by if Condition(name).adapts]
    return Condition(adapting[0] if adapting else "pool-all")


def nested_answers(
    study: Study, choice: Choice, cell: Cell, names: Sequence[str]
) -> dict[str, dict[str, NestedLogits]]:
    """Compute logits on each training corpus, from heads fitted without it.

    Args:
        study: the study.
        choice: the combination.
        cell: its left-out corpus is not used.
        names: the conditions.

    Returns:
        Logits by corpus, by condition.
    """
    system, logits = cell.config(study), {}
    for corpus in study.teaching(cell.left_out):
        teaching = study.teaching(cell.left_out, corpus.name)
        network_corpora = teaching if system.inner == "network" else study.teaching(cell.left_out)
        network = study.bench.network(system, choice, network_corpora, cell.seed)
        if system.inner == "network":
            forbid_leaks(network, corpus, "set inner=head, which picks by a network trained on it")
        head = study.head(network, choice, teaching)
        source = study.source(study.rows(network, choice, corpus.name), corpus.name, cell.seed)
        taught = (head.weight != 0).any(axis=1)
        logits[corpus.name] = {
            name: NestedLogits(
                source.rows.truth, tuple(test_logits(head, source, Condition(name))), taught
            )
            for name in names
        }
    return logits


Floats = npt.NDArray[np.float64]

#: Incremented whenever the same heads give other cells.
VERSION = 1


def run_cell(study: Study, cell: Cell) -> dict[str, Any]:
    """Compute the content of a cell's file.

    Args:
        study: the study.
        cell: a cell with a left-out corpus.

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
    calibration = picked.adapted if condition.adapts else picked.single
    runs = [_run(source, logits, calibration) for logits in test_logits(head, source, condition)]
    return {"name": condition.name, "runs": runs}


def _run(source: Source, logits: Floats, calibration: TemperatureScaling) -> dict[str, Any]:
    """Return one draw's counts by speaker, and its selective scores."""
    rows, answers = source.rows, logits.argmax(axis=1)
    tables = counted(rows.truth, answers, rows.speaker, source.classes)
    scores = softmax(logits / calibration.temperature)
    return {
        "tables": tables.reshape(-1).tolist(),
        **_selective(rows.truth, answers, scores, calibration),
    }


def _selective(
    truth: Indices, answers: Indices, scores: Floats, calibration: TemperatureScaling
) -> dict[str, Any]:
    """Count predictions above the threshold and errors among them; add the calibration error."""
    given = scores.max(axis=1) >= calibration.abstain_below
    return {
        "given": int(given.sum()),
        "wrong": int((answers != truth)[given].sum()),
        "ece": metrics.calibration(scores, truth).ece,
    }
