"""Run folders to compare, and the comparison as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phonemo.comparison import Comparison, Difference, compare
from phonemo.errors import ResultError
from phonemo.labels import LabelSet
from phonemo.plain_json import parsed_lines
from phonemo.results import Metrics
from phonemo.tables import per_cent, protocol_text
from phonemo.tested import Tested, read_tested

_NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}


@dataclass(frozen=True)
class TestedRun:
    """What a run folder says of its tests."""

    metrics: Metrics
    tested: Tested


def compare_runs(first: Path, second: Path) -> tuple[TestedRun, TestedRun, Comparison]:
    """Open two run folders and pair their answers.

    Raises:
        ResultError: one is no finished run, or they differ in corpus, protocol or labels, so that
            a difference of scores would mean nothing.
    """
    if first.resolve() == second.resolve():
        raise ResultError(f"{first} and {second} are the same run; name two")
    ours, theirs = read_run(first), read_run(second)
    return ours, theirs, compare_read(ours, theirs)


def compare_read(first: TestedRun, second: TestedRun) -> Comparison:
    """Pair the answers of two opened runs; raises as ``compare_runs``."""
    _check_alike(first.metrics, second.metrics)
    return compare(first.tested, second.tested)


def read_run(folder: Path) -> TestedRun:
    """Open a run folder; ResultError names what is missing or malformed."""
    try:
        metrics = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        text = (folder / "predictions.jsonl").read_text(encoding="utf-8")
        rows = parsed_lines(text)
    except OSError as error:
        raise ResultError(
            f"{folder}: no {Path(error.filename or '').name}; "
            "a run folder of phonemo train is wanted"
        ) from error
    except (ValidationError, ValueError) as error:
        raise ResultError(f"{folder}: not what phonemo train wrote; train it again") from error
    return TestedRun(metrics, read_tested(rows, LabelSet(metrics.results.labels)))


def comparison_lines(first: Metrics, second: Metrics, found: Comparison) -> Iterator[str]:
    """The comparison for a terminal, second against first."""
    yield f"A  {first.name}: {first.title}"
    yield f"B  {second.name}: {second.title}"
    yield f"{first.corpus}, {protocol_text(first)}, seeds {' '.join(map(str, first.seeds))}"
    if first.leaky:
        yield "LEAKY: train and test share speakers; not a speaker-independent comparison"
    yield f"{found.utterances} utterances, {found.clusters} clusters ({found.unit})"
    if found.unit != "speaker":
        yield "speakers are not all known: utterances stand for themselves, so this is too sure"
    yield f"{'':<13}{'A %':>7}{'B %':>7}{'B - A':>8}   95 % interval       p"
    for name, one in found.scores.items():
        yield f"{_NAMES[name]:<13}{_score_line(one)}"
    ways = f"all {found.swaps} ways" if found.exact else f"{found.swaps} random ways"
    yield f"interval: bootstrap over clusters; p: {ways} of swapping them between A and B"
    yield from _mcnemar_lines(found)
    yield from _fold_lines(found)
    yield verdict(found)


def comparison_data(first: Metrics, second: Metrics, found: Comparison) -> dict[str, Any]:
    """The same as JSON-able data; shares from 0 to 1."""
    data = asdict(found)
    for name, one in found.scores.items():
        data["scores"][name]["difference"] = one.difference
    runs = {
        key: {"name": run.name, "title": run.title, "command": run.command, "config": run.config}
        for key, run in (("first", first), ("second", second))
    }
    shared = {"corpus": first.corpus, "protocol": first.protocol.model_dump(), "seeds": first.seeds}
    return {**runs, **shared, "leaky": first.leaky, **data}


def verdict(found: Comparison) -> str:
    """One sentence about UA."""
    one = found.scores["ua"]
    if one.p is None:
        return "UA: one speaker says nothing about others"
    if one.p >= 0.05:
        return f"UA: no difference is shown (p {p_text(one.p)}); that is not the same as none"
    better = "higher" if one.difference > 0 else "lower"
    return f"UA: B is {better} by {100 * abs(one.difference):.1f} points (p {p_text(one.p)})"


def _check_alike(first: Metrics, second: Metrics) -> None:
    if first.corpus != second.corpus:
        raise ResultError(
            f"the runs tested {first.corpus} and {second.corpus}; one corpus is wanted"
        )
    if first.results.labels != second.results.labels:
        raise ResultError(
            f"the runs have the emotions {', '.join(first.results.labels)} and "
            f"{', '.join(second.results.labels)}; the same are wanted"
        )
    ours, theirs = first.protocol.model_dump(), second.protocol.model_dump()
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise ResultError(
                f"different protocols: protocol.{key} is {ours.get(key)} and {theirs.get(key)}; "
                "train both with the same one"
            )


def _score_line(one: Difference) -> str:
    values = f"{per_cent(one.first):>7}{per_cent(one.second):>7}{100 * one.difference:>+8.1f}"
    if one.low is None or one.high is None or one.p is None:
        return f"{values}   one speaker: none"
    interval = f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"
    return f"{values}   {interval:<16}{p_text(one.p):>8}"


def _mcnemar_lines(found: Comparison) -> Iterator[str]:
    for one in found.disagreements:
        yield (
            f"McNemar, seed {one.seed}: only A is right {one.only_first} times, only B "
            f"{one.only_second} times, p {p_text(one.p)} (takes utterances as independent)"
        )


def _fold_lines(found: Comparison) -> Iterator[str]:
    width = max(4, *(len(one.fold) for one in found.folds))
    yield f"{'fold':<{width}}  seed  utterances  A UA %  B UA %   B - A"
    for one in found.folds:
        apart = 100 * (one.second - one.first)
        yield (
            f"{one.fold:<{width}}{one.seed:>6}{one.utterances:>12}{per_cent(one.first):>8}"
            f"{per_cent(one.second):>8}{apart:>+8.1f}"
        )


def p_text(value: float) -> str:
    """A p-value in few letters, never as 0."""
    if value >= 0.001:
        return f"{value:.3f}"
    return f"{value:.0e}" if value > 0 else "<1e-300"
