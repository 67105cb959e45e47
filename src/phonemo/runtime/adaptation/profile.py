"""The profile of a source: statistics of its unlabelled recordings, as a small JSON file.

It holds no audio, no name, no path and no date. It comes from anywhere: whatever is in a file,
opening it ends in a profile or in one clear error. A profile of one person is a coarse voice
print, and personal data.

adaptation.npz: a model's reference as numpy arrays, checked when it is opened.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.annotations.prediction import ProfileMark
from phonemo.errors import CheckpointError, UsageError, safe_name
from phonemo.files import atomic_write_text, dumps_json, loads_json
from phonemo.runtime.adaptation.statistics import Reference, Statistics

FORMAT = 1
MAX_BYTES = 2**20
#: Digits of a mean or deviation; float32 has little more.
_DIGITS = 6
_MOST_FEATURES = 2**14
_MOST_COUNT = 10**9
_LARGEST = 1e18
"""Beyond it a map in float32 would overflow."""
_HASH_LETTERS = 12
_KEYS = ("format", "model", "count", "seconds", "mean", "deviation")


@dataclass(frozen=True)
class Profile:
    """Statistics of the recordings of one source, with the model that they are of.

    Attributes:
        model: digest of the model's reference, 64 hexadecimal digits. Exports in fp32 and int8
            and the model folder that they come from have the same one.
        count: how many vectors it is of: short recordings, and 3 s windows of longer ones.
        seconds: of speech in them.
        mean: of each feature, 6 significant digits.
        deviation: of each feature, above 0.
        format: of the file.

    Raises:
        UsageError: a value out of its range.
    """

    model: str
    count: int
    seconds: float
    mean: tuple[float, ...] = field(repr=False)
    deviation: tuple[float, ...] = field(repr=False)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise UsageError(f"profile: {fault}; make it again with phonemo adapt")

    @classmethod
    def of(cls, statistics: Statistics, seconds: float, reference: Reference) -> Profile:
        """The profile of a pool's statistics, which are not shrunk yet."""
        return cls(
            model=reference.digest,
            count=int(statistics.count),
            seconds=round(seconds, 1),
            mean=_rounded(statistics.mean),
            deviation=_rounded(statistics.deviation),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Open a file that ``save`` wrote.

        Raises:
            UsageError: it is absent, too large, or no profile.
        """
        name = safe_name(path)
        try:
            if not Path(path).is_file():
                raise UsageError(f"{name}: no such file; phonemo adapt writes a profile")
            with open(path, "rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise UsageError(f"{name}: cannot be read; check the path and its rights") from error
        return cls.parse(data, name)

    @classmethod
    def parse(cls, text: str | bytes, name: str = "profile") -> Profile:
        """The profile in the content of a file.

        Args:
            text: JSON.
            name: what an error calls it.

        Raises:
            UsageError: it is too large, or no profile.
        """
        if len(text) > MAX_BYTES:
            raise UsageError(f"{name}: more than {MAX_BYTES} bytes; no profile is that large")
        try:
            data = loads_json(text)
        except ValueError as error:
            raise UsageError(f"{name}: not JSON; phonemo adapt writes a profile") from error
        return cls.from_dict(data, name)

    @classmethod
    def from_dict(cls, data: Any, name: str = "profile") -> Profile:
        """The profile in plain data of JSON; errors as for ``parse``."""
        if not isinstance(data, dict) or set(data) != set(_KEYS):
            raise UsageError(f"{name}: no profile: an object of {', '.join(_KEYS)} is expected")
        if type(data["format"]) is not int or data["format"] != FORMAT:
            found = safe_name(repr(data["format"]))
            raise UsageError(
                f"{name}: format {found} found, format {FORMAT} is expected; make the profile "
                "again with this phonemo"
            )
        for key in ("mean", "deviation"):
            if not isinstance(data[key], list):
                raise UsageError(f"{name}: {key} is no list; make it again with phonemo adapt")
        try:
            lists = {key: tuple(data[key]) for key in ("mean", "deviation")}
            return cls(**(data | lists))
        except UsageError as error:
            raise UsageError(f"{name}: {str(error).removeprefix('profile: ')}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, whole or not at all; an older file is replaced.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            atomic_write_text(Path(path), self.text())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(
                f"{safe_name(path)}: cannot be written ({reason}); name another"
            ) from error

    def text(self) -> str:
        """The content of its file."""
        return dumps_json(self.to_dict()) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; 8.0 and 0.0 stay so where another program wrote 8 and -0."""
        known = {key: getattr(self, key) for key in _KEYS}
        lists = {key: [float(one) + 0.0 for one in known[key]] for key in ("mean", "deviation")}
        return known | {"seconds": float(self.seconds)} | lists

    @cached_property
    def hash(self) -> str:
        """The beginning of the SHA-256 of its content: what a prediction names it by."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:_HASH_LETTERS]

    @property
    def mark(self) -> ProfileMark:
        """Its name in a prediction."""
        return ProfileMark(self.hash, self.count)

    @cached_property
    def statistics(self) -> Statistics:
        """Of the pool, not shrunk yet."""
        mean, deviation = (np.array(one, dtype=np.float64) for one in (self.mean, self.deviation))
        return Statistics(self.count, mean, deviation)

    def check(self, reference: Reference) -> None:
        """Raise UsageError where it is of another model."""
        if self.model != reference.digest:
            raise UsageError(
                f"the profile is of model {self.model[:_HASH_LETTERS]}, this is model "
                f"{reference.digest[:_HASH_LETTERS]}; make a profile with this model: phonemo adapt"
            )
        if len(self.mean) != len(reference.centre):
            raise UsageError(
                f"the profile has {len(self.mean)} features, the model {len(reference.centre)}; "
                "make it again with phonemo adapt"
            )


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)


def _fault(profile: Profile) -> str | None:
    """What is wrong with its values."""
    model: Any = profile.model
    if not isinstance(model, str) or not re.fullmatch("[0-9a-f]{64}", model):
        return "model is not 64 hexadecimal digits"
    if type(profile.count) is not int or not 1 <= profile.count <= _MOST_COUNT:
        return f"count is no whole number from 1 to {_MOST_COUNT}"
    if not _is_within(profile.seconds, 0):
        return "seconds is no number of 0 or more"
    if not 1 <= len(profile.mean) <= _MOST_FEATURES or len(profile.mean) != len(profile.deviation):
        sizes = f"{len(profile.mean)} means and {len(profile.deviation)} deviations"
        return f"{sizes}, where 1 to {_MOST_FEATURES} of each are expected"
    if not all(_is_within(one, -_LARGEST) for one in profile.mean):
        return f"a mean is no number from -{_LARGEST:g} to {_LARGEST:g}"
    if not all(_is_within(one, 1 / _LARGEST) for one in profile.deviation):
        return f"a deviation is no number from {1 / _LARGEST:g} to {_LARGEST:g}"
    return None


def _is_within(value: Any, least: float) -> bool:
    """Whether it is a number from ``least`` to _LARGEST; NaN is not, nor is True."""
    return type(value) in (int, float) and least <= value <= _LARGEST


#: Of all arrays together, when they are unpacked.
MAX_REFERENCE_BYTES = 2**26
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
    if fault := _reference_fault(found, emotions):
        raise CheckpointError(f"adaptation.npz: {fault}; export the model again")
    arrays: dict[str, Any] = {name: found[name].astype(np.float64) for name in _ARRAYS}
    numbers: dict[str, Any] = {name: float(found[name]) for name in _NUMBERS}
    return Reference(**arrays, **numbers | {"em_iterations": int(found["em_iterations"])})


def _read(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(one.file_size for one in archive.infolist())
        if size > MAX_REFERENCE_BYTES:
            raise ValueError(f"{size} bytes when unpacked")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in (*_ARRAYS, *_NUMBERS)}


def _reference_fault(found: dict[str, Any], emotions: int) -> str | None:
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
