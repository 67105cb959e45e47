"""Plots of rated dimensions: predicted against rated values, with the CCC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.evaluation.plots import BLUE, VERMILION, make_figure, save_figure
from phonemo.evaluation.ratings.rating_tables import rated_names, rated_rows

#: More points would not show more.
_MOST_POINTS = 4000
#: Name in a run folder.
SCATTER = "dimensions.png"


def plot_dimensions(
    rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Any], path: Path, title: str
) -> None:
    """Draw predicted against rated values of each dimension, a panel each.

    Args:
        rows: prediction rows; those without ratings are not drawn.
        scores: "dimensions" of the results, whose CCC is written into the panels.
        path: the PNG to write.
        title: of the figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rated = rated_rows(rows)
    names = rated_names(rated)
    figure = make_figure(1.2 + 3.6 * len(names), 4.4)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        pairs = np.array(
            [
                (row["rated"][name], row["dimensions"][name])
                for row in rated
                if name in row["rated"] and name in row["dimensions"]
            ]
        )
        drawn = pairs[:: max(1, -(-len(pairs) // _MOST_POINTS))]
        axes.plot([0, 1], [0, 1], color=VERMILION, linestyle="--", lw=1, label="equal")
        axes.scatter(*drawn.T, s=9, alpha=0.4, color=BLUE, linewidths=0)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="rated", ylabel="predicted")
        axes.set_title(f"{name}\n{_score_text(scores['scores'][name])}", fontsize=10)
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    save_figure(figure, path)


def _score_text(score: Mapping[str, Any]) -> str:
    agreement = "undefined" if score["ccc"] is None else f"{score['ccc']['mean']:.3f}"
    return f"CCC {agreement}, RMSE {score['rmse']['mean']:.3f}"
