"""Samples in memory as audio: arrays, tensors, lists, and samples paired with their rate.

Internal to :mod:`phonemo.audio`. No package is imported for its types: a torch tensor is recognized
by its methods, a Series by numpy's protocol.
"""

from __future__ import annotations

import array as standard_array
import os
import re
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.audio.channels import MAX_CHANNELS
from phonemo.audio.containers import HEAD_BYTES, sniff_format
from phonemo.errors import AudioError, UsageError, safe_name

RATES = range(4_000, 384_001)
"""Accepted sample rates in hertz; a header with any other is forged or not speech."""
BLOCK_FRAMES = 65_536
"""Frames decoded at a time, so that limits are enforced while decoding."""
#: Full scale of an array of each dtype.
SCALES = {"int16": 2.0**15, "int32": 2.0**31, "float16": 1.0, "float32": 1.0, "float64": 1.0}

Array = npt.NDArray[Any]
Block = npt.NDArray[np.float32]

#: Keys of a mapping with samples and their rate: datasets, transformers, torchaudio, pyannote.
_SAMPLE_KEYS = ("array", "raw", "waveform", "samples")
_RATE_KEYS = ("sampling_rate", "sample_rate", "rate")
_FILE_KEYS = ("bytes", "path")
_EXPECTED = (
    "expected audio as a path, the bytes of a file, a binary stream, an array of samples with "
    "rate=, or {'array': ..., 'sampling_rate': ...}"
)
#: Why integers of these types are refused, by the beginning of the dtype's name.
_AMBIGUOUS = (
    ("bool", "truth values are not samples"),
    ("uint8", "8-bit PCM is centered at 128: pass (samples.astype('float32') - 128) / 128"),
    ("int8", "8-bit integers are rare as audio: pass samples.astype('float32') / 128"),
    ("uint", "unsigned samples have no known center; pass floats with a full scale of 1"),
    ("int64", "their full scale is unknown; pass numpy.array(samples, dtype='int16') for 16-bit"),
)
_PATH_BYTES = re.compile(rb"[^\x00-\x1f]{1,1024}\.(wav|flac|mp3|ogg|opus|m4a|aiff?)", re.IGNORECASE)


def resolve(source: Any, rate: Any) -> tuple[Any, int | None]:
    """Return a source as an array with its rate, or as a path, bytes or a stream without one.

    Args:
        source: anything that ``load_waveform`` accepts.
        rate: samples per second of samples in memory, an integral number.

    Raises:
        AudioError: invalid_audio (samples of an unsuitable type or shape), unsupported_audio.
        UsageError: not audio at all, or a rate that is missing, invalid or not applicable.
    """
    if isinstance(source, Mapping):
        return _resolve_mapping(source, rate)
    if isinstance(source, bytes | bytearray) or _is_byte_view(source):
        _check_bytes(bytes(source[:HEAD_BYTES]), len(source), rate)
        return source, None
    if isinstance(source, str | os.PathLike) or _is_stream(source):
        if rate is not None:
            raise UsageError("rate is only for arrays; omit it, a file's header gives its rate")
        return source, None
    if callable(getattr(source, "get_all_samples", None)):  # torchcodec's AudioDecoder
        source = source.get_all_samples()
    if hasattr(source, "sample_rate") and hasattr(source, "data"):  # torchcodec's AudioSamples
        return _with_own_rate(source.data, source.sample_rate, rate)
    if isinstance(source, tuple) and len(source) == 2 and _is_rated(*source):
        first, second = source
        return _with_own_rate(*((second, first) if _is_scalar(first) else source), rate)
    return to_array(source), whole_rate(rate)


def to_array(samples: Any, name: str = "array") -> Array:
    """Return samples as an array of (sample,) or (channel, sample), without a copy if possible.

    Accepts numpy arrays, torch tensors, lists and tuples of numbers, ``array.array``, Series, and
    whatever else supports numpy's array protocol. Leading axes of length one and a trailing one,
    as in (1, 1, sample) and (sample, 1), are removed.

    Args:
        samples: the samples.
        name: what messages call them.

    Raises:
        AudioError: invalid_audio: masked values, an unsuitable type or shape; empty_audio.
        UsageError: not samples.
    """
    array = _as_numpy(samples, name)
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    _check_type(array, name)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] > MAX_CHANNELS):
        expected = f"(sample,) or (channel, sample) with up to {MAX_CHANNELS} channels"
        message = f"{name}: expected {expected}, got shape {np.shape(samples)}; transpose it"
        raise AudioError("invalid_audio", message)
    return array


