"""A picture of phoneme confusions: rows are what was said, columns what was recognized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from phonemo.errors import ResultError
from phonemo.evaluation.phonemes.confusions import NOTHING, PhonemeConfusion
from phonemo.evaluation.plots import make_figure, save_figure

DELETED, INSERTED = "deleted", "inserted"


def plot_phoneme_confusions(
    confusions: Sequence[PhonemeConfusion], path: Path, title: str, most: int = 40
) -> None:
    """Draw the commonest phonemes, with deletions as last column and insertions as last row.

    Raises:
        ResultError: no confusions.
        MissingExtraError: matplotlib is not installed.
    """
    symbols = _commonest(confusions, most)
    if not symbols:
        raise ResultError("expected phonemes to draw, got none; test a model with a phoneme head")
    places = {symbol: number for number, symbol in enumerate([*symbols, NOTHING])}
    shares = [[0.0] * len(places) for _ in places]
    for one in confusions:
        if one.reference in places and one.recognized in places:
            shares[places[one.reference]][places[one.recognized]] = 100 * one.share
    side = 2.5 + 0.22 * len(places)
    figure = make_figure(side + 1, side, "compressed")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=50)
    axes.set_xticks(range(len(places)), [*symbols, DELETED], fontsize=8)
    axes.get_xticklabels()[-1].set_rotation(90)
    axes.set_yticks(range(len(places)), [*symbols, INSERTED], fontsize=8)
    axes.set(xlabel="recognized", ylabel="reference", title=title)
    figure.colorbar(image, ax=axes, extend="max").set_label("share of the reference, %")
    save_figure(figure, path)


def _commonest(confusions: Sequence[PhonemeConfusion], most: int) -> list[str]:
    totals: Counter[str] = Counter()
    for one in confusions:
        totals[one.reference] += one.count
    totals.pop(NOTHING, None)
    return [symbol for symbol, _ in totals.most_common(most)]
