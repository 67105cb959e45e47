"""Tables of an ablation: every arm of a question held against its baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonemo.comparing import TestedRun, compare_read, p_text, read_run
from phonemo.comparison import Difference, holm

Changes = Mapping[str, Any]


def table_rows(
    folders: Mapping[str, Path],
    changes: Mapping[str, Changes],
    baseline: str,
    arms: Sequence[str],
) -> list[dict[str, Any]]:
    """The rows of one table, the baseline first; shares from 0 to 1.

    Args:
        folders: by arm, its run folder.
        changes: by arm, what it changes in the base.
        baseline: the arm that the others are compared with.
        arms: the others.

    Raises:
        ResultError: an arm is not finished, or the arms tested different utterances.
    """
    first = read_run(folders[baseline])
    others = {arm: read_run(folders[arm]) for arm in arms}
    found = {arm: compare_read(first, run).scores["ua"] for arm, run in others.items()}
    known = {arm: one.p for arm, one in found.items() if one.p is not None}
    adjusted = dict(zip(known, holm(list(known.values())), strict=True))
    rows = [_row(baseline, changes[baseline], first)]
    for arm, run in others.items():
        versus = _versus(found[arm], adjusted.get(arm))
        rows.append(_row(arm, changes[arm], run) | {"versus": versus})
    return rows


def ablation_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The content of ablation.json for a terminal."""
    for table in found["tables"]:
        width = max(len(row["arm"]) for row in table["rows"]) + 1
        yield table["title"]
        if any(row["leaky"] for row in table["rows"]):
            yield "  LEAKY: train and test share speakers; not a speaker-independent comparison"
        yield (
            f"  {'':<{width}}{'WA %':>7}{'UA %':>7}{'PER %':>7}{'against':>9}   95 % interval"
            f"{'p':>9}{'p (Holm)':>10}"
        )
        for row in table["rows"]:
            yield f"  {row['arm']:<{width}}{_scores(row)}{_against(row['versus'])}"
    if found.get("missing"):
        yield f"not finished by any cell, and left out: {', '.join(found['missing'])}"
    yield "against: UA minus the first row's; speakers are the unit (phonemo compare says more)"


def _row(arm: str, changes: Changes, run: TestedRun) -> dict[str, Any]:
    results = run.metrics.results
    return {
        "arm": arm,
        "changes": json.loads(json.dumps(changes)),
        "config": run.metrics.config,
        "corpus": run.metrics.corpus,
        "protocol": run.metrics.protocol.model_dump(mode="json"),
        "protocol_note": run.metrics.protocol_note,
        "leaky": run.metrics.leaky,
        "seeds": list(run.metrics.seeds),
        "folds": len({one.fold for one in results.folds}),
        "utterances": results.utterances,
        "speakers": results.speakers_count,
        "wa": results.wa.model_dump(mode="json"),
        "ua": results.ua.model_dump(mode="json"),
        "per": None if results.phonemes is None else results.phonemes.per,
        "ece": results.calibration.ece,
        "seconds": run.metrics.seconds,
        "versus": None,
    }


def _versus(one: Difference, adjusted: float | None) -> dict[str, Any]:
    return {
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "p_holm": adjusted,
    }


def _scores(row: Mapping[str, Any]) -> str:
    shares = (row["wa"]["mean"], row["ua"]["mean"], row["per"])
    return "".join(f"{'-' if one is None else f'{100 * one:.1f}':>7}" for one in shares)


def _against(versus: Mapping[str, Any] | None) -> str:
    if versus is None:
        return ""
    points = f"{100 * versus['difference']:>+9.1f}"
    if versus["p"] is None:
        return f"{points}   one speaker: none"
    interval = f"{100 * versus['low']:+.1f} to {100 * versus['high']:+.1f}"
    return f"{points}   {interval:<15}{p_text(versus['p']):>7}{p_text(versus['p_holm']):>10}"
