"""Label sets: order, merges, restriction and errors."""

from __future__ import annotations

import pytest

from phonemo.errors import LabelError
from phonemo.labels import EMOTIONS, LabelSet

FOUR = LabelSet(("anger", "happiness", "neutral", "sadness"), {"excited": "happiness"})


def test_the_canonical_emotions_are_distinct_sorted_lower_case_words() -> None:
    assert list(EMOTIONS) == sorted(set(EMOTIONS))
    assert all(name.isalpha() and name.islower() for name in EMOTIONS)


def test_all_canonical_emotions_make_a_label_set() -> None:
    labels = LabelSet(EMOTIONS)
    assert [labels.index(name) for name in EMOTIONS] == list(range(len(EMOTIONS)))


@pytest.mark.parametrize(
    ("emotion", "index", "merged"),
    [
        ("anger", 0, "anger"),
        ("happiness", 1, "happiness"),
        ("excited", 1, "happiness"),
        ("sadness", 3, "sadness"),
    ],
)
def test_index_and_merged_name_by_hand(emotion: str, index: int, merged: str) -> None:
    assert (FOUR.index(emotion), FOUR.merged(emotion)) == (index, merged)
    assert emotion in FOUR


def test_order_is_as_given() -> None:
    assert LabelSet(("neutral", "anger")).index("neutral") == 0
    assert LabelSet(("anger", "neutral")).index("neutral") == 1


def test_length_and_text_do_not_count_merges() -> None:
    assert len(FOUR) == 4
    assert str(FOUR) == "anger, happiness, neutral, sadness"


@pytest.mark.parametrize("emotion", ["fear", "Anger", "", "happy"])
def test_an_unknown_label_is_an_error_that_names_the_known(emotion: str) -> None:
    assert emotion not in FOUR
    expected = f"unknown label {emotion!r}; labels: anger, happiness, neutral, sadness"
    with pytest.raises(LabelError, match=f"^{expected}$"):
        FOUR.index(emotion)
    with pytest.raises(LabelError, match="unknown label"):
        FOUR.merged(emotion)


@pytest.mark.parametrize("names", [(), ("anger",)])
def test_fewer_than_two_labels_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(LabelError, match=f"^expected at least two labels, got {len(names)}"):
        LabelSet(names)


def test_repeated_labels_are_refused() -> None:
    with pytest.raises(LabelError, match="repeated: anger, neutral, anger"):
        LabelSet(("anger", "neutral", "anger"))


def test_a_merge_into_an_unknown_label_is_rejected() -> None:
    with pytest.raises(LabelError, match="merge into unknown label 'joy'"):
        LabelSet(("anger", "neutral"), {"excited": "joy"})


def test_a_label_that_is_merged_away_is_refused() -> None:
    with pytest.raises(LabelError, match="'neutral' is a label and also merged into 'anger'"):
        LabelSet(("anger", "neutral"), {"neutral": "anger"})
    assert LabelSet(("anger", "neutral"), {"anger": "anger"}).index("anger") == 0


def test_restrict_keeps_the_order_and_the_valid_merges() -> None:
    happy = FOUR.restrict(["neutral", "excited"])
    assert happy == LabelSet(("happiness", "neutral"), {"excited": "happiness"})
    angry = FOUR.restrict(["neutral", "anger", "neutral"])
    assert angry == LabelSet(("anger", "neutral"))
    assert "excited" not in angry


def test_restrict_rejects_unknown_labels_and_a_single_label() -> None:
    with pytest.raises(LabelError, match="unknown label 'fear'"):
        FOUR.restrict(["anger", "fear"])
    with pytest.raises(LabelError, match="at least two labels, got 1"):
        FOUR.restrict(["excited", "happiness"])
