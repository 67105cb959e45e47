"""Profiles: statistics of a source's unlabeled recordings, stored as a small JSON file.

A profile holds no audio, name, path or date. Files are untrusted: opening one gives a valid profile
or one clear error. A profile of one person is a coarse voice print, and personal data.

adaptation.npz holds a model's reference as numpy arrays, validated when it is opened.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.annotations.prediction import ProfileMark
from phonemo.errors import CheckpointError, UsageError, safe_name
from phonemo.files import atomic_write_text, dumps_json, loads_json, read_npz
from phonemo.runtime.adaptation.statistics import Reference, Statistics

FORMAT = 1
MAX_BYTES = 2**20
#: Significant digits of a mean or deviation; float32 has little more.
_DIGITS = 6
_MOST_FEATURES = 2**14
_MOST_COUNT = 10**9
_LARGEST = 1e18
"""Larger values would overflow a map in float32."""
_HASH_LETTERS = 12
_KEYS = ("format", "model", "count", "seconds", "mean", "deviation")


@dataclass(frozen=True)
class Profile:
    """Statistics of one source's recordings, with the model they belong to.

    Attributes:
        model: digest of the model's reference, 64 hexadecimal digits. Exports in fp32 and int8
            and the model folder that they come from share it.
        count: number of vectors: short recordings, and 3 s windows of longer ones.
        seconds: of speech in them.
        mean: of each feature, 6 significant digits.
        deviation: of each feature, above 0.
        format: version of the file format.

    Raises:
        UsageError: a value is out of its range.
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
        """Create the profile of a pool's statistics, which are not shrunk yet."""
        return cls(
            model=reference.digest,
            count=int(statistics.count),
            seconds=round(seconds, 1),
            mean=_round_digits(statistics.mean),
            deviation=_round_digits(statistics.deviation),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Open a file that ``save`` wrote.

        Raises:
            UsageError: it is missing, too large, or not a profile.
        """
        name = safe_name(path)
        try:
            if not Path(path).is_file():
                raise UsageError(f"{name}: no such file; create a profile with phonemo adapt")
            with open(path, "rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{name}: cannot be read; check the path and its permissions"
            ) from error
        return cls.parse(data, name)

    @classmethod
    def parse(cls, text: str | bytes, name: str = "profile") -> Profile:
        """Parse the content of a profile file.

        Args:
            text: JSON.
            name: used in error messages.

        Raises:
            UsageError: it is too large, or not a profile.
        """
        if len(text) > MAX_BYTES:
            raise UsageError(
                f"{name}: expected a profile of at most {MAX_BYTES} bytes, got more; make it again "
                "with phonemo adapt"
            )
        try:
            data = loads_json(text)
        except ValueError as error:
            raise UsageError(f"{name}: expected JSON; phonemo adapt writes a profile") from error
        return cls.from_dict(data, name)

    @classmethod
    def from_dict(cls, data: Any, name: str = "profile") -> Profile:
        """Create a profile from parsed JSON; errors as for ``parse``."""
        if not isinstance(data, dict) or set(data) != set(_KEYS):
            raise UsageError(f"{name}: expected an object of {', '.join(_KEYS)}, got another")
        if type(data["format"]) is not int or data["format"] != FORMAT:
            version = safe_name(repr(data["format"]))
            raise UsageError(
                f"{name}: expected format {FORMAT}, got {version}; make the profile again with "
                "this version of phonemo"
            )
        for key in ("mean", "deviation"):
            if not isinstance(data[key], list):
                raise UsageError(
                    f"{name}: expected a list in {key}; make it again with phonemo adapt"
                )
        try:
            lists = {key: tuple(data[key]) for key in ("mean", "deviation")}
            return cls(**(data | lists))
        except UsageError as error:
            raise UsageError(f"{name}: {str(error).removeprefix('profile: ')}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile atomically, replacing an older file.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            atomic_write_text(Path(path), self.text())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(
                f"{safe_name(path)}: cannot be written ({reason}); use another path"
            ) from error

    def text(self) -> str:
        """The content of the profile file."""
        return dumps_json(self.to_dict()) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; floats stay 8.0 and 0.0 where another program wrote 8 and -0."""
        known = {key: getattr(self, key) for key in _KEYS}
        lists = {key: [float(value) + 0.0 for value in known[key]] for key in ("mean", "deviation")}
        return known | {"seconds": float(self.seconds)} | lists

    @cached_property
    def hash(self) -> str:
        """The beginning of its content's SHA-256, which identifies it in predictions."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:_HASH_LETTERS]

    @property
    def mark(self) -> ProfileMark:
        """Its identification in a prediction."""
        return ProfileMark(self.hash, self.count)

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the pool, not shrunk yet."""
        mean, deviation = (
            np.array(values, dtype=np.float64) for values in (self.mean, self.deviation)
        )
        return Statistics(self.count, mean, deviation)

    def check(self, reference: Reference) -> None:
        """Raise UsageError where it belongs to another model."""
        if self.model != reference.digest:
            raise UsageError(
                f"expected a profile of model {reference.digest[:_HASH_LETTERS]}, got one of model "
                f"{self.model[:_HASH_LETTERS]}; make a profile with this model: phonemo adapt"
            )
        if len(self.mean) != len(reference.centre):
            raise UsageError(
                f"expected a profile of {len(reference.centre)} features, got {len(self.mean)}; "
                "make it again with phonemo adapt"
            )


def _round_digits(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)


def _fault(profile: Profile) -> str | None:
    """Describe the first invalid value."""
    model: Any = profile.model
    if not isinstance(model, str) or not re.fullmatch("[0-9a-f]{64}", model):
        return "expected a model of 64 hexadecimal digits"
    if type(profile.count) is not int or not 1 <= profile.count <= _MOST_COUNT:
        return f"expected a count from 1 to {_MOST_COUNT}"
    if not _is_within(profile.seconds, 0):
        return "expected seconds of 0 or more"
    if not 1 <= len(profile.mean) <= _MOST_FEATURES or len(profile.mean) != len(profile.deviation):
        sizes = f"{len(profile.mean)} means and {len(profile.deviation)} deviations"
        return f"expected 1 to {_MOST_FEATURES} means and as many deviations, got {sizes}"
    if not all(_is_within(value, -_LARGEST) for value in profile.mean):
        return f"expected means from -{_LARGEST:g} to {_LARGEST:g}"
    if not all(_is_within(value, 1 / _LARGEST) for value in profile.deviation):
        return f"expected deviations from {1 / _LARGEST:g} to {_LARGEST:g}"
    return None


def _is_within(value: Any, least: float) -> bool:
    """Whether it is a number from ``least`` to _LARGEST; NaN and True are not."""
    return type(value) in (int, float) and least <= value <= _LARGEST


#: Limit for all unpacked arrays together.
MAX_REFERENCE_BYTES = 2**26
_ARRAYS = ("centre", "spread", "class_means", "weight", "bias")
_NUMBERS = ("k_mean", "k_spread", "em_iterations", "radius")
_MOST_ITERATIONS = 1000


def packed(reference: Reference) -> bytes:
    """The content of adaptation.npz; deterministic."""
    arrays: dict[str, Any] = {
        name: np.asarray(getattr(reference, name), dtype=np.float32) for name in _ARRAYS
    }
    arrays |= {name: np.float64(getattr(reference, name)) for name in _NUMBERS}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def unpacked(content: bytes, emotions: int) -> Reference:
    """Read the reference from the content of adaptation.npz.

    Args:
        content: of the file.
        emotions: number of emotions of the model.

    Raises:
        CheckpointError: it is corrupt, too large, of other shapes, or not finite.
    """
    try:
        values = read_npz(content, (*_ARRAYS, *_NUMBERS), MAX_REFERENCE_BYTES)
    except ValueError as error:
        raise CheckpointError(
            "adaptation.npz: cannot be read as numpy arrays; export the model again"
        ) from error
    if fault := _reference_fault(values, emotions):
        raise CheckpointError(f"adaptation.npz: {fault}; export the model again")
    arrays: dict[str, Any] = {name: values[name].astype(np.float64) for name in _ARRAYS}
    numbers: dict[str, Any] = {name: float(values[name]) for name in _NUMBERS}
    return Reference(**arrays, **numbers | {"em_iterations": int(values["em_iterations"])})


def _reference_fault(values: dict[str, Any], emotions: int) -> str | None:
    if any(values[name].dtype != np.float32 for name in _ARRAYS):
        return "expected float32 arrays"
    width = values["centre"].shape[-1] if values["centre"].ndim == 1 else 0
    shapes: dict[str, tuple[int, ...]] = {"centre": (width,), "spread": (width,)}
    shapes |= {"bias": (emotions,), "class_means": (emotions, width), "weight": (emotions, width)}
    for name, shape in shapes.items():
        if width == 0 or values[name].shape != shape:
            return f"expected {name} of shape {shape}, not empty, got {values[name].shape}"
    if any(values[name].shape != () or values[name].dtype != np.float64 for name in _NUMBERS):
        return f"expected numbers in {', '.join(_NUMBERS[:-1])} and {_NUMBERS[-1]}"
    if not values["radius"] > 0:
        return "expected a radius above 0"
    if not all(np.isfinite(array).all() for name, array in values.items() if name != "radius"):
        return "expected finite numbers, got NaN or infinity"
    if not (values["spread"] > 0).all():
        return "expected a spread above 0"
    if min(values["k_mean"], values["k_spread"], values["em_iterations"]) < 0:
        return "expected k_mean, k_spread and em_iterations of 0 or more"
    if values["em_iterations"] > _MOST_ITERATIONS or values["em_iterations"] % 1:
        return f"expected a whole number of em_iterations up to {_MOST_ITERATIONS}"
    return None
