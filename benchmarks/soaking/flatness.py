"""Whether a curve is flat: medians of its tenths, their trend, the first tenth and the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import theilslopes

#: Share of the time that counts as warm-up.
WARM_UP = 1 / 6
TENTHS = 10
#: Largest relative increase of memory from the first tenth to the last.
MEMORY_BAR = 0.05


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
        found |= {"bar": self.share}
        if len(known) < TENTHS:
            return found | {"trend": None, "change": None, "flat": None}
        found["trend"] = trend(start, seconds, known)
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


def trend(start: float, end: float, tenths: Sequence[float]) -> tuple[float, float, float]:
    """Change an hour of the tenths' medians, and its 95 % interval (Theil and Sen).

    Single measurements follow each other too closely to count as independent; medians of minutes
    do so much less.
    """
    middles = np.linspace(start, end, 2 * TENTHS + 1)[1::2] / 3600
    found = theilslopes(tenths, middles, alpha=0.95)
    return float(found.slope), float(found.low_slope), float(found.high_slope)


def line(found: Mapping[str, Any]) -> str:
    """Format a verdict."""
    tenths = " ".join("-" if value is None else f"{value:.4g}" for value in found["tenths"])
    flat = {True: "flat", False: "NOT FLAT", None: "too short to tell"}[found["flat"]]
    bar = "equal" if found["bar"] is None else f"within {found['bar']:.0%}"
    change = "" if found["change"] is None else f"; last against first {_change(found)}"
    told = f"{_trend(found['trend'])}{change}; bar: {bar}: {flat}"
    return f"  {found['name']:<34}{tenths}\n{'':36}{told}"


def _trend(found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "too few measurements"
    slope, low, high = found
    return f"{slope:+.3g} an hour (95 % {low:+.3g} to {high:+.3g})"


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
    figure = Figure(figsize=(10, 2.4 * len(units)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(units), sharex=True))
    for panel, unit in zip(panels, units, strict=True):
        for line in curves:
            if line.unit == unit and line.points:
                at, values = zip(*line.points, strict=True)
                panel.plot(np.array(at) / 60, values, label=line.name, linewidth=0.9)
        panel.axvspan(0, WARM_UP * seconds / 60, color="0.9")
        top = max(1.0, 1.05 * panel.dataLim.y1)
        panel.set(ylabel=unit, ylim=(0, top), xlabel="minutes" if unit == units[-1] else "")
        panel.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    return True
