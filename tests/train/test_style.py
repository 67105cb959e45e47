"""Scripted and improvised speech: one of them alone, and both told apart in the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonemo.config import ProtocolConfig, RunConfig
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.errors import ProtocolError
from phonemo.files import read_rows
from phonemo.train.experiments.baselines.text_baseline import text_baseline
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from tests.train.tiny_run import make_config, with_changes


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> RunConfig:
    """Over a manifest that says nothing of style."""
    return make_config(tmp_path_factory.mktemp("style"), epochs=1)


@pytest.fixture(scope="module")
def config(plain) -> RunConfig:
    """The first take of everything was read, the second made up; of one nobody knows."""
    manifest = read_manifest(plain.manifest)
    styles = {"0": "scripted", "1": "improvised"}
    rows = [row.model_copy(update={"style": styles[row.id[-1]]}) for row in manifest.utterances]
    rows[0] = rows[0].model_copy(update={"style": None})
    path = Path(plain.manifest).with_name("styled.jsonl")
    write_manifest(path, manifest.header, rows)
    return with_changes(plain, manifest=str(path))


def of_style(config: RunConfig, style: str | None) -> RunConfig:
    return with_changes(config, protocol={"style": style})


@pytest.mark.parametrize(
    ("style", "take", "count"), [("improvised", "1", 12), ("scripted", "0", 11)]
)
def test_utterances_with_another_or_no_style_are_left_out(config, style, take, count):
    experiment = prepare_experiment(of_style(config, style))
    assert len(experiment.utterances) == count
    assert {row.style for row in experiment.utterances.values()} == {style}
    for fold in experiment.split.folds:
        for ids in fold.parts.values():
            assert ids
            assert {name[-1] for name in ids} == {take}
    left = 24 - count
    note = f"only {style} speech: {left} other utterances are left out"
    assert experiment.split.notes[-1] == note


def test_without_a_style_everything_is_used_and_nothing_is_noted(config):
    experiment = prepare_experiment(of_style(config, None))
    assert len(experiment.utterances) == 24
    assert not any("speech" in note for note in experiment.split.notes)


def test_other_emotions_and_other_styles_are_counted_separately(config):
    """Of 24, 8 are sad; of the other 16, half are made up."""
    fewer = with_changes(of_style(config, "improvised"), labels={"names": ["anger", "neutral"]})
    notes = prepare_experiment(fewer).split.notes
    assert "8 of 24 utterances have none of the labels and are left out" in notes
    assert "only improvised speech: 8 other utterances are left out" in notes


def test_a_manifest_without_styles_is_refused(plain):
    with pytest.raises(ProtocolError, match="no utterance has the style improvised; remove"):
        prepare_experiment(of_style(plain, "improvised"))


def test_an_emotion_that_only_the_other_style_has_is_named(config, tmp_path):
    manifest = read_manifest(config.manifest)
    rows = [
        row for row in manifest.utterances if (row.emotion, row.style) != ("sadness", "improvised")
    ]
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, manifest.header, rows)
    unheard = with_changes(of_style(config, "improvised"), manifest=str(path))
    with pytest.raises(ProtocolError, match="no utterance has the label 'sadness'"):
        prepare_experiment(unheard)


def test_a_style_changes_the_digest_and_none_keeps_it(config):
    before = config.protocol.model_dump(mode="json")
    assert "style" not in before
    assert of_style(config, None).digest == config.digest
    assert of_style(config, "scripted").digest != of_style(config, "improvised").digest
    assert of_style(config, "scripted").digest != config.digest


def test_rows_and_results_have_the_style(config):
    metrics = run(config, "phonemo train", folds=["speaker-s1"])
    rows = read_rows(Path(config.output) / "predictions.jsonl")
    known = {row.id: row.style for row in read_manifest(config.manifest).utterances}
    for row in rows:
        assert row.get("style") == known[row["id"]]
        assert ("style" in row) == (known[row["id"]] is not None)
    result = metrics["results"]["per_style"]
    counts = {style: score["utterances"] for style, score in result.items()}
    assert counts == {"improvised": 3, "scripted": 2, "unknown": 1}
    for style in ("improvised", "scripted"):
        right = [row["label"] == row["truth"] for row in rows if row.get("style") == style]
        assert result[style]["wa"] == pytest.approx(sum(right) / len(right))


def test_the_text_baseline_is_scored_for_each_style(config, plain):
    """The transcript is the emotion, in both."""
    result = text_baseline(config.manifest, ProtocolConfig(name="speaker"))
    assert result.styles == {"scripted": (1, 1), "improvised": (1, 1)}
    assert text_baseline(plain.manifest, ProtocolConfig(name="speaker")).styles == {}
