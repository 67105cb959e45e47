"""The plan: every recording once, in parts; what was planned stays."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.batch.job import PlanSummary
from phonemo.batch.plan import BatchItem, plan, read_part
from phonemo.batch.stores import open_store


def items(*names):
    return [BatchItem(name, f"/{name}") for name in names]


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def planned(store, total):
    return [[item.file for item in read_part(store, part)] for part in range(total.parts)]


def test_recordings_are_divided_in_their_order(store):
    summary = plan(store, items(*"abcde"), PlanSummary(), 2)
    assert (summary.parts, summary.files, summary.named, summary.repeated) == (3, 5, 5, 0)
    assert planned(store, summary) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_duplicate_is_planned_once(store):
    summary = plan(store, items(*"abacab"), PlanSummary(), 2)
    assert (summary.files, summary.named, summary.repeated) == (3, 3, 3)
    assert planned(store, summary) == [["a", "b"], ["c"]]


def test_new_recordings_get_new_parts_and_old_parts_stay(store, tmp_path):
    first = plan(store, items(*"abc"), PlanSummary(), 2)
    before = {path: path.read_bytes() for path in (tmp_path / "plan").iterdir()}
    second = plan(store, items(*"xcbya"), first, 2)
    assert planned(store, second) == [["a", "b"], ["c"], ["x", "y"]]
    assert (second.parts, second.files, second.named) == (3, 5, 5)
    assert {path: path.read_bytes() for path in before} == before


def test_missing_recordings_stay_planned_and_are_counted(store):
    first = plan(store, items(*"abc"), PlanSummary(), 2)
    second = plan(store, items("b"), first, 2)
    assert (second.parts, second.files, second.named) == (2, 3, 1)
    third = plan(store, items(*"abc"), second, 2)
    assert (third.parts, third.files, third.named) == (2, 3, 3)


def test_the_same_set_in_another_order_is_known(store):
    first = plan(store, items(*"abc"), PlanSummary(), 2)
    (store_folder := open_store(store.address)).remove("plan/part-000000.jsonl")
    again = plan(store_folder, items(*"cabb"), first, 1)  # reads no plan
    assert again == first.model_copy(update={"repeated": 1})


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=4),
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
)
def test_recordings_of_several_runs_are_planned_once(tmp_path_factory, runs, sizes):
    store = open_store(str(tmp_path_factory.mktemp("plan")))
    total = PlanSummary()
    for names, size in zip(runs, sizes, strict=False):
        total = plan(store, items(*names), total, size)
    names_planned = [name for part in planned(store, total) for name in part]
    assert sorted(names_planned) == sorted({name for names in runs for name in names})
    assert total.files == len(names_planned)
    assert total.named == len(set(names))


def test_a_plan_without_a_card_is_replaced(store):
    plan(store, items(*"abcdef"), PlanSummary(), 2)  # and the card was never written
    summary = plan(store, items(*"xy"), PlanSummary(), 2)
    assert planned(store, summary) == [["x", "y"]]


def test_progress_is_reported(store):
    counts = []
    plan(store, items(*map(str, range(2500))), PlanSummary(), 1000, counts.append)
    assert counts == [1000, 2000, 2500]


def test_memory_does_not_grow_with_the_number_of_recordings(store):
    names = (
        BatchItem(f"/nowhere/{number}.wav", f"/nowhere/{number}.wav") for number in range(20_000)
    )
    tracemalloc.start()
    try:
        plan(store, names, PlanSummary(), 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # the names alone are 10 times as much as Python holds them
