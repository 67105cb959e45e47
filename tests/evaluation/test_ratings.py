"""Scores against raters: concordance, votes, comparison of runs, texts."""

from __future__ import annotations

import numpy as np
import pytest

from phonemo.errors import ResultError
from phonemo.evaluation.markdown import results_page, summary_table
from phonemo.evaluation.metrics import bootstrap_interval
from phonemo.evaluation.metrics_schema import Metrics, Results
from phonemo.evaluation.ratings.concordance import ccc, moments_of, pearson, rmse
from phonemo.evaluation.ratings.rating_plots import plot_dimensions
from phonemo.evaluation.ratings.rating_summary import (
    dimension_results,
    jensen_shannon,
    validation_ratings,
    vote_score,
)
from phonemo.evaluation.report import results_lines
from phonemo.evaluation.significance import with_dimensions
from phonemo.evaluation.summary import results_of, summarize
from phonemo.labels import LabelSet, NoLabels

LABELS = LabelSet(("anger", "calm"))


def make_rows(noise=0.1, seed=0, truth=None, seeds=(1, 2)):
    """Rated rows of four speakers in two folds, with errors of a known size."""
    draw, rows = np.random.default_rng(5), []
    errors = np.random.default_rng(seed)
    ratings = draw.uniform(0.2, 0.8, (40, 2))
    for run in seeds:
        for number, (arousal, valence) in enumerate(ratings):
            shift = errors.normal(0, noise, 2)
            rows.append(
                {
                    "id": f"u{number}",
                    "fold": f"fold-{number % 2}",
                    "seed": run,
                    "speaker": f"s{number % 4}",
                    "gender": None,
                    "truth": truth,
                    "label": "anger" if truth else None,
                    "scores": {"anger": 0.75, "calm": 0.25} if truth else {},
                    "dimensions": {
                        "arousal": float(np.clip(arousal + shift[0], 0, 1)),
                        "valence": float(np.clip(valence + shift[1], 0, 1)),
                    },
                    "rated": {"arousal": float(arousal), "valence": float(valence)},
                }
            )
    return rows


def metrics_of(rows, labels):
    return Metrics(
        name="run",
        title="a title",
        command="phonemo train",
        config="0" * 12,
        protocol={"name": "speaker"},
        protocol_note="",
        leaky=False,
        seeds=(1, 2),
        corpus="beeps",
        model={},
        phonemo="1",
        results=results_of(rows, labels),
    )


def test_statistics_match_numpy():
    draw = np.random.default_rng(1)
    x, y = draw.uniform(0, 1, (2, 50))
    sums = moments_of(x, y).sum(axis=0)
    covariance = np.cov(x, y, bias=True)[0, 1]
    expected = 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert float(ccc(sums)) == pytest.approx(expected)
    assert float(pearson(sums)) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert float(rmse(sums)) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))


def test_perfect_predictions_have_a_concordance_of_one():
    scores = dimension_results(make_rows(noise=0.0))
    assert scores.mean_ccc.mean == pytest.approx(1.0)
    assert scores.scores["arousal"].rmse.mean == pytest.approx(0.0, abs=1e-8)


def test_scores_are_pooled_by_seed_with_an_interval_over_speakers():
    found = dimension_results(make_rows())
    arousal = found.scores["arousal"]
    assert arousal.utterances == 40
    assert len(arousal.ccc.per_seed) == 2
    assert arousal.ccc.low < arousal.ccc.mean < arousal.ccc.high
    mean = np.mean([score.ccc.mean for score in found.scores.values()])
    assert found.mean_ccc.mean == pytest.approx(mean)


def test_constant_ratings_have_no_concordance():
    rows = [{**row, "rated": {"arousal": 0.5}} for row in make_rows()]
    found = dimension_results(rows)
    assert found.mean_ccc is None
    assert found.scores["arousal"].ccc is None
    assert found.scores["arousal"].rmse.mean > 0


def test_missing_ratings_are_left_out():
    rows = make_rows()
    for row in rows:
        if row["id"] in ("u0", "u1"):
            row["rated"] = {"valence": row["rated"]["valence"]}
    found = dimension_results(rows)
    assert (found.scores["arousal"].utterances, found.scores["valence"].utterances) == (38, 40)


def test_a_value_outside_the_scale_is_an_error():
    rows = make_rows()
    rows[0]["rated"] = {"arousal": 3.5}
    with pytest.raises(ResultError, match=r"'u0': expected arousal from 0 to 1, got 3\.5"):
        dimension_results(rows)


def test_validation_scores_count_a_constant_dimension_as_zero():
    truth = np.array([[0.1, 0.5], [0.9, 0.5], [np.nan, 0.5]])
    scores = validation_ratings(np.array([[0.1, 0.5], [0.9, 0.5], [0.2, 0.5]]), truth)
    assert scores["ccc"] == pytest.approx(0.5)
    assert scores["rmse"] == pytest.approx(0.0, abs=1e-8)


def test_divergence_of_opposite_certainties_is_one_bit():
    first, second = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])
    assert jensen_shannon(first, second).tolist() == [1.0, 0.0]


