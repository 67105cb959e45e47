"""All 26 cases are tested, and the table of docs/reliability.md says where."""

from __future__ import annotations

from tests.abuse.table import DOCUMENT, END, PROMISES, START, cases, rows


def test_every_case_has_a_test():
    assert sorted(PROMISES) == list(range(1, 27))
    assert sorted(cases()) == sorted(PROMISES)


def test_the_document_tells_what_tests_each_case():
    """But for what was measured, which a machine of its own makes anew: make abuse."""
    text = DOCUMENT.read_text(encoding="utf-8")
    told = text.partition(START)[2].partition(END)[0].strip().splitlines()
    assert [_promise(line) for line in told] == [_promise(line) for line in rows([])]


def _promise(line: str) -> list[str]:
    return line.split("|")[:5]
