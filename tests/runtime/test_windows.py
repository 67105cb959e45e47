"""Windows are the same however the samples come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.errors import UsageError
from phonemo.runtime.windows import SlidingWindows

RATE = 16_000


def cut(samples: np.ndarray, pieces: list[int], seconds: float = 0.5) -> list[tuple[int, int]]:
    """Start and end of every window, which holds what stands there."""
    windower, made, at = SlidingWindows(seconds), [], 0
    for size in (*pieces, len(samples)):
        made += list(windower.push(samples[at : at + size]))
        at = min(len(samples), at + size)
    made += list(windower.finish())
    for value in made:
        np.testing.assert_array_equal(value.samples, samples[value.start : value.end])
    return [(item.start, item.end) for item in made]


@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (0, []),
        (100, [(0, 100)]),
        (8000, [(0, 8000)]),
        (8001, [(0, 8000), (4000, 8001)]),
        (12_000, [(0, 8000), (4000, 12_000)]),
        (17_000, [(0, 8000), (4000, 12_000), (8000, 16_000), (12_000, 17_000)]),
    ],
)
def test_half_a_second_every_quarter(samples, windows):
    assert cut(np.arange(samples, dtype=np.float32), []) == windows


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(0, 60_000),
    pieces=st.lists(st.integers(0, 20_000), max_size=12),
)
def test_piece_boundaries_have_no_effect(samples, pieces):
    audio = np.arange(samples, dtype=np.float32)
    windows = cut(audio, pieces)
    assert windows == cut(audio, [])
    covered = np.zeros(samples, dtype=int)
    for start, end in windows:
        covered[start:end] += 1
    assert samples == 0 or covered.min() >= 1
    assert covered.max(initial=0) <= 2


def test_at_most_one_window_is_buffered():
    windower = SlidingWindows(0.5)
    for _ in range(1000):
        list(windower.push(np.zeros(3000, dtype=np.float32)))
        held = sum(
            item.base.nbytes if item.base is not None else item.nbytes for item in windower._pending
        )
        assert held <= 4 * (8000 + 3000)


@pytest.mark.parametrize("seconds", [0.0, 0.49, -1.0, float("nan")])
def test_windows_that_are_too_short_are_rejected(seconds):
    with pytest.raises(UsageError, match=r"at least 0\.5 seconds"):
        SlidingWindows(seconds)
