"""Prediction rows as columns: the input of all scores and comparisons."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from phonemo.errors import ResultError, safe_name
from phonemo.evaluation import metrics
from phonemo.evaluation.metrics import Counts
from phonemo.files import read_rows
from phonemo.labels import LabelSet


class _RequiredColumns(TypedDict):
    """Without which a row cannot be scored."""

    id: str
    fold: str
    seed: int
    speaker: str | None
    gender: str | None
    truth: str | None
    """None for an utterance that has ratings, and none of the emotions."""
    label: str | None
    """The emotion with the highest score; None from a network without emotions."""
    scores: dict[str, float]
    """A probability for each label."""


class PredictionRow(_RequiredColumns, total=False):
    """One line of predictions.jsonl: a tested utterance of one fold with one seed."""

    all_scores: dict[str, float]
    """The same among all emotions of the network, where fewer are tested."""
    phonemes: list[str] | None
    """Recognized by the phoneme head."""
    reference: list[str] | None
    """The phonemes of the manifest."""
    corpus: str
    """In merged manifests."""
    style: str
    """Scripted or improvised."""
    temperature: float
    """Of a calibrated model."""
    unsure: bool
    """Whether the score is below a calibrated model's threshold."""
    leaky: bool
    """Whether the model was trained on the utterance or its speaker."""
    boundary_errors_ms: list[float]
    """Of aligned phonemes against hand-made times."""
    dimensions: dict[str, float]
    """Arousal, valence and dominance that the network gives, 0 to 1."""
    rated: dict[str, float]
    """The same as rated, where known."""
    votes: dict[str, float]
    """The raters' distribution over the labels."""


def read_predictions(path: Path) -> list[PredictionRow]:
    """Rows of a predictions.jsonl that phonemo wrote; ``validate_rows`` checks foreign ones."""
    return cast(list[PredictionRow], read_rows(path))


STATISTICS: dict[str, Callable[[Counts], float]] = {
    "wa": metrics.weighted_accuracy,
    "ua": metrics.unweighted_accuracy,
    "macro_f1": metrics.macro_f1,
    "weighted_f1": metrics.weighted_f1,
}


def natural_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that orders fold 2 before fold 10."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Rows ordered by seed, fold and id, with their columns as arrays ``(row,)``."""

    rows: tuple[PredictionRow, ...]
    seeds: tuple[int, ...]
    """Distinct seeds, ascending."""
    seed: Counts
    """Index into ``seeds``."""
    truth: Counts
    predicted: Counts
    classes: int

    def confusions(self, chosen: Counts) -> Counts:
        """Count the chosen rows: ``(seed, emotion, emotion)``, for seeds that have any."""
        cells = self.classes * self.classes
        cell = (self.seed * self.classes + self.truth) * self.classes + self.predicted
        counts = np.bincount(cell[chosen], minlength=len(self.seeds) * cells)
        table = counts.astype(np.int64).reshape(len(self.seeds), self.classes, self.classes)
        counted: Counts = table[table.sum(axis=(1, 2)) > 0]
        return counted

    def mean(self, statistic: Callable[[Counts], float], chosen: Counts) -> float:
        """The statistic of each seed's chosen rows, averaged over seeds."""
        return float(np.mean([statistic(table) for table in self.confusions(chosen)]))

    def where(self, values: Sequence[object], sought: object) -> Counts:
        """Indices of the rows whose value equals ``sought``."""
        return np.array([n for n, value in enumerate(values) if value == sought], np.int64)


def validate_rows(rows: Sequence[Mapping[str, Any]], labels: LabelSet) -> PredictionTable:
    """Check and order prediction rows; see phonemo.evaluation.summary.summarize."""
    if not rows:
        raise ResultError("expected at least one prediction, got none; test an utterance")
    for row in rows:
        _check_row(row, labels)
    _check_unique(rows)
    ordered = sorted(rows, key=lambda row: (row["seed"], natural_order(fold_of(row)), row["id"]))
    seeds = sorted({int(row["seed"]) for row in rows})
    return PredictionTable(
        rows=tuple(cast(PredictionRow, row) for row in ordered),
        seeds=tuple(seeds),
        seed=np.array([seeds.index(int(row["seed"])) for row in ordered]),
        truth=np.array([labels.index(row["truth"]) for row in ordered]),
        predicted=np.array([labels.index(row["label"]) for row in ordered]),
        classes=len(labels),
    )


def labeled_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows with a true emotion; the others have ratings only."""
    return [row for row in rows if _read(row, "truth") is not None]


def _read(row: Any, name: str) -> Any:
    """A value of a row; what is no row has one, so that it is checked."""
    return row.get(name, "") if isinstance(row, Mapping) else ""


_TEXTS = ("id", "truth", "label")
_MAYBE_TEXTS = ("speaker", "gender")
_LARGEST = 1e9


def _check_types(row: Mapping[str, Any]) -> None:
    """Raise ResultError for values that no phonemo wrote."""
    wrong = [name for name in _TEXTS if not isinstance(row[name], str)]
    wrong += [name for name in _MAYBE_TEXTS if not isinstance(row[name], str | None)]
    scores = row["scores"]
    if not isinstance(scores, Mapping) or not all(map(_is_number, scores.values())):
        wrong.append("scores")
    if wrong:
        raise ResultError(
            f"prediction {safe_name(repr(row['id']))}: unexpected value in {wrong[0]}; test again"
        )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and abs(cast(float, value)) < _LARGEST


def _check_row(row: Mapping[str, Any], labels: LabelSet) -> None:
    if not isinstance(cast(object, row), Mapping):
        raise ResultError(f"expected an object for each prediction, got {safe_name(repr(row))}")
    missing = [key for key in _RequiredColumns.__annotations__ if key not in row]
    if missing:
        raise ResultError(f"prediction {row.get('id')!r}: key {missing[0]!r} is missing")
    if not isinstance(row["seed"], int):
        raise ResultError(
            f"prediction {row['id']!r}: expected an integer seed, got {row['seed']!r}"
        )
    _check_types(row)
    scores = row["scores"]
    if set(scores) != set(labels.names):
        names = ", ".join(sorted(scores))
        raise ResultError(f"prediction {row['id']!r}: expected scores for {labels}, got {names}")
    temperature = row.get("temperature", 1.0)
    if not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
        raise ResultError(
            f"prediction {row['id']!r}: expected a temperature above 0, got {temperature!r}"
        )
    # With a tolerance of 0.001: rounded scores may tie.
    if scores[labels.merged(row["label"])] < max(scores.values()) - 1e-3:
        raise ResultError(
            f"prediction {row['id']!r}: expected the label with the highest score, got "
            f"{row['label']!r}"
        )


def _check_unique(rows: Sequence[Mapping[str, Any]]) -> None:
    (key, times), *_ = Counter((row["seed"], row["id"]) for row in rows).most_common(1)
    if times > 1:
        raise ResultError(
            f"expected one test of utterance {key[1]!r} with seed {key[0]}, got {times}; test "
            "parts of different folds must not overlap"
        )


def fold_of(row: Mapping[str, Any]) -> str:
    """The name of the row's fold."""
    return str(row["fold"])


def clusters_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The cluster of each row: the speaker, or the utterance where the speaker is unknown."""
    return [
        f"utterance {row['id']}" if row["speaker"] is None else f"speaker {row['speaker']}"
        for row in rows
    ]


def unit_of(clusters: Iterable[str]) -> str:
    """Kind of the clusters: "speaker", "utterance", or both with "or" between."""
    return " or ".join(sorted({name.split(" ", 1)[0] for name in clusters}))
