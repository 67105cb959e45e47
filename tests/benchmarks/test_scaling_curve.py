"""The simulation of a batch's speed over its workers, at its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks import REPOSITORY

pytest.importorskip("simpy", reason="needs simpy, of the extra dev")

from scaling_model.simulation import (
    Job,
    Storage,
    Times,
    bend,
    curve,
    simulate,
)

#: Nothing costs anything but a second of audio, which takes 10 ms: 100 hours an hour.
IDEAL = Times(
    **dict.fromkeys(("command", "start", "plan", "parent", "publish", "each", "noise"), 0.0),
    **{"short": 0.01, "long": 0.01, "vectors": 0.005, "neighbor": 1.0},
)
JOB = Job("even", 64.0, 1, 50.0, (3600.0,))
FREE = Storage(1e9, 0.0)


def test_nothing_but_work_scales_ideally():
    points = curve(JOB, IDEAL, (1, 8, 64), FREE, runs=2)
    assert [round(one.speed) for one in points] == [100, 800, 6400]
    assert [round(one.efficiency, 6) for one in points] == [1.0, 1.0, 1.0]
    assert bend(points) is None


def test_a_seed_gives_the_same_run():
    times = replace(IDEAL, noise=0.2)
    first, second = (simulate(JOB, times, 4, seed=3).seconds for _ in range(2))
    assert first == second != simulate(JOB, times, 4, seed=4).seconds


def test_the_link_bounds_the_speed():
    slow = Storage(megabytes=10.0, delay=0.0)  # 36,000 MB an hour: 720 hours of audio
    (point,) = curve(JOB, IDEAL, (32,), slow, runs=1)
    assert point.speed == pytest.approx(720, rel=0.02)
    assert point.link == pytest.approx(1.0, abs=0.02)
    assert point.loss == "storage"


def test_the_parent_bounds_the_speed():
    busy = replace(IDEAL, parent=36.0)  # a part of an hour each 36 s: 100 hours an hour
    (point,) = curve(JOB, busy, (32,), FREE, runs=1)
    assert point.speed < 100
    assert point.parent > 0.9
    assert point.loss == "parent"


def test_fewer_parts_than_workers_leave_some_without_work():
    (point,) = curve(replace(JOB, hours=8.0), IDEAL, (32,), FREE, runs=1)
    assert point.speed == pytest.approx(800)
    assert point.loss == "end"


def test_the_time_of_all_workers_is_accounted_for():
    times = replace(IDEAL, start=2.0, plan=0.01, command=1.0, publish=0.1, noise=0.1)
    job = replace(JOB, adapt=True, lengths=(2.0, 600.0), hours=20.0, part_files=5)
    (point,) = curve(job, times, (6,), Storage(), runs=3)
    assert sum(point.shares.values()) == pytest.approx(1.0)
    assert all(share >= 0 for share in point.shares.values())
    assert point.shares["first pass"] > 0


def test_the_saved_measurement_is_readable():
    from scaling_model.service_times import Measured

    found = Measured.load_file(REPOSITORY / "benchmarks/scaling_model/service_times.json")
    assert found.times.short > 0
    assert {run.workers for run in found.runs} == {1, 2}
