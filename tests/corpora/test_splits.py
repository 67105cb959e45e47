"""Splits by unit and at random: small examples, and properties of every protocol."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.config import ProtocolConfig
from phonemo.corpora import leakage
from phonemo.corpora.groups import (
    SplitGroup,
    _interleave_genders,
    choose_validation,
    hold_out_speakers,
    unit_of,
)
from phonemo.corpora.splits import AXES, Fold, make_split
from phonemo.errors import LeakageError, ProtocolError
from tests.corpora.tiny_manifests import manifests, parallel, scripted, utterance

UNIT_PROTOCOLS = sorted(AXES)
NAMES = get_args(ProtocolConfig.model_fields["name"].annotation)
#: Without those whose parts are read from files or from the manifest.
COMPUTED = [name for name in NAMES if not name.startswith(("published", "given"))]


def split(rows, name="speaker", **options):
    return make_split(rows, ProtocolConfig(name=name, **options))


def speakers(ids):
    return sorted({name.split("-")[0] for name in ids})


# Properties ---------------------------------------------------------------------------------------

generated = settings(max_examples=12, deadline=None, database=None, derandomize=True)
options = st.fixed_dictionaries(
    {
        "folds": st.sampled_from([None, 3, 4]),
        "validation_units": st.just(1),
        "seed": st.integers(0, 3),
    }
)


@pytest.mark.parametrize("name", COMPUTED)
@generated
@given(rows=manifests(), options=options)
def test_every_utterance_is_tested_once_and_parts_are_disjoint(name, rows, options):
    if name == "session":
        options = options | {"folds": None if options["folds"] == 4 else options["folds"]}
    result = split(rows, name, **options)
    assert Counter(name for fold in result.folds for name in fold.test) == Counter(
        row.id for row in rows
    )
    for fold in result.folds:
        for first, second in combinations(fold.parts.values(), 2):
            assert not set(first) & set(second)
        assert all(fold.parts.values())
        if name != "speaker-sentence":
            assert sum(map(len, fold.parts.values())) == len(rows)


@pytest.mark.parametrize("name", UNIT_PROTOCOLS)
@generated
@given(rows=manifests(), seed=st.integers(0, 3), folds=st.sampled_from([None, 3]))
def test_no_two_parts_share_a_unit(name, rows, seed, folds):
    by_id = {row.id: row for row in rows}
    for fold in split(rows, name, seed=seed, folds=folds).folds:
        for axis in AXES[name]:
            units = [{unit_of(by_id[name], axis) for name in ids} for ids in fold.parts.values()]
            for first, second in combinations(units, 2):
                assert not first & second


@pytest.mark.parametrize("name", COMPUTED)
@generated
@given(rows=manifests(), seed=st.integers(0, 3))
def test_the_same_request_gives_the_same_split_in_any_order_of_the_manifest(name, rows, seed):
    def parts(result):
        return [{part: set(ids) for part, ids in fold.parts.items()} for fold in result.folds]

    first = split(rows, name, seed=seed)
    assert split(rows, name, seed=seed) == first
    assert parts(split(rows[::-1], name, seed=seed)) == parts(first)
    assert [fold.name for fold in split(rows[::-1], name, seed=seed).folds] == [
        fold.name for fold in first.folds
    ]
    positions = {row.id: n for n, row in enumerate(rows)}
    for fold in first.folds:
        assert list(fold.train) == sorted(fold.train, key=positions.__getitem__)


@pytest.mark.parametrize("name", ["speaker", "session", "sentence"])
@generated
@given(rows=manifests(), seed=st.integers(0, 3))
def test_validation_rotates_over_the_units(name, rows, seed):
    result = split(rows, name, seed=seed)
    validated = Counter(name for fold in result.folds for name in fold.validation)
    assert validated == Counter(row.id for row in rows)


@pytest.mark.parametrize("name", UNIT_PROTOCOLS)
@generated
@given(rows=manifests(), data=st.data())
def test_a_planted_leak_is_rejected(name, rows, data):
    """Move one utterance of a test unit to train, under another id."""
    result = split(rows, name, folds=3)
    fold = data.draw(st.sampled_from(result.folds))
    tested = data.draw(st.sampled_from(fold.test))
    row = next(row for row in rows if row.id == tested)
    twin = row.model_copy(update={"id": "planted"})
    bad = Fold(fold.name, (*fold.train, "planted"), fold.validation, fold.test)
    planted = type(result)(result.protocol, result.unit, (bad,), result.notes)
    report = leakage.measure_leakage([*rows, twin], planted)
    with pytest.raises(LeakageError, match="train and test share 1"):
        leakage.assert_no_leakage(report, result.protocol)
    leakage.assert_no_leakage(leakage.measure_leakage(rows, result), result.protocol)


def test_seeds_differ():
    rows = parallel("abcdefgh", ["one", "two", "three"])
    for name in ("speaker", "random-leaky"):
        folds = None if name == "speaker" else 5
        tests = [split(rows, name, seed=seed, folds=folds).folds for seed in range(4)]
        assert len({tuple(fold.validation for fold in folds) for folds in tests}) > 1


# Folds --------------------------------------------------------------------------------------------


def test_a_fold_that_leaks_cannot_be_made():
    with pytest.raises(LeakageError, match="a is in train and in test"):
        Fold("f", train=("a", "b"), validation=("c",), test=("a",))
    with pytest.raises(LeakageError, match="c is in validation and in test"):
        Fold("f", train=("a", "b"), validation=("c",), test=("c",))
    with pytest.raises(LeakageError, match="b is in train and in validation"):
        Fold("f", train=("a", "b"), validation=("b",), test=("c",))
    with pytest.raises(ProtocolError, match="a is repeated in train"):
        Fold("f", train=("a", "b", "a"), validation=("c",), test=("d",))


# By unit ------------------------------------------------------------------------------------------


def test_leave_one_speaker_out_by_hand():
    rows = parallel(["f1", "m1", "f2", "m2"], ["one", "two"])
    result = split(rows)
    assert [fold.name for fold in result.folds] == [
        "speaker-f1",
        "speaker-f2",
        "speaker-m1",
        "speaker-m2",
    ]
    assert result.unit == "speaker"
    assert result.notes == ()
    for fold in result.folds:
        assert speakers(fold.test) == [fold.name.removeprefix("speaker-")]
        assert len(fold.test) == len(fold.validation) == 4
        assert len(fold.train) == 8


def test_groups_are_balanced_by_utterances():
    # Largest first: 5 | 3 | 2, then the other 2 joins the 2.
    sizes = {"a": 5, "b": 3, "c": 2, "d": 2}
    rows = [
        utterance(f"{speaker}-{n}", speaker)
        for speaker, count in sizes.items()
        for n in range(count)
    ]
    result = split(rows, folds=3)
    assert sorted(len(fold.test) for fold in result.folds) == [3, 4, 5]
    assert [fold.name for fold in result.folds] == ["speakers-1", "speakers-2", "speakers-3"]
    assert ["c", "d"] in [speakers(fold.test) for fold in result.folds]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("men", [1, 2, 4])
def test_two_validation_speakers_have_both_genders_if_possible(men, seed):
    names = [f"f{n}" for n in range(5)] + [f"m{n}" for n in range(men)]
    for fold in split(parallel(names, ["one"]), validation_units=2, seed=seed).folds:
        only_man_is_tested = men == 1 and speakers(fold.test) == ["m0"]
        assert len(speakers(fold.validation)) == 2
        genders = {name[0] for name in speakers(fold.validation)}
        assert genders == ({"f"} if only_man_is_tested else {"f", "m"})


@pytest.mark.parametrize("seed", range(5))
def test_genders_alternate_so_that_two_validation_speakers_serve_equally_often(seed):
    names = [*(f"f{n}" for n in range(4)), *(f"m{n}" for n in range(4))]
    result = split(parallel(names, ["one"]), validation_units=2, seed=seed)
    served = Counter(name for fold in result.folds for name in speakers(fold.validation))
    assert served == dict.fromkeys(names, 2)


@pytest.mark.parametrize(
    ("name", "field"),
    [("speaker", "speaker"), ("session", "session"), ("sentence", "transcript")],
)
def test_an_unknown_unit_is_an_error_with_a_count(name, field):
    rows = [
        utterance(f"u{n}", **{"speaker": f"s{n}", "session": f"x{n}", "transcript": f"t {n}"})
        for n in range(6)
    ]
    rows[2] = rows[2].model_copy(update={field: None})
    with pytest.raises(ProtocolError, match=f"1 of 6 utterances have no {field}, such as u2"):
        split(rows, name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_units": 3}, "expected at least 5 speakers .*, got 4"),
        ({"folds": 5}, "expected at least 5 speakers for 5 folds, got 4"),
        ({"folds": 2}, "expected at least 3 groups of speakers .*, got 2"),
    ],
)
def test_too_few_units(options, message):
    with pytest.raises(ProtocolError, match=message):
        split(parallel("abcd", ["one"]), **options)


def test_nothing_to_divide_and_repeated_ids():
    with pytest.raises(ProtocolError, match="expected utterances to split, got none"):
        split([])
    with pytest.raises(ProtocolError, match="id a-0-0 is repeated"):
        split([*parallel("abc", ["one"]), *parallel("a", ["one"])])


def test_fold_names_are_valid_folder_names():
    rows = [
        utterance(f"u{n}", speaker) for n, speaker in enumerate(["../x", "a b", "\u0141", "a/b"])
    ]
    assert [fold.name for fold in split(rows).folds] == [f"speaker-{n}" for n in range(1, 5)]
    rows = [utterance(f"u{n}", speaker) for n, speaker in enumerate(["Ses01F", "a b", "c"])]
    assert [fold.name for fold in split(rows).folds] == [
        "speaker-Ses01F",
        "speaker-a-b",
        "speaker-c",
    ]


def test_a_speaker_in_two_sessions_is_a_leak():
    rows = [utterance(f"u{n}", f"s{n}", session=f"x{n // 2}") for n in range(8)]
    assert len(split(rows, "session").folds) == 4
    moved = [*rows[:7], rows[7].model_copy(update={"speaker": "s0"})]
    with pytest.raises(LeakageError, match=r"speaker s0 is in .* in more than one session"):
        split(moved, "session")


def test_sessions_without_speakers_have_a_note():
    rows = [utterance(f"u{n}", session=f"x{n}") for n in range(4)]
    assert "4 utterances have no speaker" in split(rows, "session").notes[0]


def test_sentences_are_compared_in_normal_form_and_shared_speakers_are_noted():
    texts = ["Good morning!", "good  MORNING", "Never.", "It's me", "its me?"]
    rows = [utterance(f"u{n}", "s", transcript=text) for n, text in enumerate(texts)]
    result = split(rows, "sentence")
    assert [fold.test for fold in result.folds] == [("u0", "u1"), ("u3", "u4"), ("u2",)]
    assert "speakers are shared" in result.notes[0]


def test_with_two_sentences_validation_has_separate_speakers():
    result = split(parallel("abcd", ["one", "two"]), "sentence")
    for fold, tested in zip(result.folds, "01", strict=True):
        assert {name.split("-")[1] for name in fold.test} == {tested}
        assert {name.split("-")[1] for name in fold.train + fold.validation} == {"10"[int(tested)]}
        assert len(speakers(fold.validation)) == 1
        assert speakers(fold.train + fold.validation) == list("abcd")
        assert not set(speakers(fold.train)) & set(speakers(fold.validation))
    assert result.folds[0].validation[0][0] != result.folds[1].validation[0][0]
    assert "only two sentences" in result.notes[1]
    assert [fold.name for fold in result.folds] == ["sentence-1", "sentence-2"]
    with pytest.raises(ProtocolError, match=r"expected at least 3 sentences .*, got 1"):
        split(parallel("abcd", ["one"]), "sentence")


def test_speaker_and_sentence_crossed_by_hand():
    result = split(parallel("abc", ["one", "two", "three"], takes=1), "speaker-sentence")
    assert len(result.folds) == 9
    assert all(len(ids) == 1 for fold in result.folds for ids in fold.parts.values())
    # Three of nine utterances are in a fold.
    assert result.notes[0].startswith("67 % of the utterances are excluded")
    assert result.folds[0].name == "speaker-a_sentence-1"
    # In alphabetical order: "one" (0), "three" (2), "two" (1).
    assert [fold.test for fold in result.folds[:3]] == [("a-0-0",), ("a-2-0",), ("a-1-0",)]


def test_the_note_says_how_much_a_fold_of_speakers_and_sentences_leaves_out():
    """Of 32 utterances, 12 are in a fold: 62.5 % are not."""
    result = split(parallel("abcd", ["one", "two", "three", "four"]), "speaker-sentence")
    assert {sum(map(len, fold.parts.values())) for fold in result.folds} == {12}
    assert result.notes[-1].startswith("62 % of the utterances are excluded from a fold")


def test_speaker_and_sentence_on_a_corpus_without_parallel_texts():
    rows = [utterance(f"u{n}", f"s{n}", transcript=f"text {n}") for n in range(5)]
    with pytest.raises(ProtocolError, match="no utterance is left for validation"):
        split(rows, "speaker-sentence")


def test_speakers_who_are_held_out_rotate_without_overlap():
    rows = [utterance(f"u{n}", f"s{n}") for n in range(6)]
    turns = [hold_out_speakers(rows, turn, 2, seed=0) for turn in range(4)]
    assert sorted(name for _, held in turns[:3] for name in held) == [row.id for row in rows]
    assert turns[3] == turns[0]
    assert all(sorted([*train, *held]) == [row.id for row in rows] for train, held in turns)


def test_a_rare_gender_stands_in_the_middle_of_the_circle():
    genders = {"a": "f", "b": "f", "c": "f", "d": "f", "e": "m"}
    groups = [SplitGroup(name, frozenset(name), frozenset(kind)) for name, kind in genders.items()]
    assert [group.name for group in _interleave_genders(groups)] == ["a", "b", "e", "c", "d"]


# At random ----------------------------------------------------------------------------------------


def test_random_folds_are_stratified_and_have_a_leak_note():
    rows = parallel("abcde", ["one", "two", "three"], takes=4)
    result = split(rows, "random-leaky")
    emotions = {row.id: row.emotion for row in rows}
    assert [fold.name for fold in result.folds] == [f"random-{one}" for one in range(1, 6)]
    assert result.notes[0].startswith("LEAKY:")
    assert "+6.6" in result.notes[0]
    for fold in result.folds:
        assert Counter(emotions[name] for name in fold.test) == {"anger": 6, "neutral": 6}
        assert (len(fold.train), len(fold.validation)) == (36, 12)
    following = [*result.folds[1:], result.folds[0]]
    assert [fold.validation for fold in result.folds] == [fold.test for fold in following]
    assert len(split(rows, "random-leaky", folds=3).folds) == 3
    with pytest.raises(ProtocolError, match="expected at least 3 folds"):
        split(rows, "random-leaky", folds=2)
    with pytest.raises(ProtocolError, match="expected at least 5 utterances for 5 folds, got 4"):
        split(rows[:4], "random-leaky")


# Near-duplicates ----------------------------------------------------------------------------------


def test_near_duplicates_of_test_are_dropped_and_counted():
    # Four of six words in common: 0.667.
    rows = scripted()
    full = {fold.name: fold for fold in split(rows).folds}
    result = split(rows, drop_near_duplicates=0.6)
    test_a = next(fold for fold in result.folds if fold.test == ("a-0", "a-1"))
    assert "b-0" not in test_a.train + test_a.validation
    assert "b-1" in test_a.train + test_a.validation
    test_c = next(fold for fold in result.folds if fold.test == ("c-0", "c-1"))
    assert len(test_c.train + test_c.validation) == 6
    notes = {note.partition(":")[0]: note for note in result.notes}
    dropped = len(full["speaker-a"].train) - len(test_a.train)
    assert notes["speaker-a"].startswith(f"speaker-a: {dropped} of 4 train and {1 - dropped} of 2")
    assert "0 of 4 train and 0 of 2 validation" in notes["speaker-c"]
    stricter = split(rows, drop_near_duplicates=0.7)
    assert all(len(fold.train + fold.validation) == 6 for fold in stricter.folds)


def test_near_duplicates_of_test_are_dropped_from_train_and_from_validation():
    """Over all folds and both parts, no kept sentence has a near-duplicate in test."""
    rows = scripted()
    kept = {"train": set(), "validation": set()}
    for before, after in zip(
        split(rows).folds, split(rows, drop_near_duplicates=0.6).folds, strict=True
    ):
        for part, ids in kept.items():
            gone = set(before.parts[part]) - set(after.parts[part])
            near = {"b-0"} if after.test[0].startswith("a") else set()
            near |= {"a-0"} if after.test[0].startswith("b") else set()
            assert gone == near & set(before.parts[part])
            ids |= gone
    assert kept["train"]
    assert kept["validation"], "no fold of this test has one in validation"


def test_dropping_everything_is_an_error_with_advice():
    rows = parallel("abcd", ["one two three four", "five six seven eight"])
    with pytest.raises(ProtocolError, match=r"leaves no train utterance of 8.*speaker-sentence"):
        split(rows, drop_near_duplicates=0.6)


def test_dropping_the_last_of_a_class_is_an_error():
    rows = [
        utterance(
            f"{speaker}-{n}", speaker, transcript="same" if n else f"own {speaker}", emotion=emotion
        )
        for speaker in "abcd"
        for n, emotion in enumerate(("anger", "neutral"))
    ]
    with pytest.raises(ProtocolError, match="leaves no neutral in train"):
        split(rows, drop_near_duplicates=0.9)


def test_dropping_needs_transcripts():
    rows = [row.model_copy(update={"transcript": None}) for row in scripted()]
    with pytest.raises(ProtocolError, match="8 of 8 utterances have no transcript"):
        split(rows, drop_near_duplicates=0.6)


def test_only_a_known_gender_that_is_missing_changes_who_validates():
    both, one = frozenset("fm"), frozenset("f")
    unknown = [SplitGroup(name, frozenset(name), frozenset()) for name in "ab"]
    women = [SplitGroup(name, frozenset(name), one) for name in "cd"]
    later = SplitGroup("e", frozenset("e"), both)
    assert choose_validation([*unknown, later], 2) == tuple(unknown)
    assert choose_validation([*women, later], 2) == (women[0], later)
    assert choose_validation([women[0], later], 1) == (women[0],)
