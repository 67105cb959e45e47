"""Label sets: order, merges, restriction and errors."""

from __future__ import annotations

import re

import pytest

from phonemo.errors import LabelError
from phonemo.labels import (
    EMOTIONS,
    SPELLINGS,
    LabelSet,
    canonical_emotion,
    mapped_emotions,
    mapping_note,
)

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
    hint = {"Anger": "did you mean 'anger'? ", "happy": "did you mean 'happiness'? "}
    known = "labels: anger, happiness, neutral, sadness"
    expected = re.escape(f"unknown label {emotion!r}; {hint.get(emotion, '')}{known}")
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


# Spellings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            "Angry ANGER ang ärger AERGER a\u0308rger Wut rabbia enojo colère złość raiva 生气",
            "anger",
        ),
        ("bor Langeweile noia 无聊", "boredom"),
        ("Ekel disgusto asco dégoût 厌恶", "disgust"),
        ("exc Excitement", "excited"),
        ("fearful FEA Angst paura miedo peur strach 恐惧 страх", "fear"),
        ("fru Frustrated", "frustration"),
        ("happy HAP joy Freude gioia alegría joie 高兴 радость khushi", "happiness"),
        ("neu neutrale 中性", "neutral"),
        ("oth", "other"),
        ("sad Trauer tristezza smutek 悲伤", "sadness"),
        ("sur ps Pleasant-Surprise pleasant_surprised 惊讶", "surprise"),
    ],
)
def test_spellings_in_many_languages(words, name):
    assert {canonical_emotion(f" {word} ") for word in words.split()} == {name}


def test_every_canonical_name_has_spellings_and_no_spelling_two_names():
    assert set(SPELLINGS) == set(EMOTIONS)
    words = [word for name, others in SPELLINGS.items() for word in (name, *others.split())]
    assert len(words) == len(set(words))
    assert all(canonical_emotion(name) == name for name in EMOTIONS)


@pytest.mark.parametrize("word", ["Stress", "hot anger", "01", "W", "", "xxx"])
def test_another_word_is_only_lowercased(word):
    assert canonical_emotion(f" {word}") == word.lower()


def test_what_was_mapped_can_be_said():
    mapped = mapped_emotions(["anger", "Angry", "Stress", "hap"])
    assert mapped == {"Angry": "anger", "Stress": "stress", "hap": "happiness"}
    assert mapping_note({"An\ngry": "anger", "hap": "happiness"}) == (
        "An?gry -> anger, hap -> happiness"
    )


def test_labels_know_other_spellings_of_their_names():
    labels = LabelSet(("Wut", "happiness"), {"excited": "happiness"})
    assert labels.spelled(["anger", "Wut", "HAPPY", "exc", "fear"]) == {
        "anger": "Wut",
        "HAPPY": "happiness",
        "exc": "happiness",
    }


@pytest.mark.parametrize(
    ("word", "meant"), [("angr", "anger"), ("Happines", "happiness"), ("excitement", "happiness")]
)
def test_an_unknown_label_has_a_suggestion(word, meant):
    labels = LabelSet(("anger", "happiness"), {"excited": "happiness"})
    with pytest.raises(LabelError, match=f"{word}'; did you mean '{meant}'\\? labels: anger"):
        labels.restrict([word, "anger"])


def test_words_in_any_spelling_stand_for_labels():
    assert FOUR.resolved(["Freude", "Wut", "neutral"]) == ("happiness", "anger", "neutral")


def test_all_unknown_words_are_named_with_the_label_that_is_near():
    with pytest.raises(LabelError) as raised:
        FOUR.resolved(["hapiness", "x", "Freud", "anger"])
    assert str(raised.value).startswith(
        "unknown labels 'hapiness' (did you mean 'happiness'?), 'x', "
        "'Freud' (did you mean 'happiness'?); labels: "
    )


def test_of_many_unknown_words_a_few_are_shown_and_compared():
    with pytest.raises(LabelError, match="'x4' and 1995 more; labels"):
        FOUR.restrict([f"x{place}" for place in range(2000)])
    with pytest.raises(LabelError, match="unknown label"):
        FOUR.index("happines" * 500)
