"""Scoring: from prediction rows of several folds and seeds to one JSON-able summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from phonemo.errors import LabelError, ResultError
from phonemo.evaluation import summary
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "happiness", "neutral"), {"excited": "happiness"})
SHORT = {"a": "anger", "h": "happiness", "n": "neutral", "e": "excited"}


def row(
    name: str, truth: str, label: str, *, fold: str = "1", seed: int = 1, speaker: str | None = "s1"
) -> dict[str, Any]:
    """One prediction; emotions by their first letter, the label with probability 0.8."""
    merged = LABELS.merged(SHORT[label])
    return {
        "id": name,
        "fold": fold,
        "seed": seed,
        "speaker": speaker,
        "gender": "f" if speaker in ("s1", "s3") else "m",
        "truth": SHORT[truth],
        "label": SHORT[label],
        "scores": {item: 0.8 if item == merged else 0.1 for item in LABELS.names},
        "phonemes": None,
        "reference": None,
    }


def two_folds_two_seeds() -> list[dict[str, Any]]:
    """Fold 1 has speaker s1, fold 2 speaker s2.

    Seed 1: fold 1 a->a a->h, fold 2 a->a h->h: WA 3/4, recalls a 2/3, h 1.
    Seed 2: fold 1 a->a a->a, fold 2 a->a h->a: WA 3/4, recalls a 1, h 0.
    """
    predicted = {1: "ahah", 2: "aaaa"}
    return [
        row(f"u{n}", "aaah"[n], predicted[seed][n], fold=fold, seed=seed, speaker=speaker)
        for seed in (1, 2)
        for n, (fold, speaker) in enumerate([("1", "s1")] * 2 + [("2", "s2")] * 2)
    ]


def test_folds_are_pooled_within_a_seed_and_seeds_averaged() -> None:
    result = summary.summarize(two_folds_two_seeds(), LABELS)
    assert result["wa"]["mean"] == 3 / 4
    # pooled, seed 1: (2/3 + 1) / 2, seed 2: (1 + 0) / 2; a mean over folds would be 0.75, 1; 1, 0.5
    assert result["ua"]["per_seed"] == pytest.approx([5 / 6, 1 / 2])
    assert result["ua"]["mean"] == pytest.approx(2 / 3)
    assert result["recalls"] == pytest.approx({"anger": 5 / 6, "happiness": 1 / 2, "neutral": None})
    # F1 of seed 1: a 4/5, h 2/3, of seed 2: a 6/7, h 0; pooling the seeds would give 2/3
    assert result["macro_f1"]["mean"] == pytest.approx(((4 / 5 + 2 / 3) / 2 + (6 / 7 + 0) / 2) / 2)
    assert (result["utterances"], result["speakers_count"]) == (4, 2)
    assert result["confusion"]["counts"] == [[5, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_fold_mean_and_sd_are_over_folds_after_averaging_seeds() -> None:
    wa = summary.summarize(two_folds_two_seeds(), LABELS)["wa"]
    # fold 1: 1/2 and 1, fold 2: 1 and 1/2; both 3/4
    assert (wa["fold_mean"], wa["fold_sd"]) == (0.75, 0.0)
    one_seed = [
        two_folds_two_seed
        for two_folds_two_seed in two_folds_two_seeds()
        if two_folds_two_seed["seed"] == 1
    ]
    wa = summary.summarize(one_seed, LABELS)["wa"]
    assert wa["fold_mean"] == 0.75
    assert wa["fold_sd"] == pytest.approx(np.std([0.5, 1.0], ddof=1))


def test_each_fold_and_seed_has_its_row() -> None:
    folds = summary.summarize(two_folds_two_seeds(), LABELS)["folds"]
    assert [(fold["seed"], fold["fold"]) for fold in folds] == [
        (1, "1"),
        (1, "2"),
        (2, "1"),
        (2, "2"),
    ]
    assert [fold["wa"] for fold in folds] == [0.5, 1.0, 1.0, 0.5]
    assert [fold["utterances"] for fold in folds] == [2, 2, 2, 2]


def test_fold_2_comes_before_fold_10() -> None:
    rows = [row(f"u{n}", "a", "a", fold=str(n)) for n in (10, 2, 1)]
    assert [item["fold"] for item in summary.summarize(rows, LABELS)["folds"]] == ["1", "2", "10"]


def test_speakers_and_genders_count_utterances_once_over_seeds() -> None:
    result = summary.summarize(two_folds_two_seeds(), LABELS)
    assert result["per_speaker"]["s1"] == {"utterances": 2, "wa": 0.75, "ua": 0.75}
    # s2: seed 1 recalls 1 and 1, seed 2 recalls 1 and 0
    assert result["per_speaker"]["s2"] == {"utterances": 2, "wa": 0.75, "ua": 0.75}
    assert list(result["per_gender"]) == ["f", "m"]


def test_merged_labels_are_scored_under_one_name() -> None:
    result = summary.summarize([row("u1", "e", "h"), row("u2", "a", "a")], LABELS)
    assert result["wa"]["mean"] == 1.0
    assert result["recalls"]["happiness"] == 1.0


def test_interval_resamples_speakers_over_all_seeds() -> None:
    # s1 always right, s2 always wrong, in both seeds: resamples give 0, 1/2 or 1
    rows = [
        row(f"{speaker}{n}", "a", "a" if speaker == "s1" else "h", seed=seed, speaker=speaker)
        for seed in (1, 2)
        for speaker in ("s1", "s2")
        for n in range(50)
    ]
    result = summary.summarize(rows, LABELS)
    assert (result["wa"]["mean"], result["wa"]["low"], result["wa"]["high"]) == (0.5, 0.0, 1.0)
    assert result["interval"] == {"level": 0.95, "samples": 1000, "unit": "speaker", "clusters": 2}


def test_a_single_speaker_has_no_interval() -> None:
    result = summary.summarize([row("u1", "a", "a"), row("u2", "h", "a")], LABELS)
    assert (result["ua"]["low"], result["ua"]["high"], result["ua"]["fold_sd"]) == (
        None,
        None,
        None,
    )


def test_without_speakers_utterances_are_resampled_with_a_note() -> None:
    rows = [row(f"u{n}", "a", "ah"[n % 2], speaker=None) for n in range(40)]
    result = summary.summarize(rows, LABELS)
    assert (result["interval"]["unit"], result["interval"]["clusters"]) == ("utterance", 40)
    assert 0.3 < result["wa"]["low"] < 0.5 < result["wa"]["high"] < 0.7
    assert list(result["per_speaker"]) == ["unknown"]
    assert result["speakers_count"] == 0


def test_phonemes_are_null_without_references_and_summed_with_them() -> None:
    rows = [row("u1", "a", "a"), row("u2", "h", "h"), row("u3", "n", "n")]
    assert summary.summarize(rows, LABELS)["phonemes"] is None
    rows[0] |= {"reference": list("abcd"), "phonemes": list("abd")}
    rows[1] |= {"reference": list("ab"), "phonemes": []}
    rows[2] |= {"phonemes": list("xyz")}
    assert summary.summarize(rows, LABELS)["phonemes"] == {
        "per": 0.5,
        "substitutions": 0,
        "deletions": 3,
        "insertions": 0,
        "tokens": 6,
        "utterances": 2,
    }


def test_calibration_and_chance() -> None:
    rows = [row("u1", "a", "a"), row("u2", "a", "a"), row("u3", "a", "h"), row("u4", "h", "h")]
    result = summary.summarize(rows, LABELS)
    assert result["chance"] == {"majority_wa": 0.75, "ua": 0.5}
    assert result["calibration"]["ece"] == pytest.approx(0.05)  # says 0.8, is right 0.75
    assert sum(item["count"] for item in result["calibration"]["bins"]) == 4


def test_seeds_that_tested_different_utterances_are_reported() -> None:
    rows = two_folds_two_seeds()
    assert summary.summarize(rows, LABELS)["seeds_agree"] is True
    assert summary.summarize(rows[:-1], LABELS)["seeds_agree"] is False


def test_summary_is_plain_json_and_does_not_depend_on_the_order_of_rows() -> None:
    rows = two_folds_two_seeds()
    result = summary.summarize(rows, LABELS)
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result
    assert json.dumps(summary.summarize(rows[::-1], LABELS), allow_nan=False) == text
    assert _types(result) <= {dict, list, str, int, float, bool, type(None)}


def _types(data: object) -> set[type]:
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else []
    return {type(data)}.union(*map(_types, inner))


def _changed(**changes: object) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [row("u1", "a", "a") | changes]


def _without(key: str) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [{name: value for name, value in row("u1", "a", "a").items() if name != key}]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (list, "expected at least one prediction"),
        (
            lambda: [row("u1", "a", "a", fold="1"), row("u1", "a", "h", fold="2")],
            "with seed 1, got 2",
        ),
        (_without("truth"), "key 'truth' is missing"),
        (_changed(seed=None), "expected an integer seed, got None"),
        (
            _changed(scores={"anger": 1.0}),
            "expected scores for anger, happiness, neutral, got anger",
        ),
        (_changed(label="neutral"), "the highest score, got 'neutral'"),
        (_changed(scores={"anger": 0.9, "happiness": 0.3, "neutral": 0.1}), "sum to 1, got 1.3"),
    ],
)
def test_bad_rows_are_one_clear_line(make: Callable[[], list[Any]], words: str) -> None:
    with pytest.raises(ResultError) as caught:
        summary.summarize(make(), LABELS)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_truth_is_a_label_error() -> None:
    with pytest.raises(LabelError, match="unknown label 'fear'"):
        summary.summarize(_changed(truth="fear")(), LABELS)


def test_rows_of_several_corpora_are_scored_apart_too() -> None:
    rows = [
        row("x/1", "a", "a") | {"corpus": "x"},
        row("x/2", "h", "a") | {"corpus": "x"},
        row("y/1", "n", "n") | {"corpus": "y"},
    ]
    result = summary.summarize(rows, LABELS)["per_corpus"]
    assert {name: (item["utterances"], item["ua"]) for name, item in result.items()} == {
        "x": (2, 0.5),
        "y": (1, 1.0),
    }


def test_rows_of_one_corpus_have_no_corpus_table() -> None:
    assert "per_corpus" not in summary.summarize([row("1", "a", "a")], LABELS)
