"""A map of what the emotion head reads: one point for each tested utterance, as an SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import MissingExtraError
from phonemo.files import loads_json_lines

Points = npt.NDArray[np.float64]
Row = Mapping[str, Any]

#: Of at most so many points; t-SNE takes seconds for them.
_MOST = 2000
_FEWEST = 8
_SIDE = 420
#: Okabe and Ito's colours, which colour-blind people tell apart, and two more; then shapes.
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b"),
    *("#b8a800", "#5b3a8e"),
)


def select_rows(cells: Sequence[Path]) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    """Rows of predictions and their vectors, of the cells of a run that belong into one map.

    Folds whose network is the same but for its linear head share a space; others do not, and then
    the largest fold is taken alone. None where no vectors were kept.
    """
    found = [both for one in cells if (both := _of_cell(one)) is not None]
    if not found:
        return None
    if len({vectors.shape[1] for _, vectors in found}) > 1 or not _share_embedding(cells):
        found = [max(found, key=lambda both: len(both[0]))]
    rows = [row for some, _ in found for row in some]
    return rows, np.concatenate([vectors for _, vectors in found])


def tsne(vectors: npt.NDArray[np.float32]) -> Points:
    """t-SNE of standardised vectors (utterance, feature): (utterance, 2), between 0 and 1.

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
    few = min(30, *scaled.shape)
    reduced = PCA(few, random_state=0).fit_transform(scaled.astype(np.float64))
    near = min(30.0, (len(reduced) - 1) / 3)
    found: Points = TSNE(2, perplexity=near, init="pca", random_state=0).fit_transform(reduced)
    low, high = found.min(axis=0), found.max(axis=0)
    scaled_to_one: Points = (found - low) / np.where(high > low, high - low, 1)
    return scaled_to_one


def render_svg(rows: Sequence[Row], places: Points, key: str) -> str:
    """The map as SVG with a legend, coloured by a field of the rows; each point says what it is."""
    names = sorted({str(row.get(key)) for row in rows})
    marks = "".join(
        f'<circle cx="{12 + x * (_SIDE - 24):.1f}" cy="{12 + (1 - y) * (_SIDE - 24):.1f}" r="3.5" '
        f'fill="{_colour(names, str(row.get(key)))}" fill-opacity="0.75"{_ring(row)}>'
        f"<title>{html.escape(_describe(row))}</title></circle>"
        for row, (x, y) in zip(rows, places, strict=True)
    )
    shown = names[: len(_COLOURS) * 2]
    more = f"<li>and {len(names) - len(shown)} more</li>" if len(names) > len(shown) else ""
    legend = "".join(
        f'<li><i style="background:{_colour(names, name)}"></i>{html.escape(name)}</li>'
        for name in shown
    )
    return (
        f'<figure><svg viewBox="0 0 {_SIDE} {_SIDE}" role="img" aria-label="Map of {len(rows)} '
        f'utterances by {html.escape(key)}">{marks}</svg>'
        f'<ul class="legend">{legend}{more}</ul></figure>'
    )


def _share_embedding(cells: Sequence[Path]) -> bool:
    """Whether nothing below the emotion head learnt, so that all folds share a network."""
    return any((cell.parents[1] / "backbone.safetensors").is_file() for cell in cells) and all(
        not (cell / "learning-curves.png").is_file() for cell in cells
    )


def _of_cell(cell: Path) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    path = cell / "vectors.npy"
    if not path.is_file():
        return None
    vectors = np.load(path, allow_pickle=False).astype(np.float32)
    rows = loads_json_lines((cell / "predictions.jsonl").read_text(encoding="utf-8"))
    return (rows, vectors) if len(rows) == len(vectors) else None


def subsample(
    rows: Sequence[Row], vectors: npt.NDArray[np.float32]
) -> tuple[list[Row], npt.NDArray[np.float32]] | None:
    """At most so many, evenly; None where there are too few for a map."""
    if len(rows) < _FEWEST:
        return None
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)
    return [rows[one] for one in chosen], vectors[chosen]


def _colour(names: Sequence[str], name: str) -> str:
    return _COLOURS[names.index(name) % len(_COLOURS)]


def _ring(row: Row) -> str:
    return "" if row["label"] == row["truth"] else ' stroke="currentColor" stroke-width="1.4"'


def _describe(row: Row) -> str:
    heard = "" if row["label"] == row["truth"] else f", heard as {row['label']}"
    return f"{row['id']}: {row['truth']}{heard}, speaker {row.get('speaker') or 'unknown'}"
