"""Studies of several runs: ablations and corpora, as sections of RESULTS.md and on the terminal."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.errors import ResultError
from phonemo.evaluation import report
from phonemo.evaluation import summary as scoring
from phonemo.evaluation.prediction_rows import validate_rows
from phonemo.evaluation.significance import compare, holm
from phonemo.evaluation.studies.study_tables import ablation_lines, cross_lines, table_rows
from phonemo.labels import LabelSet

LABELS = LabelSet(("anger", "neutral", "sadness"))
HOSTILE = "a | b\n<!-- results:end --> <b>c</b> & `d`"
UNHARMED = "a \\| b &lt;!-- results:end --> &lt;b>c&lt;/b> &amp; `d`"


def score(mean: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    spread = {"per_seed": [mean], "fold_mean": mean, "fold_sd": None}
    return {"mean": mean, "low": low, "high": high, **spread}


def arm(name: str, **changes: Any) -> dict[str, Any]:
    """A row of ablation.json."""
    return {
        "arm": name,
        "changes": {},
        "config": f"digest-{name}",
        "corpus": "emodb",
        "protocol": {"name": "speaker", "folds": None},
        "protocol_note": "",
        "leaky": False,
        "seeds": [1, 2],
        "folds": 10,
        "utterances": 535,
        "speakers": 10,
        "wa": score(0.5),
        "ua": score(0.6, 0.55, 0.65),
        "per": 0.123,
        "ece": 0.045,
        "seconds": 12.0,
        "versus": None,
    } | changes


def against(difference: float, low: Any, high: Any, p: Any, adjusted: Any) -> dict[str, Any]:
    return {"difference": difference, "low": low, "high": high, "p": p, "p_holm": adjusted}


def ablation(*tables: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The content of ablation.json: by default two questions."""
    better = against(0.0312, -0.01, 0.07, 0.1234, 0.2468)
    base = arm("single-task")
    multi = arm("multi-task", changes={"model.auxiliary": None}, versus=better)
    gate = arm("gate", versus=against(-0.2, -0.3, -0.1, 0.01, 0.01), per=None)
    two = (
        {"title": "Do phonemes help?", "baseline": "single-task", "rows": [base, multi]},
        {"title": "Does a gate?", "baseline": "single-task", "rows": [base, gate]},
    )
    return {
        "name": "tasks",
        "command": "phonemo ablate configs/tasks.yaml",
        "config": "0123456789ab",
        "configs": {"single-task": "abc"},
        "phonemo": "0.1.0",
        "cores": 2,
        "tables": list(tables or two),
    } | changes


def cell(train: str, test: str, **changes: Any) -> dict[str, Any]:
    """A pair of cross.json."""
    return {
        "train": train,
        "test": test,
        "run": f"{train}-run",
        "config": "abc",
        "protocol": "speaker",
        "leaky": False,
        "models": 10,
        "utterances": 100,
        "speakers": 10,
        "wa": score(0.5),
        "ua": score(0.5, 0.4, 0.6),
        "ece": 0.1,
    } | changes


