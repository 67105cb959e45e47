"""Arrays in files, with an error that says what the disk said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from phonemo.errors import RunError


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file.

    Raises:
        RunError: the disk refused.
    """
    try:
        with path.open("wb") as stream:
            np.save(_Told(stream), array)
    except OSError as error:
        raise RunError(
            f"{path}: features cannot be kept ({error.strerror}); free room and run again"
        ) from error


class _Told:
    """Of a real file numpy writes by itself, and says of a full disk how many bytes it lacks."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write
