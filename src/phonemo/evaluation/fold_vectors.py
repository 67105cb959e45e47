"""The vectors that a fold's emotion head gets for its test part, in the order of its predictions.

They are stored in half precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import RunError

VECTORS = "vectors.npy"
"""File of a fold and seed."""


def read_vectors(cell: Path) -> npt.NDArray[np.floating[Any]] | None:
    """Read (utterance, feature) of a fold and seed; None if the file is missing.

    Raises:
        RunError: the file is damaged, or another kind of array.
    """
    path = cell / VECTORS
    if not path.is_file():
        return None
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
            raise ValueError("another array, or an archive")
    except Exception as error:  # zipfile and numpy raise a dozen kinds for damaged files
        raise RunError(
            f"{path}: expected an array of floats (utterance, feature); delete it, or train again"
        ) from error
    return found