def crossing(*cells: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The content of cross.json: by default two corpora."""
    four = (
        cell("emodb", "emodb", ua=score(0.875, 0.75, 1.0)),
        cell("emodb", "nemo", ua=score(0.333, 0.3, 0.4)),
        cell("nemo", "emodb", ua=score(0.25)),
        cell("nemo", "nemo", leaky=True),
    )
    return {
        "name": "corpora",
        "command": "phonemo cross a b",
        "labels": ["anger", "neutral", "sadness", "fear"],
        "merge": {"excited": "happiness", "calm": "neutral"},
        "cells": list(cells or four),
    } | changes


def save(folder: Path, **contents: Any) -> Path:
    """``ablation=`` and ``cross=`` into results/study."""
    result = folder / "results" / "study"
    result.mkdir(parents=True)
    for name, content in contents.items():
        (result / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "results"


def written(folder: Path, **contents: Any) -> str:
    report.write_results(save(folder, **contents), folder / "RESULTS.md")
    return (folder / "RESULTS.md").read_text(encoding="utf-8")


def table_row(text: str, start: str, place: int = 0) -> list[str]:
    line = [line for line in text.splitlines() if line.startswith(f"| {start} |")][place]
    return [item.strip() for item in line.removeprefix("|").removesuffix("|").split(" | ")]


# ablations in RESULTS.md


def test_an_arm_by_hand(tmp_path: Path) -> None:
    text = written(tmp_path, ablation=ablation())
    assert table_row(text, "multi-task") == [
        "multi-task",
        "`model.auxiliary=null`",
        "50.0",
        "60.0 (55.0 to 65.0)",
        "12.3",
        "4.5",
        "+3.1 (-1.0 to +7.0)",
        "0.123",
        "0.247",
        "`digest-multi-task`",
    ]
    assert table_row(text, "gate")[4:9] == ["-", "4.5", "-20.0 (-30.0 to -10.0)", "0.010", "0.010"]


def test_the_baseline_has_no_comparison(tmp_path: Path) -> None:
    cells = table_row(written(tmp_path, ablation=ablation()), "single-task")
    assert cells[1] == "-"
    assert cells[6:9] == ["-", "-", "-"]


def test_every_question_has_its_table_below_its_title(tmp_path: Path) -> None:
    text = written(tmp_path, ablation=ablation())
    expected = ("## Ablations\n", "### tasks\n", "**Do phonemes help?**", "| multi-task |")
    places = [text.index(item) for item in (*expected, "**Does a gate?**", "| gate |")]
    assert places == sorted(places)
    assert text.count("| arm | changes |") == 2
    assert "Nothing was measured" not in text


def test_the_facts_of_an_ablation(tmp_path: Path) -> None:
    text = written(tmp_path, ablation=ablation())
    assert "- emodb: 535 utterances, 10 speakers; protocol speaker, 10 folds, seeds 1, 2\n" in text
    words = " ".join(text.split())
    assert "- measured by phonemo 0.1.0, config `0123456789ab`, with `phonemo ablate" in words
    assert "leaky" not in text[text.index("## Ablations") :]


def test_a_leaky_ablation_is_marked_with_its_note(tmp_path: Path) -> None:
    rows = [arm("a", leaky=True, protocol_note="All share"), arm("b")]
    text = written(tmp_path, ablation=ablation({"title": "t", "baseline": "a", "rows": rows}))
    assert "protocol **leaky** speaker, 10 folds" in text
    assert "\n- All share\n" in text


def test_one_speaker_has_a_difference_and_no_p(tmp_path: Path) -> None:
    alone = arm("b", ua=score(0.7), versus=against(0.1, None, None, None, None))
    rows = [arm("a", ua=score(0.6)), alone]
    text = written(tmp_path, ablation=ablation({"title": "t", "baseline": "a", "rows": rows}))
    cells = table_row(text, "b")
    assert cells[3] == "70.0"
    assert cells[6:9] == ["+10.0", "-", "-"]


def test_studies_follow_the_tables_in_folder_order(
    tmp_path: Path,
) -> None:
    for name in ("study-10", "study-9"):
        result = tmp_path / "results" / name
        result.mkdir(parents=True)
        text = json.dumps(ablation(name=f"by {name}"))
        (result / "ablation.json").write_text(text, encoding="utf-8")
        (result / "cross.json").write_text(json.dumps(crossing()), encoding="utf-8")
    folder = write_run(tmp_path / "results" / "one", answers(0.7))
    assert folder.is_dir()
    report.write_results(tmp_path / "results", tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    expected = (
        "## emodb",
        "## Ablations",
        "### by study-9",
        "### by study-10",
        "## Across corpora",
    )
    places = [text.index(item) for item in (*expected, "## Runs in detail", "### one")]
    assert places == sorted(places)
    assert text.count("## Ablations") == text.count("## Across corpora") == 1


# corpora in RESULTS.md


def test_a_matrix_by_hand(tmp_path: Path) -> None:
    text = written(tmp_path, cross=crossing())
    assert "## Across corpora\n" in text
    assert "### corpora\n" in text
    assert "| trained on | run | emodb | nemo |\n" in text
    expected = ["emodb", "emodb-run", "87.5 (75.0 to 100.0)\\*", "33.3 (30.0 to 40.0)"]
    assert table_row(text, "emodb") == expected
    expected = ["nemo", "nemo-run", "25.0", "**leaky** 50.0 (40.0 to 60.0)\\*"]
    assert table_row(text, "nemo") == expected


def test_the_facts_of_a_matrix(tmp_path: Path) -> None:
    text = written(tmp_path, cross=crossing())
    assert "- emotions: anger, neutral, sadness, fear (chance 25.0); other utterances" in text
    assert "- counted together: calm as neutral, excited as happiness\n" in text
    assert "- measured with `phonemo cross a b`\n" in text
    assert "- counted together: none\n" in written(tmp_path / "bare", cross=crossing(merge={}))


def test_a_pair_that_was_not_tested_is_a_dash(tmp_path: Path) -> None:
    text = written(tmp_path, cross=crossing(cell("a", "x"), cell("b", "y")))
    assert table_row(text, "a")[2:] == ["50.0 (40.0 to 60.0)", "-"]
    assert table_row(text, "b")[2:] == ["-", "50.0 (40.0 to 60.0)"]


# the page


def test_writing_twice_changes_nothing_and_nothing_is_stale(tmp_path: Path) -> None:
    folder = save(tmp_path, ablation=ablation(), cross=crossing())
    page = tmp_path / "RESULTS.md"
    assert report.stale(folder, page) == [page]
    report.write_results(folder, page)
    before = page.read_bytes(), page.stat().st_mtime_ns
    assert report.stale(folder, page) == []
    report.write_results(folder, page)
    assert (page.read_bytes(), page.stat().st_mtime_ns) == before
    text = json.dumps(ablation(name="renamed"))
    (folder / "study" / "ablation.json").write_text(text, encoding="utf-8")
    assert report.stale(folder, page) == [page]


def test_the_page_does_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    turned = dict(reversed(ablation().items()))
    one = written(tmp_path / "one", ablation=ablation())
    assert written(tmp_path / "two", ablation=turned) == one


def test_hostile_words_cannot_break_an_ablation(tmp_path: Path) -> None:
    hostile = arm(
        HOSTILE,
        changes={"a|b": "<c> | `d`\n| e |"},
        config="x|y",
        corpus=HOSTILE,
        protocol={"name": HOSTILE},
        protocol_note=HOSTILE,
    )
    table = {"title": HOSTILE, "baseline": "x", "rows": [hostile, arm("b")]}
    text = written(tmp_path, ablation=ablation(table, name=HOSTILE, command="x | y\n| z |"))
    assert "<!--" not in text
    assert "<b>" not in text
    assert f"### {UNHARMED}\n" in text
    assert f"**{UNHARMED}**\n" in text
    assert f"| {UNHARMED} | `` a\\|b=" in text
    assert "`x \\| y \\| z \\|`" in text
    assert {columns(line) for line in text.splitlines() if line.startswith("|")} == {10}


def test_hostile_words_cannot_break_a_matrix(tmp_path: Path) -> None:
    hostile = crossing(
        cell(HOSTILE, "x", run=HOSTILE),
        cell(HOSTILE, HOSTILE, run=HOSTILE),
        name=HOSTILE,
        labels=["a|b", "<c>"],
        merge={HOSTILE: "<c>"},
        command="x | y",
    )
    text = written(tmp_path, cross=hostile)
    assert "<!--" not in text
    assert "<c>" not in text
    assert f"| trained on | run | x | {UNHARMED} |\n" in text
    assert f"\n| {UNHARMED} | {UNHARMED} | 50.0" in text
    assert {columns(line) for line in text.splitlines() if line.startswith("|")} == {4}


def columns(line: str) -> int:
    """How many cells a reader of Markdown sees."""
    return line.replace("\\|", "").count("|") - 1


# malformed studies


def deep(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what lies at a path, or takes it away where the value is None."""

    def change(data: Any) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            data = data[int(parent) if parent.isdigit() else parent]
        if value is None:
            del data[last]
        else:
            data[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", None),
        ("tables", None),
        ("tables.0.title", None),
        ("tables.1.rows", []),
        ("tables.0.rows.1.ua.mean", 60.0),
        ("tables.0.rows.1.ua.low", float("nan")),
        ("tables.0.rows.0.protocol.name", None),
        ("tables.0.rows.1.versus.difference", 3.1),
        ("tables.0.rows.1.versus.p", 1.5),
        ("tables.0.rows.1.versus.p_holm", -0.1),
        ("tables.0.rows.0.ece", None),
        ("tables.0.rows.0.folds", -1),
    ],
)
def test_a_malformed_ablation_is_named_with_its_key(tmp_path: Path, path: str, value: Any) -> None:
    refused(tmp_path, "ablation", ablation(), path, value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("command", None),
        ("labels", ["anger"]),
        ("merge", ["calm"]),
        ("cells", []),
        ("cells.3.train", None),
        ("cells.0.ua.mean", 87.5),
        ("cells.2.leaky", "perhaps"),
        ("cells.0.utterances", -1),
    ],
)
def test_a_malformed_matrix_is_named_with_its_key(tmp_path: Path, path: str, value: Any) -> None:
    refused(tmp_path, "cross", crossing(), path, value)


