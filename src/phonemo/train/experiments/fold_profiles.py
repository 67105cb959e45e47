"""Score a run's folds with profiles computed from unlabeled recordings of the tested speakers.

Every tested utterance is scored without a profile, as in the run's metrics, with the profile of its
fold, and with the profile of its speaker. Profiles use no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.config import RunConfig
from phonemo.evaluation import metrics
from phonemo.evaluation.fold_vectors import read_vectors
from phonemo.evaluation.prediction_rows import read_predictions
from phonemo.files import loads_json
from phonemo.runtime.adaptation.statistics import Reference, adapt_logits, logits_of
from phonemo.train.experiments.fold import PRIOR
from phonemo.train.heads.linear_head import reference_of
from phonemo.train.model_folder import load_trained

#: File next to metrics.json with the priors of the heads and the scores with profiles.
PROFILES = "profiles.json"
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProfileScore:
    """UA over all folds, with its interval over speakers; None for fewer than two speakers."""

    ua: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class OwnProfiles:
    """The content of profiles.json.

    Attributes:
        prior: by fold and seed, and for "model", the report of phonemo.train.heads.head_from_start;
            empty without a prior.
        scores: UA by profile: "none", "fold" and "speaker". Empty if the head does not support
            profiles; without "speaker" if speakers are unknown.
        utterances: the number of scored utterances.
    """

    prior: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, ProfileScore]
    utterances: int

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON-compatible data."""
        scores = {name: vars(score) for name, score in self.scores.items()}
        return {"prior": dict(self.prior), "scores": scores, "utterances": self.utterances}


@dataclass(frozen=True, eq=False)
class _CellPredictions:
    """Predicted class indices (utterance,) of one fold and seed, by profile."""

    truth: Indices
    speakers: tuple[str | None, ...]
    given: Mapping[str, Indices]


def own_profiles(config: RunConfig) -> OwnProfiles:
    """Score the finished folds of a run with profiles.

    Args:
        config: the run's config.

    Raises:
        PhonemoError: a fold's files cannot be read.
    """
    cells = [path.parent for path in sorted(Path(config.output).glob("seed-*/*/metrics.json"))]
    predictions = [result for cell in cells if (result := _predict_cell(cell)) is not None]
    priors = {f"{cell.parent.name}/{cell.name}": _read_prior(cell) for cell in cells}
    priors["model"] = _read_prior(Path(config.output))  # of the model trained on all data
    scores: dict[str, ProfileScore] = {}
    if predictions and len(predictions) == len(cells):
        scores = {name: _score(predictions, name, config) for name in _common_profiles(predictions)}
    return OwnProfiles(
        {name: prior for name, prior in priors.items() if prior is not None},
        scores,
        sum(len(result.truth) for result in predictions) if scores else 0,
    )


def _predict_cell(cell: Path) -> _CellPredictions | None:
    """Predict one fold; None if its head does not support profiles or its vectors are missing."""
    trained = load_trained(cell / "model")
    reference = reference_of(trained.model)
    if reference is None:
        return None
    rows = read_predictions(cell / "predictions.jsonl")
    stored = read_vectors(cell, len(rows))
    if stored is None:
        return None
    vectors = stored.astype(np.float64)
    labeled = [index for index, row in enumerate(rows) if row["truth"] is not None]
    if not labeled:
        return None
    rows, vectors = [rows[index] for index in labeled], vectors[labeled]
    speakers = tuple(row["speaker"] for row in rows)
    given = {
        "none": logits_of(reference, vectors, None).argmax(axis=1),
        "fold": _predict_adapted(reference, vectors, ["fold"] * len(rows)),
    }
    if None not in speakers:
        given["speaker"] = _predict_adapted(
            reference, vectors, [str(speaker) for speaker in speakers]
        )
    indices = [trained.labels.index(str(row["truth"])) for row in rows]
    truth = np.array(indices, dtype=np.int64)
    return _CellPredictions(truth, speakers, given)


def _predict_adapted(
    reference: Reference, vectors: npt.NDArray[np.float64], groups: Sequence[str]
) -> Indices:
    """Predict class indices (utterance,), adapting each group to its own statistics."""
    names, predicted = np.array(groups), np.zeros(len(groups), dtype=np.int64)
    for name in np.unique(names):
        members = vectors[names == name]
        logits = logits_of(reference, members, adapt_logits(reference, members))
        predicted[names == name] = logits.argmax(axis=1)
    return predicted


def _common_profiles(cells: Sequence[_CellPredictions]) -> Iterator[str]:
    """The profiles that every fold has."""
    return (name for name in cells[0].given if all(name in cell.given for cell in cells))


def _score(cells: Sequence[_CellPredictions], name: str, config: RunConfig) -> ProfileScore:
    classes = len(config.labels.names)
    truth = np.concatenate([cell.truth for cell in cells])
    given = np.concatenate([cell.given[name] for cell in cells])
    speakers = [
        speaker or f"utterance {number}"
        for cell in cells
        for number, speaker in enumerate(cell.speakers)
    ]

    def ua(rows: npt.NDArray[Any]) -> float:
        return metrics.score_emotions(truth[rows], given[rows], classes).ua

    if len(set(speakers)) < 2:
        return ProfileScore(ua(np.arange(len(truth))), None, None)
    interval = metrics.bootstrap_interval(speakers, ua)
    return ProfileScore(interval.estimate, interval.low, interval.high)


def _read_prior(cell: Path) -> dict[str, Any] | None:
    path = cell / PRIOR
    prior: dict[str, Any] | None = None
    if path.is_file():
        prior = loads_json(path.read_text(encoding="utf-8"))
    return prior
