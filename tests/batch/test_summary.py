"""A batch's statistics, and what its command prints."""

from __future__ import annotations

import re

import pytest

from phonemo.batch.job import (
    Applied,
    BatchCard,
    BatchOptions,
    PartStats,
    PlanSummary,
    Totals,
    summary_of,
    totals_of,
)
from phonemo.cli.programs.batch import Throughput, lines, progress

FIRST = PartStats(
    part=0,
    files=3,
    failed=1,
    audio_seconds=7200,
    work_seconds=72,
    labels={"anger": 2},
    errors={"too_short": 1},
    warnings={"unsure": 1},
)
SECOND = PartStats(
    part=1, files=2, audio_seconds=0.5, work_seconds=0.5, labels={"anger": 1, "neutral": 1}
)


def card(**planned):
    return BatchCard(
        command="x", options=BatchOptions(model_sha256="f"), planned=PlanSummary(**planned)
    )


def test_parts_add_up():
    totals = totals_of([FIRST, SECOND])
    assert (totals.parts, totals.files, totals.failed) == (2, 5, 1)
    summary = summary_of(card(parts=2, files=5, named=4, repeated=3), totals, "phonemo batch")
    assert summary["files"] == {
        "planned": 5,
        "heard": 4,
        "failed": 1,
        "named_again": 3,
        "named_no_more": 1,
    }
    assert summary["parts"] == {"done": 2, "planned": 2}
    assert (summary["audio_hours"], summary["worker_hours"]) == (2.0001, 0.0201)
    assert summary["audio_hours_per_worker_hour"] == 99.3
    assert summary["labels"] == {"anger": 3, "neutral": 1}
    assert (summary["errors"], summary["warnings"]) == ({"too_short": 1}, {"unsure": 1})


def test_an_empty_batch_has_a_summary():
    summary = summary_of(card(), Totals(), "x")
    assert summary["audio_hours_per_worker_hour"] is None
    assert summary["labels"] == {}


def summary_lines(**changes):
    summary = summary_of(
        card(parts=2, files=5, named=4, repeated=3), totals_of([FIRST, SECOND]), "x"
    )
    return list(
        lines(summary | {"now": {"files": 2, "failed": 0, "audio_hours": 0.0}} | changes, "out\x1b")
    )


def test_what_is_printed_at_the_end():
    assert summary_lines() == [
        "out?: 5 recordings (3 in earlier runs), 2.00 h",
        "  anger 3, neutral 1",
        "  failed: 1 (too_short 1); details in their rows",
        "  named more than once: 3; each is recognized once",
        "  no longer named: 1; their rows are kept",
    ]
    errors = {f"code{number}": 9 - number for number in range(6)}
    assert (
        "  failed: 1 (code0 9, code1 8, code2 7, code3 6, 2 more kinds); details in their rows"
        in summary_lines(errors=errors)
    )


APPLIED = {"hash": "0123456789ab", "count": 9, "seconds": 20.5}


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({}, "(9 vectors)"),
        ({"sampled": 8}, "of 8 recordings (9 vectors)"),
        ({"sampled": 8, "silent": 2}, "of 6 recordings (9 vectors); skipped: 2 without speech"),
        (
            {"sampled": 8, "silent": 1, "failed": 3},
            "of 4 recordings (9 vectors); skipped: 1 without speech and 3 unusable",
        ),
    ],
)
def test_the_profile_is_named(known, text):
    planned = card(parts=2, files=5, named=5)
    adapted = planned.model_copy(update={"profile": Applied(**APPLIED, **known)})
    summary = summary_of(adapted, totals_of([FIRST, SECOND]), "x")
    assert summary_of(planned, totals_of([FIRST, SECOND]), "x") == {
        name: value for name, value in summary.items() if name != "profile"
    }
    assert {name: summary["profile"][name] for name in APPLIED} == APPLIED
    assert summary_lines(profile=summary["profile"])[2] == f"  profile 0123456789ab {text}"


# Pace ---------------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def paced(*steps):
    clock = Clock()
    pace = Throughput(clock)
    for seconds, count in steps:
        clock.now = 100.0 + seconds
        pace.update(count)
    return pace


def test_nothing_is_known_at_first():
    assert (paced().per_second, paced((0, 5)).per_second) == (0.0, 0.0)
    assert paced((0, 5)).left(10) is None
    assert paced((0, 5), (0, 6)).per_second == 0.0


def test_the_rate_and_what_is_left():
    pace = paced((0, 100), (10, 120))  # 100 were done in an earlier run
    assert pace.per_second == 2.0
    assert pace.left(200) == 40.0
    assert pace.left(120) == 0.0


def test_the_rate_is_that_of_the_last_minute():
    pace = paced(
        (0, 0),
        *[(second, 10 * second) for second in range(1, 61)],
        *[(second, 600 + second - 60) for second in range(61, 201)],
    )
    assert pace.per_second == pytest.approx(1.0)


def test_a_standstill_has_no_time_left():
    pace = paced((0, 5), (30, 5), (90, 5), (150, 5))
    assert pace.per_second == 0.0
    assert pace.left(10) is None


def test_a_rate_is_never_below_zero():
    """A process that dies takes its progress back."""
    pace = paced((0, 0), (10, 50), (11, 0))
    assert pace.per_second >= 0
    assert pace.left(100) is None or pace.left(100) >= 0


@pytest.mark.parametrize("quiet", [True, False])
def test_a_log_gets_progress_lines_unless_quiet(capsys, monkeypatch, quiet):
    from phonemo.cli.programs import batch

    monkeypatch.setattr(batch, "LINE_SECONDS", 0.0)
    totals = totals_of([FIRST])
    with progress(quiet) as reporter:
        reporter.listing(7)
        reporter.sampled(3, 5)
        reporter.begin(2, 10)
        reporter.advance(5, 10, totals)
    out, err = capsys.readouterr()
    assert out == ""
    if quiet:
        assert err == ""
        return
    sample, before, line = err.splitlines()
    assert sample == "phonemo: 3 of 5 recordings for the profile"
    assert before == "2 of 10 were recognized before"
    assert re.fullmatch(r"phonemo: 5 of 10 recordings; [\d.]+ a second, .*1 failed", line)