def refused(folder: Path, name: str, data: dict[str, Any], path: str, value: Any) -> None:
    data = json.loads(json.dumps(data))
    deep(path, value)(data)
    with pytest.raises(ResultError) as caught:
        written(folder, **{name: data})
    message = str(caught.value).replace("\\", "/")
    assert f"results/study/{name}.json: key {path!r}: " in message
    assert "\n" not in message
    assert not (folder / "RESULTS.md").exists()


@pytest.mark.parametrize("name", ["ablation", "cross"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b""])
def test_a_file_that_is_no_study_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    folder = save(tmp_path)
    (folder / "study" / f"{name}.json").write_bytes(content)
    with pytest.raises(ResultError, match=rf"{name}\.json: ") as caught:
        report.write_results(folder, tmp_path / "RESULTS.md")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "RESULTS.md").exists()


# on the terminal


def test_an_ablation_on_the_terminal_by_hand() -> None:
    first, header, base, multi, second, *_, gate, last = ablation_lines(ablation())
    assert (first, second) == ("Do phonemes help?", "Does a gate?")
    expected = ("WA %", "UA %", "PER %", "against", "95 % interval", "p")
    expected = (*expected, "p (Holm)", "p (folds)")
    assert " ".join(header.split()) == " ".join(expected)
    assert base.split() == ["single-task", "50.0", "60.0", "12.3"]
    expected = (
        "multi-task",
        "50.0",
        "60.0",
        "12.3",
        "+3.1",
        "-1.0",
        "to",
        "+7.0",
        "0.123",
        "0.247",
        "-",
    )
    assert tuple(multi.split()) == expected
    expected = ("gate", "50.0", "60.0", "-", "-20.0", "-30.0", "to", "-10.0")
    expected = (*expected, "0.010", "0.010", "-")
    assert tuple(gate.split()) == expected
    assert "first row" in last


