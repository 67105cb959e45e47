"""The rated rows of two runs as sums by speaker, paired utterance by utterance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonemo.errors import ResultError
from phonemo.evaluation.ratings.concordance import Floats, ccc
from phonemo.evaluation.ratings.rating_tables import (
    dimension_sums,
    rated_names,
    rated_rows,
    table_of,
)


@dataclass(frozen=True, eq=False)
class PairedSums:
    """Sums of both runs: (cluster, seed, dimension, 6)."""

    clusters: tuple[str, ...]
    names: tuple[str, ...]
    utterances: int
    first: Floats
    second: Floats

    @property
    def scores(self) -> dict[str, list[int]]:
        """Name of a score -> the dimensions that it averages: "ccc", "ccc_arousal", ...

        A score is left out where the ratings of one of its dimensions do not vary.
        """
        columns = list(range(len(self.names)))
        each = {f"ccc_{name}": [index] for index, name in enumerate(self.names)}
        every = {"ccc": columns, **each} if len(columns) > 1 else {"ccc": columns}
        values = ccc(self.first.sum(axis=0))  # (seed, dimension)
        return {name: of for name, of in every.items() if np.isfinite(values[:, of]).all()}


def paired_tables(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> PairedSums | None:
    """Pair the rated rows of two runs; None where one of them has no rated dimension.

    Raises:
        ResultError: they tested other utterances or dimensions, or differ in a rating.
    """
    ours, theirs = rated_rows(first), rated_rows(second)
    names = rated_names(ours)
    if not names or not rated_names(theirs):
        return None
    if names != rated_names(theirs):
        raise ResultError(
            f"expected runs with the same dimensions, got {', '.join(names)} and "
            f"{', '.join(rated_names(theirs))}"
        )
    _check_same(ours, theirs)
    tables = [table_of(rows, dimension_sums(rows, names)) for rows in (ours, theirs)]
    ids = {row["id"] for row in ours}
    clusters = tables[0].clusters
    return PairedSums(clusters, tuple(names), len(ids), tables[0].by_cluster, tables[1].by_cluster)


def _check_same(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> None:
    ours, theirs = (
        {(row["seed"], row["id"]): (row["fold"], row["rated"]) for row in rows}
        for rows in (first, second)
    )
    if ours != theirs:
        different = next(
            key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)
        )
        raise ResultError(
            "expected runs that tested the same rated utterances in the same folds, got a "
            f"difference at {different[1]!r} (seed {different[0]}); train both on one manifest"
        )
