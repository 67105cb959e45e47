"""Batch items: keys, lines of a plan and hashes of sets."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.batch.plan import BatchItem, UnorderedHash

#: Surrogates too: they stand for bytes of a name that are no text.
names = st.text(st.characters(exclude_categories=()), min_size=1)
times = st.none() | st.floats(0, 1e6)
items = st.builds(BatchItem, names, names, st.none() | names, times, times)


@given(items)
def test_an_item_with_any_name_survives_a_round_trip(item):
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
def test_keys_identify_items(change):
    item = BatchItem("a.wav", "/a.wav")
    assert dataclasses.replace(item, **change).key != item.key


def test_a_key_does_not_depend_on_the_name_in_the_input():
    assert BatchItem("a.wav", "/x/a.wav").key == BatchItem("../x/a.wav", "/x/a.wav").key
    assert len(BatchItem("a", "/a").key) == 16


def test_a_row_begins_with_the_identifying_fields():
    assert BatchItem("a", "/a").named() == {"file": "a"}
    found = BatchItem("a", "/a", "7", 0.0, 2.5).named()
    assert list(found.items()) == [("id", "7"), ("file", "a"), ("from", 0.0), ("to", 2.5)]


def test_the_hash_of_a_set_does_not_depend_on_order():
    keys = [BatchItem(one, one).key for one in "abc"]
    digests = set()
    for order in permutations(keys):
        found = UnorderedHash()
        for key in order:
            found.add(key)
        digests.add(found.hexdigest())
        assert found.count == 3
    assert len(digests) == 1
    assert len(digests.pop()) == 32


def test_sets_that_differ_by_one_item_have_different_hashes():
    seen = set()
    found = UnorderedHash()
    for number in range(50):
        seen.add(found.hexdigest())
        found.add(BatchItem("a", f"/{number}").key)
    assert len(seen) == 50
