"""adaptation.npz: a model's reference as numpy arrays, checked when it is opened."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from phonemo.errors import CheckpointError
from phonemo.runtime.adaptation import Reference

#: Of all arrays together, when they are unpacked.
MAX_BYTES = 2**26
_ARRAYS = ("centre", "spread", "class_means", "weight", "bias")
_NUMBERS = ("k_mean", "k_spread", "em_iterations", "radius")
_MOST_ITERATIONS = 1000
#: What numpy raises of a file that is none of its own.
_BROKEN = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    TypeError,
    SyntaxError,
    NotImplementedError,
    zipfile.BadZipFile,
)


def packed(reference: Reference) -> bytes:
    """The content of adaptation.npz: the same for the same reference."""
    arrays: dict[str, Any] = {
        name: np.asarray(getattr(reference, name), dtype=np.float32) for name in _ARRAYS
    }
    arrays |= {name: np.float64(getattr(reference, name)) for name in _NUMBERS}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def unpacked(content: bytes, emotions: int) -> Reference:
    """The reference in the content of adaptation.npz.

    Args:
        content: of the file.
        emotions: how many the model has.

    Raises:
        CheckpointError: it is none: broken, too large, of other shapes, or not finite.
    """
    try:
        found = _read(content)
    except _BROKEN as error:
        raise CheckpointError(
            "adaptation.npz: cannot be read as numpy arrays; export the model again"
        ) from error
    if fault := _fault(found, emotions):
        raise CheckpointError(f"adaptation.npz: {fault}; export the model again")
    arrays: dict[str, Any] = {name: found[name].astype(np.float64) for name in _ARRAYS}
    numbers: dict[str, Any] = {name: float(found[name]) for name in _NUMBERS}
    return Reference(**arrays, **numbers | {"em_iterations": int(found["em_iterations"])})


def _read(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(one.file_size for one in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes when unpacked")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in (*_ARRAYS, *_NUMBERS)}


def _fault(found: dict[str, Any], emotions: int) -> str | None:
    if any(found[name].dtype != np.float32 for name in _ARRAYS):
        return "an array is not float32"
    width = found["centre"].shape[-1] if found["centre"].ndim == 1 else 0
    shapes: dict[str, tuple[int, ...]] = {"centre": (width,), "spread": (width,)}
    shapes |= {"bias": (emotions,), "class_means": (emotions, width), "weight": (emotions, width)}
    for name, shape in shapes.items():
        if width == 0 or found[name].shape != shape:
            return f"{name} has shape {found[name].shape}, {shape} is expected"
    if any(found[name].shape != () or found[name].dtype != np.float64 for name in _NUMBERS):
        return f"{', '.join(_NUMBERS[:-1])} or {_NUMBERS[-1]} is no number"
    if not found["radius"] > 0:
        return "a radius is not above 0"
    if not all(np.isfinite(array).all() for name, array in found.items() if name != "radius"):
        return "a number is not finite"
    if not (found["spread"] > 0).all():
        return "a spread is not above 0"
    if min(found["k_mean"], found["k_spread"], found["em_iterations"]) < 0:
        return "k_mean, k_spread and em_iterations are 0 or more"
    if found["em_iterations"] > _MOST_ITERATIONS or found["em_iterations"] % 1:
        return f"em_iterations is a whole number up to {_MOST_ITERATIONS}"
    return None
