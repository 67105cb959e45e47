"""A comparison of two runs as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from phonemo.evaluation.markdown import per_cent, protocol_text
from phonemo.evaluation.metrics_schema import Metrics
from phonemo.evaluation.significance import Comparison, Difference

_NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}


def comparison_lines(first: Metrics, second: Metrics, found: Comparison) -> Iterator[str]:
    """Yield a comparison as terminal lines, second against first."""
    yield f"A  {first.name}: {first.title}"
    yield f"B  {second.name}: {second.title}"
    yield f"{first.corpus}, {protocol_text(first)}, seeds {' '.join(map(str, first.seeds))}"
    if first.leaky:
        yield "LEAKY: train and test share speakers; not a speaker-independent comparison"
    yield f"{found.utterances} utterances, {found.clusters} clusters ({found.unit})"
    if found.unit != "speaker":
        yield "some speakers are unknown: their utterances count as independent, so p is too small"
    yield f"{'':<13}{'A %':>7}{'B %':>7}{'B - A':>8}   95 % interval       p  p (folds)"
    for name, difference in found.scores.items():
        yield f"{_NAMES.get(name) or _ccc_name(name):<13}{_score_line(difference)}"
    ways = f"all {found.swaps} ways" if found.exact else f"{found.swaps} random ways"
    yield f"interval: bootstrap over clusters; p: {ways} of swapping them between A and B"
    if found.folds:
        yield (
            "p (folds): whole folds swapped, whose speakers share networks; n folds give no p "
            "below 2 to the power of 1 - n"
        )
    yield from _mcnemar_lines(found)
    yield from _fold_lines(found) if found.folds else ()
    yield verdict(found)


def comparison_data(first: Metrics, second: Metrics, found: Comparison) -> dict[str, Any]:
    """The comparison as JSON data; shares from 0 to 1."""
    data = asdict(found)
    for name, difference in found.scores.items():
        data["scores"][name]["difference"] = difference.difference
    runs = {
        key: {"name": run.name, "title": run.title, "command": run.command, "config": run.config}
        for key, run in (("first", first), ("second", second))
    }
    shared = {"corpus": first.corpus, "protocol": first.protocol.model_dump(), "seeds": first.seeds}
    return {**runs, **shared, "leaky": first.leaky, **data}


def verdict(found: Comparison) -> str:
    """Summarize the comparison of UA, or without emotions of the mean CCC, in one sentence."""
    name = "UA" if "ua" in found.scores else "mean CCC" if "ccc" in found.scores else "CCC"
    main = found.main
    if main.p is None:
        return f"{name}: a single speaker allows no conclusion about others"
    if main.p >= 0.05:
        return f"{name}: no difference is shown (p {p_text(main.p)}), which does not show equality"
    better = "higher" if main.difference > 0 else "lower"
    chance = f"p {p_text(main.p)}"
    if main.p_folds is not None and main.p_folds >= 0.05:
        chance += f" for these networks; by fold {p_text(main.p_folds)}: others may not differ"
    return f"{name}: B is {better} by {100 * abs(main.difference):.1f} points ({chance})"


def _ccc_name(score: str) -> str:
    """The name of a CCC in a table: "mean CCC", "CCC arousal"."""
    _, _, dimension = score.partition("_")
    return f"CCC {dimension}" if dimension else "mean CCC"


def _score_line(score: Difference) -> str:
    values = f"{per_cent(score.first):>7}{per_cent(score.second):>7}{100 * score.difference:>+8.1f}"
    if score.low is None or score.high is None or score.p is None:
        return f"{values}   one speaker: none"
    interval = f"{100 * score.low:+.1f} to {100 * score.high:+.1f}"
    folds = "-" if score.p_folds is None else p_text(score.p_folds)
    return f"{values}   {interval:<16}{p_text(score.p):>8}{folds:>11}"


def _mcnemar_lines(comparison: Comparison) -> Iterator[str]:
    for test in comparison.disagreements:
        yield (
            f"McNemar, seed {test.seed}: only A is right {test.only_first} times, only B "
            f"{test.only_second} times, p {p_text(test.p)} (treats utterances as independent)"
        )


def _fold_lines(comparison: Comparison) -> Iterator[str]:
    width = max(4, *(len(fold.fold) for fold in comparison.folds))
    yield f"{'fold':<{width}}  seed  utterances  A UA %  B UA %   B - A"
    for fold in comparison.folds:
        difference = 100 * (fold.second - fold.first)
        yield (
            f"{fold.fold:<{width}}{fold.seed:>6}{fold.utterances:>12}{per_cent(fold.first):>8}"
            f"{per_cent(fold.second):>8}{difference:>+8.1f}"
        )


def p_text(value: float) -> str:
    """Format a p-value compactly, never as 0."""
    if value >= 0.001:
        return f"{value:.3f}"
    return f"{value:.0e}" if value > 0 else "<1e-300"
