"""Differences pooled over corpora, by hand."""

from __future__ import annotations

import json
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
    found = benchmark.mean_of_these([Effect("a", "one", 1.0, 0.3), Effect("b", "one", 3.0, 0.4)])
    assert found.points == pytest.approx(2.0)
    assert found.high - found.points == pytest.approx(1.959964 * 0.25)
    assert found.p == pytest.approx(math.erfc(8 / math.sqrt(2)))


def test_the_mean_of_such_corpora_by_hand():
    """Equal errors: the weights are equal, and the interval is Student's of the differences."""
    effects = effects_of((0.0, 1.0, 5.0), 0.5)
    found, share = benchmark.mean_of_such(effects)
    assert found.points == pytest.approx(2.0)
    deviation = math.sqrt(((2.0 - 0) ** 2 + (2 - 1) ** 2 + (5 - 2) ** 2) / 2)
    assert found.high - found.points == pytest.approx(4.302653 * deviation / math.sqrt(3), rel=1e-5)
    spread = 14 / 0.25
    assert share == pytest.approx((spread - 2) / spread)


def effects_of(differences: tuple[float, ...], error: float) -> list[Effect]:
    return [Effect(f"c{at}", "one", points, error) for at, points in enumerate(differences)]


def test_the_mean_of_such_corpora_is_no_surer_than_that_of_these():
    """Effects that agree by luck: their own errors remain."""
    effects = effects_of((1.9, 2.0, 1.8), 1.2)
    found, share = benchmark.mean_of_such(effects)
    assert found.high - found.points == pytest.approx(4.302653 * 1.2 / math.sqrt(3), rel=1e-5)
    assert share == 0
    assert found.low < benchmark.mean_of_these(effects).low


def test_published_studies_are_read_and_pooled(capsys):
    paths = [
        REPOSITORY / "results" / name / "ablation.json" for name in ("tasks-emodb", "tasks-ravdess")
    ]
    benchmark.main([*map(str, paths), "--arm", "multi-task"])
    first, second, these, such = capsys.readouterr().out.splitlines()
    assert first.startswith("emodb: -2.3 points over single-task")
    assert second.startswith("ravdess: +2.3 points")
    assert these.startswith("mean of these 2 corpora: -0.0 points") or "+0.0 points" in these
    assert "I squared" in such


@pytest.mark.parametrize(
    ("name", "arm", "message"),
    [
        ("absent.json", "multi-task", "cannot be read"),
        ("README.md", "multi-task", "expected an ablation.json"),
        ("results/tasks-emodb/ablation.json", "single-task", "no arm 'single-task' with a diff"),
    ],
)
def test_a_file_without_the_arm_is_one_line(name, arm, message):
    with pytest.raises(ResultError, match=message):
        benchmark.read_effect(Path(REPOSITORY / name), arm)


def test_a_corpus_is_not_counted_twice():
    paths = [REPOSITORY / "results" / name / "ablation.json" for name in ("tasks-emodb",) * 2]
    with pytest.raises(ResultError, match="expected one ablation of each corpus, got two of emodb"):
        list(benchmark.report(paths, "multi-task"))


def changed(folder: Path, **changes: object) -> Path:
    """Results of RAVDESS with a changed first table."""
    content = json.loads((REPOSITORY / "results/tasks-ravdess/ablation.json").read_text())
    table = content["tables"][0]
    if "baseline" in changes:
        table["baseline"] = changes["baseline"]
    if "twice" in changes:
        content["tables"].append(table)
    for row in table["rows"]:
        if row["versus"] and "width" in changes:
            row["versus"]["high"] = row["versus"]["low"]
    path = folder / "ablation.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "frozen"}, "expected one baseline, got frozen and single-task"),
        ({"twice": True}, "expected arm 'multi-task' in one table, got 2"),
        ({"width": 0}, "expected an interval of 'multi-task', got none, or one of width 0"),
    ],
)
def test_differences_that_cannot_be_pooled_are_one_line(tmp_path, change, message):
    paths = [REPOSITORY / "results/tasks-emodb/ablation.json", changed(tmp_path, **change)]
    with pytest.raises(ResultError, match=message):
        list(benchmark.report(paths, "multi-task"))
