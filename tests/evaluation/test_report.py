"""Reports: RESULTS.md, the README's table, the terminal's summary and the plots."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phonemo.errors import MissingExtraError, ResultError
from phonemo.evaluation import plots, report, summary
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "neutral"))
README = f"# phonemo\n\n{report.START}\nstale table\n{report.END}\n\nmore\n"


def results(phonemes: bool = True) -> dict[str, Any]:
    """Two folds of a speaker each; WA 7 of 8, recalls 1 and 3/4."""
    truth, predicted = "aaaannnn", "aaaannna"
    names = {"a": "anger", "n": "neutral"}
    rows = [
        {
            "id": f"u{n}",
            "fold": str(n % 2 + 9),
            "seed": 1,
            "speaker": f"s{n % 2}",
            "gender": "fm"[n % 2],
            "truth": names[truth[n]],
            "label": names[predicted[n]],
            "scores": {name: 0.9 if name == names[predicted[n]] else 0.1 for name in LABELS.names},
            "phonemes": ["a", "b"] if phonemes else None,
            "reference": ["a", "c", "d"] if phonemes else None,
        }
        for n in range(8)
    ]
    return summary.summarize(rows, LABELS)


RESULTS = results()


def run(name: str = "emodb-multi", **changes: Any) -> dict[str, Any]:
    """The content of a metrics.json."""
    return {
        "name": name,
        "title": f"{name}, frozen",
        "command": f"phonemo train configs/{name}.yaml",
        "config": "0123456789ab",
        "protocol": {"name": "speaker", "folds": None},
        "protocol_note": "",
        "leaky": False,
        "seeds": [1],
        "corpus": "emodb",
        "model": {"backbone": "base", "parameters": 1000},
        "phonemo": "0.1.0",
        "results": RESULTS,
    } | changes


def save(folder: Path, *runs: dict[str, Any]) -> Path:
    for item in runs:
        path = folder / "results" / item["name"] / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(item), encoding="utf-8")
    return folder / "results"


def written(tmp_path: Path, *runs: dict[str, Any]) -> str:
    report.write_results(save(tmp_path, *runs), tmp_path / "RESULTS.md")
    return (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def table_row(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


# RESULTS.md


def test_a_row_by_hand(tmp_path: Path) -> None:
    # s0 has 4 of 4, s1 3 of 4 right; fold UA 100 and (100 + 50) / 2, sd 25 / sqrt(2)
    assert table_row(written(tmp_path, run()), "emodb-multi, frozen") == [
        "emodb-multi, frozen",
        "2",
        "speaker, 2 folds",
        "1",
        "87.5 (75.0 to 100.0)",
        "87.5 (75.0 to 100.0)",
        "87.5 ± 17.7",
        "66.7",
        "`0123456789ab`",
        "`phonemo train configs/emodb-multi.yaml`",
    ]


def test_details_have_folds_recalls_genders_and_confusion(tmp_path: Path) -> None:
    text = written(tmp_path, run())
    assert "| fold | seed | utterances | WA % | UA % | macro F1 % |" in text
    assert table_row(text, "9 |") == ["9", "1", "4", "100.0", "100.0", "100.0"]
    assert text.index("| 9 | 1 |") < text.index("| 10 | 1 |")
    assert "| class | anger | neutral |\n| --- | --- | --- |\n| recall % | 100.0 | 75.0 |" in text
    assert table_row(text, "m |") == ["m", "4", "75.0", "75.0"]
    assert "| anger | 4 | 0 |\n| neutral | 1 | 3 |" in text
    assert "- model: backbone base, parameters 1000\n" in text
    assert "chance: WA 50.0 %, UA 50.0 %" in text
    assert "PER 66.7 % of 24 tokens (8 substitutions, 8 deletions, 0 insertions)" in text


def test_phonemes_of_held_out_speakers_of_an_extra_corpus_are_reported(tmp_path: Path) -> None:
    extra = {"words": {"per": 0.256, "utterances": 60, "speakers": 5, "trainings": 10}}
    result = "words: PER 25.6 % on 60 utterances of 5 speakers held out, mean of 10 trainings"
    assert f"- {result}\n" in written(tmp_path, run(extra=extra))
    assert f"  {result}" in report.summary_lines(run(extra=extra))


def test_leaky_rows_are_bold_and_below_the_clean_ones(tmp_path: Path) -> None:
    leaky = run("a-leaky", leaky=True, protocol={"name": "random-leaky"}, protocol_note="All share")
    text = written(tmp_path, leaky, run("z-clean"))
    assert text.index("| z-clean, frozen |") < text.index("| a-leaky, frozen |")
    assert table_row(text, "a-leaky, frozen")[2] == "**leaky** random-leaky, 2 folds"
    assert "protocol: **leaky** random-leaky, 2 folds: All share" in text
    assert "**leaky**" not in " ".join(table_row(text, "z-clean, frozen"))


def test_tables_are_grouped_by_corpus_and_sorted_by_name(tmp_path: Path) -> None:
    text = written(tmp_path, run("r1", corpus="ravdess"), run("e10"), run("e2"))
    places = [text.index(part) for part in ("## emodb", "| e2,", "| e10,", "## ravdess", "| r1,")]
    assert places == sorted(places)


def test_without_a_phoneme_head_or_interval_there_are_no_numbers(tmp_path: Path) -> None:
    result = results(phonemes=False)
    result["ua"] |= {"low": None, "high": None, "fold_sd": None}
    cells = table_row(written(tmp_path, run(results=result)), "emodb-multi, frozen")
    assert cells[5:8] == ["87.5", "87.5", "-"]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    folder, output, readme = save(tmp_path, run()), tmp_path / "RESULTS.md", tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    report.write_results(folder, output, readme)
    first = [(path.read_bytes(), path.stat().st_mtime_ns) for path in (output, readme)]
    report.write_results(folder, output, readme)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in (output, readme)] == first
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("exists", [True, False])
def test_missing_results_are_stated(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "results").mkdir()
    report.write_results(tmp_path / "results", tmp_path / "RESULTS.md")
    assert "Nothing was measured yet." in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_a_title_cannot_break_the_table_or_pass_for_a_marker(tmp_path: Path) -> None:
    text = written(tmp_path, run(title=f"a | b\n{report.END}", command="x | y `z`"))
    assert "| a \\| b &lt;!-- results:end --> | 2 |" in text
    assert "`` x \\| y `z` ``" in text


def test_seeds_with_different_utterances_are_marked(tmp_path: Path) -> None:
    assert "unfinished" not in written(tmp_path, run())
    text = written(tmp_path / "other", run(results=RESULTS | {"seeds_agree": False}))
    assert "did not test the same utterances" in text
    lines = report.results_lines(RESULTS | {"seeds_agree": False})
    assert any("NOTE: the seeds did not test" in line for line in lines)


# the README


def test_readme_keeps_everything_but_the_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    report.write_results(save(tmp_path, run()), tmp_path / "RESULTS.md", readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# phonemo\n\n{report.START}\n| corpus |")
    assert text.endswith(f" |\n{report.END}\n\nmore\n")
    assert "stale table" not in text
    assert table_row(text, "emodb |")[4:] == ["87.5", "87.5 (75.0 to 100.0)", "66.7"]


@pytest.mark.parametrize(
    "text",
    [
        "no markers\n",
        f"{report.START}\n",
        f"{report.END}\n{report.START}\n",
        f"{README}{README}",
        f"{report.START}\n{README}",
        f"{README}{report.END}\n",
        None,
    ],
)
def test_a_readme_without_markers_changes_no_file(tmp_path: Path, text: str | None) -> None:
    readme = tmp_path / "README.md"
    if text is not None:
        readme.write_text(text, encoding="utf-8")
    with pytest.raises(ResultError, match=r"README\.md: .*<!-- results:start -->"):
        report.write_results(save(tmp_path, run()), tmp_path / "RESULTS.md", readme)
    assert not (tmp_path / "RESULTS.md").exists()


# malformed results


def _deep(path: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            data = data[parent]
        data[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda data: data.pop("title"), "title"),
        (lambda data: data["results"]["wa"].pop("mean"), "results.wa.mean"),
        (_deep("results.ua.mean", 87.5), "results.ua.mean"),
        (_deep("results.ua.mean", float("nan")), "results.ua.mean"),
        (_deep("results.confusion.counts", [[1, 2]]), "results.confusion"),
        (_deep("protocol", {}), "protocol.name"),
        (_deep("seeds", []), "seeds"),
    ],
)
def test_a_malformed_file_is_named_with_its_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], key: str
) -> None:
    data = json.loads(json.dumps(run()))
    change(data)
    with pytest.raises(ResultError) as caught:
        written(tmp_path, data)
    assert "emodb-multi/metrics.json: key " + repr(key) in caught.value.args[0].replace("\\", "/")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b""])
def test_a_file_that_is_no_json_object_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results" / "x" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"metrics\.json: ") as caught:
        report.write_results(tmp_path / "results", tmp_path / "RESULTS.md")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "RESULTS.md").exists()


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, run("one"))
    (folder / "two").mkdir()
    (folder / "two" / "metrics.json").write_text(json.dumps(run("one")), encoding="utf-8")
    with pytest.raises(ResultError, match=r"key 'name': 'one' is also in"):
        report.write_results(folder, tmp_path / "RESULTS.md")


# the terminal


def test_summary_by_hand() -> None:
    lines = report.summary_lines(run())
    assert lines[0] == "emodb-multi: emodb-multi, frozen (emodb, speaker, 2 folds, seeds 1)"
    interval = "95 % interval 75.0 to 100.0"
    assert lines[2] == f"  UA       87.5 %, {interval}, fold mean 87.5, sd 17.7 points"
    assert lines[4] == "  chance   WA 50.0, UA 50.0 (always the commonest class), %"
    assert lines[5] == "  PER      66.7 %"
    assert lines[-2].split() == ["9", "1", "4", "100.0", "100.0", "100.0"]
    assert lines[-1].split() == ["10", "1", "4", "75.0", "75.0", "73.3"]


def test_summary_says_when_a_protocol_leaks() -> None:
    assert not any("LEAKY" in line for line in report.summary_lines(run()))
    assert any("LEAKY" in line for line in report.summary_lines(run(leaky=True)))


def test_summary_of_malformed_metrics_is_one_clear_line() -> None:
    with pytest.raises(ResultError, match=r"^metrics: key 'corpus': "):
        report.summary_lines({key: value for key, value in run().items() if key != "corpus"})
    with pytest.raises(ResultError, match=r"^results: key 'wa': "):
        report.results_lines({key: value for key, value in RESULTS.items() if key != "wa"})


# plots

LOG = [
    {"epoch": 1, "loss": 2.0, "loss_emotion": 1.5, "loss_phonemes": 5.0},
    {"epoch": 1, "eval_loss": 1.9, "eval_ua": 0.5, "eval_wa": 0.6},
    {"epoch": 2, "loss": 1.0, "loss_emotion": float("nan")},
    {"epoch": 2, "eval_loss": 1.8, "eval_ua": 0.7, "eval_wa": None},
    {"epoch": 3, "eval_loss": 1.7, "eval_ua": 0.7},
]


def size_of(path: Path) -> tuple[int, int]:
    image = pytest.importorskip("matplotlib.image", reason="needs matplotlib to draw")
    height, width, _ = image.imread(path).shape
    return width, height


@pytest.fixture
def drawing() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("classes", [2, 4, 12])
def test_confusion_plot_grows_with_the_classes(tmp_path: Path, classes: int) -> None:
    names = [f"emotion {n}" for n in range(classes)]
    counts = [[n * m for m in range(classes)] for n in range(classes)]
    path = tmp_path / "plots" / "confusion.png"
    report.plot_confusion({"labels": names, "counts": counts}, path, "title")
    assert size_of(path)[1] > 100 * classes


@pytest.mark.usefixtures("drawing")
def test_plots_are_the_same_bytes_twice_and_touch_no_global_state(tmp_path: Path) -> None:
    before = set(sys.modules)
    for name in ("one.png", "two.png"):
        report.plot_reliability(RESULTS["calibration"], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert "matplotlib.pyplot" not in set(sys.modules) - before


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("rows", [LOG, LOG[:1], LOG[1:2], [{"epoch": 0.5, "loss": -1.0}]])
def test_learning_curves_take_any_part_of_a_log(tmp_path: Path, rows: list[Any]) -> None:
    report.plot_learning_curves(rows, tmp_path / "curves.png")
    assert size_of(tmp_path / "curves.png")[0] > 1000


def test_the_best_epoch_is_the_first_with_the_best_ua() -> None:
    losses = {key: plots._series(LOG, key) for key in plots.LOSSES}
    scores = {key: plots._series(LOG, key) for key in plots.SCORES}
    assert plots._best_epoch(losses, scores) == 2
    assert plots._best_epoch(losses, {key: [] for key in scores}) == 3
    assert losses["loss_emotion"] == [(1.0, 1.5)]


@pytest.mark.usefixtures("drawing")
def test_a_risk_coverage_plot_shows_the_models_own_thresholds_where_they_have_any(
    tmp_path: Path,
) -> None:
    bare = RESULTS["selective"]
    cases = {
        "bare": bare,
        "again": dict(bare),
        "given": bare | {"coverage": 0.5, "risk": 0.1},
        "fewer": bare | {"coverage": 0.25, "risk": 0.1},
        "none": bare | {"coverage": 0.0, "risk": None},
    }
    drawn = {}
    for name, selective in cases.items():
        report.plot_risk_coverage(selective, tmp_path / "plots" / f"{name}.png", "title")
        drawn[name] = (tmp_path / "plots" / f"{name}.png").read_bytes()
    assert drawn["bare"] == drawn["again"] == drawn["none"]
    assert len({drawn["bare"], drawn["given"], drawn["fewer"]}) == 3
    assert size_of(tmp_path / "plots" / "given.png")[0] > 600


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("change", ["area", "curve", "title"])
def test_a_risk_coverage_plot_depends_on_all_that_it_is_given(tmp_path: Path, change: str) -> None:
    curve = [{"coverage": 0.5, "risk": 0.0, "threshold": 0.8}]
    other = {"area": {"area": 0.4}, "curve": {"curve": curve}, "title": {}}[change]
    one = RESULTS["selective"]
    report.plot_risk_coverage(one, tmp_path / "one.png", "one")
    report.plot_risk_coverage(one | other, tmp_path / "two.png", "two" if not other else "one")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (
            lambda path: report.plot_risk_coverage({"curve": [], "area": 0.0}, path, "t"),
            "expected points in the risk-coverage curve",
        ),
        (lambda path: report.plot_learning_curves([], path), "expected an epoch with a loss"),
        (
            lambda path: report.plot_learning_curves([{"loss": 1.0}], path),
            "expected an epoch with a loss",
        ),
        (
            lambda path: report.plot_reliability({"bins": []}, path),
            "expected a bin with utterances",
        ),
        (
            lambda path: report.plot_confusion({"labels": ["a"], "counts": []}, path, "t"),
            "expected counts of 1 x 1 labels",
        ),
    ],
)
def test_nothing_to_draw_is_one_clear_line(
    tmp_path: Path, draw: Callable[[Path], None], words: str
) -> None:
    with pytest.raises(ResultError, match=words):
        draw(tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MissingExtraError, match=r"phonemo\[train\]"):
        report.plot_reliability(RESULTS["calibration"], tmp_path / "plot.png")


# model cards

CARD = """# a model

