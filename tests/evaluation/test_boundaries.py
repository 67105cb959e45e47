"""Boundary errors: by hand, and on their way through the summary to the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phonemo.errors import ResultError
from phonemo.evaluation import report, summary
from phonemo.evaluation.metrics import boundary_errors, summarize_errors
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "neutral"))


def test_errors_by_hand():
    """Two phonemes that touch, a pause, one more: start, touch, end, start, end."""
    reference = [(0.1, 0.2), (0.2, 0.3), (0.5, 0.6)]
    aligned = [(0.11, 0.22), (0.22, 0.27), (0.54, 0.6)]
    expected = [0.01, 0.02, 0.03, 0.04, 0.0]
    np.testing.assert_allclose(boundary_errors(reference, aligned), expected, atol=1e-12)


def test_an_extra_gap_counts_the_mean_error_of_both_sides():
    errors = boundary_errors([(0.0, 0.2), (0.2, 0.4)], [(0.0, 0.19), (0.23, 0.4)])
    np.testing.assert_allclose(errors, [0.0, 0.02, 0.0], atol=1e-12)


def test_a_touch_where_the_reference_has_a_pause_is_wrong_twice():
    errors = boundary_errors([(0.0, 0.2), (0.3, 0.4)], [(0.0, 0.25), (0.25, 0.4)])
    np.testing.assert_allclose(errors, [0.0, 0.05, 0.05, 0.0], atol=1e-12)


def test_one_phoneme_and_none():
    np.testing.assert_allclose(boundary_errors([(0.1, 0.2)], [(0.0, 0.25)]), [0.1, 0.05])
    assert boundary_errors([], []).shape == (0,)


@pytest.mark.parametrize("count", [1, 3])
def test_other_numbers_of_phonemes_are_refused(count):
    expected = f"expected 2 aligned phonemes, as in the reference, got {count}"
    with pytest.raises(ResultError, match=expected):
        boundary_errors([(0, 1), (1, 2)], [(0, 1)] * count)


def test_a_summary_by_hand():
    result = summarize_errors([0.001, 0.02, 0.03, 0.04, 0.1])
    assert result.boundaries == 5
    assert result.median_seconds == 0.03
    assert (result.within_20_ms, result.within_40_ms) == (2 / 5, 4 / 5)
    with pytest.raises(ResultError, match="expected at least one boundary error"):
        summarize_errors([])


def row(name: str, seed: int, errors: list[float] | None) -> dict[str, Any]:
    timed = {} if errors is None else {"boundary_errors_ms": errors}
    return {
        "id": name,
        "fold": "1",
        "seed": seed,
        "speaker": name,
        "gender": "f",
        "truth": "anger",
        "label": "anger",
        "scores": {"anger": 0.9, "neutral": 0.1},
        "phonemes": ["a"],
        "reference": ["a"],
        **timed,
    }


def test_boundaries_are_pooled_within_a_seed_and_seeds_averaged():
    """Seed 1: 10, 20, 50, median 20; seed 2: 30, 40, median 35. Utterance c has no times."""
    rows = [row("a", 1, [10.0, 50.0]), row("b", 1, [20.0]), row("c", 1, None)]
    rows += [row("a", 2, [30.0]), row("b", 2, [40.0]), row("c", 2, None)]
    result = summary.summarize(rows, LABELS)
    assert result["boundaries"] == {
        "median_ms": pytest.approx(27.5),
        "per_seed_median_ms": pytest.approx([20, 35]),
        "within_20_ms": pytest.approx((2 / 3 + 0) / 2),
        "within_40_ms": pytest.approx((2 / 3 + 1) / 2),
        "boundaries": 5,
        "utterances": 4,
    }
    line = (
        "  boundaries: median 28 ms (33.3 % within 20 ms, 83.3 % within 40 ms) of 5 in "
        "4 utterances with hand-made times"
    )
    lines = report.results_lines(result)
    assert lines[lines.index("  PER      0.0 %") + 1] == line


def test_without_times_boundaries_are_not_mentioned():
    result = summary.summarize([row("a", 1, None), row("b", 1, [])], LABELS)
    assert "boundaries" not in result
    assert "boundaries" not in "\n".join(report.results_lines(result))
