"""Shares by hand, and on real speech: the phonemes that carry an emotion do carry it."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.frames import FrameGrid
from phonemo.prediction import PhonemeSpan
from phonemo.runtime import attribution
from phonemo.runtime.attribution import drops, frames_within, with_shares

GRID = FrameGrid(field_samples=400, hop_samples=320)  # centres at 12.5 ms, 32.5 ms, 52.5 ms ...
VOTES = np.array([4.0, 0.0, -2.0, 1.0, 1.0])  # of each frame for the first of two emotions


def decide(kept: np.ndarray) -> np.ndarray:
    """Probability of the first emotion: half, and a tenth of the mean vote of what is kept."""
    mean = (kept * VOTES).sum(axis=1) / np.maximum(1, kept.sum(axis=1))
    return np.stack([0.5 + mean / 10, 0.5 - mean / 10], axis=1)


def span(symbol: str, first: int, stop: int) -> PhonemeSpan:
    """From the first frame's hop to the end of the last one's."""
    return PhonemeSpan(symbol, (20 * first + 2.5) / 1000, (20 * stop + 2.5) / 1000, 1.0)


def test_frames_belong_to_the_phoneme_that_their_centre_lies_in():
    found = frames_within([span("a", 0, 2), span("m", 2, 3), span("s", 4, 5)], GRID, 5)
    assert found.astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]


def test_shares_are_the_score_minus_the_score_without():
    spans = with_shares([span("a", 0, 2), span("m", 2, 3)], decide, GRID, 5, 8)
    # all: mean 0.8, score 0.58; without frames 0 and 1: mean 0; without frame 2: mean 1.5
    assert [one.share for one in spans] == pytest.approx([0.08, 0.08 - 0.15])
    assert [one.symbol for one in spans] == ["a", "m"]


def test_the_winner_of_the_whole_is_asked_for():
    found = drops(lambda kept: decide(kept)[:, ::-1], np.array([[1, 0, 0, 0, 0]], bool), 8)
    assert found == pytest.approx([0.08]), "it is now the second emotion"


def test_the_only_phoneme_has_no_share():
    assert with_shares([span("a", 0, 5)], decide, GRID, 5, 8)[0].share is None
    assert with_shares([], decide, GRID, 5, 8) == ()


def test_rows_are_run_in_parts_that_fit_the_memory(monkeypatch):
    left_out = np.eye(5, dtype=bool)
    whole = drops(decide, left_out, 8)
    sizes = []

    def counted(kept):
        sizes.append(len(kept))
        return decide(kept)

    monkeypatch.setattr(attribution, "_MOST_FEATURES", 80)
    np.testing.assert_array_equal(drops(counted, left_out, 8), whole)
    assert sizes == [1, 2, 2, 1]
