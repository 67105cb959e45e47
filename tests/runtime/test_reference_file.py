"""adaptation.npz: the same reference again, and nothing but a reference."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from phonemo.errors import CheckpointError
from phonemo.runtime.adaptation import profile
from phonemo.runtime.adaptation.profile import packed, unpacked
from tests.runtime.test_adaptation import REFERENCE


def arrays(**changes):
    """The arrays of a good file, some of them changed; None leaves one out."""
    with np.load(io.BytesIO(packed(REFERENCE)), allow_pickle=False) as archive:
        result = dict(archive)
    return {name: item for name, item in (result | changes).items() if item is not None}


def content(values):
    stream = io.BytesIO()
    np.savez(stream, **values)
    return stream.getvalue()


def test_it_holds_the_same_reference():
    known = replace(REFERENCE, k_mean=2.5, k_spread=0.0, em_iterations=0)
    result = unpacked(packed(known), 2)
    for name in ("centre", "spread", "class_means", "weight", "bias"):
        np.testing.assert_allclose(getattr(result, name), getattr(known, name), rtol=1e-6)
    assert (result.k_mean, result.k_spread, result.em_iterations) == (2.5, 0.0, 0)
    assert type(result.em_iterations) is int
    assert result.digest == known.digest
    assert packed(result) == packed(known), "the same bytes at any time"


@pytest.mark.parametrize("radius", [0.5, np.inf])
def test_a_radius_is_optional(radius):
    assert unpacked(packed(replace(REFERENCE, radius=radius)), 2).radius == radius


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"centre": None}, "cannot be read"),
        ({"k_mean": None}, "cannot be read"),
        ({"centre": np.zeros(2)}, "expected float32 arrays"),
        ({"centre": np.zeros(0, np.float32)}, "expected centre of shape"),
        ({"centre": np.float32(1)}, r"expected centre of shape \(0,\)"),
        ({"spread": np.ones(3, np.float32)}, "expected spread of shape"),
        ({"bias": np.ones(3, np.float32)}, "expected bias of shape"),
        ({"weight": np.ones((2, 3), np.float32)}, "expected weight of shape"),
        ({"class_means": np.ones((3, 2), np.float32)}, "expected class_means of shape"),
        ({"centre": np.array([1, np.nan], np.float32)}, "expected finite numbers"),
        ({"spread": np.array([1, np.inf], np.float32)}, "expected finite numbers"),
        ({"weight": np.array([[1, 2], [3, -np.inf]], np.float32)}, "expected finite numbers"),
        ({"spread": np.array([1, 0], np.float32)}, "expected a spread above 0"),
        ({"spread": np.array([1, -1], np.float32)}, "expected a spread above 0"),
        ({"k_mean": np.float64(-1)}, "0 or more"),
        ({"k_spread": np.float64("inf")}, "expected finite numbers"),
        ({"k_spread": np.ones(2)}, "expected numbers in k_mean"),
        ({"radius": np.float64(0)}, "expected a radius above 0"),
        ({"radius": np.float64("nan")}, "expected a radius above 0"),
        ({"em_iterations": np.float64(2.5)}, "whole number"),
        ({"em_iterations": np.float64(1e9)}, "whole number"),
        ({"em_iterations": np.int64(3)}, "expected numbers in k_mean"),
        ({"bias": np.array(["a", "b"])}, "expected float32 arrays"),
    ],
)
def test_invalid_references_are_rejected(changes, what):
    with pytest.raises(CheckpointError, match=what):
        unpacked(content(arrays(**changes)), 2)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", packed(REFERENCE)[:-30]])
def test_invalid_archives_are_rejected(data):
    with pytest.raises(CheckpointError, match="cannot be read as numpy arrays"):
        unpacked(data, 2)


def test_an_object_is_not_unpickled():
    stream = io.BytesIO()
    np.savez(stream, **arrays(bias=np.array([{}, {}], dtype=object)))
    with pytest.raises(CheckpointError, match="cannot be read as numpy arrays"):
        unpacked(stream.getvalue(), 2)


def test_an_archive_beyond_the_size_limit_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(profile, "MAX_REFERENCE_BYTES", 10_000)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("centre.npy", bytes(1_000_000))
    assert len(stream.getvalue()) < 10_000
    with pytest.raises(CheckpointError, match="cannot be read as numpy arrays"):
        unpacked(stream.getvalue(), 2)


def test_a_header_may_claim_more_than_there_is():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)}
        )
        archive.writestr("centre.npy", head.getvalue())
    with pytest.raises(CheckpointError, match="cannot be read as numpy arrays"):
        unpacked(stream.getvalue(), 2)
