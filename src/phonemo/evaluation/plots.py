"""Plots of a run as PNG files: confusion, learning curves, reliability, risk and coverage.

Figures are created as objects, without pyplot: no global state, no window, thread-safe.
Colors are Okabe and Ito's, distinguishable for color-blind readers; lines also differ in dash or
marker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from phonemo.errors import MissingExtraError, ResultError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6B6B6B"

#: Key in the log -> legend name, color, dash.
LOSSES = {
    "loss": ("total", "#000000", "-"),
    "loss_emotion": ("emotion", BLUE, "--"),
    "loss_phonemes": ("phonemes (CTC)", ORANGE, "-."),
    "loss_dimensions": ("dimensions", VERMILION, "-"),
    "eval_loss": ("emotion, validation", GREEN, ":"),
}
SCORES = {
    "eval_ua": ("UA", BLUE, "-"),
    "eval_wa": ("WA", VERMILION, "--"),
    "eval_ccc": ("mean CCC x 100", GREEN, ":"),
}


def plot_confusion(confusion: Mapping[str, Any], path: Path, title: str) -> None:
    """Draw "confusion" of the results: counts, and row percentages as colors.

    Raises:
        ResultError: counts that are not (emotion, emotion) for the labels.
        MissingExtraError: matplotlib is not installed.
    """
    labels, counts = list(confusion["labels"]), [list(row) for row in confusion["counts"]]
    if not labels or len(counts) != len(labels) or {len(row) for row in counts} != {len(labels)}:
        raise ResultError(
            f"expected counts of {len(labels)} x {len(labels)} labels, got another shape"
        )
    shares = [[_percent(count, sum(row)) for count in row] for row in counts]
    side = 2.6 + 0.72 * len(labels)
    figure = make_figure(side + 1.6, side, "compressed")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in ((r, c) for r in range(len(labels)) for c in range(len(labels))):
        share = shares[row][column] if sum(counts[row]) else None
        _write_cell(axes, row, column, counts[row][column], share)
    names = [f"{label} ({sum(row)})" for label, row in zip(labels, counts, strict=True)]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="recognized", ylabel="true emotion (answers)", title=title)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("share of the true emotion, %")
    save_figure(figure, path)


def plot_learning_curves(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    title: str = "Learning curves",
    best_epoch: float | None = None,
) -> None:
    """Draw the log of one training: losses on the left, validation scores on the right.

    Args:
        rows: the log's rows; each has "epoch" and any of "loss", "loss_emotion",
            "loss_phonemes", "loss_dimensions", "eval_loss", "eval_ua", "eval_wa", "eval_ccc".
        path: the PNG to write.
        title: title of the figure.
        best_epoch: the selected epoch; by default the first one with the best validation UA, or
            else WA, or else loss.

    Raises:
        ResultError: no row with an epoch and a number to draw.
        MissingExtraError: matplotlib is not installed.
    """
    losses = {key: _series(rows, key) for key in LOSSES}
    scores = {key: _series(rows, key, 100.0) for key in SCORES}
    if not any(losses.values()) and not any(scores.values()):
        raise ResultError("expected an epoch with a loss or a validation score, got none")
    best = _best_epoch(losses, scores) if best_epoch is None else best_epoch
    figure = make_figure(10.0, 4.2)
    left, right = figure.subplots(1, 2)
    _draw_series(left, losses, LOSSES, best)
    left.set(xlabel="epoch", ylabel="loss, nats", title="Loss in training")
    left.set_ylim(bottom=min([0.0, *(y for series in losses.values() for _, y in series)]))
    _draw_series(right, scores, SCORES, best)
    right.set(xlabel="epoch", ylabel="%", title="Validation scores")
    right.set_ylim(*_score_limits(scores))
    figure.suptitle(title)
    save_figure(figure, path)


def plot_reliability(
    calibration: Mapping[str, Any], path: Path, title: str = "Reliability"
) -> None:
    """Draw "calibration" of the results: accuracy by confidence, and its histogram.

    Raises:
        ResultError: all bins are empty.
        MissingExtraError: matplotlib is not installed.
    """
    bins = [row for row in calibration["bins"] if row["count"]]
    if not bins:
        raise ResultError("expected a bin with utterances in calibration, got none")
    figure = make_figure(5.6, 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_reliability(upper, bins)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    upper.text(
        0.03, 0.96, _calibration_text(calibration), transform=upper.transAxes, va="top", bbox=box
    )
    upper.set(ylabel="right answers, %", xlim=(0, 100), ylim=(0, 100), title=title)
    lower.bar(*_bars(bins, "count", 1.0), color=GREY, edgecolor="white", align="edge")
    lower.set(xlabel="confidence (highest probability), %", ylabel="utterances")
    save_figure(figure, path)


def plot_risk_coverage(selective: Mapping[str, Any], path: Path, title: str) -> None:
    """Draw "selective" of the results: the share of wrong answers among the most confident ones.

    Raises:
        ResultError: an empty curve.
        MissingExtraError: matplotlib is not installed.
    """
    curve = selective["curve"]
    if not curve:
        raise ResultError("expected points in the risk-coverage curve, got none")
    figure = make_figure(5.6, 4.6)
    axes = figure.add_subplot()
    covered, risks = ([100 * point[key] for point in curve] for key in ("coverage", "risk"))
    label = f"most confident answers first (area {100 * selective['area']:.1f} %)"
    axes.plot(covered, risks, "o-", color=BLUE, ms=4, label=label)
    if selective.get("coverage") is not None and selective.get("risk") is not None:
        place = (100 * selective["coverage"], 100 * selective["risk"])
        axes.plot(
            *place, "D", color=VERMILION, mec="black", ms=8, label="the models' own thresholds"
        )
    axes.set(xlabel="answers given, %", ylabel="wrong among them, %", title=title)
    axes.set(xlim=(0, 102), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="upper left")
    save_figure(figure, path)


def make_figure(
    width_inches: float,
    height_inches: float,
    layout: Literal["constrained", "compressed"] = "constrained",
) -> Figure:
    """Create an empty figure; MissingExtraError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("drawing plots", "train") from error
    figure = Figure(figsize=(width_inches, height_inches), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, **texts: str) -> None:
    """Write the PNG with metadata ``texts``; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without "Software", versions that draw alike give the same bytes.
    data = {"Software": None, **texts}
    figure.savefig(path, dpi=DPI, format="png", bbox_inches="tight", metadata=data)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float | None) -> None:
    color = "white" if share is not None and share > 55 else "black"
    weight = "bold" if row == column else "normal"
    text = f"{count}" if share is None else f"{count}\n{share:.0f} %"
    axes.text(
        column, row, text, ha="center", va="center", color=color, fontsize=9, fontweight=weight
    )


def _series(
    rows: Sequence[Mapping[str, Any]], key: str, factor: float = 1.0
) -> list[tuple[float, float]]:
    """Pairs of epoch and value, without rows that lack the key or have NaN."""
    pairs = [(row.get("epoch"), row.get(key)) for row in rows]
    known = [(float(x), float(y)) for x, y in pairs if x is not None and y is not None]
    return [(x, y * factor) for x, y in known if math.isfinite(x) and math.isfinite(y)]


def _best_epoch(
    losses: Mapping[str, list[tuple[float, float]]], scores: Mapping[str, list[tuple[float, float]]]
) -> float | None:
    for key in SCORES:
        if scores[key]:
            return max(scores[key], key=lambda pair: (pair[1], -pair[0]))[0]
    if losses["eval_loss"]:
        return min(losses["eval_loss"], key=lambda pair: (pair[1], pair[0]))[0]
    return None


def _draw_series(
    axes: Axes,
    series: Mapping[str, list[tuple[float, float]]],
    styles: Mapping[str, tuple[str, str, str]],
    best: float | None,
) -> None:
    drawn = [key for key in styles if series[key]]
    for key in drawn:
        name, color, dash = styles[key]
        marker = "o" if len(series[key]) <= 60 else ""
        epochs, values = zip(*series[key], strict=True)
        axes.plot(epochs, values, color=color, linestyle=dash, marker=marker, ms=3, label=name)
    if not drawn:
        axes.text(0.5, 0.5, "none in the log", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(left=0, right=1.03 * max(x for key in drawn for x, _ in series[key]) or 1)
    if best is not None:
        axes.axvline(best, color=GREY, linewidth=1, zorder=0, label=f"best epoch ({best:g})")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, framealpha=0.9)


def _score_limits(scores: Mapping[str, list[tuple[float, float]]]) -> tuple[float, float]:
    """Multiples of ten around the scores, in per cent."""
    values = [value for series in scores.values() for _, value in series] or [0.0, 100.0]
    low, high = math.floor((min(values) - 2) / 10), math.ceil((max(values) + 2) / 10)
    return max(0.0, 10.0 * low), min(100.0, 10.0 * high)


def _bars(
    bins: Sequence[Mapping[str, Any]], key: str, factor: float
) -> tuple[list[float], list[float], list[float]]:
    """Left edges in per cent, heights and widths in per cent, as for ``Axes.bar``."""
    left = [100 * row["low"] for row in bins]
    width = [100 * (row["high"] - row["low"]) for row in bins]
    return left, [factor * row[key] for row in bins], width


def _draw_reliability(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    left, height, width = _bars(bins, "accuracy", 100.0)
    axes.bar(
        left,
        height,
        width,
        color=BLUE,
        edgecolor="white",
        align="edge",
        label="right answers in the bin",
    )
    axes.plot([0, 100], [0, 100], color="black", linestyle="--", label="perfectly calibrated")
    confidence = [100 * row["confidence"] for row in bins]
    axes.plot(
        confidence,
        confidence,
        "D",
        color=ORANGE,
        mec="black",
        ms=5,
        label="mean confidence of the bin",
    )
    axes.legend(fontsize=9, loc="lower right", framealpha=1)


def _calibration_text(calibration: Mapping[str, Any]) -> str:
    utterances = sum(row["count"] for row in calibration["bins"])
    return "\n".join(
        (
            f"ECE {100 * calibration['ece']:.1f} %",
            f"Brier {calibration['brier']:.3f} (0 to 2)",
            f"NLL {calibration['nll']:.3f} nats",
            f"{utterances} answers",
        )
    )
