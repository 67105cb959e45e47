"""The inventory of phoneme errors: pairs by hand, the counts of the error rate, table, picture."""

from __future__ import annotations

import random

import pytest

from phonemo.errors import ResultError
from phonemo.evaluation.metrics import phoneme_errors
from phonemo.evaluation.phonemes.confusion_plot import plot_phoneme_confusions
from phonemo.evaluation.phonemes.confusions import (
    aligned_pairs,
    confusion_lines,
    confusions_of,
    row_confusions,
    write_confusions,
)


def test_pairs_by_hand():
    assert aligned_pairs("kat", "kats") == [("k", "k"), ("a", "a"), ("t", "t"), ("", "s")]
    assert aligned_pairs("dog", "dg") == [("d", "d"), ("o", ""), ("g", "g")]
    assert aligned_pairs("ab", "xb") == [("a", "x"), ("b", "b")]
    assert aligned_pairs("", "") == []
    assert aligned_pairs("a", "") == [("a", "")]


def test_the_inventory_counts_the_edits_of_the_error_rate():
    draw = random.Random(3)
    references = ["".join(draw.choices("abcd", k=draw.randrange(1, 9))) for _ in range(40)]
    recognized = ["".join(draw.choices("abcd", k=draw.randrange(9))) for _ in range(40)]
    counts = dict.fromkeys(("correct", "substitution", "deletion", "insertion"), 0)
    for one in confusions_of(references, recognized):
        counts[one.kind] += one.count
    errors = phoneme_errors(references, recognized)
    assert counts["substitution"] == errors.substitutions
    assert counts["deletion"] == errors.deletions
    assert counts["insertion"] == errors.insertions
    assert sum(counts.values()) - counts["insertion"] == errors.tokens


def test_shares_are_of_the_reference_phoneme():
    confusions = {(one.reference, one.recognized): one for one in confusions_of(["aab"], ["xaby"])}
    assert confusions["a", "x"].share == 0.5
    assert confusions["", "y"].share == pytest.approx(1 / 3)


def test_rows_without_references_are_left_out():
    rows = [
        {"reference": ["a"], "phonemes": ["a"]},
        {"reference": None, "phonemes": ["b"]},
        {"reference": ["c"], "phonemes": None},
    ]
    assert [one.reference for one in row_confusions(rows)] == ["a"]
    assert confusion_lines(row_confusions(rows)) == []


def test_the_commonest_errors_are_named():
    lines = confusion_lines(confusions_of(["abc", "abd"], ["xbc", "xb"]))
    assert lines == ["  substitutions 2: a>x 2", "  deletions 1: d 1"]


def test_table_and_picture_are_written(tmp_path):
    confusions = confusions_of([["a", "b"]], [["a", "c"]])
    write_confusions(tmp_path / "errors.csv", confusions)
    lines = (tmp_path / "errors.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "reference,recognized,kind,count,share"
    assert "b,c,substitution,1,1.0000" in lines
    pytest.importorskip("matplotlib")
    plot_phoneme_confusions(confusions, tmp_path / "errors.png", "two phonemes")
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ResultError, match="expected phonemes to draw"):
        plot_phoneme_confusions([], tmp_path / "none.png", "none")
