"""Two runs side by side: paired, by speaker, and refused where they do not pair."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.errors import ResultError
from phonemo.evaluation import significance, summary
from phonemo.evaluation.metrics import bootstrap_interval, confusion_matrix, unweighted_accuracy
from phonemo.evaluation.permutation import SWAPS
from phonemo.evaluation.prediction_rows import validate_rows
from phonemo.evaluation.significance import compare, mcnemar
from phonemo.evaluation.summary import summarize
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "neutral", "sadness"))


def rows(accuracy, speakers=6, each=15, seeds=(1,), draw=0, **more):
    """Answers that are right with this probability, one fold a speaker."""
    random = np.random.default_rng(draw)
    made = []
    for seed, speaker, number in itertools.product(seeds, range(speakers), range(each)):
        truth = LABELS.names[number % 3]
        others = [name for name in LABELS.names if name != truth]
        label = truth if random.random() < accuracy else others[random.integers(2)]
        scores = dict.fromkeys(LABELS.names, 0.2) | {label: 0.6}
        row = {"id": f"{speaker}-{number}", "fold": f"speaker-{speaker}", "seed": seed}
        row |= {"speaker": str(speaker), "gender": None, "truth": truth, "label": label}
        made.append(row | {"scores": scores} | more)
    return made


def answered(*args, **more):
    return validate_rows(rows(*args, **more), LABELS)


@pytest.fixture
def ua_alone(monkeypatch):
    """Compare UA alone, with hardly an interval: for tests of p, which does not depend on them."""
    monkeypatch.setattr(significance, "STATISTICS", {"ua": significance.STATISTICS["ua"]})
    monkeypatch.setattr(significance, "SAMPLES", 10)


@pytest.fixture
def no_intervals(monkeypatch):
    """Summarize with hardly an interval, for tests that read none."""
    monkeypatch.setattr(summary, "SAMPLES", 10)


def test_a_run_and_its_twin_do_not_differ():
    comparison = compare(answered(0.7), answered(0.7))
    ua = comparison.scores["ua"]
    assert (ua.difference, ua.low, ua.high, ua.p) == (0, 0, 0, 1)
    assert [pair.p for pair in comparison.disagreements] == [1]


def test_a_clear_difference_is_found_and_has_a_sign():
    comparison = compare(answered(0.5), answered(0.95, draw=1))
    ua = comparison.scores["ua"]
    assert ua.low > 0.2
    assert ua.difference == pytest.approx(ua.second - ua.first)
    assert ua.p == 2 / 2**6, "every speaker is better, and both ends count"
    assert comparison.exact
    back = compare(answered(0.95, draw=1), answered(0.5)).scores["ua"]
    assert (back.difference, back.p) == (pytest.approx(-ua.difference), ua.p)


def test_the_permutation_test_is_that_of_the_definition(no_intervals):
    first, second = rows(0.6, speakers=4), rows(0.75, speakers=4, draw=3)

    def ua(chosen):
        return summarize(chosen, LABELS)["ua"]["mean"]

    def swapped(ways):
        mixed = [two if ways[int(item["speaker"])] else item for item, two in pairs]
        rest = [item if ways[int(item["speaker"])] else two for item, two in pairs]
        return ua(rest) - ua(mixed)

    pairs = list(zip(first, second, strict=True))
    all_ways = [swapped(ways) for ways in itertools.product((0, 1), repeat=4)]
    expected = np.mean(np.abs(all_ways) >= abs(all_ways[0]) - 1e-12)
    result = compare(validate_rows(first, LABELS), validate_rows(second, LABELS)).scores["ua"]
    assert result.p == pytest.approx(expected)
    assert result.difference == pytest.approx(all_ways[0])


def test_runs_that_differ_by_chance_are_called_different_one_time_in_twenty(ua_alone):
    p = [
        compare(answered(0.7, draw=2 * n), answered(0.7, draw=2 * n + 1)).scores["ua"].p
        for n in range(60)
    ]
    assert 0 <= np.mean(np.array(p) < 0.05) < 0.15
    assert 0.3 < np.mean(p) < 0.75


def test_one_bad_speaker_does_not_make_a_difference(ua_alone):
    """A difference significant by McNemar's test is not so with speakers as the unit."""
    first, second = rows(1.0, each=30), rows(1.0, each=30)
    for row in second:
        if row["speaker"] == "0":
            row["label"] = "anger"
            row["scores"] = dict.fromkeys(LABELS.names, 0.2) | {"anger": 0.6}
    comparison = compare(validate_rows(first, LABELS), validate_rows(second, LABELS))
    assert comparison.disagreements[0].p < 1e-5
    assert comparison.scores["ua"].p == 1


