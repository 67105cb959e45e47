"""Data frames with audformat's segmented index.

pandas is an optional dependency, imported on use.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from phonemo.errors import MissingExtraError


def build_frame(
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str],
    places: Sequence[tuple[str, float, float]],
    numbers: Sequence[str],
) -> Any:
    """Build a pandas.DataFrame whose index is file, start and end.

    Args:
        rows: the cells of each row.
        columns: the names of the columns.
        places: of each row its file, and its start and end in seconds.
        numbers: the columns that are float64; the others hold objects.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtraError("a data frame", "pandas") from error
    index = _build_index(pandas, places)
    frame = pandas.DataFrame(rows, columns=columns, index=index, dtype=object)
    return frame.astype(dict.fromkeys(numbers, "float64"))


def _build_index(pandas: Any, places: Sequence[tuple[str, float, float]]) -> Any:
    files = pandas.array([name for name, _, _ in places], dtype="string")
    starts = _to_timedelta(pandas, [start for _, start, _ in places])
    ends = _to_timedelta(pandas, [end for _, _, end in places])
    return pandas.MultiIndex.from_arrays([files, starts, ends], names=["file", "start", "end"])


def _to_timedelta(pandas: Any, seconds: Sequence[float]) -> Any:
    """Convert to integer nanoseconds first: pandas truncates float seconds."""
    nanoseconds = [round(second * 1e9) for second in seconds]
    return pandas.to_timedelta(pandas.Series(nanoseconds, dtype="int64"), unit="ns")
