"""Whether a curve is flat: medians of its tenths, its slope, the first tenth and the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Share of the time that counts as warm-up.
WARM_UP = 1 / 6
TENTHS = 10
#: Largest relative increase of memory from the first tenth to the last.
MEMORY_BAR = 0.05
_MOST_POINTS = 500


@dataclass(frozen=True)
class Curve:
    """A measured quantity over time."""

    name: str
    points: Sequence[tuple[float, float]]
    """Seconds and values."""
    share: float | None = None
    """Largest relative change from the first tenth to the last; None for no change."""
    unit: str = ""

    def judged(self, seconds: float) -> dict[str, Any]:
        """Compute the verdict for this duration; ``flat`` is None if it was too short."""
        start = WARM_UP * seconds
        kept = [(at, value) for at, value in self.points if start <= at <= seconds]
        tenths = [_median(kept, *_span(start, seconds, number)) for number in range(TENTHS)]
        known = [value for value in tenths if value is not None]
        found = {"name": self.name, "unit": self.unit, "tenths": tenths, "points": len(kept)}
        found |= {"bar": self.share, "per_hour": slope(kept) * 3600}
        if len(known) < TENTHS:
            return found | {"change": None, "flat": None}
        change = known[-1] - known[0]
        most = 0.0 if self.share is None else self.share * known[0]
        return found | {"change": change, "flat": abs(change) <= most}


def curve(
    name: str,
    told: Iterable[Mapping[str, Any]],
    key: str,
    share: float | None = None,
    unit: str = "",
) -> Curve:
    """Build a curve from dictionaries with a time."""
    return Curve(name, [(row["at"], row[key]) for row in told], share, unit)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil-Sen estimator: the median of the slopes between all pairs, robust to outliers."""
    some = np.array(points[:: max(1, len(points) // _MOST_POINTS)], dtype=float).reshape(-1, 2)
    first, second = np.triu_indices(len(some), 1)
    apart = some[second] - some[first]
    steep = apart[apart[:, 0] > 0]
    return float(np.median(steep[:, 1] / steep[:, 0])) if len(steep) else 0.0


def line(found: Mapping[str, Any]) -> str:
    """Format a verdict."""
    tenths = " ".join("-" if value is None else f"{value:.4g}" for value in found["tenths"])
    flat = {True: "flat", False: "NOT FLAT", None: "too short to tell"}[found["flat"]]
    bar = "equal" if found["bar"] is None else f"within {found['bar']:.0%}"
    change = "" if found["change"] is None else f", last against first {_change(found)}"
    told = f"{found['per_hour']:+.3g} an hour{change}; bar: {bar}: {flat}"
    return f"  {found['name']:<34}{tenths}\n{'':36}{told}"


def _change(found: Mapping[str, Any]) -> str:
    first = found["tenths"][0]
    if found["bar"] is None or not first:
        return f"{found['change']:+g}"
    return f"{found['change'] / first:+.1%}"


def _span(start: float, end: float, number: int) -> tuple[float, float]:
    step = (end - start) / TENTHS
    return start + number * step, start + (number + 1) * step


def _median(points: Iterable[tuple[float, float]], start: float, end: float) -> float | None:
    values = [value for at, value in points if start <= at <= end]
    return float(np.median(values)) if values else None


def plotted(curves: Sequence[Curve], seconds: float, path: str) -> bool:
    """Plot a panel for each unit; return False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    units = list(dict.fromkeys(item.unit for item in curves))
    figure = Figure(figsize=(9, 2.6 * len(units)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(units), sharex=True))
    for panel, unit in zip(panels, units, strict=True):
        for line in curves:
            if line.unit == unit and line.points:
                at, values = zip(*line.points, strict=True)
                panel.plot(np.array(at) / 60, values, label=line.name, linewidth=0.9)
        panel.axvspan(0, WARM_UP * seconds / 60, color="0.9")
        panel.set(ylabel=unit, ylim=(0, None), xlabel="minutes" if unit == units[-1] else "")
        panel.legend(fontsize=7, ncols=2, loc="lower right")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    return True
