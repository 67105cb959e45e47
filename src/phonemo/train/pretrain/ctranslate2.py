"""Reads the variables of a CTranslate2 model file, so that the teacher needs no model hub.

The layout (little-endian, from CTranslate2's model specification): version, name of the
specification, its revision, number of variables; then for each its name, rank, dimensions, type,
bytes and values. Strings have their length with a closing zero in front. The file may be cut
into parts ``model.bin.part1``, ``model.bin.part2`` ..., as some packages ship it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonemo.errors import ModelError

MODEL = "model.bin"
_SPECIFICATION = "WhisperSpec"
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

Variables = dict[str, NDArray[np.generic]]


def has_model(folder: Path) -> bool:
    """Whether a folder holds such a file, whole or in parts."""
    return bool(_parts(folder))


def read_variables(folder: Path, prefix: str) -> Variables:
    """The variables whose names begin with ``prefix``, without it, as they are stored.

    Raises:
        ModelError: the file is absent, cut short, or of another kind of network.
    """
    data = b"".join(path.read_bytes() for path in _parts(folder))
    try:
        found = _Reader(data).variables()
    except (struct.error, ValueError) as error:
        raise ModelError(
            f"{folder}/{MODEL}: not a whole CTranslate2 Whisper model ({error}); "
            "put all of its parts there"
        ) from error
    return {
        name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)
    }


def _parts(folder: Path) -> list[Path]:
    whole = folder / MODEL
    if whole.is_file():
        return [whole]
    numbered = [path for path in folder.glob(f"{MODEL}.part*") if path.suffix[5:].isdigit()]
    return sorted(numbered, key=lambda path: int(path.suffix[5:]))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def variables(self) -> Variables:
        self._number("I")
        name = self._text()
        if name != _SPECIFICATION:
            raise ValueError(f"it holds a {name[:40]!r}")
        self._number("I")
        return dict(self._variable() for _ in range(self._number("I")))

    def _variable(self) -> tuple[str, NDArray[np.generic]]:
        name = self._text()
        shape = [self._number("I") for _ in range(self._number("B"))]
        kind = self._type()
        size = self._number("I")
        values = np.frombuffer(self.data, kind, size // kind.itemsize, self.place)
        self.place += size
        return name, values.reshape(shape)

    def _type(self) -> np.dtype[Any]:
        number = self._number("B")
        if number not in _TYPES:
            raise ValueError(f"values of type {number}, known are 0 to {max(_TYPES)}")
        return np.dtype(_TYPES[number]).newbyteorder("<")

    def _text(self) -> str:
        size = self._number("H")
        text = self.data[self.place : self.place + size - 1]
        self.place += size
        return text.decode("utf-8", errors="replace")

    def _number(self, kind: str) -> int:
        value: int = struct.unpack_from(f"<{kind}", self.data, self.place)[0]
        self.place += struct.calcsize(f"<{kind}")
        return value
