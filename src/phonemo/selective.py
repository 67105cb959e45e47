"""How sure prediction rows are: calibration before and after scaling, and answering selectively."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo import metrics
from phonemo.calibration import area, reheated, risk_coverage
from phonemo.labels import LabelSet
from phonemo.results import CalibrationScore, RiskPoint, SelectiveScore
from phonemo.tested import Tested


def calibration_of(tested: Tested, labels: LabelSet) -> CalibrationScore:
    """Of the scores as they were given, over the rows of all seeds."""
    found = metrics.calibration(scores_of(tested, labels), tested.truth)
    return CalibrationScore.model_validate(asdict(found))


def uncalibrated_of(tested: Tested, labels: LabelSet) -> CalibrationScore | None:
    """The same of the scores as the network made them; None where no row was scaled."""
    temperatures = [float(row.get("temperature", 1.0)) for row in tested.rows]
    if not any("temperature" in row for row in tested.rows):
        return None
    before = reheated(scores_of(tested, labels), temperatures)
    return CalibrationScore.model_validate(asdict(metrics.calibration(before, tested.truth)))


def selective_of(tested: Tested, labels: LabelSet) -> SelectiveScore:
    """The risk-coverage curve, and what the models' own thresholds make of these rows."""
    scores = scores_of(tested, labels)
    scores /= scores.sum(axis=1, keepdims=True)  # they were rounded
    points = risk_coverage(scores, tested.truth)
    wrong = tested.predicted != tested.truth
    given = np.array([not row.get("unsure", False) for row in tested.rows])
    has_threshold = any("unsure" in row for row in tested.rows)
    return SelectiveScore(
        area=area(scores, tested.truth),
        curve=tuple(RiskPoint(**asdict(point)) for point in points),
        coverage=float(given.mean()) if has_threshold else None,
        risk=float(wrong[given].mean()) if has_threshold and given.any() else None,
    )


def scores_of(tested: Tested, labels: LabelSet) -> npt.NDArray[np.float64]:
    """(row, emotion)."""
    return np.array([[row["scores"][name] for name in labels.names] for row in tested.rows])


def all_scores(row: Mapping[str, Any]) -> Mapping[str, float]:
    """A row's scores among all emotions that its network knows."""
    scores: Mapping[str, float] = row.get("all_scores", row["scores"])
    return scores
