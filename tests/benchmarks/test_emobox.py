"""EmoBox' folds as a protocol, and our row in its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import ProtocolError, UsageError
from tests.benchmarks import REPOSITORY
from tests.train.tiny_run import make_config

assert REPOSITORY
from emobox import (  # noqa: E402
    PROTOCOLS,
    TABLE_4,
    compare,
    emobox_config,
    emotions_of,
    table_lines,
)


def score(mean: float, low: float | None = None, high: float | None = None) -> dict:
    return {"leaky": False, "results": {"ua": {"mean": mean, "low": low, "high": high}}}


def test_our_row_stands_where_it_belongs():
    lines = list(table_lines("ravdess", "mine", 14.6, score(0.71234, 0.655, 0.768)))
    assert lines[0] == "ravdess, EmoBox' folds, UA %"
    assert [line.split()[-1] for line in lines[1:3]] == ["75.32", "72.00"]
    assert lines[3] == "  > mine              15 M   71.23  (65.5 to 76.8)"
    assert len(lines) == 1 + len(TABLE_4) + 1


def test_a_leaky_table_says_so():
    head = next(table_lines("emodb", "mine", 15, score(0.9) | {"leaky": True}))
    assert head.endswith("(LEAKY: they share speakers)")


@pytest.fixture
def folds(tmp_path) -> tuple[Path, Path]:
    """A tiny manifest that calls itself emodb, and two folds of it that share speakers."""
    config = make_config(tmp_path / "data")
    manifest = read_manifest(config.manifest)
    path = Path(config.manifest).with_name("emodb.jsonl")
    write_manifest(
        path, manifest.header.model_copy(update={"corpus": "emodb"}), manifest.utterances
    )
    folder = tmp_path / "folds"
    for number in (1, 2):
        place = folder / f"fold_{number}"
        place.mkdir(parents=True)
        for part in ("train", "test"):
            rows = [
                {"wav": f"downloads/{one.id}.wav"}
                for index, one in enumerate(manifest.utterances)
                if (index % 2 == number - 1) == (part == "test")
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (place / f"emodb_{part}_fold_{number}.jsonl").write_text(text)
    names = sorted({one.emotion for one in manifest.utterances if one.emotion})
    shown = {name: name.capitalize() for name in names}
    (folder / "label_map.json").write_text(json.dumps(shown))
    return path, folder


def test_it_runs_the_folds_and_prints_the_table(folds, tmp_path):
    manifest, folder = folds
    backbone = make_config(tmp_path / "other").model.backbone
    config = emobox_config("emodb", manifest, folder, backbone, tmp_path / "run", threads=1)
    assert config.protocol.name == "published-leaky"
    assert config.train.strategy == "logistic"
    found = compare(config, "python benchmarks/emobox.py")
    assert "LEAKY" in found.lines[0]
    assert f"> {Path(backbone).name}" in "\n".join(found.lines)
    assert found.metrics["results"]["utterances"] == len(read_manifest(manifest).utterances)
    assert any("LEAKY" in line for line in found.lines[8:])


def test_a_manifest_of_another_corpus_is_refused(folds, tmp_path):
    manifest, folder = folds
    with pytest.raises(ProtocolError, match="expected a manifest of ravdess, got emodb"):
        emobox_config("ravdess", manifest, folder, "backbone", tmp_path / "run")


def test_a_corpus_that_the_table_has_not_is_told(folds, tmp_path):
    with pytest.raises(UsageError, match="here for emodb, ravdess, iemocap"):
        emobox_config("meld", *folds, "backbone", tmp_path / "run")


@pytest.mark.parametrize("text", ["", "[1]", "3", '{"a": '])
def test_a_folder_without_a_map_of_emotions_is_told(tmp_path, text):
    (tmp_path / "label_map.json").write_text(text)
    with pytest.raises(ProtocolError, match=r"label_map\.json: no map of emotions"):
        emotions_of(tmp_path)


def test_emotions_are_ours_however_they_are_written(tmp_path):
    (tmp_path / "label_map.json").write_text('{"x": "Angry", "y": "Boredem", "z": "Happy "}')
    assert emotions_of(tmp_path) == ["anger", "boredom", "happiness"]


def test_published_scores_are_those_of_the_paper(shared_folder):
    """Against the project's own sheet of facts."""
    text = (shared_folder / "SCIENCE.md").read_text(encoding="utf-8")
    for one in TABLE_4:
        values = " | ".join(f"{one.ua[corpus]:.2f}" for corpus in PROTOCOLS)
        assert f"{one.millions} M | {values} |" in text, one.backbone


def test_the_published_folds_of_both_corpora_fit_their_readers(shared_folder):
    assert len(emotions_of(shared_folder / "folds" / "emodb")) == 7
    assert len(emotions_of(shared_folder / "folds" / "ravdess")) == 8
