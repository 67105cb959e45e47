"""Normal forms and near-duplicates, compared with an all-pairs search."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.corpora.transcripts import near_duplicates, sentence


@pytest.mark.parametrize(
    ("transcript", "normal"),
    [
        ("It's  eleven o\u2019clock!", "its eleven oclock"),
        ("Well-known, (really)", "well known really"),
        ("Gro\u0308\u00dfe", "gr\u00f6sse"),
        ("Lubi\u0119 czyta\u0107 przed snem.", "lubi\u0119 czyta\u0107 przed snem"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("\u4f60\u597d, OK", "\u4f60 \u597d ok"),
        ("a_b 3", "a b 3"),
        (" ... ", ""),
    ],
)
def test_sentence_by_hand(transcript, normal):
    assert sentence(transcript) == normal


def test_near_duplicates_by_hand():
    # {a b c d} and {a b c e}: 3 of 5 words in common, 0.6; {a b x y} has 2 of 6 with either.
    texts = ["a b c d", "a b c e", "a b x y", "a b c"]
    at = near_duplicates(texts, 0.6, least_words=4)
    assert at == {
        "a b c d": frozenset({"a b c e"}),
        "a b c e": frozenset({"a b c d"}),
        "a b x y": frozenset(),
    }
    assert not any(near_duplicates(texts, 0.61, least_words=4).values())
    # {a b c} is three words long and has 3 of 4 in common with the first two.
    assert near_duplicates(texts, 0.75)["a b c"] == {"a b c d", "a b c e"}


def test_repeated_words_count_once_and_the_empty_sentence_never():
    assert near_duplicates(["no no no", "no", ""], 1.0) == {
        "no no no": frozenset({"no"}),
        "no": frozenset({"no no no"}),
    }


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=12).map(" ".join)),
    st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.9, 1.0]),
)
def test_near_duplicates_equal_those_of_all_pairs(texts, threshold):
    expected = {text: set() for text in texts}
    for first, second in combinations(expected, 2):
        a, b = set(first.split()), set(second.split())
        if len(a & b) / len(a | b) >= threshold:
            expected[first].add(second)
            expected[second].add(first)
    assert near_duplicates(texts, threshold) == expected