def test_seeds_are_paired_and_many_speakers_are_swapped_at_random(ua_alone):
    comparison = compare(
        answered(0.7, speakers=20, seeds=(1, 2)), answered(0.7, 20, seeds=(1, 2), draw=5)
    )
    assert not comparison.exact
    assert comparison.swaps == SWAPS
    assert [disagreement.seed for disagreement in comparison.disagreements] == [1, 2]
    assert len(comparison.folds) == 40


def test_swaps_at_random_include_the_observed_labeling_so_that_no_p_is_zero(ua_alone):
    assert not significance.draw_swaps(20)[0][0].any()
    first, second = answered(0.0, speakers=20), answered(1.0, speakers=20)
    assert compare(first, second).scores["ua"].p == 1 / SWAPS


def test_the_interval_is_the_bootstrap_over_speakers_of_the_difference():
    first, second = rows(0.6), rows(0.75, draw=3)
    names = LABELS.names

    def ua(run, chosen):
        given = [(names.index(run[n]["truth"]), names.index(run[n]["label"])) for n in chosen]
        return unweighted_accuracy(confusion_matrix(*zip(*given, strict=True), len(names)))

    expected = bootstrap_interval(
        [row["speaker"] for row in first], lambda chosen: ua(second, chosen) - ua(first, chosen)
    )
    found = compare(*(validate_rows(run, LABELS) for run in (first, second))).scores["ua"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.low < found.difference < found.high


def test_disagreements_count_what_only_one_run_classified_correctly():
    first, second = (rows(1.0, speakers=2, each=3, seeds=(1, 2)) for _ in range(2))
    for row in (second[0], second[1], first[2], first[-1]):
        row["label"] = "sadness" if row["truth"] == "anger" else "anger"
        row["scores"] = dict.fromkeys(LABELS.names, 0.2) | {row["label"]: 0.6}
    found = compare(*(validate_rows(run, LABELS) for run in (first, second))).disagreements
    assert [(one.only_first, one.only_second) for one in found] == [(2, 1), (0, 1)]


def in_folds(made, size):
    """The same answers where each fold tests so many speakers."""
    return [row | {"fold": f"fold-{int(row['speaker']) // size}"} for row in made]


def test_speakers_of_one_fold_are_swapped_together_for_the_second_p(ua_alone):
    first, second = in_folds(rows(0.5), 2), in_folds(rows(0.95, draw=1), 2)
    ua = compare(validate_rows(first, LABELS), validate_rows(second, LABELS)).scores["ua"]
    assert (ua.p, ua.p_folds) == (2 / 2**6, 2 / 2**3)
    alone = (
        [row | {"fold": "fold-0"} for row in first],
        [row | {"fold": "fold-0"} for row in second],
    )
    ua = compare(*(validate_rows(run, LABELS) for run in alone)).scores["ua"]
    assert (ua.p, ua.p_folds) == (2 / 2**6, None), "one fold has nothing to swap"


def test_where_every_fold_is_a_speaker_both_p_are_one(ua_alone):
    ua = compare(answered(0.6), answered(0.75, draw=3)).scores["ua"]
    assert ua.p == ua.p_folds


def test_one_speaker_has_no_interval():
    ua = compare(answered(0.7, speakers=1), answered(0.8, speakers=1, draw=1)).scores["ua"]
    assert (ua.low, ua.high, ua.p) == (None, None, None)


def test_without_speakers_utterances_are_the_clusters_with_a_note(tmp_path, no_intervals):
    first = write_run(tmp_path / "one", rows(0.5, speakers=2, speaker=None))
    second = write_run(tmp_path / "two", rows(0.9, speakers=2, draw=1, speaker=None))
    done = CliRunner().invoke(app, ["compare", first, second])
    assert done.exit_code == 0, done.output
    assert "30 utterances, 30 clusters (utterance)" in done.stdout
    assert "p is too small" in done.stdout


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1), (5, 0, 2 / 32), (3, 3, 1), (8, 1, 2 * 10 / 512), (1000, 900, None)],
)
def test_mcnemar(only_first, only_second, p):
    result = mcnemar(only_first, only_second)
    if p is None:  # the normal approximation is good to a percent there
        z = (only_first - only_second - 1) / math.sqrt(only_first + only_second)
        p = math.erfc(z / math.sqrt(2))
    assert result == pytest.approx(p, rel=0.01)
    assert result == mcnemar(only_second, only_first)


