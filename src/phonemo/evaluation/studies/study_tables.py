"""Studies of several runs (ablation.json, cross.json): Markdown and terminal tables.

An ablation compares every arm of a table with the table's baseline; a crossing is a matrix of
training and tested corpora.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonemo.evaluation.comparison_text import p_text
from phonemo.evaluation.markdown import code, markdown_table, per_cent, plain, with_interval
from phonemo.evaluation.metrics_schema import Score
from phonemo.evaluation.ratings.rating_schema import RatingScore
from phonemo.evaluation.ratings.rating_text import rating_text
from phonemo.evaluation.significance import (
    Difference,
    EvaluatedRun,
    adjusted,
    compare_read,
    read_run,
)
from phonemo.evaluation.studies.study_schema import (
    Ablation,
    ArmScore,
    CrossCell,
    Crossing,
    Tuned,
    Versus,
)

TUNED = "tuned.json"
"""An arm's selected values, in its run folder."""


def study_sections(ablations: Iterable[Ablation], crossings: Iterable[Crossing]) -> Iterator[str]:
    """Yield the study sections of RESULTS.md."""
    ablations, crossings = list(ablations), list(crossings)
    if ablations:
        yield f"## Ablations\n\n{_ABLATIONS}"
    for study in ablations:
        yield "\n".join(_ablation_section(study))
    if crossings:
        yield f"## Across corpora\n\n{_CROSSINGS}"
    for crossing in crossings:
        yield "\n".join(_crossing_section(crossing))


_HEADER = (
    *("arm", "changes", "WA %", "UA % (95 % interval)", "PER %", "ECE %"),
    *("UA against the first", "p", "p (Holm)", "config"),
)
_ABLATIONS = """\
Each arm is compared with the first row of its table: the difference in UA with its 95 % interval
(bootstrap over speakers) and p (permutation of whole speakers; Holm: adjusted for all arms of the
table). Speakers tested in one fold share its networks: "folds" is p with whole folds permuted, and
cannot be below 2 to the power of 1 - n with n folds. Settings are those of the base config except
for the arm's changes.
"""
_CROSSINGS = """\
UA in %, with its 95 % interval over speakers. On its own corpus (\\*) a run is tested by its
folds; on another corpus each of its models is tested on the whole corpus, and their scores are
averaged.
"""


def _ablation_section(study: Ablation) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    yield f"- measured by phonemo {plain(study.phonemo)}, config {code(study.config)}, with"
    yield f"  {code(study.command)}"
    if study.missing:
        yield f"- left out, not finished: {plain(', '.join(study.missing))}"
    for table in study.tables:
        yield f"\n**{plain(table.title)}**\n"
        yield from _common_notes(table.rows)
        rated = any(row.ccc for row in table.rows)
        header = (*_HEADER[:-1], *(["mean CCC (95 % interval)"] if rated else []), _HEADER[-1])
        yield markdown_table(header, (_arm_row(row, rated) for row in table.rows)).rstrip("\n")
    yield ""


def _common_notes(rows: Sequence[ArmScore]) -> Iterator[str]:
    """Facts that all rows of a table share, and the notes of all rows."""
    first = rows[0]
    leaky = "**leaky** " if any(row.leaky for row in rows) else ""
    yield (
        f"- {plain(first.corpus)}: {first.utterances} utterances, {first.speakers} speakers; "
        f"protocol {leaky}{plain(first.protocol.name)}, {first.folds} folds, "
        f"seeds {', '.join(map(str, first.seeds))}"
    )
    for note in dict.fromkeys(row.protocol_note for row in rows if row.protocol_note):
        yield f"- {plain(note)}"
    if picked := [f"{row.arm} {_picked(row.tuned)}" for row in rows if row.tuned]:
        yield f"- picked: {plain('; '.join(picked))}"
    yield ""


def _picked(tuned: Tuned) -> str:
    """The selected values and in how many folds, the most frequent first."""
    counts = Counter(tuned.folds.values()).most_common()
    return ", ".join(f"{value:g} in {count} fold{'s'[: count > 1]}" for value, count in counts)


