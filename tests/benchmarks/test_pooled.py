"""Differences pooled over corpora, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.benchmarks import REPOSITORY

pytest.importorskip("scipy")

from phonemo.errors import ResultError

assert REPOSITORY
import pooled as benchmark  # noqa: E402
from pooled import Effect  # noqa: E402


def test_the_mean_of_these_corpora_by_hand():
    found = benchmark.mean_of_these([Effect("a", 1.0, 0.3), Effect("b", 3.0, 0.4)])
    assert found.points == pytest.approx(2.0)
    assert found.high - found.points == pytest.approx(1.959964 * 0.25)
    assert found.p == pytest.approx(math.erfc(8 / math.sqrt(2)))


def test_the_mean_of_such_corpora_by_hand():
    """Equal errors: the weights are equal, and the interval is Student's of the differences."""
    effects = [Effect(name, points, 0.5) for name, points in (("a", 0.0), ("b", 1.0), ("c", 5.0))]
    found, share = benchmark.mean_of_such(effects)
    assert found.points == pytest.approx(2.0)
    deviation = math.sqrt(((2.0 - 0) ** 2 + (2 - 1) ** 2 + (5 - 2) ** 2) / 2)
    assert found.high - found.points == pytest.approx(4.302653 * deviation / math.sqrt(3), rel=1e-5)
    spread = 14 / 0.25
    assert share == pytest.approx((spread - 2) / spread)


def test_published_studies_are_read_and_pooled(capsys):
    paths = [
        REPOSITORY / "results" / name / "ablation.json" for name in ("tasks-emodb", "tasks-ravdess")
    ]
    benchmark.main([*map(str, paths), "--arm", "multi-task"])
    first, second, these, such = capsys.readouterr().out.splitlines()
    assert first.startswith("emodb: -2.3 points")
    assert second.startswith("ravdess: +2.3 points")
    assert these.startswith("mean of these 2 corpora: -0.0 points") or "+0.0 points" in these
    assert "I squared" in such


@pytest.mark.parametrize(
    ("name", "arm", "message"),
    [
        ("absent.json", "multi-task", "cannot be read"),
        ("README.md", "multi-task", "expected an ablation.json"),
        ("results/tasks-emodb/ablation.json", "single-task", "no arm 'single-task' with an"),
    ],
)
def test_a_file_without_the_arm_is_one_line(name, arm, message):
    with pytest.raises(ResultError, match=message):
        benchmark.read_effect(Path(REPOSITORY / name), arm)


def test_a_corpus_is_not_counted_twice():
    paths = [REPOSITORY / "results" / name / "ablation.json" for name in ("tasks-emodb",) * 2]
    with pytest.raises(ResultError, match="expected one ablation of each corpus, got two of emodb"):
        list(benchmark.report(paths, "multi-task"))
