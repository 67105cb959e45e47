"""How well bytes compress as samples of an encoding, which tells the right encoding from others.

Sound is predictable: read in the right encoding, a sample is close to the ones before it, or at
least small. Read in a wrong one, some of its bits are as good as random. The cost is the length of
a code such as FLAC's: the best of three fixed predictors per frame and a Laplace distribution of
their errors. White noise is no exception, because its level is below full scale; noise at full
scale costs 8 bits per byte in every encoding, and nothing can be concluded from it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.audio.pcm.encodings import Encoding

FRAME_BYTES = 768
"""Bytes per frame: whole samples of 1, 2, 3, 4 and 8 bytes."""
_LEAST_VALUES = 32
"""Frames with fewer distinct bytes are silence, a constant or a test pattern."""
_ORDERS = 3
_SMALLEST_FLOAT, _LARGEST_FLOAT = 2.0**-40, 2.0**5
_PLAUSIBLE_SHARE = 0.9
"""Floats of audio between these two, zeros aside."""
_INTEGER_BITS = (23, 15)
_LAPLACE_BITS = float(np.log2(2 * np.e))
"""Entropy of a Laplace distribution with a mean absolute value of one step."""

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def frames_of(data: bytes) -> Frames:
    """The whole frames of a stream that hold a signal, (frame, byte)."""
    whole = len(data) // FRAME_BYTES * FRAME_BYTES
    frames = np.frombuffer(data[:whole], np.uint8).reshape(-1, FRAME_BYTES)
    steps = np.diff(np.sort(frames, axis=1).astype(np.int16), axis=1) > 0
    chosen: Frames = frames[steps.sum(axis=1) >= _LEAST_VALUES - 1]
    return chosen


def coding_cost(frames: Frames, encoding: Encoding, channels: int = 1, offset: int = 0) -> float:
    """Bits per byte that the samples cost, from 0 to 8, averaged over the frames.

    Args:
        frames: (frame, byte).
        encoding: what the bytes are read as.
        channels: interleaved channels.
        offset: bytes before the first whole sample.
    """
    width = encoding.width
    size = (FRAME_BYTES - offset) // width * width
    data = np.ascontiguousarray(frames[:, offset : offset + size])
    with np.errstate(all="ignore"):
        values = encoding.decode(data.tobytes()).reshape(len(frames), -1).astype(np.float64)
    steps, usable = _log_steps(values, encoding, data)
    values = np.where(usable[:, None], values, 0.0)
    bits = _LAPLACE_BITS + _log_errors(values, steps, channels) - steps
    return float(np.where(usable, np.clip(bits, 0, 8 * width), 8 * width).mean() / width)


def _log_errors(values: Floats, steps: Floats, channels: int) -> Floats:
    """The logarithm of the mean absolute error of the best predictor, (frame,)."""
    errors, best = values - np.median(values, axis=1, keepdims=True), np.full(len(values), np.inf)
    for _ in range(_ORDERS):
        best = np.minimum(best, np.abs(errors).mean(axis=1))
        errors = errors[:, channels:] - errors[:, :-channels]
    logarithm: Floats = np.log2(np.maximum(best, 0.2 * 2.0**steps))
    return logarithm


def _log_steps(
    values: Floats, encoding: Encoding, data: Frames
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The mean logarithm of the quantization step, (frame,), and whether a frame is plausible."""
    if encoding.width == 1:
        return _code_steps(encoding)[data].mean(axis=1), np.ones(len(values), bool)
    if encoding.name.startswith("f"):
        return _float_steps(values, data)
    scale = 2.0 ** (8 * encoding.width - 1)
    # unused low bits cost nothing, as of 8-bit samples stored in 16 bits
    common = np.bitwise_or.reduce((values * scale).astype(np.int64), axis=1)
    step = np.where(common == 0, 1, common & -common)
    return np.log2(step / scale), np.ones(len(values), bool)


def _float_steps(values: Floats, data: Frames) -> tuple[Floats, npt.NDArray[np.bool_]]:
    width = data.shape[1] // values.shape[1]
    magnitude = np.abs(values)
    plausible = (magnitude >= _SMALLEST_FLOAT) & (magnitude <= _LARGEST_FLOAT)
    count = plausible.sum(axis=1)
    nonzero = (data.view(f"<f{width}") != 0).sum(axis=1)  # before values became 32-bit floats
    usable = np.isfinite(values).all(axis=1) & (count >= _PLAUSIBLE_SHARE * nonzero)
    logarithms = np.log2(np.where(plausible, magnitude, 1.0)).sum(axis=1)
    steps = logarithms / np.maximum(count, 1) - _mantissa_bits(data, width)
    for bits in _INTEGER_BITS:  # floats made of integers
        scaled = np.where(plausible, values, 0.0) * 2.0**bits
        steps = np.where((scaled == np.round(scaled)).all(axis=1), np.maximum(steps, -bits), steps)
    return steps, usable


def _mantissa_bits(data: Frames, width: int) -> Floats:
    """Bits of the mantissa that are used, e.g. 10 in floats made of half floats, (frame,)."""
    bits = {4: 23, 8: 52}[width]
    common = np.bitwise_or.reduce(data.view(f"<u{width}"), axis=1).astype(np.uint64)
    common = common & np.uint64(2**bits - 1) | np.uint64(2**bits)
    lowest: Floats = np.log2((common & (~common + np.uint64(1))).astype(np.float64))
    return bits - lowest


@cache
def _code_steps(encoding: Encoding) -> npt.NDArray[Any]:
    """The logarithm of the distance from each byte's value to its neighbors."""
    values = encoding.decode(bytes(range(256))).astype(np.float64)
    levels = np.unique(values)
    return np.log2(np.gradient(levels)[np.searchsorted(levels, values)])