def test_terminal_columns_are_aligned_with_their_names() -> None:
    _, header, _, multi, *_ = ablation_lines(ablation())
    for name, value in (("WA %", "50.0"), ("against", "+3.1"), ("p (Holm)", "0.247")):
        assert header.index(name) + len(name) == multi.index(value) + len(value)
    assert header.index("  p ") + 3 == multi.index("0.123") + len("0.123")


def test_one_speaker_on_the_terminal() -> None:
    alone = arm("b", versus=against(-0.05, None, None, None, None))
    result = ablation({"title": "t", "baseline": "a", "rows": [arm("a"), alone]})
    assert list(ablation_lines(result))[3].split()[-4:] == ["-5.0", "one", "speaker:", "none"]


def test_a_matrix_on_the_terminal_by_hand() -> None:
    chance, merged, header, first, second, last = cross_lines(crossing())
    assert chance == "UA %, 4 emotions: anger, neutral, sadness, fear (chance 25.0)"
    assert merged == "counted together: calm as neutral, excited as happiness"
    assert header.split() == ["trained", "on", "emodb", "nemo"]
    assert first.split() == ["emodb", "87.5*", "(75.0-100.0)", "33.3", "(30.0-40.0)"]
    assert second.split() == ["nemo", "25.0", "50.0*", "(40.0-60.0)", "LEAKY"]
    assert header.index("emodb") + len("emodb") == first.index("(75.0-100.0)") + 12
    assert last.startswith("*: ")


