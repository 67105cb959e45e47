"""Transfer studies in RESULTS.md and on the terminal, and their picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phonemo.errors import ResultError
from phonemo.evaluation import report
from phonemo.evaluation.transfer.transfer_plots import digest_of_picture, is_current, plot_transfer
from phonemo.evaluation.transfer.transfer_report import transfer_lines
from phonemo.evaluation.transfer.transfer_schema import Transfer

LABELS = ["anger", "neutral"]


def condition(name: str, mean: float, **changes: Any) -> dict[str, Any]:
    pool, share = changes.pop("pool", None), changes.pop("share", None)
    return {
        "name": name,
        "pool": pool,
        "share": share,
        "runs": 3,
        "ua": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "sd": 0.012},
        "wa": mean,
        "recalls": {"anger": mean, "neutral": mean},
        "coverage": 0.5,
        "error": 0.125,
        "ece": 0.034,
    } | changes


def conditions(first: float) -> list[dict[str, Any]]:
    return [
        condition("single", first),
        condition("pool-20", first + 0.1, pool=20),
        condition("pool-all", first + 0.2),
        condition("speaker", first + 0.25),
        condition("even-20", first + 0.1, pool=20, share=0.0),
        condition("80-per-cent-20", first + 0.05, pool=20, share=0.8),
    ]


def left_out(name: str, first: float, **changes: Any) -> dict[str, Any]:
    return {
        "left_out": name,
        "seeds": [1],
        "unlabelled": False,
        "utterances": 100,
        "speakers": 10,
        "picked": [{"seed": 1, "score": 0.61, "choice": {"statistics": [3], "k_mean": 3.0}}],
        "combinations": 9,
        "calibration": [],
        "conditions": conditions(first),
    } | changes


def study(**changes: Any) -> dict[str, Any]:
    """The content of transfer.json."""
    return {
        "name": "four",
        "command": "phonemo transfer configs/transfer.yaml",
        "config": "0123456789ab",
        "phonemo": "0.1.0",
        "labels": LABELS,
        "merge": {"calm": "neutral"},
        "emotion": "neutral",
        "seeds": [1],
        "draws": 5,
        "risk": 0.1,
        "select_by": ["single", "pool-20"],
        "averaged": ["emodb"],
        "unfinished": 0,
        "corpora": [
            {
                "name": name,
                "utterances": 100,
                "speakers": 10,
                "emotions": {"anger": 50, "neutral": 50},
                "left_out": name != "nemo",
            }
            for name in ("emodb", "ravdess", "nemo")
        ],
        "systems": [
            {
                "name": "linear",
                "config": "abc",
                "corpora": [
                    left_out("emodb", 0.5),
                    left_out("ravdess", 0.4, unlabelled=True),
                ],
                "mean": conditions(0.5),
            }
        ],
        "within": [],
    } | changes


def within() -> dict[str, Any]:
    def score(mean: float) -> dict[str, Any]:
        ua = {"mean": mean, "low": None, "high": None, "sd": None}
        return {"ua": ua, "wa": mean, "recalls": {}, "picked": []}

    return {
        "system": "linear",
        "corpus": "nemo",
        "labels": LABELS,
        "teachers": [],
        "utterances": 40,
        "speakers": 9,
        "single": score(0.6),
        "profile": score(0.75),
    }


def picks(*choices: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"speakers": speakers, "choice": choice} for speakers, choice in choices]


def saved(folder: Path, **changes: Any) -> Path:
    result = folder / "results" / "four"
    result.mkdir(parents=True, exist_ok=True)
    (result / "transfer.json").write_text(json.dumps(study(**changes)), encoding="utf-8")
    return folder / "results"


def written(folder: Path, **changes: Any) -> str:
    report.write_results(saved(folder, **changes), folder / "RESULTS.md")
    return (folder / "RESULTS.md").read_text(encoding="utf-8")


def rows_of(text: str, *start: str) -> list[list[str]]:
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in cells if tuple(row[: len(start)]) == start]


def test_a_table_by_hand(tmp_path: Path) -> None:
    text = written(tmp_path)
    heads = "| system | left out | single | adapted, 20 | adapted, all | by speaker |"
    assert heads in text
    first = "50.0 (40.0 to 60.0) ± 1.2"
    (mean, *_) = rows_of(text, "linear", "**mean**")
    assert mean[2:] == [
        first,
        "60.0 (50.0 to 70.0) ± 1.2",
        "70.0 (60.0 to 80.0) ± 1.2",
        "75.0 (65.0 to 85.0) ± 1.2",
    ]
    (beside, *_) = rows_of(
        text, "linear", "ravdess (not in the mean) (pretrained on it, unlabeled)"
    )
    assert beside[2].startswith("40.0")


def test_one_sided_pools_have_a_table_for_each_size(tmp_path: Path) -> None:
    text = written(tmp_path)
    assert (
        "Adapted with 20 recordings: equally many of each emotion, and with a share of neutral"
        in text
    )
    assert "| system | left out | even | 80 % |" in text
    (_, shares, *_) = rows_of(text, "linear", "emodb")
    assert shares[2:] == ["60.0 (50.0 to 70.0) ± 1.2", "55.0 (45.0 to 65.0) ± 1.2"]


def test_selective_recall_and_choice_tables(tmp_path: Path) -> None:
    text = written(tmp_path)
    assert "| linear | emodb | single | 50.0 | 12.5 | 3.4 |" in text
    assert "| linear | emodb | adapted, all | 70.0 | 70.0 |" in text
    assert "| linear | emodb | 9 | 61.0 | `statistics=[3], k_mean=3.0` |" in text


def test_the_facts_of_a_study(tmp_path: Path) -> None:
    text = written(tmp_path, unfinished=2)
    assert "- emotions: anger, neutral (chance 50.0 %); merged: calm as neutral" in text
    assert (
        "- nemo: 100 utterances, 10 speakers (anger 50, neutral 50); used for training only" in text
    )
    assert "- mean over emodb; selected by single, pool-20" in text
    assert "- **2 cells are not finished**" in text


def test_speakers_within_a_corpus(tmp_path: Path) -> None:
    text = written(tmp_path, within=[within()])
    assert "| linear | nemo | 2 | 9 | - | 60.0 | 75.0 |" in text
    assert "within one corpus" not in written(tmp_path / "other")


def test_the_terminal_shows_the_same(tmp_path: Path) -> None:
    lines = list(transfer_lines(study(within=[within()], unfinished=1)))
    assert lines[0] == "four: UA % on corpora left out; seeds 1"
    assert lines[1].split() == ["single", "pool-20", "pool-all", "speaker"]
    assert lines[2].split() == ["linear,", "mean", "50.0", "60.0", "70.0", "75.0"]
    assert "speakers of nemo: single 60.0, with a profile 75.0" in lines[-2]
    assert lines[-1] == "not finished: 1 cells; run the same command again"


def test_a_corpus_without_a_condition_has_a_dash(tmp_path: Path) -> None:
    fewer = left_out("ravdess", 0.4)
    fewer["conditions"] = fewer["conditions"][:1]
    system = study()["systems"][0] | {"corpora": [left_out("emodb", 0.5), fewer], "mean": []}
    text = written(tmp_path, systems=[system])
    assert rows_of(text, "linear", "ravdess (not in the mean)")[0][3:] == ["-", "-", "-"]


def test_a_malformed_file_names_its_key(tmp_path: Path) -> None:
    results = saved(tmp_path, labels=["anger"])
    with pytest.raises(ResultError, match=r"transfer\.json: key 'labels'"):
        report.write_results(results, tmp_path / "RESULTS.md")


# The picture --------------------------------------------------------------------------------------


def test_the_picture_is_drawn_beside_the_page_and_found_stale(tmp_path: Path) -> None:
    text = written(tmp_path)
    picture = tmp_path / "docs" / "images" / "four.png"
    assert "](docs/images/four.png)" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    page, results = tmp_path / "RESULTS.md", tmp_path / "results"
    assert report.stale(results, page) == []
    before = picture.read_bytes()
    report.write_results(results, page)
    assert picture.read_bytes() == before
    saved(tmp_path, draws=6)
    assert report.stale(results, page) == [page, picture]
    picture.write_bytes(b"no picture")
    assert not is_current(Transfer.model_validate(study()), picture)


@pytest.mark.parametrize("sided", [True, False])
def test_the_same_study_gives_the_same_picture(tmp_path: Path, sided: bool) -> None:
    data = study()
    if not sided:
        data["systems"][0]["mean"] = data["systems"][0]["mean"][:3]
        for item in data["systems"][0]["corpora"]:
            item["conditions"] = item["conditions"][:3]
    result = Transfer.model_validate(data)
    for name in ("one.png", "two.png"):
        plot_transfer(result, tmp_path / name)
        assert is_current(result, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    other = Transfer.model_validate(data | {"draws": 9})
    assert digest_of_picture(other) != digest_of_picture(result)
    assert not is_current(other, tmp_path / "one.png")


def test_the_light_page_needs_no_picture_to_be_checked(tmp_path: Path, monkeypatch) -> None:
    results = saved(tmp_path)
    monkeypatch.setattr("phonemo.evaluation.report.plot_transfer", None)
    page = tmp_path / "RESULTS.md"
    assert report.stale(results, page) == [page, tmp_path / "docs" / "images" / "four.png"]


def difference(left_out: str | None, points: float, p: float | None = 0.02) -> dict[str, Any]:
    known = p is not None
    return {
        "system": "joint",
        "against": "linear",
        "left_out": left_out,
        "condition": "pool-20",
        "first": 0.5,
        "second": 0.5 + points,
        "difference": points,
        "low": points - 0.01 if known else None,
        "high": points + 0.01 if known else None,
        "p": p,
        "p_holm": 0.0004 if known else None,
    }


def test_systems_are_compared_in_a_table_and_on_the_terminal(tmp_path: Path) -> None:
    differences = [difference(None, -0.023), difference("emodb", 0.012, None)]
    text = written(tmp_path, differences=differences)
    mean, single = rows_of(text, "joint", "linear")
    assert mean[2:] == ["**mean**", "adapted, 20", "-2.3 (-3.3 to -1.3)", "0.020", "4e-04"]
    assert single[2:] == ["emodb", "adapted, 20", "+1.2", "-", "-"]
    lines = "\n".join(transfer_lines(study(differences=differences)))
    expected = "joint against linear, mean, pool-20: -2.3 (-3.3 to -1.3), p 0.020, adjusted 4e-04"
    assert expected in lines


def test_a_study_of_one_system_compares_nothing(tmp_path: Path) -> None:
    assert "Systems compared" not in written(tmp_path)


def test_selected_hyperparameters_of_speakers_are_named_where_they_differ(tmp_path: Path) -> None:
    result = within()
    result["single"]["picked"] = picks((9, {"ridge": 0.3, "fit": "discriminant"}))
    result["profile"]["picked"] = picks(
        (7, {"ridge": 0.3, "fit": "logistic"}), (2, {"ridge": 0.7, "fit": "logistic"})
    )
    rows = rows_of(written(tmp_path, within=[result]), "linear", "nemo")
    assert ["linear", "nemo", "2", "with a profile", "7 of 9", "`ridge=0.3`"] in rows
    assert ["linear", "nemo", "2", "with a profile", "2 of 9", "`ridge=0.7`"] in rows
    assert not any("without" in row for row in rows)


def test_equal_hyperparameters_of_speakers_have_no_table(tmp_path: Path) -> None:
    result = within()
    result["single"]["picked"] = picks((9, {"ridge": 0.3}))
    assert "hyperparameters that differ" not in written(tmp_path, within=[result])
