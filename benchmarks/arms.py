"""What the arms of an ablation did: learning curves, selected values, folds, recognized sentences.

    python benchmarks/arms.py work/ablations/learning-ravdess

Reads the run folders of ``phonemo ablate`` (the output of its config), or those of an archive
``results/*/cells.tar.xz``, and prints Markdown: a
difference between two arms can come from an arm that is trained faster, from a rate that suits one
of them, from one fold, or from sentences that the phoneme head tells apart.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from measuring import students

from phonemo.errors import PhonemoError, ResultError
from phonemo.evaluation.comparison_text import p_text
from phonemo.evaluation.markdown import markdown_table
from phonemo.evaluation.metrics import phoneme_errors
from phonemo.files import loads_json, read_rows
from phonemo.train.callbacks import read_log

#: With more different sentences, which of them was recognized is not printed.
_SENTENCES = 20


@dataclass(frozen=True)
class Cell:
    """A finished training and its test."""

    folder: Path

    @property
    def fold(self) -> str:
        """Name of the fold."""
        return self.folder.name

    @property
    def seed(self) -> str:
        """Such as seed-1."""
        return self.folder.parent.name

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json."""
        found: dict[str, Any] = loads_json(
            (self.folder / "metrics.json").read_text(encoding="utf-8")
        )
        return found

    @property
    def ua(self) -> float:
        """Of the test part, in per cent."""
        return 100 * float(self.metrics["results"]["ua"]["mean"])

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """Rows of log.jsonl."""
        return read_log(self.folder / "log.jsonl")

    def curve(self, name: str) -> list[float]:
        """A logged value by epoch."""
        return [float(row[name]) for row in self.log if name in row]

    @property
    def ends_selected(self) -> bool:
        """Whether the last epoch had the highest validation score."""
        return bool(self.metrics["best_step"] == self.metrics["steps"])


def read_arms(folder: Path) -> dict[str, list[Cell]]:
    """The finished cells of every arm and of every candidate value, ``arm@key=value``.

    Raises:
        ResultError: there is none.
    """
    arms = {
        path.name: [Cell(file.parent) for file in sorted(path.glob("seed-*/*/metrics.json"))]
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
    }
    arms = {name: cells for name, cells in arms.items() if cells}
    if not arms:
        raise ResultError(
            f"{folder}: expected the output folder of phonemo ablate, got no finished cell in it"
        )
    return selected(arms) | arms


def selected(arms: Mapping[str, Sequence[Cell]]) -> dict[str, list[Cell]]:
    """The cells of tuned arms of which an archive has the candidates alone, ``arm@key=value``.

    Each fold has the value with the lowest seed's highest validation score, the lowest of equal
    values: that of ``phonemo ablate``, if the config lists values and seeds in ascending order. A
    study that selects by the loss needs the folders that ``phonemo ablate`` makes.
    """
    tried: dict[str, dict[float, list[Cell]]] = {}
    for name, cells in arms.items():
        arm, _, value = name.partition("@")
        if value and arm not in arms:
            tried.setdefault(arm, {})[float(value.partition("=")[2])] = cells
    return {arm: list(_best_cells(candidates)) for arm, candidates in tried.items()}


def _best_cells(candidates: Mapping[float, Sequence[Cell]]) -> Iterator[Cell]:
    seeds = {cell.seed for cells in candidates.values() for cell in cells}
    first = min(seeds, key=lambda seed: int(seed.removeprefix("seed-")))
    for fold in sorted({cell.fold for cells in candidates.values() for cell in cells}):
        scores = {
            value: cell.metrics["best_validation"]
            for value in sorted(candidates)
            for cell in candidates[value]
            if (cell.fold, cell.seed) == (fold, first)
        }
        if len(scores) == len(candidates):
            best = max(scores, key=scores.__getitem__)
            yield from (cell for cell in candidates[best] if cell.fold == fold)


def curves(arms: Mapping[str, Sequence[Cell]]) -> Iterator[Sequence[str]]:
    """A row for each arm: its scores by epoch, and how often the last epoch is selected."""
    for name, cells in arms.items():
        ends = sum(cell.ends_selected for cell in cells)
        yield (
            name,
            str(len(cells)),
            _by_epoch([cell.curve("eval_ua") for cell in cells], 100, 1),
            _by_epoch([cell.curve("loss_emotion") for cell in cells], 1, 2),
            f"{ends} of {len(cells)}",
        )


def candidates(arms: Mapping[str, Sequence[Cell]]) -> Iterator[Sequence[str]]:
    """A row for each value that an arm tried, over its first seed."""
    for name, cells in arms.items():
        if "@" in name:
            first = [cell for cell in cells if cell.seed == cells[0].seed]
            best = np.mean([100 * cell.metrics["best_validation"] for cell in first])
            test = np.mean([cell.ua for cell in first])
            yield name, str(len(first)), f"{best:.1f}", f"{test:.1f}"


