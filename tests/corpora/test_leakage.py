"""The leakage report: correct on small examples, fast enough for IEMOCAP, unknown is not 0."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict

import pytest

from phonemo.config import ProtocolConfig
from phonemo.corpora.leakage import (
    PartSize,
    Shared,
    TranscriptOverlap,
    assert_no_leakage,
    measure_leakage,
)
from phonemo.corpora.leakage_text import lines
from phonemo.corpora.splits import Fold, Split, make_split
from phonemo.errors import LeakageError, ProtocolError
from tests.corpora.tiny_manifests import from_metadata, parallel, scripted, utterance


def one_fold(train, validation, test, name="speaker"):
    """The report on one fold of the given utterances."""
    ids = [tuple(row.id for row in rows) for rows in (train, validation, test)]
    split = Split(ProtocolConfig(name=name), name, (Fold("f", *ids),), ())
    return measure_leakage([*train, *validation, *test], split)


def row(name, speaker=None, text=None, emotion=None, dialog=None, session=None):
    return utterance(
        name, speaker, transcript=text, emotion=emotion, dialog=dialog, session=session
    )


def words(line):
    """A table's row without its padding."""
    return " ".join(line.split())


def test_a_fold_by_hand():
    train = [
        row("a", "s1", "We go home now.", "anger", "d1"),
        row("b", "s2", "Yes!", "neutral", "d1"),
    ]
    validation = [row("c", "s2", "no", "anger", "d2")]
    test = [
        row("d", "s3", "we go home today", "anger", "d1"),
        row("e", "s1", "yes", None, "d3"),
        row("f", "s3", "WE GO HOME NOW", "anger", "d3"),
        row("g", "s3", "four entirely different words", "anger", "d3"),
    ]
    fold = one_fold(train, validation, test).folds[0]
    assert fold.train == PartSize(2, {"anger": 1, "neutral": 1})
    assert fold.test == PartSize(4, {"anger": 3, "unlabelled": 1})
    assert fold.speakers == Shared(("s2",), ("s1",), (), 0)
    assert fold.dialogs == Shared((), ("d1",), (), 0)
    assert fold.sessions == Shared(None, None, None, 7)
    assert fold.sentences == Shared((), ("we go home now", "yes"), (), 0)
    # e and f repeat train; of the three with four words d (3 of 5 in common) and f are near.
    assert fold.repeats == TranscriptOverlap(known=4, exact=2, long=3, near=2)
    assert fold.repeats.exact_share == 0.5
    assert fold.repeats.near_share == pytest.approx(2 / 3)


def test_unknown_values_are_not_zero():
    train, validation = [row("a", "s1"), row("b")], [row("c", "s2")]
    fold = one_fold(train, validation, [row("d", "s3")])
    assert fold.folds[0].speakers == Shared((), (), (), 1)
    assert "0 / 0 / 0 (1 unknown)" in "\n".join(lines(fold))
    with pytest.raises(LeakageError, match="1 utterances have no known speaker"):
        assert_no_leakage(fold, ProtocolConfig(name="speaker"))
    unknown = one_fold(train, validation, [row("d")])
    assert unknown.folds[0].speakers == Shared((), None, None, 2)
    assert "? / ? / 0 (2 unknown)" in "\n".join(lines(unknown))
    assert unknown.folds[0].repeats.exact_share is None
    text = "\n".join(lines(unknown))
    assert "up to 2 utterances in a fold have no speaker" in text
    assert "no test utterance has a transcript" in text


def test_speakers_may_leak_only_in_a_leaky_protocol():
    report = one_fold([row("a", "s1", "x")], [row("b", "s2", "y")], [row("c", "s1", "z")])
    for name in ("speaker", "published", "speaker-sentence"):
        with pytest.raises(LeakageError, match="train and test share 1 speakers, such as 's1'"):
            assert_no_leakage(report, ProtocolConfig(name=name))
    for name in ("random-leaky", "published-leaky", "sentence"):
        assert_no_leakage(report, ProtocolConfig(name=name))
    turned = one_fold([row("a", "s1")], [row("b", "s2")], [row("c", "s2")])
    with pytest.raises(LeakageError, match="validation and test share 1 speakers"):
        assert_no_leakage(turned, ProtocolConfig(name="speaker"))


def test_a_session_leak_is_rejected_but_unknown_speakers_are_not():
    rows = [row(f"u{n}", session=f"x{n}") for n in range(3)]
    assert_no_leakage(one_fold(*([row] for row in rows)), ProtocolConfig(name="session"))
    rows[2] = row("u2", session="x0")
    with pytest.raises(LeakageError, match="share 1 sessions"):
        assert_no_leakage(one_fold(*([row] for row in rows)), ProtocolConfig(name="session"))


def test_a_sentence_leak_is_refused():
    rows = [row(f"u{n}", text=text) for n, text in enumerate(["One.", "two", "one"])]
    with pytest.raises(LeakageError, match="share 1 sentences, such as 'one'"):
        assert_no_leakage(one_fold(*([row] for row in rows)), ProtocolConfig(name="sentence"))


def test_a_split_of_another_manifest_is_an_error():
    rows = parallel("abcd", ["one"])
    split = make_split(rows, ProtocolConfig())
    with pytest.raises(ProtocolError, match="1 utterances of the split are not in the manifest"):
        measure_leakage(rows[1:], split)


