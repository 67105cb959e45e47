"""Draw the curves: speed over workers, and what one curve's workers spend their time on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling_model.service_times import Measured, measured_job
from scaling_model.simulation import STATES, Job, Point, Storage, bend, simulate

#: Distinguishable for most color-blind readers, and by marker and line in print (Okabe and Ito).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
_LINES, _MARKERS = ("-", "--", "-.", ":", "-"), "osD^v"
_FILLS = ("#0072B2", "#E69F00", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442", "#BBBBBB")
_LABELS = {"end": "no part left", "storage": "waiting for the storage", "plan": "plan and command"}
_HATCHES = ("", "//", "\\\\", "xx", "..", "++", "--", "oo")


def draw(curves: Mapping[Job, Sequence[Point]], found: Measured, path: Path) -> None:
    """Write the picture as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(11.5, 5.4), dpi=150, width_ratios=(1.25, 1), facecolor="white"
    )
    _speeds(left, curves, found)
    job = min(curves, key=lambda one: curves[one][-1].efficiency)
    _shares(right, job.name, curves[job])
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _speeds(axes: Any, curves: Mapping[Job, Sequence[Point]], found: Measured) -> None:
    for number, (job, points) in enumerate(curves.items()):
        workers, speeds = zip(*((one.workers, one.speed) for one in points), strict=True)
        style = {"color": _COLORS[number], "linestyle": _LINES[number], "marker": _MARKERS[number]}
        axes.plot(workers, speeds, label=job.name, markersize=4, linewidth=1.4, **style)
        low, high = zip(*((p.speed - p.margin, p.speed + p.margin) for p in points), strict=True)
        axes.fill_between(workers, low, high, color=_COLORS[number], alpha=0.15, linewidth=0)
        if (first := bend(points)) is not None:
            axes.plot(first.workers, first.speed, "o", ms=11, mfc="none", mec=_COLORS[number])
    _measured(axes, found)
    alone = [points[0].speed for points in curves.values()]
    for speed in (max(alone), min(alone)):
        axes.plot([1, 64], [speed, 64 * speed], color="#888888", linewidth=0.8, zorder=0)
    axes.annotate("ideal", (60, 66 * max(alone)), color="#555555", fontsize=9, ha="right")
    axes.set(xscale="log", yscale="log", xlabel="workers (one core each)")
    axes.set_ylabel("hours of audio per hour")
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    axes.minorticks_off()
    axes.grid(True, linewidth=0.4, color="#dddddd")
    axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, frameon=False)
    axes.set_title("Speed (rings: below 80 % of ideal)", fontsize=10)


def _measured(axes: Any, found: Measured) -> None:
    """The measured runs, and the simulation of the same batch."""
    job = measured_job(found)
    here = Storage(1e6, 0.0)
    workers = [run.workers for run in found.runs]
    simulated = [simulate(job, found.times, one, here).speed for one in workers]
    measured = [job.hours * 3600 / run.seconds for run in found.runs]
    style: dict[str, Any] = {"linestyle": "none", "markersize": 11, "color": "black"}
    name = f"whole command, {len(found.lengths)} clips"
    axes.plot(workers, measured, "*", label=f"measured: {name}, load {found.load:g}", **style)
    axes.plot(workers, simulated, "*", mfc="none", label=f"simulated: {name}", **style)


def _shares(axes: Any, name: str, points: Sequence[Point]) -> None:
    places = range(len(points))
    below = [0.0] * len(points)
    for state, fill, hatch in zip(STATES, _FILLS, _HATCHES, strict=True):
        heights = [100 * one.shares[state] for one in points]
        if max(heights) < 0.5:
            continue
        axes.bar(
            places,
            heights,
            0.8,
            below,
            color=fill,
            hatch=hatch,
            edgecolor="white",
            label=_LABELS.get(state, state),
        )
        below = [one + more for one, more in zip(below, heights, strict=True)]
    axes.set_xticks(list(places), [str(one.workers) for one in points])
    axes.set(
        xlabel="workers (one core each)", ylabel="share of the workers' time in %", ylim=(0, 100)
    )
    axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, frameon=False)
    axes.set_title(f"Where the time goes: {name}", fontsize=10)
