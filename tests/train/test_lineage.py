"""What a network has heard follows it, and no test is a memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phonemo.corpora.manifest import Utterance, read_manifest
from phonemo.corpora.merge import merge
from phonemo.errors import CheckpointError, LeakageError
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.provenance import (
    HEARD,
    PROVENANCE,
    Provenance,
    TrainedOn,
    provenance_from,
    provenance_of,
)
from tests.train.test_extras import other_corpus
from tests.train.tiny_run import make_config, with_changes


def spoken(name: str, speaker: str | None = "s1") -> Utterance:
    return Utterance(id=name, file=f"{name}.wav", speaker=speaker, emotion="anger")


def write(folder: Path, name: str, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_overlap_counts_only_names_of_the_same_corpus() -> None:
    provenance = provenance_from("x", [spoken("1"), spoken("2", "s2"), spoken("3", None)])
    assert provenance.overlap("x", [spoken("1", "s9"), spoken("9", "s2"), spoken("8")]) == (
        1,
        ["s1", "s2"],
    )
    assert provenance.overlap("y", [spoken("1")]) == (0, [])


def test_merged_names_belong_to_their_corpora() -> None:
    provenance = provenance_from("x+y", [spoken("x/1", "x/s1"), spoken("y/1", "y/s2")])
    assert provenance.overlap("x", [spoken("1")]) == (1, ["s1"])
    assert provenance.overlap("y", [spoken("1")]) == (1, [])
    assert provenance.overlap("y+z", [spoken("y/1", "y/s2"), spoken("z/1")]) == (1, ["s2"])
    assert provenance.trained_on == {"x", "y"}


def test_provenances_are_merged_and_survive_a_round_trip(tmp_path: Path) -> None:
    both = provenance_from("x", [spoken("1")]) | provenance_from("x", [spoken("2", "s2")])
    both = both | Provenance(frozenset({"z"}), {"y": TrainedOn(frozenset({"s"}))})
    write(tmp_path, PROVENANCE, both.to_json())
    provenance = provenance_of(tmp_path)
    assert provenance.taught == both.taught
    assert provenance.trained_on == {"x", "y", "z"}
    assert provenance.overlap("x", [spoken("2", "s2")]) == (1, ["s2"])


def test_a_backbones_provenance_includes_its_start(tmp_path: Path) -> None:
    content = {"utterances": {"x": 3}, "before": {"utterances": {"y": 1}}}
    assert provenance_of(write(tmp_path, HEARD, content)).trained_on == {"x", "y"}
    assert provenance_of(tmp_path / "absent") == provenance_of(None) == Provenance()


@pytest.mark.parametrize("content", [[], {"heard": []}, {"heard": [], "corpora": {"x": 1}}])
def test_a_malformed_provenance_is_one_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match="malformed; copy the whole folder again"):
        provenance_of(write(tmp_path, PROVENANCE, content))


def test_unlabeled_pretraining_is_noted(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    write(Path(config.model.backbone), HEARD, {"utterances": {"beeps": 24}})
    notes = prepare_experiment(config).split.notes
    assert "the network that this one starts from was trained on beeps without labels" in notes


def test_a_start_trained_on_the_test_is_refused(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    rows = read_manifest(config.manifest).utterances
    provenance = provenance_from("beeps", [row for row in rows if row.speaker == "s2"])
    write(Path(config.model.backbone), PROVENANCE, provenance.to_json())
    with pytest.raises(LeakageError, match="trained on 6 of the test utterances and 1 of"):
        prepare_experiment(config)
    leaky = with_changes(config, protocol={"name": "random-leaky", "folds": 4})
    assert any("trained on 6" in note for note in prepare_experiment(leaky).split.notes)


def test_another_speaker_of_the_corpus_is_no_leak_but_the_same_speaker_is(
    tmp_path: Path,
) -> None:
    config = make_config(tmp_path)
    stranger = spoken("elsewhere", "s2")
    write(Path(config.model.backbone), PROVENANCE, provenance_from("beeps", [stranger]).to_json())
    with pytest.raises(LeakageError, match="on 0 of the test utterances and 1 of their"):
        prepare_experiment(config)
    stranger = spoken("elsewhere", "s99")
    write(Path(config.model.backbone), PROVENANCE, provenance_from("beeps", [stranger]).to_json())
    notes = prepare_experiment(config).split.notes
    assert any("was trained on other speakers of beeps" in note for note in notes)


def test_a_merged_manifest_does_not_hide_a_leak(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    provenance = provenance_from("beeps", read_manifest(config.manifest).utterances[:3])
    write(Path(config.model.backbone), PROVENANCE, provenance.to_json())
    paths = [Path(config.manifest), other_corpus(tmp_path / "other")]
    merge(paths, tmp_path / "both.jsonl")
    merged = with_changes(config, manifest=str(tmp_path / "both.jsonl"))
    with pytest.raises(LeakageError, match="trained on 3 of the test utterances"):
        prepare_experiment(merged)
