"""An inventory of phoneme errors: what was recognized in place of each phoneme.

References and recognized phonemes are aligned with the fewest edits (``metrics.phoneme_errors``
counts the same ones). "" stands for nothing: recognized as "" is a deletion, a reference "" an
insertion.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.files import atomic_write_text

Pair = tuple[str, str]
"""Reference and recognized phoneme; one of them may be ""."""

NOTHING = ""
COLUMNS = ("reference", "recognized", "kind", "count", "share")


@dataclass(frozen=True)
class PhonemeConfusion:
    """How often a phoneme was recognized as another, or as nothing."""

    reference: str
    """"" for an insertion."""
    recognized: str
    """"" for a deletion."""
    count: int
    share: float
    """Of the reference's occurrences; of an insertion, of all reference phonemes."""

    @property
    def kind(self) -> str:
        """One of correct, substitution, deletion and insertion."""
        if self.reference == self.recognized:
            return "correct"
        if self.reference == NOTHING:
            return "insertion"
        return "deletion" if self.recognized == NOTHING else "substitution"


def aligned_pairs(reference: Sequence[str], recognized: Sequence[str]) -> list[Pair]:
    """Pair the phonemes with the fewest edits, and among these the most substitutions."""
    moves = _moves(reference, recognized)
    row, column = len(reference), len(recognized)
    pairs: list[Pair] = []
    while row or column:
        move = moves[row, column]
        row, column = row - (move != _INSERT), column - (move != _DELETE)
        pairs.append(
            (
                NOTHING if move == _INSERT else reference[row],
                NOTHING if move == _DELETE else recognized[column],
            )
        )
    return pairs[::-1]


def confusions_of(
    references: Iterable[Sequence[str]], recognized: Iterable[Sequence[str]]
) -> list[PhonemeConfusion]:
    """Count all pairs of phonemes, the most frequent first.

    Args:
        references: phonemes of each utterance.
        recognized: those recognized in it, in the same order.
    """
    counts: Counter[Pair] = Counter()
    for reference, hypothesis in zip(references, recognized, strict=True):
        counts.update(aligned_pairs(reference, hypothesis))
    totals: Counter[str] = Counter()
    for (reference_symbol, _), count in counts.items():
        totals[reference_symbol] += count
    everything = sum(totals.values()) - totals[NOTHING]
    return [
        PhonemeConfusion(
            *pair, count, count / ((everything if pair[0] == NOTHING else totals[pair[0]]) or 1)
        )
        for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def row_confusions(rows: Iterable[Mapping[str, Any]]) -> list[PhonemeConfusion]:
    """The confusions of prediction rows; empty without a phoneme head or without references."""
    known = [row for row in rows if row.get("reference") and row.get("phonemes") is not None]
    return confusions_of([row["reference"] for row in known], [row["phonemes"] for row in known])


def confusion_lines(confusions: Sequence[PhonemeConfusion], most: int = 8) -> list[str]:
    """The most frequent errors of each kind, for the terminal; empty without errors."""
    lines = []
    for kind in ("substitution", "deletion", "insertion"):
        found = [one for one in confusions if one.kind == kind]
        texts = [_text(one) for one in found[:most]]
        if texts:
            lines.append(f"  {kind}s {sum(one.count for one in found)}: {', '.join(texts)}")
    return lines


def write_confusions(path: Path, confusions: Sequence[PhonemeConfusion]) -> None:
    """Write the confusions as CSV with the columns ``COLUMNS``."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in confusions:
        writer.writerow((one.reference, one.recognized, one.kind, one.count, f"{one.share:.4f}"))
    atomic_write_text(path, stream.getvalue())


_MATCH, _DELETE, _INSERT = 0, 1, 2


def _moves(reference: Sequence[str], recognized: Sequence[str]) -> npt.NDArray[np.int8]:
    """The last edit of the best alignment of every two prefixes, (reference + 1, recognized + 1).

    Costs are those of phonemo.evaluation.metrics: an unpaired phoneme costs a little more than a
    substitution.
    """
    rows, columns = len(reference) + 1, len(recognized) + 1
    unit = rows + columns
    costs = np.zeros((rows, columns), dtype=np.int64)
    moves = np.zeros((rows, columns), dtype=np.int8)
    costs[:, 0], moves[1:, 0] = np.arange(rows) * (unit + 1), _DELETE
    costs[0], moves[0, 1:] = np.arange(columns) * (unit + 1), _INSERT
    for row in range(1, rows):
        for column in range(1, columns):
            substitution = unit * (reference[row - 1] != recognized[column - 1])
            options = (
                costs[row - 1, column - 1] + substitution,
                costs[row - 1, column] + unit + 1,
                costs[row, column - 1] + unit + 1,
            )
            moves[row, column] = move = min(range(3), key=options.__getitem__)
            costs[row, column] = options[move]
    return moves


def _text(one: PhonemeConfusion) -> str:
    names = {"substitution": f"{one.reference}>{one.recognized}", "deletion": one.reference}
    return f"{names.get(one.kind, one.recognized)} {one.count}"