def test_without_merges_a_matrix_does_not_mention_them() -> None:
    lines = list(cross_lines(crossing(merge={})))
    assert len(lines) == 5
    assert not any("together" in line for line in lines)


# the rows of a table, from run folders


def answers(
    accuracy: float, speakers: int = 5, each: int = 9, draw: int = 0, **more: Any
) -> list[dict[str, Any]]:
    """Answers that are right with this probability, one fold a speaker."""
    random = np.random.default_rng(draw)
    made = []
    for speaker, number in itertools.product(range(speakers), range(each)):
        truth = number % 3
        label = truth if random.random() < accuracy else (truth + 1 + random.integers(2)) % 3
        row = {"id": f"{speaker}-{number}", "fold": f"speaker-{speaker}", "seed": 1}
        row |= {"speaker": str(speaker), "gender": None, "truth": LABELS.names[truth]}
        scores = {name: 0.6 if n == label else 0.2 for n, name in enumerate(LABELS.names)}
        made.append(row | {"label": LABELS.names[label], "scores": scores} | more)
    return made


def write_run(folder: Path, rows: Sequence[dict[str, Any]], **more: Any) -> Path:
    """A run folder as phonemo train leaves it."""
    metrics = {"name": folder.name, "title": folder.name, "command": "c", "config": folder.name}
    metrics |= {"protocol": {"name": "speaker", "parts": 5}, "protocol_note": "a note"}
    metrics |= {"leaky": False, "seeds": [1], "corpus": "emodb", "model": {}, "phonemo": "0.1.0"}
    metrics |= {"seconds": 2.5, "results": scoring.summarize(rows, LABELS)}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics | more), encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    return folder


MADE: dict[str, list[dict[str, Any]]] = {
    "base": answers(0.4),
    "twin": answers(0.4),
    "better": answers(0.95, draw=1),
    "middling": answers(0.7, draw=2),
}
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "twin": {"seeds": (1, 2)},
    "better": {"train.epochs": 3, "model.auxiliary": None},
    "middling": {},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("arms")
    return {name: write_run(folder / name, rows) for name, rows in MADE.items()}


@pytest.fixture(scope="module")
def rows(folders: dict[str, Path]) -> list[dict[str, Any]]:
    """A baseline, its twin, a better arm and a middling one."""
    return table_rows(folders, CHANGES, "base", ["twin", "better", "middling"])


def test_the_baseline_is_the_first_row_and_the_others_keep_their_order(
    rows: list[dict[str, Any]],
) -> None:
    assert [row["arm"] for row in rows] == ["base", "twin", "better", "middling"]
    assert [row["versus"] is None for row in rows] == [True, False, False, False]


def test_a_row_equals_its_run(rows: list[dict[str, Any]]) -> None:
    row, summary = rows[2], scoring.summarize(MADE["better"], LABELS)
    assert (row["wa"], row["ua"]) == (summary["wa"], summary["ua"])
    assert (row["ece"], row["per"]) == (summary["calibration"]["ece"], None)
    assert (row["folds"], row["utterances"], row["speakers"]) == (5, 45, 5)
    assert (row["config"], row["corpus"], row["seconds"]) == ("better", "emodb", 2.5)
    assert row["protocol"] == {"name": "speaker", "parts": 5}
    assert (row["protocol_note"], row["leaky"], row["seeds"]) == ("a note", False, [1])
    assert row["changes"] == CHANGES["better"]


