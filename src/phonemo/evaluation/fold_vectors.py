"""The vectors that a fold's emotion head gets for its test part, in the order of its predictions.

They are stored in half precision.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import RunError

VECTORS = "vectors.npy"
"""File of a fold and seed."""


def read_vectors(cell: Path, utterances: int) -> npt.NDArray[np.floating[Any]] | None:
    """Read (utterance, feature) of a fold and seed; None if the file is missing.

    Raises:
        RunError: the file is damaged, or has another kind or number of vectors.
    """
    path = cell / VECTORS
    if not path.is_file():
        return None
    try:
        found = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
            raise ValueError("another array, or an archive")
        if len(found) != utterances or found.shape[1] < 2 or not np.isfinite(found).all():
            raise ValueError(f"shape {found.shape}, or NaN or infinity")
    except Exception as error:  # zipfile and numpy raise a dozen kinds for damaged files
        raise RunError(
            f"{path}: expected {utterances} vectors of finite floats; delete it, or train again"
        ) from error
    return found
