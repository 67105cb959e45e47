"""An embedding map: the emotion head's input for each tested utterance as a point in an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import MissingExtraError
from phonemo.evaluation.fold_vectors import read_vectors
from phonemo.files import loads_json_lines

Points = npt.NDArray[np.float64]
Row = Mapping[str, Any]

#: Maximum number of points; t-SNE takes seconds for them.
_MAX_POINTS = 2000
_MIN_POINTS = 8
_SIDE = 420
#: Okabe and Ito's colors, distinguishable for color-blind readers, and two more.
_COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b"),
    *("#b8a800", "#5b3a8e"),
)


def select_rows(cells: Sequence[Path]) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    """Prediction rows and their vectors, from the cells of a run that share one map.

    Folds whose networks differ only in the linear head share a vector space; otherwise only the
    largest fold is used. None where no vectors were stored.
    """
    parts = [part for cell in cells if (part := _read_cell(cell)) is not None]
    if not parts:
        return None
    if len({vectors.shape[1] for _, vectors in parts}) > 1 or not _share_embedding(cells):
        parts = [max(parts, key=lambda part: len(part[0]))]
    rows = [row for part_rows, _ in parts for row in part_rows]
    return rows, np.concatenate([vectors for _, vectors in parts])


def tsne(vectors: npt.NDArray[np.float32]) -> Points:
    """t-SNE of standardized vectors (utterance, feature): (utterance, 2), between 0 and 1.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError("a map of embeddings", "sklearn") from error
    spread = vectors.std(axis=0)
    scaled = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1)
    components = min(30, *scaled.shape)
    reduced = PCA(components, random_state=0).fit_transform(scaled.astype(np.float64))
    perplexity = min(30.0, (len(reduced) - 1) / 3)
    points: Points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(
        reduced
    )
    low, high = points.min(axis=0), points.max(axis=0)
    scaled_to_one: Points = (points - low) / np.where(high > low, high - low, 1)
    return scaled_to_one


@dataclass(frozen=True)
class MapPoint:
    """An utterance on the map; ``x`` and ``y`` in units of the map's side."""

    x: float
    y: float
    color: str
    wrong: bool
    title: str


@dataclass(frozen=True)
class Map:
    """A map as the page draws it."""

    key: str
    """The field of the rows that colors it."""
    points: list[MapPoint]
    legend: list[tuple[str, str]]
    """Names and their colors."""
    unlisted: int
    """Names that the legend leaves out."""
    side: int = _SIDE


def make_map(rows: Sequence[Row], places: Points, key: str) -> Map:
    """Lay out a map, colored by a field of the rows; ``places`` as ``tsne`` gives them."""
    names = sorted({str(row.get(key)) for row in rows})
    colors = {name: _COLORS[index % len(_COLORS)] for index, name in enumerate(names)}
    points = [
        MapPoint(
            12 + x * (_SIDE - 24),
            12 + (1 - y) * (_SIDE - 24),
            colors[str(row.get(key))],
            row["truth"] is not None and row["label"] != row["truth"],
            _describe(row),
        )
        for row, (x, y) in zip(rows, places, strict=True)
    ]
    listed = names[: len(_COLORS) * 2]
    return Map(key, points, [(name, colors[name]) for name in listed], len(names) - len(listed))


def _share_embedding(cells: Sequence[Path]) -> bool:
    """Whether only the emotion head was trained, so that all folds share a network."""
    return any((cell.parents[1] / "backbone.safetensors").is_file() for cell in cells) and all(
        not (cell / "learning-curves.png").is_file() for cell in cells
    )


def _read_cell(cell: Path) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    rows = loads_json_lines((cell / "predictions.jsonl").read_text(encoding="utf-8"))
    vectors = read_vectors(cell, len(rows))
    return None if vectors is None else (rows, vectors.astype(np.float32))


def subsample(
    rows: Sequence[Row], vectors: npt.NDArray[np.float32]
) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    """Sample at most ``_MAX_POINTS`` rows evenly; None where there are too few for a map."""
    if len(rows) < _MIN_POINTS:
        return None
    indices = np.linspace(0, len(rows) - 1, min(len(rows), _MAX_POINTS)).astype(int)
    return [rows[index] for index in indices], vectors[indices]


def _describe(row: Row) -> str:
    error = "" if row["label"] == row["truth"] else f", recognized as {row['label']}"
    if row["truth"] is None:
        return f"{row['id']}, speaker {row.get('speaker') or 'unknown'}"
    return f"{row['id']}: {row['truth']}{error}, speaker {row.get('speaker') or 'unknown'}"