def test_a_difference_is_that_of_a_comparison(rows: list[dict[str, Any]]) -> None:
    comparison = compare(validate_rows(MADE["base"], LABELS), validate_rows(MADE["better"], LABELS))
    ua, versus = comparison.scores["ua"], rows[2]["versus"]
    assert versus["difference"] == ua.difference > 0.3
    assert (versus["low"], versus["high"], versus["p"]) == (ua.low, ua.high, ua.p)
    assert versus["p"] == 2 / 2**5, "every speaker is better, and both ends count"


def test_p_is_adjusted_for_the_arms_of_the_table(
    rows: list[dict[str, Any]], folders: dict[str, Path]
) -> None:
    twin, better, middling = (row["versus"] for row in rows[1:])
    assert (twin["difference"], twin["p"], twin["p_holm"]) == (0, 1, 1)
    # three arms: three times the lowest p, twice the next, once the highest
    assert better["p"] == middling["p"] == 2 / 2**5
    assert better["p_holm"] == middling["p_holm"] == 3 * 2 / 2**5
    _, pair = table_rows(folders, CHANGES, "better", ["base"])
    assert pair["versus"]["difference"] == -better["difference"]
    assert pair["versus"]["p_holm"] == pair["versus"]["p"] == 2 / 2**5, "one arm is not adjusted"