def changed(key, value, where=0):
    made = rows(0.7)
    made[where][key] = value
    return made


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (rows(0.7, seeds=(2,)), "expected the same seeds, got 1 and 2"),
        (rows(0.7)[:-1], "got 1 answers in one run only, such as '5-14'"),
        (changed("fold", "speaker-9"), "expected the same folds"),
        (changed("truth", "sadness"), "expected the same truth for '0-0'"),
    ],
)
def test_runs_that_do_not_pair_are_rejected(second, words):
    with pytest.raises(ResultError, match=words):
        compare(answered(0.7), validate_rows(second, LABELS))


def write_run(folder, made, **more):
    results = summarize(made, LABELS)
    metrics = {"name": folder.name, "title": "a system", "command": "phonemo train x.yaml"}
    metrics |= {"config": "abc", "protocol": {"name": "speaker", "parts": 6}, "protocol_note": ""}
    metrics |= {"leaky": False, "seeds": [1], "corpus": "emodb", "model": {}, "phonemo": "0.1.0"}
    folder.mkdir()
    text = json.dumps(metrics | {"results": results} | more)
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in made)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def test_the_command_shows_everything_and_writes_json(tmp_path, no_intervals):
    first = write_run(tmp_path / "one", rows(0.5))
    second = write_run(tmp_path / "two", rows(0.95, draw=1))
    output = tmp_path / "c.json"
    done = CliRunner().invoke(app, ["compare", first, second, "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert "A  one: a system" in done.stdout
    assert "all 64 ways" in done.stdout
    assert "6 clusters (speaker)" in done.stdout
    assert "p is too small" not in done.stdout
    assert "speaker-5" in done.stdout
    assert "UA: B is higher by" in done.stdout.splitlines()[-1]
    data = json.loads(output.read_text(encoding="utf-8"))
    assert data["second"]["name"] == "two"
    ua = data["scores"]["ua"]
    assert ua["difference"] == pytest.approx(ua["second"] - ua["first"])
    assert ua["p"] == 2 / 64


def test_the_verdict_has_the_p_of_folds_where_that_shows_no_difference(tmp_path, no_intervals):
    first = write_run(tmp_path / "one", in_folds(rows(0.5), 2))
    second = write_run(tmp_path / "two", in_folds(rows(0.95, draw=1), 2))
    done = CliRunner().invoke(app, ["compare", first, second])
    assert "by fold 0.250: others may not differ" in done.stdout.splitlines()[-1]


def test_no_difference_is_not_reported_as_equality(tmp_path, no_intervals):
    first = write_run(tmp_path / "one", rows(0.7), leaky=True)
    second = write_run(tmp_path / "two", rows(0.7, draw=9), leaky=True)
    done = CliRunner().invoke(app, ["compare", first, second])
    assert "no difference is shown" in done.stdout
    assert "LEAKY" in done.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"corpus": "nemo"}, "got emodb and nemo"),
        ({"protocol": {"name": "sentence", "parts": 6}}, "got protocol.name speaker and sentence"),
        ({"protocol": {"name": "speaker", "parts": 5}}, "got protocol.parts 6 and 5"),
    ],
)
def test_different_runs_are_rejected_in_one_line(tmp_path, no_intervals, more, words):
    first = write_run(tmp_path / "one", rows(0.7))
    second = write_run(tmp_path / "two", rows(0.7), **more)
    done = CliRunner().invoke(app, ["compare", first, second])
    assert isinstance(done.exception, ResultError)
    assert words in str(done.exception)


@pytest.mark.parametrize("turned", [False, True])
def test_runs_with_other_emotions_are_not_compared(tmp_path, no_intervals, turned):
    folders = [write_run(tmp_path / name, rows(0.7)) for name in ("one", "two")]
    for path in (tmp_path / "two").iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("sadness", "surprise"), "utf-8")
    done = CliRunner().invoke(app, ["compare", *(reversed(folders) if turned else folders)])
    assert "expected runs with the same emotions, got anger, neutral, s" in str(done.exception)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metrics.json", None, "got no metrics.json"),
        ("predictions.jsonl", None, "got no predictions.jsonl"),
        ("predictions.jsonl", "{broken", "expected files of phonemo train"),
        ("predictions.jsonl", '"text"\n', "expected files of phonemo train"),
        ("metrics.json", "{}", "expected files of phonemo train"),
    ],
)
def test_an_invalid_run_folder_is_named(tmp_path, no_intervals, name, text, words):
    first = write_run(tmp_path / "one", rows(0.7))
    second = write_run(tmp_path / "two", rows(0.7))
    (tmp_path / "two" / name).unlink()
    if text is not None:
        (tmp_path / "two" / name).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["compare", first, second])
    assert words in str(done.exception)
    again = CliRunner().invoke(app, ["compare", first, first])
    assert "the same run" in str(again.exception)
