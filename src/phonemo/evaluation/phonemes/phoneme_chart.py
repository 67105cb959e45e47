"""The picture of a phoneme study: bits of vowels on the trapezoid, of consonants in their table.

A disc's area and its shade grow with the bits of the convolutions' output, and it can be read in
black and white; a dashed rim marks an interval that includes zero. The ring around it is the
highest hidden state, whose frames depend on the whole recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phonemo.evaluation.phonemes.ipa_places import MANNERS, PLACES, VOWELS
from phonemo.evaluation.phonemes.phoneme_schema import CorpusReadings, PhonemeRow, PhonemeStudy
from phonemo.evaluation.plots import DPI, make_figure, save_figure
from phonemo.evaluation.transfer.transfer_plots import digest_of, has_digest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Increased whenever the same study is drawn in another way.
_VERSION = 2
_NAMES = {"emodb": "EmoDB", "ravdess": "RAVDESS", "nemo": "nEMO"}
_LANGUAGES = {"de": "German", "en": "English", "pl": "Polish", "it": "Italian", "fr": "French"}
#: matplotlib brings this font, which has every letter of the IPA and its ties.
_FONT = "DejaVu Serif"
#: How far the open front corner of the trapezoid lies to the right, of its width.
_SLANT = 0.42
#: Area of a disc in square points for the most bits of a study, and the least for any.
_LARGEST, _SMALLEST = 420.0, 85.0
_STATE, _CONTEXT = "convolutions", "highest"
_LEVELS = 16


@dataclass(frozen=True)
class _Scale:
    """The most bits of the convolutions, for shades, and of both states, for areas."""

    most: float
    largest: float

    def area(self, bits: float) -> float:
        """Square points."""
        return _SMALLEST + _LARGEST * max(0.0, bits) / self.largest

    def shade(self, bits: float) -> str:
        """Dark blue for the most bits, pale for none; luminance falls steadily."""
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        return to_hex(colormaps["YlGnBu"](0.08 + 0.8 * max(0.0, bits) / max(self.most, 1e-9)))


def plot_phonemes(study: PhonemeStudy, path: Path) -> None:
    """Draw the corpora side by side, each by the convolutions' output and forced alignment.

    Args:
        study: with at least one corpus.
        path: the PNG to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from matplotlib import rc_context

    corpora = [corpus for corpus in study.corpora if corpus.reading(_STATE) is not None]
    most = max(row.bits.mean for corpus in corpora for row in _rows(corpus))
    largest = max(most, *(bits for corpus in corpora for bits in _context(corpus).values()))
    scale = _Scale(most, largest)
    with rc_context({"font.family": _FONT, "font.size": 8, "hatch.linewidth": 0.5}):
        figure = make_figure(3.7 * len(corpora), 6.1)
        panels = figure.subplots(2, len(corpora), squeeze=False, height_ratios=(1.1, 1))
        for number, corpus in enumerate(corpora):
            _draw_vowels(panels[0][number], corpus, scale)
            _draw_consonants(panels[1][number], corpus, scale, _edges(corpora), number == 0)
        _draw_legend(figure, scale)
        save_figure(figure, path)
    _reduce_colors(path, digest_of_chart(study))


def digest_of_chart(study: PhonemeStudy) -> str:
    """The digest stored in a picture of the study."""
    return digest_of(f"{_VERSION} {study.model_dump_json()}")


def is_current_chart(study: PhonemeStudy, path: Path) -> bool:
    """Whether the file is a picture of exactly this study."""
    return has_digest(path, digest_of_chart(study))


def alt_text(study: PhonemeStudy) -> str:
    """What the picture shows, in a sentence for each corpus."""
    parts = []
    for corpus in study.corpora:
        rows = sorted(_rows(corpus), key=lambda row: -row.bits.mean)
        most = ", ".join(f"{row.symbol} {row.bits.mean:.2f}" for row in rows[:5])
        least = ", ".join(f"{row.symbol} {row.bits.mean:.2f}" for row in rows[-3:])
        parts.append(f"{_title(corpus)}: most {most}; least {least}.")
    return (
        "Vowels on the IPA trapezoid and consonants by manner and place for each corpus. Discs "
        "grow and darken with the bits that one segment of the phoneme holds about the emotion "
        "in the convolutions' output, rings grow with those in the highest hidden state. "
        + " ".join(parts)
    )


def _rows(corpus: CorpusReadings) -> Sequence[PhonemeRow]:
    reading = corpus.reading(_STATE)
    return () if reading is None else reading.phonemes


def _context(corpus: CorpusReadings) -> dict[str, float]:
    """Bits of the highest state by phoneme; empty without that reading."""
    reading = corpus.reading(_CONTEXT)
    return {} if reading is None else {row.symbol: row.bits.mean for row in reading.phonemes}


def _title(corpus: CorpusReadings) -> str:
    language = _LANGUAGES.get(corpus.language, corpus.language)
    return f"{language} ({_NAMES.get(corpus.name, corpus.name)})"


