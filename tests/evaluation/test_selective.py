"""Calibration before and after scaling, and selective answers, in a summary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from phonemo.evaluation import report, summary
from phonemo.evaluation.metrics_schema import Results
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "happiness", "neutral"), {"excited": "happiness"})
SHORT = {"a": "anger", "h": "happiness", "n": "neutral", "e": "excited"}


def row(
    number: int, truth: str, label: str, sure: float = 0.8, seed: int = 1, **more: Any
) -> dict[str, Any]:
    """One answer, emotions by their first letter; two emotions share what is left."""
    name = LABELS.merged(SHORT[label])
    return {
        "id": f"u{number}",
        "fold": "1",
        "seed": seed,
        "speaker": f"s{number % 2}",
        "gender": None,
        "truth": SHORT[truth],
        "label": SHORT[label],
        "scores": {item: sure if item == name else (1 - sure) / 2 for item in LABELS.names},
    } | more


def four(**more: Any) -> list[dict[str, Any]]:
    """Right at 0.9, wrong at 0.8, right at 0.7, wrong at 0.6."""
    answers = zip("aann", "ahna", (0.9, 0.8, 0.7, 0.6), strict=True)
    return [row(n, *answer, **more) for n, answer in enumerate(answers)]


def unsure(*doubts: bool) -> list[dict[str, Any]]:
    return [item | {"unsure": doubt} for item, doubt in zip(four(), doubts, strict=True)]


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return summary.summarize(rows, LABELS)


# before scaling


def test_without_a_temperature_there_is_no_uncalibrated_score() -> None:
    assert "uncalibrated" not in summary_of(four())


def test_a_temperature_is_undone_by_hand() -> None:
    # 0.5, 0.25, 0.25 at a temperature of 2 was as 4 to 1 to 1, so 2/3, 1/6, 1/6
    summary = summary_of(
        [row(0, "a", "a", 0.5, temperature=2.0), row(1, "a", "h", 0.5, temperature=2.0)]
    )
    assert summary["calibration"]["ece"] == pytest.approx(0.0)  # says 1/2, is right 1/2
    assert summary["uncalibrated"]["ece"] == pytest.approx(2 / 3 - 1 / 2)
    brier = ((1 / 3) ** 2 + 2 / 36 + (5 / 6) ** 2 + (2 / 3) ** 2 + 1 / 36) / 2
    assert summary["uncalibrated"]["brier"] == pytest.approx(brier)
    assert sum(each["count"] for each in summary["uncalibrated"]["bins"]) == 2


def test_a_temperature_of_one_makes_before_and_after_the_same() -> None:
    summary = summary_of(four(temperature=1.0))
    assert summary["uncalibrated"] == summary["calibration"]


def test_each_row_has_its_own_temperature_and_without_one_it_was_not_scaled() -> None:
    mixed = [row(0, "a", "a", 0.5, temperature=2.0), row(1, "a", "a", 0.5)]
    # one at 2/3 before scaling and one at 1/2, both right: 1/3 and 1/2 apart
    assert summary_of(mixed)["uncalibrated"]["ece"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert summary_of(mixed)["calibration"]["ece"] == pytest.approx(1 / 2)


def test_scaling_changes_no_score_of_the_answers() -> None:
    plain, scaled = summary_of(four()), summary_of(four(temperature=3.0, unsure=False))
    for name in ("wa", "ua", "macro_f1", "weighted_f1", "confusion", "recalls", "calibration"):
        assert scaled[name] == plain[name]
    assert scaled["selective"]["curve"] == plain["selective"]["curve"]


# selectively


def test_a_curve_and_its_area_computed_by_hand() -> None:
    summary = summary_of(four())["selective"]
    assert summary["curve"] == [
        {"coverage": 0.25, "risk": 0.0, "threshold": 0.9},
        {"coverage": 0.5, "risk": 0.5, "threshold": 0.8},
        {"coverage": 0.75, "risk": pytest.approx(1 / 3), "threshold": 0.7},
        {"coverage": 1.0, "risk": 0.5, "threshold": 0.6},
    ]
    assert summary["area"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_without_a_threshold_there_is_a_curve_and_no_point_on_it() -> None:
    summary = summary_of(four())["selective"]
    assert (summary["coverage"], summary["risk"]) == (None, None)


@pytest.mark.parametrize(
    ("doubts", "coverage", "risk"),
    [
        ((False, False, False, False), 1.0, 2 / 4),
        ((False, False, False, True), 3 / 4, 1 / 3),
        ((False, True, False, True), 2 / 4, 0.0),
        ((True, False, True, False), 2 / 4, 1.0),
        ((True, True, True, True), 0.0, None),  # of none, no share is wrong
    ],
)
def test_coverage_and_risk_by_hand(
    doubts: tuple[bool, ...], coverage: float, risk: float | None
) -> None:
    summary = summary_of(unsure(*doubts))["selective"]
    assert summary["coverage"] == coverage
    assert summary["risk"] == (None if risk is None else pytest.approx(risk))


def test_a_row_without_unsure_counts_as_answered() -> None:
    rows = four()
    rows[1] = rows[1] | {"unsure": True}
    summary = summary_of(rows)["selective"]
    assert (summary["coverage"], summary["risk"]) == (3 / 4, pytest.approx(1 / 3))


def test_seeds_are_pooled() -> None:
    # seed 1: right at 0.9 and given; seed 2: wrong at 0.6 and doubted
    rows = [row(0, "a", "a", 0.9, unsure=False), row(0, "a", "h", 0.6, seed=2, unsure=True)]
    summary = summary_of(rows)["selective"]
    assert [point["risk"] for point in summary["curve"]] == [0.0, 0.5]
    assert (summary["coverage"], summary["risk"]) == (0.5, 0.0)


def test_merged_emotions_are_right_answers() -> None:
    summary = summary_of([row(0, "e", "h", unsure=False), row(1, "h", "e", unsure=False)])[
        "selective"
    ]
    assert (summary["area"], summary["risk"]) == (0.0, 0.0)


# styles


def test_without_a_style_there_is_no_table_of_styles() -> None:
    assert "per_style" not in summary_of(four())
    assert "per_style" not in summary_of(four(style=None))


def test_styles_are_scored_apart_by_hand() -> None:
    styles = ("scripted", "scripted", "improvised", "scripted")
    rows = [item | {"style": style} for item, style in zip(four(), styles, strict=True)]
    # scripted: a right, a wrong, n wrong; improvised: n right
    assert summary_of(rows)["per_style"] == {
        "improvised": {"utterances": 1, "wa": 1.0, "ua": 1.0},
        "scripted": {"utterances": 3, "wa": pytest.approx(1 / 3), "ua": pytest.approx(1 / 4)},
    }


def test_a_row_without_style_among_others_is_unknown() -> None:
    rows = four()
    rows[0] = rows[0] | {"style": "scripted"}
    per_style = summary_of(rows)["per_style"]
    assert list(per_style) == ["scripted", "unknown"]
    assert per_style["unknown"] == {"utterances": 3, "wa": pytest.approx(1 / 3), "ua": 0.25}


# what becomes of it


def test_a_summary_with_everything_is_plain_json_that_reads_back() -> None:
    rows = [item | {"temperature": 1.5, "style": "scripted"} for item in unsure(*[False] * 4)]
    summary = summary_of(rows)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert Results.model_validate(summary).model_dump(mode="json", exclude_unset=True) == summary
    assert summary_of(rows[::-1]) == summary


def test_older_results_can_still_be_read() -> None:
    old = {key: value for key, value in summary_of(four()).items() if key != "selective"}
    assert Results.model_validate(old).selective is None
    assert report.results_lines(old)


def test_the_terminal_shows_scaling_and_thresholds() -> None:
    rows = [item | {"temperature": 1.0} for item in unsure(False, False, False, True)]
    lines = "\n".join(report.results_lines(summary_of(rows)))
    # scores 0.9, 0.8, 0.7, 0.6; right, wrong, right, wrong: each in a separate bin
    assert "  calibration: ECE 45.0 %, " in lines
    assert "; before temperature scaling ECE 45.0 %, " in lines
    assert "at the models' own thresholds 75.0 % answered, 33.3 % of them wrong" in lines
    none = "\n".join(report.results_lines(summary_of(unsure(True, True, True, True))))
    assert "thresholds 0.0 % answered, -" in none
    bare = "\n".join(report.results_lines(summary_of(four())))
    assert "before temperature scaling" not in bare
    assert "own thresholds" not in bare