def test_votes_are_compared_with_scores():
    rows = [{**row, "votes": {"anger": 0.75, "calm": 0.25}} for row in make_rows(truth="anger")]
    equal = vote_score(rows, LABELS.names)
    assert equal.divergence.mean == pytest.approx(0.0, abs=1e-12)
    assert equal.ece == pytest.approx(0.0, abs=1e-12)
    rows = [{**row, "votes": {"calm": 1.0}} for row in rows]
    other = vote_score(rows, LABELS.names)
    assert other.ece == pytest.approx(0.75)
    assert other.chance == pytest.approx(0.0)


def test_results_without_emotions_have_ratings_only():
    results = summarize(make_rows(), NoLabels())
    assert results["ua"] is None
    assert Results.model_validate(results).dimensions.mean_ccc.mean > 0
    lines = "\n".join(results_lines(results))
    assert "mean CCC" in lines
    assert "UA" not in lines


def test_rows_with_a_truth_are_scored_among_others():
    rows = make_rows(truth="anger") + [
        {**row, "id": f"x{row['id']}"} for row in make_rows(truth=None)
    ]
    results = results_of(rows, LABELS)
    assert results.utterances == 80
    assert results.wa.mean == 1.0
    assert results.dimensions.scores["arousal"].utterances == 80


def test_tables_have_a_column_of_concordance_where_a_run_has_dimensions():
    rated, plain = metrics_of(make_rows(truth="anger"), LABELS), make_rows(truth="anger")
    bare = [{key: row[key] for key in row if key not in ("rated", "dimensions")} for row in plain]
    without = metrics_of(bare, LABELS)
    assert "mean CCC" in summary_table([rated])
    assert "mean CCC" not in summary_table([without])
    page = results_page([rated, without, metrics_of(make_rows(), NoLabels())])
    assert "arousal: CCC 0." in page


def test_the_better_of_two_runs_is_recognized():
    found = with_dimensions(None, make_rows(0.3, 1), make_rows(0.02, 2))
    main = found.main
    assert main.difference > 0.2
    assert main.low > 0
    assert main.p == pytest.approx(2 / 16)  # of 16 ways to swap four speakers, two are as extreme
    assert set(found.scores) == {"ccc", "ccc_arousal", "ccc_valence"}


def test_the_interval_of_concordance_is_the_bootstrap_over_speakers_of_the_difference():
    first, second = make_rows(0.3, 1, seeds=(1,)), make_rows(0.2, 2, seeds=(1,))
    for row in (*first, *second):  # twenty speakers, so that each end of the interval is its own
        row["speaker"] = f"s{int(row['id'][1:]) % 20}"

    def score(rows, chosen):
        columns = [
            [[rows[n][kind][name] for n in chosen] for kind in ("dimensions", "rated")]
            for name in ("arousal", "valence")
        ]
        return np.mean([ccc(moments_of(*np.array(pair)).sum(axis=0)) for pair in columns])

    expected = bootstrap_interval(
        [row["speaker"] for row in first],
        lambda chosen: score(second, chosen) - score(first, chosen),
    )
    main = with_dimensions(None, first, second).main
    assert (main.low, main.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("speakers", [1, 2])
def test_concordance_has_an_interval_from_two_speakers_on(speakers):
    runs = [make_rows(noise, 1) for noise in (0.3, 0.02)]
    for row in (row for rows in runs for row in rows):
        row["speaker"] = f"s{int(row['speaker'][1:]) % speakers}"
    main = with_dimensions(None, *runs).main
    assert [value is not None for value in (main.low, main.high, main.p)] == [speakers > 1] * 3


def with_constant_valence(rows):
    return [{**row, "rated": {**row["rated"], "valence": 0.5}} for row in rows]


def test_an_undefined_concordance_is_not_compared_as_zero():
    runs = [with_constant_valence(make_rows(noise, 1)) for noise in (0.3, 0.02)]
    found = with_dimensions(None, *runs)
    assert set(found.scores) == {"ccc_arousal"}
    assert found.main.difference > 0.2
    for row in (row for rows in runs for row in rows):
        row["rated"]["arousal"] = 0.5
    with pytest.raises(ResultError, match="expected ratings that vary"):
        with_dimensions(None, *runs)


def test_a_concordance_of_nearly_constant_ratings_stays_within_its_bounds():
    draw = np.random.default_rng(0)
    for _ in range(200):
        truth = draw.uniform() * 0.99 + draw.uniform(0, 1e-5, 12)
        predicted = truth + draw.normal(0, 1e-9, 12)
        found = ccc(moments_of(predicted, truth).sum(axis=0))
        assert not abs(found) > 1  # NaN where it is undefined


def test_runs_with_other_ratings_are_not_compared():
    other = make_rows()
    other[3] = {**other[3], "rated": {"arousal": 0.1, "valence": 0.2}}
    with pytest.raises(ResultError, match="difference at 'u3'"):
        with_dimensions(None, make_rows(), other)


def test_the_scatter_plot_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    rows = make_rows()
    scores = summarize(rows, NoLabels())["dimensions"]
    plot_dimensions(rows, scores, tmp_path / "dimensions.png", "title")
    assert (tmp_path / "dimensions.png").read_bytes().startswith(b"\x89PNG")