def raw_bytes(samples: Any) -> bytes | None:
    """Return the content of bytes and untyped buffers, such as cffi's; None for anything else."""
    if isinstance(samples, list | tuple | np.ndarray) or hasattr(samples, "__array__"):
        return None
    try:
        view = memoryview(samples)
    except TypeError:
        return None
    return view.tobytes() if _is_byte_view(view) else None


def to_float32(array: Array) -> Block:
    """Copy samples of a type in ``SCALES`` to float32 with a full scale of 1."""
    with np.errstate(over="ignore"):  # overflow is detected later, as infinity
        return array.astype(np.float32) / np.float32(SCALES[array.dtype.name])


def whole_rate(rate: Any, name: str = "array") -> int:
    """Return a sample rate as an integer; integral floats and numpy's numbers are accepted.

    Raises:
        UsageError: anything else, or None.
    """
    number = rate.item() if hasattr(rate, "item") and np.ndim(rate) == 0 else rate
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        advice = "pass rate=, the array's samples per second" if rate is None else "pass a number"
        actual = "none" if rate is None else repr(rate)[:40]
        raise UsageError(f"{name}: expected rate as an integer in hertz, got {actual}; {advice}")
    return number


def validate_rate(name: str, rate: int) -> int:
    """Return the rate; AudioError (unsupported_audio) outside ``RATES``."""
    if rate not in RATES:
        expected = f"expected a sample rate from {RATES[0]} to {RATES[-1]} Hz"
        raise AudioError("unsupported_audio", f"{name}: {expected}, got {rate} Hz")
    return rate


def validate_channels(name: str, channels: int) -> int:
    """Return the number of channels; AudioError (unsupported_audio) if it is not supported."""
    if not 1 <= channels <= MAX_CHANNELS:
        expected = f"expected 1 to {MAX_CHANNELS} channels"
        raise AudioError("unsupported_audio", f"{name}: {expected}, got {channels}")
    return channels


def is_single(recordings: Any) -> bool:
    """Whether a value is one recording, where a collection of recordings is expected."""
    if isinstance(recordings, str | bytes | bytearray | memoryview | os.PathLike | Mapping):
        return True
    if isinstance(recordings, standard_array.array) or _is_stream(recordings):
        return True
    if isinstance(recordings, list | tuple):
        first = recordings[0] if recordings else None
        return _is_scalar(first) or (len(recordings) == 2 and _is_rated(*recordings))
    dtype = str(getattr(recordings, "dtype", "object"))
    return getattr(recordings, "ndim", 0) == 1 and not re.match(r"object|str|<U|string", dtype)


class ArrayAudio:
    """An array of (sample,) or (channel, sample), converted block by block and never modified."""

    def __init__(self, array: Array, rate: int) -> None:
        self.name = "array"
        self.rate = validate_rate(self.name, rate)
        if not array.size:
            raise AudioError("empty_audio", "array: expected audio, got no samples")
        self._array = np.atleast_2d(array)
        self.channels = validate_channels(self.name, self._array.shape[0])
        self.frames: int | None = self._array.shape[1]
        self._position = 0

    def seek(self, frame: int) -> int:
        """Move to a frame and return the position."""
        self._position = min(frame, self._array.shape[1])
        return self._position

    def blocks(self) -> Iterator[Block]:
        """Yield float32 blocks of at most BLOCK_FRAMES: (frame, channel)."""
        for first in range(self._position, self._array.shape[1], BLOCK_FRAMES):
            yield to_float32(self._array[:, first : first + BLOCK_FRAMES].T)

    def remarks(self) -> tuple[str, ...]:
        """Nothing: every sample is used."""
        return ()

    def truncated(self) -> bool:
        """Whether samples are missing; never, in memory."""
        return False


def _resolve_mapping(source: Mapping[str, Any], rate: Any) -> tuple[Any, int | None]:
    """The samples and rate of a mapping, or the file in it: {"bytes": ..., "path": ...}."""
    samples = next((source[key] for key in _SAMPLE_KEYS if source.get(key) is not None), None)
    if samples is not None:
        own = next((source[key] for key in _RATE_KEYS if source.get(key) is not None), None)
        return _with_own_rate(samples, own, rate)
    file = next((source[key] for key in _FILE_KEYS if source.get(key) is not None), None)
    if file is None:
        keys = ", ".join(map(repr, list(source)[:4])) or "no keys"
        raise UsageError(f"{_EXPECTED}; got a dict with {safe_name(keys)}")
    return resolve(file, rate)


