"""The report on an ablation's arms, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from phonemo.errors import ResultError
from tests.benchmarks import REPOSITORY

assert REPOSITORY
import arms as benchmark  # noqa: E402

TEXTS = (("a", "b", "c", "d"), ("a", "x", "c", "y"))


def write_cell(
    arm: Path, seed: int, fold: str, ua: float, outputs=None, best=2, validation=0.5
) -> None:
    folder = arm / f"seed-{seed}" / fold
    folder.mkdir(parents=True)
    metrics = {"best_step": best, "steps": 2, "best_validation": validation, "results": {"ua": {}}}
    metrics["results"]["ua"]["mean"] = ua
    (folder / "metrics.json").write_text(json.dumps(metrics))
    log = [{"loss_emotion": 2.0}, {"eval_ua": 0.25}, {"loss_emotion": 1.0}, {"eval_ua": 0.75}]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    rows = [
        {"phonemes": list(output), "reference": list(text)}
        for output, text in zip(outputs or (), TEXTS, strict=False)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed in (1, 2):
        for fold, ua in (("one", 0.5), ("two", 0.7)):
            write_cell(tmp_path / "single", seed, fold, ua, best=1)
            write_cell(tmp_path / "multi", seed, fold, ua + 0.1, ("abc", "axcy"))
    for value, ua in (("0.1", 0.4), ("0.2", 0.6)):
        write_cell(tmp_path / f"multi@rate={value}", 1, "one", ua)
    write_cell(tmp_path / "multi@rate=0.2", 2, "one", 0.9)
    (tmp_path / "cache").mkdir()
    return tmp_path


def cells_of(text: str, first: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_curves_candidates_folds_and_sentences(folder, capsys):
    benchmark.main([str(folder)])
    text = capsys.readouterr().out
    assert cells_of(text, "single") == ["single", "4", "25.0 75.0", "2.00 1.00", "0 of 4"]
    assert cells_of(text, "multi")[-1] == "4 of 4"
    _, table, pairs, _ = text.split("\n\n", 3)
    assert cells_of(table, "multi@rate=0.2") == ["multi@rate=0.2", "1", "50.0", "60.0"]
    assert cells_of(pairs, "one") == ["one", "2", "60.0", "50.0", "-10.0"]
    assert cells_of(pairs, "two") == ["two", "2", "80.0", "70.0", "-10.0"]
    assert "mean over folds -10.0 (-10.0 to -10.0, Student's t)" in text
    assert "multi: a b c d: 4 of 4 outputs are a b c; 0 are right" in text
    assert "multi: a x c y: 4 of 4 outputs are a x c y; 4 are right" in text
    assert (
        "multi: 8 of 8 outputs are nearer to the spoken one of 2 sentences than to any other; "
        "0 substitutions, 4 deletions, 0 insertions of 32 phonemes"
    ) in text


def test_an_archive_has_the_selected_cells_among_the_candidates(tmp_path, capsys):
    """Fold one selects 0.2, fold two is tied: the first value, fold three is unfinished."""
    write_cell(tmp_path / "single", 1, "one", 0.5)
    for value, fold, validation, ua in (
        ("0.1", "one", 0.6, 0.91),
        ("0.2", "one", 0.7, 0.72),
        ("0.1", "two", 0.7, 0.63),
        ("0.2", "two", 0.7, 0.94),
        ("0.1", "three", 0.9, 0.95),
    ):
        write_cell(tmp_path / f"multi@rate={value}", 1, fold, ua, validation=validation)
    write_cell(tmp_path / "multi@rate=0.2", 2, "one", 0.74, validation=0.1)
    write_cell(tmp_path / "multi@rate=0.1", 10, "one", 0.75, validation=0.9)
    arms = benchmark.read_arms(tmp_path)
    assert {(cell.fold, cell.seed): cell.ua for cell in arms["multi"]} == {
        ("one", "seed-1"): pytest.approx(72),
        ("one", "seed-2"): pytest.approx(74),
        ("two", "seed-1"): pytest.approx(63),
    }
    benchmark.main([str(tmp_path)])
    _, _, pairs, _ = capsys.readouterr().out.split("\n\n", 3)
    assert cells_of(pairs, "one") == ["one", "1", "72.0", "50.0", "-22.0"]


def test_an_output_between_two_sentences_is_not_counted(tmp_path):
    write_cell(tmp_path / "multi", 1, "one", 0.5, ("ac", "abcd"))
    (cell,) = benchmark.read_arms(tmp_path)["multi"]
    assert next(benchmark.sentences([cell])).startswith("0 of 2 outputs")


def test_the_mean_over_folds_has_students_interval():
    line = benchmark.student([3.0, 7.6, 6.2, 1.2, 0.7, -1.2])
    assert line == "mean over folds +2.9 (-0.6 to +6.5, Student's t), p 0.089"
    assert benchmark.student([2.0]) == "mean over folds +2.0"


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_cells_is_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultError, match=r"expected the output folder of phonemo ablate, got no"):
        benchmark.main([str(tmp_path / name)])