def _draw_vowels(axes: Axes, corpus: CorpusReadings, scale: _Scale) -> None:
    axes.set_title(_title(corpus), fontsize=12, pad=14)
    facts = f"{len(corpus.emotions)} emotions, {corpus.speakers} speakers, "
    facts += f"{corpus.sentences} sentences"
    axes.text(0.5, 1.015, facts, transform=axes.transAxes, ha="center", color="#444444")
    for height in (0, 1 / 3, 2 / 3, 1):
        axes.plot([_SLANT * height, 1], [height, height], color="#b5b5b5", lw=0.8, zorder=0)
    for back in (0, 0.5, 1):
        axes.plot([back, _SLANT + back * (1 - _SLANT)], [0, 1], color="#b5b5b5", lw=0.8, zorder=0)
    for text, place in (("front", 0.0), ("central", 0.5), ("back", 1.0)):
        axes.text(place, -0.17, text, ha="center", style="italic", color="#444444")
    for text, height in (("close", 0.0), ("close-mid", 1 / 3), ("open-mid", 2 / 3), ("open", 1.0)):
        axes.text(1.16, height, text, va="center", style="italic", color="#444444")
    context = _context(corpus)
    for row in corpus_vowels(_rows(corpus)):
        _draw_disc(axes, _vowel_place(row.symbol), row, context.get(row.symbol), scale)
    diphthongs = [row for row in _rows(corpus) if row.phonetic_class == "diphthong"]
    for number, row in enumerate(diphthongs):
        _draw_disc(axes, (0.16 * number, 0.84), row, context.get(row.symbol), scale)
    if diphthongs:
        axes.text(-0.13, 1.02, "diphthongs", style="italic", color="#444444")
    axes.set(xlim=(-0.15, 1.45), ylim=(1.16, -0.24))
    axes.axis("off")


def corpus_vowels(rows: Sequence[PhonemeRow]) -> Iterator[PhonemeRow]:
    """The rows that have a place on the trapezoid; nasal vowels share that of the oral one."""
    return (row for row in rows if row.symbol[0] in VOWELS and row.phonetic_class == "vowel")


def _vowel_place(symbol: str) -> tuple[float, float]:
    back, height, rounded = VOWELS[symbol[0]]
    nasal = 0.16 if len(symbol) > 1 else 0.0
    across = _SLANT * height + back * (1 - _SLANT * height)
    return across + (0.1 if rounded and back < 0.5 else 0.0) - nasal, height


def _edges(corpora: Sequence[CorpusReadings]) -> list[float]:
    """Borders of the columns, each as wide as its fullest cell needs in any corpus."""
    symbols = [{row.symbol for row in _rows(corpus)} for corpus in corpora]
    edges = [0.0]
    for column in range(len(PLACES)):
        cells = [cells[column].split() for cells in MANNERS.values()]
        most = max(len(present.intersection(cell)) for present in symbols for cell in cells)
        edges.append(edges[-1] + most + 0.35)
    return edges


def _draw_consonants(
    axes: Axes, corpus: CorpusReadings, scale: _Scale, edges: Sequence[float], named: bool
) -> None:
    rows, context = {row.symbol: row for row in _rows(corpus)}, _context(corpus)
    for number in range(len(MANNERS) + 1):
        axes.axhline(number - 0.5, color="#b5b5b5", lw=0.8, zorder=0)
    for edge in edges:
        axes.axvline(edge, color="#b5b5b5", lw=0.8, zorder=0)
    for height, cells in enumerate(MANNERS.values()):
        for (left, right), cell in zip(pairwise(edges), cells, strict=True):
            present = [rows[symbol] for symbol in cell.split() if symbol in rows]
            for number, row in enumerate(present):
                across = left + (right - left) * (number + 0.5) / len(present)
                _draw_disc(axes, (across, float(height)), row, context.get(row.symbol), scale)
    middles = [(left + right) / 2 for left, right in pairwise(edges)]
    axes.set_xticks(middles, PLACES, rotation=40, ha="left", style="italic")
    axes.set_yticks(range(len(MANNERS)), MANNERS if named else [""] * len(MANNERS), style="italic")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(len(MANNERS) - 0.5, -0.5))
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_disc(
    axes: Axes, place: tuple[float, float], row: PhonemeRow, context: float | None, scale: _Scale
) -> None:
    if context is not None:
        axes.scatter(
            *place,
            s=scale.area(context),
            facecolor="none",
            edgecolor="#8a8a8a",
            linewidth=0.8,
            zorder=1,
            clip_on=False,
        )
    axes.scatter(
        *place,
        s=scale.area(row.bits.mean),
        color=scale.shade(row.bits.mean),
        edgecolor="#303030",
        linewidth=0.7,
        linestyle="-" if row.bits.low > 0 else (0, (1.5, 1.5)),
        zorder=2,
        clip_on=False,
    )
    axes.text(
        *place,
        row.symbol,
        ha="center",
        va="center_baseline",
        fontsize=9,
        color="white" if row.bits.mean > 0.6 * scale.most else "black",
        zorder=3,
    )


def _draw_legend(figure: Figure, scale: _Scale) -> None:
    from matplotlib.lines import Line2D

    steps = [round(scale.most * share, 1) for share in (0, 1 / 3, 2 / 3, 1)]
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=scale.area(bits) ** 0.5,
            markerfacecolor=scale.shade(bits),
            markeredgecolor="#303030",
            label=f"{bits:.1f}",
        )
        for bits in dict.fromkeys(steps)
    ]
    ring = round(scale.largest, 1)
    handles.append(
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=scale.area(ring) ** 0.5,
            markerfacecolor="none",
            markeredgecolor="#8a8a8a",
            label=f"{ring:.1f}, highest hidden state",
        )
    )
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        title="Bits of one segment: convolutions (disc; dashed if the 95 % interval includes zero) "
        "and highest hidden state (ring). Corpora differ in their emotions: compare within one.",
        columnspacing=3,
        handletextpad=1.0,
        labelspacing=1.6,
        borderpad=0.9,
    )


def _reduce_colors(path: Path, digest: str) -> None:
    """Write the PNG in sixteen levels a color, half the size, with the digest of its data."""
    from matplotlib.image import imread, imsave

    colors = np.round(imread(path)[:, :, :3] * (_LEVELS - 1)) / (_LEVELS - 1)
    texts: Any = {"Software": None, "phonemo": digest}  # None leaves the version out
    imsave(path, colors, dpi=DPI, metadata=texts, pil_kwargs={"optimize": True})