def _with_own_rate(samples: Any, own: Any, rate: Any) -> tuple[Array, int]:
    """Samples that come with their rate; a different ``rate`` contradicts it."""
    used = whole_rate(rate if own is None else own)
    if rate is not None and whole_rate(rate) != used:
        raise UsageError(f"rate={rate} contradicts the recording's own {used} Hz; omit it")
    return to_array(samples), used


def _as_numpy(samples: Any, name: str) -> Array:
    if isinstance(samples, np.ndarray):
        return _unmasked(samples, name)
    if isinstance(samples, list | tuple):
        return _list_as_numpy(samples, name)
    numeric = any(hasattr(samples, part) for part in ("__array__", "__array_interface__"))
    if not numeric and not isinstance(samples, standard_array.array | memoryview):
        raise UsageError(f"{_expected(name)}; got {_describe(samples)}")
    try:
        if hasattr(samples, "detach"):  # a torch tensor, maybe on a GPU or with a gradient
            samples = samples.detach().cpu()
            narrow = "bfloat16" in str(samples.dtype)  # unknown to numpy
            samples = samples.float() if narrow else samples
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = f"{type(samples).__name__}: {error}".splitlines()[0]
        message = f"{name}: cannot be converted to numpy ({reason}); pass a numpy array"
        raise AudioError("invalid_audio", message) from error


def _list_as_numpy(samples: Any, name: str) -> Array:
    while len(samples) == 1 and isinstance(samples[0], list | tuple):
        samples = samples[0]
    if len(samples) == 1 and np.ndim(samples[0]):
        return _as_numpy(samples[0], name)
    if samples and not _is_scalar(samples[0]):
        actual = f"a {type(samples).__name__} of {_describe(samples[0])}"
        advice = "predict_many for several recordings, or numpy.stack for the channels of one"
        raise UsageError(f"{_expected(name)}; got {actual}; use {advice}")
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name}: expected only numbers in the list ({error}); pass a numpy array"
        raise AudioError("invalid_audio", message) from error


def _unmasked(array: Array, name: str) -> Array:
    if isinstance(array, np.ma.MaskedArray):
        if masked := int(np.ma.count_masked(array)):
            advice = "fill them, e.g. samples.filled(0), or leave them out"
            message = f"{name}: expected samples, got {masked} masked values; {advice}"
            raise AudioError("invalid_audio", message)
        return np.asarray(array.data)
    return np.asarray(array)


def _check_type(array: Array, name: str) -> None:
    kind = array.dtype.name
    if kind not in SCALES:
        reasons = (reason for prefix, reason in _AMBIGUOUS if kind.startswith(prefix))
        expected = "expected float32, float64, int16 or int32"
        advice = next(reasons, "convert it")
        raise AudioError("invalid_audio", f"{name}: {expected}, got {kind}; {advice}")


def _check_bytes(head: bytes, size: int, rate: Any) -> None:
    """Refuse raw PCM and a path as bytes with the reason."""
    if rate is not None:
        advice = "omit it, a file's header gives its rate"
        if not sniff_format(head).audio:
            advice = "for raw 16-bit PCM pass numpy.frombuffer(data, dtype='<i2')"
        raise UsageError(f"rate is only for arrays; {advice}")
    if size <= HEAD_BYTES and _PATH_BYTES.fullmatch(head):
        message = "audio bytes: expected the bytes of a file, got a path; pass os.fsdecode(path)"
        raise AudioError("unsupported_audio", message)


def _is_byte_view(value: Any) -> bool:
    return isinstance(value, memoryview) and value.format in ("B", "b", "c")


def _is_stream(value: Any) -> bool:
    return callable(getattr(value, "read", None)) and not isinstance(value, np.ndarray)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Number) or (hasattr(value, "dtype") and np.ndim(value) == 0)


def _is_rated(first: Any, second: Any) -> bool:
    """Whether one of two values is a number and the other a sequence of samples."""
    if _is_scalar(first) == _is_scalar(second):
        return False
    other = second if _is_scalar(first) else first
    is_text = isinstance(other, str | bytes | os.PathLike | Mapping)
    return not is_text and hasattr(other, "__len__")


def _expected(name: str) -> str:
    """What is expected of a recording, or of the samples of anything else."""
    samples = f"{name}: expected samples as an array, a tensor, a list of numbers or bytes"
    return _EXPECTED if name == "array" else samples


def _describe(value: Any) -> str:
    return safe_name(type(value).__name__)