def test_the_report_is_json():
    rows = parallel("abcd", ["one", "two"])
    report = measure_leakage(rows, make_split(rows, ProtocolConfig()))
    back = json.loads(json.dumps(asdict(report)))
    assert back["protocol"] == "speaker"
    assert back["folds"][0]["train"] == {"utterances": 8, "emotions": {"anger": 4, "neutral": 4}}
    assert back["folds"][0]["speakers"]["train_test"] == []


def test_the_text_has_a_row_for_each_fold_and_warns_of_repeated_sentences():
    rows = parallel(["f1", "f2", "m1", "m2"], ["we are all here", "so we go"])
    text = lines(measure_leakage(rows, make_split(rows, ProtocolConfig())))
    assert text[0] == "protocol speaker: 4 folds by speaker of 16 utterances"
    shared = next(line for line in text if line.startswith("speaker-f1"))
    assert words(shared) == "speaker-f1 0 / 0 / 0 unknown unknown 2 / 2 / 2 unknown 100 % 100 %"
    assert "speaker-f1 4 / 2 / 2 4 / 2 / 2 8 / 4 / 4" in map(words, text)
    assert any(
        line.startswith("warning: 100 % of test utterances share their sentence with train")
        for line in text
    )
    assert not any("lacks" in line or "share up to" in line for line in text)


def test_warnings_for_leaky_splits_dialogs_and_lost_classes():
    rows = parallel("abcdef", ["one", "two", "three"])
    text = "\n".join(
        lines(measure_leakage(rows, make_split(rows, ProtocolConfig(name="random-leaky"))))
    )
    assert "warning: LEAKY:" in text
    assert "note: LEAKY" not in text
    assert "warning: train and test share up to 5 speakers in a fold" in text
    report = one_fold(
        [row("a", "s1", "x", "anger", "d"), row("b", "s1", "y", "fear", "d")],
        [row("c", "s2", "z", "anger", "e")],
        [row("d", "s3", "go to the old house", "calm", "d")],
    )
    text = "\n".join(lines(report))
    assert "warning: train and test share up to 1 dialogs" in text
    assert "warning: f: test has calm, which train lacks" in text
    assert "validation lacks an emotion of train in 1 of 1 folds (such as f)" in text
    assert "share their sentence" not in text


def test_notes_are_printed():
    rows = parallel("abc", ["one", "two", "three"])
    text = lines(measure_leakage(rows, make_split(rows, ProtocolConfig(name="sentence"))))
    assert any(line.startswith("note: speakers are shared between train and test") for line in text)


def test_near_duplicates_of_longer_sentences_give_a_warning():
    report = one_fold(
        [row("a", "s1", "we go home now please")],
        [row("b", "s2", "never")],
        [row("c", "s3", "we go home now sir"), row("d", "s3", "no")],
    )
    text = "\n".join(lines(report))
    assert "100 % of test utterances of 4 or more words have a near-duplicate in train" in text


def test_as_many_near_duplicates_as_equal_sentences_are_one_warning():
    report = one_fold(
        [row("a", "s1", "we go home now please")],
        [row("b", "s2", "never")],
        [row("c", "s3", "we go home now please"), row("d", "s3", "that is another sentence")],
    )
    warned = [line for line in lines(report) if line.startswith("warning")]
    shared = [line for line in warned if "50 % of test utterances share their sentence" in line]
    assert len(shared) == 1
    assert not any("near-duplicate" in line for line in warned)


def test_columns_are_aligned_and_missing_emotions_are_zero():
    report = one_fold(
        [row("a", "s1", "x", "anger")],
        [row("b", "s2", "y", "fear")],
        [row("c", "s3", "z", "anger"), row("d", "s4", "u", "anger")],
    )
    text = lines(report)
    assert "fold      anger       fear        all" in text
    assert "f     1 / 0 / 2  0 / 1 / 0  1 / 1 / 2" in text


def test_five_thousand_sentences_take_seconds():
    """Words with realistic frequencies, so that many sentences share the frequent ones."""
    draw = random.Random(0)
    words = [f"w{n}" for n in range(4000)]
    weights = [1 / (n + 1) for n in range(4000)]
    rows = [
        row(f"u{n}", f"s{n % 10}", " ".join(draw.choices(words, weights, k=draw.randint(4, 14))))
        for n in range(5000)
    ]
    split = make_split(rows, ProtocolConfig())
    start = time.process_time()
    report = measure_leakage(rows, split)
    assert time.process_time() - start < 5
    assert sum(fold.test.utterances for fold in report.folds) == 5000
    assert sum(fold.repeats.near for fold in report.folds) > 0


def test_a_split_without_near_duplicates_measures_none():
    rows = scripted()
    report = measure_leakage(rows, make_split(rows, ProtocolConfig()))
    assert sum(fold.repeats.near for fold in report.folds) > 0
    split = make_split(rows, ProtocolConfig(drop_near_duplicates=0.6))
    assert all(fold.repeats.near == 0 for fold in measure_leakage(rows, split).folds)


def test_emodb_by_speaker_repeats_every_sentence(shared_folder):
    rows = from_metadata(shared_folder / "corpora" / "emodb")
    report = measure_leakage(rows, make_split(rows, ProtocolConfig()))
    assert len(report.folds) == 10
    assert all(fold.speakers.train_test == () for fold in report.folds)
    assert all(fold.repeats.exact_share == 1 for fold in report.folds)
    crossed = make_split(rows, ProtocolConfig(name="speaker-sentence", folds=5))
    assert_no_leakage(measure_leakage(rows, crossed), crossed.protocol)
    assert len(crossed.folds) == 25