def _arm_row(row: ArmScore, rated: bool) -> tuple[str, ...]:
    changes = ", ".join(f"{key}={json.dumps(value)}" for key, value in row.changes.items())
    return (
        plain(row.arm),
        code(changes) if changes else "-",
        per_cent(row.wa.mean if row.wa else None),
        with_interval(row.ua),
        per_cent(row.per),
        per_cent(row.ece),
        *versus_cells(row.versus),
        *([rating_text(row.ccc)] if rated else []),
        code(row.config),
    )


def versus_cells(versus: Versus | None) -> tuple[str, str, str]:
    """Return a table's cells: the difference in points with its interval, p, and adjusted p."""
    if versus is None:
        return "-", "-", "-"
    points = f"{100 * versus.difference:+.1f}"
    if versus.low is None or versus.high is None or versus.p is None:
        return points, "-", "-"
    p_holm = "-" if versus.p_holm is None else p_text(versus.p_holm)
    interval = f"{100 * versus.low:+.1f} to {100 * versus.high:+.1f}"
    same = versus.p_folds in (None, versus.p)  # every fold is a speaker
    folds = "" if same else f" (folds {p_text(versus.p_folds or 0)})"
    return f"{points} ({interval})", p_text(versus.p) + folds, p_holm


def _crossing_section(study: Crossing) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    merged = ", ".join(f"{old} as {new}" for old, new in sorted(study.merge.items()))
    chance = f"chance {per_cent(1 / len(study.labels))}"
    yield f"- emotions: {plain(', '.join(study.labels))} ({chance}); other utterances are left out"
    yield f"- counted together: {plain(merged) or 'none'}"
    yield f"- measured with {code(study.command)}"
    tests = list(dict.fromkeys(cell.test for cell in study.cells))
    for run in {cell.run: cell for cell in study.cells}.values():
        seeds = ", ".join(map(str, run.seeds))
        yield f"- {plain(run.run)}: config {code(run.config)}, seeds {seeds}, {run.models} models"
    yield ""
    rows = []
    for train in dict.fromkeys(cell.train for cell in study.cells):
        cells = {cell.test: cell for cell in study.cells if cell.train == train}
        first = next(iter(cells.values()))
        rows.append(
            (plain(train), plain(first.run), *(_cross_cell(cells.get(test)) for test in tests))
        )
    yield markdown_table(("trained on", "run", *map(plain, tests)), rows)


def _cross_cell(cell: CrossCell | None) -> str:
    if cell is None:
        return "-"
    note = "\\*" if cell.train == cell.test else ""
    note += " (pretrained on, without labels)" if cell.heard and not note else ""
    return ("**leaky** " if cell.leaky else "") + with_interval(cell.ua) + note


Changes = Mapping[str, Any]


def table_rows(
    folders: Mapping[str, Path],
    changes: Mapping[str, Changes],
    baseline: str,
    arms: Sequence[str],
) -> list[dict[str, Any]]:
    """Build the rows of one table, the baseline first; shares from 0 to 1.

    Args:
        folders: run folder of each arm.
        changes: the base settings that each arm changes.
        baseline: the arm that the others are compared with.
        arms: the others.

    Raises:
        ResultError: an arm is not finished, or the arms tested different utterances.
    """
    first = read_run(folders[baseline])
    others = {arm: read_run(folders[arm]) for arm in arms}
    differences = {arm: compare_read(first, run).main for arm, run in others.items()}
    p_holm = adjusted(differences)
    rows = [_arm_data(baseline, changes[baseline], first) | _tuned_data(folders[baseline])]
    for arm, run in others.items():
        versus = versus_data(differences[arm], p_holm.get(arm))
        data = _arm_data(arm, changes[arm], run) | {"versus": versus}
        rows.append(data | _tuned_data(folders[arm]))
    return rows


def _tuned_data(folder: Path) -> dict[str, Any]:
    """The content of an arm's tuned.json, if its ablation tunes a setting."""
    path = folder / TUNED
    return {"tuned": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}


