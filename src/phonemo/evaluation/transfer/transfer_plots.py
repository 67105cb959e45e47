"""The picture of a transfer study: UA by number of unlabeled recordings, and for one-sided pools.

A picture contains the digest of its data, so that an outdated one is detected without drawing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phonemo.evaluation.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, make_figure, save_figure
from phonemo.evaluation.transfer.transfer_report import curve, pool_sizes
from phonemo.evaluation.transfer.transfer_schema import ConditionScores, SystemScore, Transfer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", GREY)
_MARKERS = "osD^vP*X"
_KEY = "phonemo"
#: Increased whenever the same study is drawn in another way.
_VERSION = 1


def plot_transfer(study: Transfer, path: Path) -> None:
    """Draw the means over corpora: pools by size on the left, by share on the right.

    Args:
        study: with at least one system.
        path: the PNG to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    sizes = pool_sizes(study)
    figure = make_figure(11.0 if sizes else 6.0, 4.6)
    axes = figure.subplots(1, 2 if sizes else 1, sharey=True, squeeze=False)[0]
    shares = _plotted_shares(study, sizes)
    for number, system in enumerate(study.systems):
        _draw_pools(axes[0], system, number, _condition_names(study, None))
        for size in sizes:
            label = system.name if size == sizes[-1] else None
            _draw_shares(axes[1], curve(_curves(system), size), shares, label, number)
    over = ", ".join(study.averaged)
    axes[0].set(xlabel="unlabelled recordings of the source", ylabel="UA, %")
    axes[0].set_title(f"Adapted by so many recordings (mean of {over})", fontsize=10)
    if sizes:
        axes[1].set(xlabel=f"share of {study.emotion} in the pool, %")
        names = " and ".join(map(str, sizes))
        smaller = " (dashed: fewer)" if len(sizes) > 1 else ""
        axes[1].set_title(f"One-sided pools of {names}{smaller}", fontsize=10)
    for panel in axes:
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    save_figure(figure, path, **{_KEY: digest_of_picture(study)})


def digest_of_picture(study: Transfer) -> str:
    """The digest stored in a picture of the study, which does not draw ``differences``."""
    return digest_of(f"{_VERSION} {study.model_dump_json(exclude={'differences'})}")


def is_current(study: Transfer, path: Path) -> bool:
    """Whether the file is a picture of exactly this study."""
    return has_digest(path, digest_of_picture(study))


def digest_of(content: str) -> str:
    """Sixteen hexadecimal digits that identify what a picture was drawn from."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def has_digest(path: Path, digest: str) -> bool:
    """Whether a PNG stores this digest; False without the file."""
    if not path.is_file():
        return False
    return f"{_KEY}\0{digest}".encode() in _texts(path.read_bytes())


def _texts(content: bytes) -> list[bytes]:
    """The tEXt chunks of a PNG; empty for other files."""
    chunks, offset = [], 8
    while offset + 8 <= len(content):
        (size,) = struct.unpack(">I", content[offset : offset + 4])
        if content[offset + 4 : offset + 8] == b"tEXt":
            chunks.append(content[offset + 8 : offset + 8 + size])
        offset += size + 12
    return chunks


def _curves(system: SystemScore) -> Sequence[ConditionScores]:
    """The mean, or else the first finished corpus."""
    return system.mean or system.corpora[0].conditions


def _condition_names(study: Transfer, size: int | None) -> list[str]:
    """Names of the conditions of all lines of a panel, in the order of the study."""
    names = (
        condition.name for system in study.systems for condition in curve(_curves(system), size)
    )
    return list(dict.fromkeys(names))


def _draw_pools(axes: Axes, system: SystemScore, number: int, names: Sequence[str]) -> None:
    """Draw from single at the left to all at the right; by speaker as a separate mark."""
    conditions = curve(_curves(system), None)
    _draw_line(
        axes,
        [names.index(condition.name) for condition in conditions],
        conditions,
        system.name,
        number,
        "-",
    )
    speaker = [condition for condition in _curves(system) if condition.name == "speaker"]
    _draw_line(axes, [len(names)] * len(speaker), speaker, None, number, "")
    titles = [name.removeprefix("pool-") for name in names]
    axes.set_xticks(range(len(names) + 1), [*titles, "by\nspeaker"])


def _plotted_shares(study: Transfer, sizes: Sequence[int]) -> list[float]:
    """All tested shares, ascending; 0 is an even pool."""
    lines = (curve(_curves(system), size) for system in study.systems for size in sizes)
    return sorted(
        {condition.share for line in lines for condition in line if condition.share is not None}
    )


def _draw_shares(
    axes: Axes,
    conditions: Sequence[ConditionScores],
    shares: Sequence[float],
    label: str | None,
    number: int,
) -> None:
    """Draw pools of the largest size as solid lines, smaller ones dashed."""
    positions = [
        shares.index(condition.share) for condition in conditions if condition.share is not None
    ]
    _draw_line(axes, positions, conditions, label, number, "--" if label is None else "-")
    names = ["even" if not share else f"{100 * share:.0f}" for share in shares]
    axes.set_xticks(range(len(shares)), names)


def _draw_line(
    axes: Axes,
    positions: Sequence[int],
    conditions: Sequence[ConditionScores],
    label: str | None,
    number: int,
    dash: str,
) -> None:
    color, marker = _COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)]
    means = [100 * condition.ua.mean for condition in conditions]
    lows = [
        100 * (condition.ua.mean if condition.ua.low is None else condition.ua.low)
        for condition in conditions
    ]
    highs = [
        100 * (condition.ua.mean if condition.ua.high is None else condition.ua.high)
        for condition in conditions
    ]
    below = [max(0.0, mean - low) for mean, low in zip(means, lows, strict=True)]
    above = [max(0.0, high - mean) for mean, high in zip(means, highs, strict=True)]
    shifted = [position + 0.04 * number for position in positions]
    axes.errorbar(
        shifted,
        means,
        yerr=(below, above),
        color=color,
        marker=marker,
        linestyle=dash,
        ms=5,
        capsize=2,
        elinewidth=0.8,
        label=label,
    )
