"""What scikit-learn calls X, as recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from phonemo.audio import RATE, Excerpt, Source, load_waveform
from phonemo.errors import UsageError

Floats = npt.NDArray[np.float32]

#: A clip of fewer samples at 16 kHz has no frame; a row of a table is padded to it.
_FEWEST = 400


def waveforms(
    estimator: BaseEstimator, given: Any, rate: int | None, reset: bool
) -> Iterator[Floats]:
    """Every recording of X at 16 kHz, (sample,), as it is needed.

    Args:
        estimator: whose X it is; it learns how wide a table is.
        given: paths, bytes, open files, excerpts, pairs of samples and their rate, or arrays of
            samples with ``rate``, in a list, a tuple, a Series or an object array; or a table
            (recording, sample) of numbers, whose rows are as long as each other.
        rate: samples per second of arrays and tables; None is 16 kHz.
        reset: whether the estimator is being fitted.

    Raises:
        UsageError: it is none of these.
        AudioError: a recording cannot be used; its place is named.
        ValueError: a table is none that scikit-learn takes.
    """
    listed = _listed(given)
    if listed is None:
        table = validate_data(estimator, given, reset=reset, dtype="numeric", ensure_min_samples=1)
        return _rows(np.asarray(table, dtype=np.float64), rate or RATE)
    if not listed:
        raise UsageError("X is empty; one recording or more is wanted")
    return (_waveform(one, rate) for one in listed)


def count(given: Any) -> int | None:
    """How many recordings a list of them holds; None for a table."""
    listed = _listed(given)
    return None if listed is None else len(listed)


def _listed(given: Any) -> Sequence[Any] | None:
    """The recordings one by one; None for a table of numbers, or what should be one."""
    if isinstance(given, str | bytes | os.PathLike):
        raise UsageError("X is one recording; a list of recordings is wanted, as ['a.wav']")
    if isinstance(given, list | tuple):
        listed: Sequence[Any] = given
    elif getattr(given, "ndim", None) == 1 and getattr(given, "dtype", None) is not None:
        listed = list(given)
    else:
        return None
    return listed if not len(listed) or _is_recording(listed[0]) else None


def _is_recording(one: Any) -> bool:
    if isinstance(one, str | bytes | PurePath | Excerpt) or hasattr(one, "read"):
        return True
    if isinstance(one, tuple) and len(one) == 2 and np.ndim(one[0]) in (1, 2):
        return np.ndim(one[1]) == 0
    return isinstance(one, np.ndarray) and one.ndim in (1, 2)


def _waveform(one: Any, rate: int | None) -> Floats:
    if isinstance(one, Excerpt):
        return load_waveform(one.source, start=one.start, end=one.end).samples
    if isinstance(one, tuple):
        return load_waveform(_array(one[0]), rate=int(one[1])).samples
    if isinstance(one, np.ndarray):
        return load_waveform(one, rate=rate or RATE).samples
    source: Source = one
    return load_waveform(source).samples


def _array(samples: Any) -> npt.NDArray[np.float32]:
    return np.asarray(samples)


def _rows(table: npt.NDArray[np.float64], rate: int) -> Iterator[Floats]:
    """Short rows are padded with silence, loud ones brought to full scale: any table is heard."""
    short = -(-_FEWEST * rate // RATE) - table.shape[1]
    padded = np.pad(table, ((0, 0), (0, max(0, short))))
    peaks = np.maximum(np.abs(padded).max(axis=1, keepdims=True), 1.0)
    for row in (padded / peaks).astype(np.float32):
        yield load_waveform(row, rate=rate).samples
