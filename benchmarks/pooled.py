"""The difference of two arms, pooled over corpora.

    python benchmarks/pooled.py results/learning-{emodb,ravdess,nemo}/ablation.json --arm multi-task

Reads the arm's difference of UA from its baseline, with its interval over speakers, from each file,
and prints two answers: the mean over exactly these corpora, and the mean over corpora like them
(random effects: DerSimonian and Laird 1986, interval of Hartung and Knapp 2001, whose variance is
not taken below that of the effects' own errors: Roever, Knapp and Friede 2015). Standard errors are
the intervals' widths divided by 2 * 1.96, so speakers who share a fold's networks count as
independent in both. With few corpora the second interval is wide.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring.students import Interval, student
from pydantic import ValidationError

from phonemo.errors import PhonemoError, ResultError
from phonemo.evaluation.studies.study_schema import Ablation

_NORMAL = 1.959964


@dataclass(frozen=True)
class Effect:
    """A difference from a baseline in points, and its standard error."""

    corpus: str
    baseline: str
    points: float
    error: float


def read_effect(path: Path, arm: str) -> Effect:
    """The arm's difference from its baseline in an ablation.json.

    Raises:
        ResultError: the file is none, or has no such arm with an interval.
    """
    try:
        study = Ablation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResultError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ResultError(f"{path}: expected an ablation.json of phonemo ablate") from error
    found = [
        (table.baseline, row.corpus, row.versus)
        for table in study.tables
        for row in table.rows
        if row.arm == arm and row.versus is not None
    ]
    if not found:
        raise ResultError(
            f"{path}: no arm {arm!r} with a difference from its baseline; name another --arm"
        )
    if len(found) > 1:
        raise ResultError(
            f"{path}: expected arm {arm!r} in one table, got {len(found)}; name another --arm"
        )
    baseline, corpus, versus = found[0]
    if versus.low is None or versus.high is None or versus.low >= versus.high:
        raise ResultError(f"{path}: expected an interval of {arm!r}, got none, or one of width 0")
    error = 100 * (versus.high - versus.low) / (2 * _NORMAL)
    return Effect(corpus, baseline, 100 * versus.difference, error)


def mean_of_these(effects: Sequence[Effect]) -> Interval:
    """The unweighted mean; corpora are fixed, their speakers are drawn."""
    points = float(np.mean([one.points for one in effects]))
    error = math.sqrt(sum(one.error**2 for one in effects)) / len(effects)
    reach = _NORMAL * error
    p = math.erfc(abs(points) / error / math.sqrt(2))
    return Interval(points, points - reach, points + reach, p)


def mean_of_such(effects: Sequence[Effect]) -> tuple[Interval, float]:
    """The mean over corpora like these, and I squared, the share of variance between corpora."""
    points = np.array([one.points for one in effects])
    weights = np.array([one.error**-2.0 for one in effects])
    free = len(effects) - 1
    center = float((weights * points).sum() / weights.sum())
    spread = float((weights * (points - center) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, (spread - free) / scale)
    weights = 1 / (1 / weights + between)
    mean = float((weights * points).sum() / weights.sum())
    ratio = float((weights * (points - mean) ** 2).sum() / free)
    variance = max(1.0, ratio) / float(weights.sum())
    pooled = student(mean, math.sqrt(variance), free)
    share = max(0.0, (spread - free) / spread) if spread else 0.0
    return pooled, share


def report(paths: Sequence[Path], arm: str) -> Iterator[str]:
    """Lines of text."""
    effects = [read_effect(path, arm) for path in paths]
    if len(effects) < 2:
        raise ResultError(f"expected two ablations or more, got {len(effects)}")
    corpora = [one.corpus for one in effects]
    if twice := sorted({name for name in corpora if corpora.count(name) > 1}):
        raise ResultError(f"expected one ablation of each corpus, got two of {twice[0]}; name one")
    if len(baselines := sorted({one.baseline for one in effects})) > 1:
        raise ResultError(
            f"expected one baseline, got {' and '.join(baselines)}; pool studies with one"
        )
    for one in effects:
        yield (
            f"{one.corpus}: {one.points:+.1f} points over {one.baseline}, standard error "
            f"{one.error:.1f}"
        )
    yield f"mean of these {len(effects)} corpora: {mean_of_these(effects).text()}"
    pooled, share = mean_of_such(effects)
    yield f"mean of corpora like them: {pooled.text()}; I squared {100 * share:.0f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("ablations", type=Path, nargs="+", help="files ablation.json")
    parser.add_argument("--arm", required=True, help="the arm compared with its table's baseline")
    options = parser.parse_args(arguments)
    for line in report(options.ablations, options.arm):
        print(line)


if __name__ == "__main__":
    try:
        main()
    except PhonemoError as error:
        sys.exit(f"pooled: {error}")