def ablation_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the content of ablation.json as terminal lines."""
    for table in found["tables"]:
        width = max(len(row["arm"]) for row in table["rows"]) + 1
        yield table["title"]
        if any(row["leaky"] for row in table["rows"]):
            yield "  LEAKY: train and test share speakers; not a speaker-independent comparison"
        concordance = f"{'CCC %':>7}" if _is_rated(table) else ""
        yield (
            f"  {'':<{width}}{'WA %':>7}{'UA %':>7}{'PER %':>7}{concordance}{'against':>9}"
            "   95 % interval"
            f"{'p':>9}{'p (Holm)':>10}{'p (folds)':>11}"
        )
        for row in table["rows"]:
            yield f"  {row['arm']:<{width}}{_score_columns(row)}{_versus_columns(row['versus'])}"
    if found.get("missing"):
        yield f"left out, no finished run or not chosen: {', '.join(found['missing'])}"
    yield (
        "against: UA minus the first row's, tested over speakers; folds: with whole folds swapped, "
        "whose speakers share networks (details: phonemo compare)"
    )


def _is_rated(table: Mapping[str, Any]) -> bool:
    return any(row.get("ccc") for row in table["rows"])


def _arm_data(arm: str, changes: Changes, run: EvaluatedRun) -> dict[str, Any]:
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
        "folds": len({fold.fold for fold in results.folds}),
        "utterances": results.utterances,
        "speakers": results.speakers_count,
        "wa": _dumped(results.wa),
        "ua": _dumped(results.ua),
        "per": None if results.phonemes is None else results.phonemes.per,
        "ece": None if results.calibration is None else results.calibration.ece,
        **({"ccc": _dumped(rated.mean_ccc)} if (rated := results.dimensions) else {}),
        "seconds": run.metrics.seconds,
        "versus": None,
    }


def _dumped(score: Score | RatingScore | None) -> dict[str, Any] | None:
    return None if score is None else score.model_dump(mode="json")


def versus_data(difference: Difference, p_holm: float | None) -> dict[str, Any]:
    """Return the content of a Versus."""
    return {
        "difference": difference.difference,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "p_holm": p_holm,
        "p_folds": difference.p_folds,
    }


def _score_columns(row: Mapping[str, Any]) -> str:
    means = (row[name]["mean"] if row[name] else None for name in ("wa", "ua"))
    shares = (*means, row["per"])
    text = "".join(f"{'-' if share is None else f'{100 * share:.1f}':>7}" for share in shares)
    return text + (f"{100 * row['ccc']['mean']:>7.1f}" if row.get("ccc") else "")


def _versus_columns(versus: Mapping[str, Any] | None) -> str:
    if versus is None:
        return ""
    points = f"{100 * versus['difference']:>+9.1f}"
    if versus["p"] is None:
        return f"{points}   one speaker: none"
    interval = f"{100 * versus['low']:+.1f} to {100 * versus['high']:+.1f}"
    folds = "-" if versus.get("p_folds") is None else p_text(versus["p_folds"])
    chances = f"{p_text(versus['p']):>7}{p_text(versus['p_holm']):>10}{folds:>11}"
    return f"{points}   {interval:<15}{chances}"


def cross_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a cross-corpus table as terminal lines: UA with its interval, a row per corpus."""
    labels = found["labels"]
    yield f"UA %, {len(labels)} emotions: {', '.join(labels)} (chance {100 / len(labels):.1f})"
    if found["merge"]:
        merged = ", ".join(f"{old} as {new}" for old, new in sorted(found["merge"].items()))
        yield f"counted together: {merged}"
    tests = list(dict.fromkeys(cell["test"] for cell in found["cells"]))
    width = max(len("trained on"), *(len(cell["train"]) for cell in found["cells"])) + 2
    yield f"{'trained on':<{width}}" + "".join(f"  {name:>24}" for name in tests)
    for name in dict.fromkeys(cell["train"] for cell in found["cells"]):
        cells = {cell["test"]: cell for cell in found["cells"] if cell["train"] == name}
        yield f"{name:<{width}}" + "".join(f"  {_cross_text(cells[test]):>24}" for test in tests)
    yield "*: its own folds; the others: every model on the whole corpus"
    for cell in found["cells"]:
        if cell.get("heard") and cell["train"] != cell["test"]:
            yield f"note: {cell['run']} was pretrained on {cell['test']}, without labels"


def _cross_text(cell: Mapping[str, Any]) -> str:
    score = cell["ua"]
    mark = "*" if cell["train"] == cell["test"] else ""
    leaky = " LEAKY" if cell["leaky"] else ""
    mean = f"{100 * score['mean']:.1f}{mark}"
    if score["low"] is None:
        return mean + leaky
    return f"{mean} ({100 * score['low']:.1f}-{100 * score['high']:.1f}){leaky}"
