"""One system with one corpus left out and one seed: picked, calibrated, tested, written down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo import metrics
from phonemo.calibration import Calibrated, softmax
from phonemo.runtime.adaptation import Reference
from phonemo.train.transfer.nested import Picked
from phonemo.train.transfer.networks import forbid_leaks
from phonemo.train.transfer.picking import pick
from phonemo.train.transfer.pools import Condition, conditions_of
from phonemo.train.transfer.rows import Indices
from phonemo.train.transfer.study import Cell, Study
from phonemo.train.transfer.tables import counted
from phonemo.train.transfer.testing import Source, tested

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
    runs = [_run(source, logits, sure) for logits in tested(head, source, condition)]
    return {"name": condition.name, "runs": runs}


def _run(source: Source, logits: Floats, sure: Calibrated) -> dict[str, Any]:
    """One draw's counts by speaker, and what its answers are worth."""
    rows, answers = source.rows, logits.argmax(axis=1)
    tables = counted(rows.truth, answers, rows.speaker, source.classes)
    scores = softmax(logits / sure.temperature)
    return {"tables": tables.reshape(-1).tolist(), **_selective(rows.truth, answers, scores, sure)}


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
