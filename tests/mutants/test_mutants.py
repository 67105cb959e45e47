"""What chooses and counts mutants; running them is ``make mutants``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.defended import DEFENDED
from tests.mutants.rooms import ROOMS
from tests.mutants.sample import Mutation, drawn, is_same, wilson

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_names_files_that_exist(name):
    room = ROOMS[name]
    paths = [f"src/phonemo/{one}" for one in room.sources] + [f"tests/{one}" for one in room.tests]
    assert [one for one in paths if not (ROOT / one).is_file()] == []


def test_a_defended_line_stands_once_in_its_module():
    """If it is gone, its reason goes; if it stands twice, the reason may not hold for both."""
    for module, line, mutated in DEFENDED:
        code = (ROOT / "src" / "phonemo" / module).read_text(encoding="utf-8")
        assert " ".join(code.split()).count(line) == 1, (module, line)
        assert line != mutated


def mutations(places: int, operators: int) -> list[Mutation]:
    return [
        Mutation("a.py", (place, 0), (place, 1), f"operator{one}", place)
        for place in range(places)
        for one in range(operators)
    ]


def test_a_sample_has_one_mutation_of_each_place_in_an_order_of_the_seed():
    every = mutations(30, 5)
    sample = drawn(every, 0)
    assert sorted(one.start for one in sample) == [(place, 0) for place in range(30)]
    assert sample == drawn(reversed(every), 0) != drawn(every, 1)
    assert len({one.operator for one in sample}) > 1
    assert [one.start for one in sample] != sorted(one.start for one in sample)


@pytest.mark.parametrize(
    ("name", "is_drawn"),
    [
        ("ReplaceComparisonOperator_Eq_Is", False),
        ("ReplaceComparisonOperator_Eq_IsNot", True),
        ("ReplaceBinaryOperator_Add_BitXor", False),
        ("ReplaceBinaryOperator_Add_Mul", True),
        ("ReplaceBinaryOperator_BitOr_BitAnd", True),
        ("ReplaceUnaryOperator_USub_Invert", False),
        ("ReplaceUnaryOperator_Delete_Not", True),
        ("NumberReplacer", True),
    ],
)
def test_a_replacement_that_says_nothing_is_not_drawn(name, is_drawn):
    mutation = Mutation("a.py", (1, 0), (1, 9), f"core/{name}", 0)
    assert drawn([mutation], 0) == [mutation] * is_drawn


SAME = {
    "def f(a: int | None) -> int: return a": "def f(a: int + None) -> int: return a",
    "def f(a) -> int | None: return a": "def f(a) -> int * None: return a",
    "a: int | None = 1": "a: int - None = 1",
    "@dataclass(frozen=True)\nclass A: pass": "@dataclass(frozen=False)\nclass A: pass",
    "zip(a, b, strict=True)": "zip(a, b, strict=False)",
}


@pytest.mark.parametrize(("one", "other"), SAME.items())
def test_annotations_and_checks_of_arguments_are_no_mutants(one, other):
    assert is_same(one, other)


@pytest.mark.parametrize("other", ["f(1, key=2) ", "f(2, key=1)", "f(1, key=1", "def f(a=1): a"])
def test_other_changes_are_mutants(other):
    assert not is_same("f(1, key=1)", other)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (31, 35, 0.7405, 0.9546)],
)
def test_wilson_intervals(successes, total, low, high):
    assert wilson(successes, total) == pytest.approx((low, high), abs=5e-5)
