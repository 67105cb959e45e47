"""The picture of a transfer study: UA against unlabelled recordings, and against one-sided pools.

A picture holds the digest of what it was drawn from, so that a stale one is found without drawing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phonemo.evaluation.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, make_figure, save_figure
from phonemo.evaluation.transfer_report import (
    ConditionScores,
    SystemScore,
    Transfer,
    curve,
    pool_sizes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", GREY)
_MARKERS = "osD^vP*X"
_KEY = "phonemo"
#: Raised whenever the same study is drawn in another way.
_VERSION = 1


def plot_transfer(study: Transfer, path: Path) -> None:
    """Draw the means over corpora: pools by their size on the left, by their shares on the right.

    Args:
        study: with a system or more.
        path: the PNG to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    sizes = pool_sizes(study)
    figure = make_figure(11.0 if sizes else 6.0, 4.6)
    axes = figure.subplots(1, 2 if sizes else 1, sharey=True, squeeze=False)[0]
    shares = _shares_of(study, sizes)
    for number, system in enumerate(study.systems):
        _pools(axes[0], system, number, _names(study, None))
        for size in sizes:
            label = system.name if size == sizes[-1] else None
            _shares(axes[1], curve(_curves(system), size), shares, label, number)
    over = ", ".join(study.averaged)
    axes[0].set(xlabel="unlabelled recordings of the source", ylabel="UA, %")
    axes[0].set_title(f"Adapted by so many recordings (mean of {over})", fontsize=10)
    if sizes:
        axes[1].set(xlabel=f"share of {study.emotion} in the pool, %")
        names = " and ".join(map(str, sizes))
        smaller = " (dashed: fewer)" if len(sizes) > 1 else ""
        axes[1].set_title(f"One-sided pools of {names}{smaller}", fontsize=10)
    for one in axes:
        one.grid(alpha=0.3)
        one.legend(fontsize=8)
    save_figure(figure, path, **{_KEY: digest_of_picture(study)})


def digest_of_picture(study: Transfer) -> str:
    """What a picture of the study holds."""
    return hashlib.sha256(f"{_VERSION} {study.model_dump_json()}".encode()).hexdigest()[:16]


def is_current(study: Transfer, path: Path) -> bool:
    """Whether the file is a picture of this very study."""
    if not path.is_file():
        return False
    return f"{_KEY}\0{digest_of_picture(study)}".encode() in _texts(path.read_bytes())


def _texts(content: bytes) -> list[bytes]:
    """The tEXt chunks of a PNG; none of what is no PNG."""
    found, place = [], 8
    while place + 8 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        if content[place + 4 : place + 8] == b"tEXt":
            found.append(content[place + 8 : place + 8 + size])
        place += size + 12
    return found


def _curves(system: SystemScore) -> Sequence[ConditionScores]:
    """The mean, or the only corpora that are finished."""
    return system.mean or system.corpora[0].conditions


def _names(study: Transfer, size: int | None) -> list[str]:
    """Of the conditions of all lines of a panel, in the order of the study."""
    every = (one.name for system in study.systems for one in curve(_curves(system), size))
    return list(dict.fromkeys(every))


def _pools(axes: Axes, system: SystemScore, number: int, names: Sequence[str]) -> None:
    """Single at the left, and all at the right; by speaker as a mark of its own."""
    found = curve(_curves(system), None)
    _line(axes, [names.index(one.name) for one in found], found, system.name, number, "-")
    speaker = [one for one in _curves(system) if one.name == "speaker"]
    _line(axes, [len(names)] * len(speaker), speaker, None, number, "")
    titles = [name.removeprefix("pool-") for name in names]
    axes.set_xticks(range(len(names) + 1), [*titles, "by\nspeaker"])


def _shares_of(study: Transfer, sizes: Sequence[int]) -> list[float]:
    """All shares that were tested, ascending; 0 is an even pool."""
    lines = (curve(_curves(system), size) for system in study.systems for size in sizes)
    return sorted({one.share for line in lines for one in line if one.share is not None})


def _shares(
    axes: Axes,
    found: Sequence[ConditionScores],
    shares: Sequence[float],
    label: str | None,
    number: int,
) -> None:
    """A pool of the largest size is drawn whole, smaller ones dashed."""
    places = [shares.index(one.share) for one in found if one.share is not None]
    _line(axes, places, found, label, number, "--" if label is None else "-")
    names = ["even" if not one else f"{100 * one:.0f}" for one in shares]
    axes.set_xticks(range(len(shares)), names)


def _line(
    axes: Axes,
    places: Sequence[int],
    found: Sequence[ConditionScores],
    label: str | None,
    number: int,
    dash: str,
) -> None:
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    means = [100 * one.ua.mean for one in found]
    lows = [100 * (one.ua.mean if one.ua.low is None else one.ua.low) for one in found]
    highs = [100 * (one.ua.mean if one.ua.high is None else one.ua.high) for one in found]
    below = [max(0.0, mean - low) for mean, low in zip(means, lows, strict=True)]
    above = [max(0.0, high - mean) for mean, high in zip(means, highs, strict=True)]
    shifted = [place + 0.04 * number for place in places]
    axes.errorbar(
        shifted,
        means,
        yerr=(below, above),
        color=colour,
        marker=marker,
        linestyle=dash,
        ms=5,
        capsize=2,
        elinewidth=0.8,
        label=label,
    )