def test_rows_are_json_that_makes_a_table(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    table = {"title": "t", "baseline": "base", "rows": rows}
    text = written(tmp_path, ablation=ablation(json.loads(json.dumps(table, allow_nan=False))))
    assert table_row(text, "twin")[1] == "`seeds=[1, 2]`"
    assert table_row(text, "twin")[6:9] == ["+0.0 (+0.0 to +0.0)", "1.000", "1.000"]
    assert table_row(text, "better")[7:9] == ["0.062", "0.188"]
    lines = list(ablation_lines({"tables": [table]}))
    assert lines[4].split()[-3:] == ["0.062", "0.188", "0.062"], "every fold is a speaker"


def test_the_p_of_folds_stands_beside_that_of_speakers(tmp_path: Path) -> None:
    versus = against(0.03, 0.01, 0.05, 0.004, 0.004) | {"p_folds": 0.125}
    table = {"title": "t", "baseline": "a", "rows": [arm("a"), arm("b", versus=versus)]}
    assert table_row(written(tmp_path, ablation=ablation(table)), "b")[7] == "0.004 (folds 0.125)"
    assert list(ablation_lines(ablation(table)))[3].split()[-1] == "0.125"


def test_selected_values_are_counted_by_arm(tmp_path: Path) -> None:
    rates = {"key": "train.rate_heads", "folds": {"a": 0.001, "b": 0.0003, "c": 0.001}}
    rows = [arm("base", tuned=rates), arm("other", tuned=rates | {"folds": {"a": 0.01}})]
    table = {"title": "t", "baseline": "base", "rows": rows}
    text = written(tmp_path, ablation=ablation(table))
    assert "- picked: base 0.001 in 2 folds, 0.0003 in 1 fold; other 0.01 in 1 fold\n" in text


def test_a_single_speaker_has_no_p(tmp_path: Path) -> None:
    runs = {
        "a": write_run(tmp_path / "a", answers(0.5, speakers=1)),
        "b": write_run(tmp_path / "b", answers(0.9, speakers=1, draw=1)),
    }
    _, row = table_rows(runs, {"a": {}, "b": {}}, "a", ["b"])
    empty = dict.fromkeys(("low", "high", "p", "p_holm", "p_folds"))
    assert row["versus"] == {"difference": row["versus"]["difference"]} | empty
    assert row["versus"]["difference"] != 0
    table = {"title": "t", "baseline": "a", "rows": [row | {"versus": None}, row]}
    assert any("one speaker: none" in line for line in ablation_lines({"tables": [table]}))


@pytest.fixture
def pair(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Two finished arms that may be broken."""
    names = {"a": "base", "b": "twin"}
    return {
        item: Path(shutil.copytree(folders[name], tmp_path / f"arm-{item}"))
        for item, name in names.items()
    }


@pytest.mark.parametrize("name", ["metrics.json", "predictions.jsonl"])
@pytest.mark.parametrize("unfinished", ["a", "b"])
def test_an_arm_that_is_not_finished_is_named(
    pair: dict[str, Path], name: str, unfinished: str
) -> None:
    (pair[unfinished] / name).unlink()
    with pytest.raises(
        ResultError, match=f"arm-{unfinished}: expected a run folder .* got no {name}"
    ):
        table_rows(pair, {"a": {}, "b": {}}, "a", ["b"])


def test_an_arm_with_a_fold_too_few_is_refused(pair: dict[str, Path]) -> None:
    path = pair["b"] / "predictions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-9]), encoding="utf-8")
    with pytest.raises(ResultError, match="9 answers in one run only, such as '4-0'"):
        table_rows(pair, {"a": {}, "b": {}}, "a", ["b"])


def test_arms_of_different_protocols_are_refused(pair: dict[str, Path]) -> None:
    path = pair["b"] / "metrics.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"protocol": {"name": "sentence"}}), encoding="utf-8")
    with pytest.raises(ResultError, match=r"got protocol\.name speaker and sentence"):
        table_rows(pair, {"a": {}, "b": {}}, "a", ["b"])


# Holm


@pytest.mark.parametrize(
    ("values", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x 0.01, 2 x 0.03, 1 x 0.04 but no less
        ([0.04, 0.03, 0.01], [0.06, 0.06, 0.03]),  # in the order that they were given
        ([0.01, 0.02, 0.3], [0.03, 0.04, 0.3]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.5], [1.0, 1.0]),  # a p is never above one
        ([1.0, 0.0], [1.0, 0.0]),
        ([0.25], [0.25]),
        ([], []),
    ],
)
def test_holm_by_hand(values: list[float], adjusted: list[float]) -> None:
    given_values = list(values)
    assert holm(values) == pytest.approx(adjusted)
    assert values == given_values


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni_s(twentieths: list[int]) -> None:
    """P of one is the highest that Bonferroni gives any set of comparisons that it is in."""
    values = [twentieth / 20 for twentieth in twentieths]
    places = range(len(values))
    sets = [
        combination for size in places for combination in itertools.combinations(places, size + 1)
    ]
    expected = [
        max(min(1.0, len(item) * min(values[n] for n in item)) for item in sets if place in item)
        for place in places
    ]
    assert holm(values) == pytest.approx(expected)


def test_a_leaky_table_is_marked_in_the_terminal_and_on_the_page(tmp_path: Path) -> None:
    leaky = {"title": "t", "baseline": "a", "rows": [arm("a"), arm("b", leaky=True)]}
    assert any("LEAKY" in line for line in ablation_lines({"tables": [leaky]}))
    clean = {"title": "t", "baseline": "a", "rows": [arm("a"), arm("b")]}
    assert not any("LEAKY" in line for line in ablation_lines({"tables": [clean]}))
    text = written(tmp_path, ablation=ablation(clean, leaky))
    assert text.count("protocol **leaky** ") == 1


def test_arms_without_a_finished_cell_are_named(tmp_path: Path) -> None:
    table = {"title": "t", "baseline": "a", "rows": [arm("a")]}
    result = ablation(table, missing=["wild"])
    assert "left out, no finished run or not chosen: wild" in list(ablation_lines(result))
    assert "- left out, not finished: wild" in written(tmp_path, ablation=result)


def test_a_backbone_pretrained_on_the_corpus_is_marked(tmp_path: Path) -> None:
    text = written(tmp_path, cross=crossing(cell("a", "a"), cell("a", "b", heard=True)))
    assert text.count("(pretrained on, without labels)") == 1