def folds(
    arms: Mapping[str, Sequence[Cell]], first: str, second: str
) -> Iterator[tuple[str, int, float, float]]:
    """Fold, seeds that both arms have, and the arms' UA averaged over these."""
    scores = {
        name: {(cell.fold, cell.seed): cell.ua for cell in arms[name]} for name in (first, second)
    }
    shared = sorted(scores[first].keys() & scores[second].keys())
    for fold, keys in groupby(shared, key=lambda key: key[0]):
        rows = list(keys)
        ours, theirs = (
            float(np.mean([scores[name][key] for key in rows])) for name in (first, second)
        )
        yield fold, len(rows), ours, theirs


def student(differences: Sequence[float]) -> str:
    """The mean of the folds' differences with Student's 95 % interval and p."""
    mean, free = float(np.mean(differences)), len(differences) - 1
    if free < 1:
        return f"mean over folds {mean:+.1f}"
    error = float(np.std(differences, ddof=1)) / math.sqrt(free + 1)
    found = students.student(mean, error, free)
    return (
        f"mean over folds {mean:+.1f} ({found.low:+.1f} to {found.high:+.1f}, Student's t), "
        f"p {p_text(found.p)}"
    )


def sentences(cells: Sequence[Cell]) -> Iterator[str]:
    """How often an output is nearer to the spoken sentence than to all others, and its errors.

    Nothing where no phoneme was recognized, or where there are too many sentences.
    """
    rows = [row for cell in cells for row in read_rows(cell.folder / "predictions.jsonl")]
    rows = [row for row in rows if row.get("reference") and row.get("phonemes") is not None]
    texts = sorted({tuple(row["reference"]) for row in rows})
    if not 2 <= len(texts) <= _SENTENCES:
        return
    right = sum(_nearest(row["phonemes"], texts) == tuple(row["reference"]) for row in rows)
    total = phoneme_errors([row["reference"] for row in rows], [row["phonemes"] for row in rows])
    yield (
        f"{right} of {len(rows)} outputs are nearer to the spoken one of {len(texts)} sentences "
        f"than to any other; {total.substitutions} substitutions, {total.deletions} deletions, "
        f"{total.insertions} insertions of {total.tokens} phonemes"
    )
    for text in texts:
        outputs = Counter(tuple(row["phonemes"]) for row in rows if tuple(row["reference"]) == text)
        (commonest, count), *_ = outputs.most_common(1)
        yield (
            f"{' '.join(text)}: {count} of {outputs.total()} outputs are {' '.join(commonest)}; "
            f"{outputs[text]} are right"
        )


def _nearest(output: Sequence[str], texts: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The text with the fewest edits per phoneme; None if two share the first place."""
    edits = [phoneme_errors([text], [output]).rate for text in texts]
    least = [text for text, rate in zip(texts, edits, strict=True) if rate == min(edits)]
    return least[0] if len(least) == 1 else None


def _by_epoch(values: Sequence[Sequence[float]], scale: float, digits: int) -> str:
    """Means over the cells that reached an epoch."""
    most = max((len(one) for one in values), default=0)
    means = [np.mean([one[n] for one in values if len(one) > n]) for n in range(most)]
    return " ".join(f"{scale * mean:.{digits}f}" for mean in means)


def report(folder: Path) -> Iterator[str]:
    """Lines of Markdown."""
    arms = read_arms(folder)
    header = ("arm", "cells", "validation UA % by epoch", "emotion loss by epoch", "ends selected")
    yield markdown_table(header, curves(arms))
    if tried := list(candidates(arms)):
        yield markdown_table(("first seed", "folds", "validation UA %", "test UA %"), tried)
    plain = [name for name in arms if "@" not in name]
    for number, first in enumerate(plain):
        for second in plain[number + 1 :]:
            header = ("fold", "seeds", f"{first}: UA %", f"{second}: UA %", "difference")
            rows = list(folds(arms, first, second))
            yield markdown_table(header, (_fold_row(row) for row in rows))
            yield f"{student([theirs - ours for *_, ours, theirs in rows])}\n"
    for name in plain:
        yield from (f"{name}: {line}" for line in sentences(arms[name]))


def _fold_row(row: tuple[str, int, float, float]) -> Sequence[str]:
    fold, seeds, ours, theirs = row
    return fold, str(seeds), f"{ours:.1f}", f"{theirs:.1f}", f"{theirs - ours:+.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the output folder of phonemo ablate")
    for line in report(parser.parse_args(arguments).folder):
        print(line)


if __name__ == "__main__":
    try:
        main()
    except PhonemoError as error:
        sys.exit(f"arms: {error}")