<!-- results:start one -->
<!-- results:end -->
in words
<!-- details:start two -->
stale words
<!-- details:end -->
end
"""


def carded(tmp_path: Path, text: str) -> Path:
    card = tmp_path / "models" / "m" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text(text, encoding="utf-8")
    return card


def test_a_card_shows_the_runs_that_it_names(tmp_path: Path) -> None:
    card, folder = carded(tmp_path, CARD), save(tmp_path, run("one"), run("two"))
    page = tmp_path / "RESULTS.md"
    assert report.stale(folder, page, cards=[card]) == [page, card]
    report.write_results(folder, page, cards=[card])
    text = card.read_text(encoding="utf-8")
    above, below = text.split("in words")
    assert "one, frozen" in above
    assert "two" not in above
    assert "### two" in below
    assert "stale words" not in below
    assert text.endswith("<!-- details:end -->\nend\n")
    assert report.stale(folder, page, cards=[card]) == []


def test_a_card_that_names_an_unknown_run_is_refused(tmp_path: Path) -> None:
    card, folder = carded(tmp_path, CARD), save(tmp_path, run("one"))
    with pytest.raises(ResultError, match="expected a result of one, got 'two'"):
        report.write_results(folder, tmp_path / "RESULTS.md", cards=[card])
    assert not (tmp_path / "RESULTS.md").exists()


@pytest.mark.parametrize("line", ["<!-- results:start one -->", "<!-- details:end -->"])
def test_a_card_with_half_a_pair_of_markers_is_refused(tmp_path: Path, line: str) -> None:
    card, folder = carded(tmp_path, f"{CARD}\n{line}\n"), save(tmp_path, run("one"), run("two"))
    with pytest.raises(ResultError, match="has no partner"):
        report.write_results(folder, tmp_path / "RESULTS.md", cards=[card])


def test_a_run_over_several_corpora_has_a_table_of_them(tmp_path: Path) -> None:
    mixed = json.loads(json.dumps(RESULTS))
    mixed["per_corpus"] = {"x": {"utterances": 3, "wa": 0.5, "ua": 0.25}}
    text = written(tmp_path, run(results=mixed))
    assert "| corpus | utterances | WA % | UA % |\n| --- | --- | --- | --- |\n| x | 3 |" in text


def test_a_run_with_styles_has_a_table_of_them(tmp_path: Path) -> None:
    styled = json.loads(json.dumps(RESULTS))
    styled["per_style"] = {"scripted": {"utterances": 3, "wa": 0.5, "ua": 0.25}}
    text = written(tmp_path, run(results=styled))
    assert "| style | utterances | WA % | UA % |\n| --- | --- | --- | --- |\n" in text
    assert table_row(text, "scripted |") == ["scripted", "3", "50.0", "25.0"]
    assert "| style |" not in written(tmp_path / "bare", run())


def test_details_show_scaling_and_thresholds(tmp_path: Path) -> None:
    scaled = json.loads(json.dumps(RESULTS))
    scaled["uncalibrated"] = scaled["calibration"] | {"ece": 0.321, "brier": 1.5, "nll": 2.25}
    scaled["selective"] |= {"coverage": 0.75, "risk": 0.125}
    text = written(tmp_path, run(results=scaled))
    assert "; before temperature scaling ECE 32.1 %, Brier 1.500, NLL 2.250 nats\n" in text
    assert "\n- at the models' own thresholds 75.0 % answered, 12.5 % of them wrong\n" in text
    bare = written(tmp_path / "bare", run())
    assert "temperature scaling" not in bare
    assert "thresholds" not in bare
