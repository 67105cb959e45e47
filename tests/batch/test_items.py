"""A recording or a segment: its key, and its line in the plan."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.batch.plan import BatchItem, UnorderedHash

#: With surrogates, which stand for undecodable bytes of file names.
names = st.text(st.characters(exclude_categories=()), min_size=1)
times = st.none() | st.floats(0, 1e6)
columns = st.lists(st.tuples(names, names), max_size=3).map(tuple)
items = st.builds(BatchItem, names, names, st.none() | names, times, times, columns=columns)


@given(items)
def test_a_line_gives_the_item_back_with_any_name(item):
    line = item.to_line()
    assert line.isascii()
    assert (line.count("\n"), line[-1]) == (1, "\n")
    assert BatchItem.of_line(line) == item
    assert BatchItem.of_line(line).key == item.key


@pytest.mark.parametrize(
    "change",
    [{"path": "/b.wav"}, {"id": "1"}, {"start": 1.0}, {"end": 1.0}, {"id": "null"}],
    ids=str,
)
def test_different_items_have_different_keys(change):
    item = BatchItem("a.wav", "/a.wav")
    assert dataclasses.replace(item, **change).key != item.key


def test_a_key_does_not_depend_on_how_the_file_was_named():
    assert BatchItem("a.wav", "/x/a.wav").key == BatchItem("../x/a.wav", "/x/a.wav").key
    assert len(BatchItem("a", "/a").key) == 16


def test_a_row_begins_with_the_known_fields():
    assert BatchItem("a", "/a").named() == {"file": "a"}
    row = BatchItem("a", "/a", "7", 0.0, 2.5).named()
    assert list(row.items()) == [("id", "7"), ("file", "a"), ("from", 0.0), ("to", 2.5)]


def test_a_row_has_the_other_columns_and_its_key_does_not():
    plain = BatchItem("a", "/a")
    item = dataclasses.replace(plain, columns=(("label", "x"), ("file", "y")))
    assert item.named() == {"file": "a", "columns": {"label": "x", "file": "y"}}
    assert item.key == plain.key


def test_the_hash_of_a_set_is_independent_of_order():
    keys = [BatchItem(name, name).key for name in "abc"]
    digests = set()
    for order in permutations(keys):
        set_hash = UnorderedHash()
        for key in order:
            set_hash.add(key)
        digests.add(set_hash.hexdigest())
        assert set_hash.count == 3
    assert len(digests) == 1
    assert len(digests.pop()) == 32


def test_sets_that_differ_by_one_have_other_hashes():
    seen = set()
    set_hash = UnorderedHash()
    for number in range(50):
        seen.add(set_hash.hexdigest())
        set_hash.add(BatchItem("a", f"/{number}").key)
    assert len(seen) == 50
