"""Other corpora in the training part: what comes in, what stays out, what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phonemo.config import RunConfig
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.corpora.merge import merge
from phonemo.errors import LeakageError, ProtocolError
from phonemo.train.dataset import AugmentationSeed, SpeechDataset
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.training_run import run
from phonemo.train.provenance import provenance_of
from tests.train.tiny_run import make_config, make_corpus, with_changes


def other_corpus(folder: Path, seed: int = 4, **update: object) -> Path:
    """Other beeps, of other speakers, as a corpus with another name."""
    path = make_corpus(folder, seed=seed)
    manifest = read_manifest(path)
    rows = [row.model_copy(update=update) for row in manifest.utterances]
    write_manifest(path, manifest.header.model_copy(update={"corpus": "chirps"}), rows)
    return path


def with_extra(folder: Path, path: Path, held_out: int = 0) -> RunConfig:
    extra = [{"manifest": str(path), "held_out_speakers": held_out}]
    return with_changes(make_config(folder), extra=extra)


def test_extra_names_have_the_corpus_and_their_files_exist(tmp_path: Path) -> None:
    path = other_corpus(tmp_path / "other")
    experiment = prepare_experiment(with_extra(tmp_path, path))
    assert len(experiment.extras.train) == 24
    one = experiment.extras.train[0]
    assert (one.id, one.speaker) == ("chirps/s1-anger-0", "chirps/s1")
    result = experiment.manifest.audio_path(one)
    assert result == (path.parent / "s1-anger-0.wav").resolve()
    assert "trained also on 24 utterances of chirps" in experiment.split.notes


def test_extra_utterances_are_in_no_fold(tmp_path: Path) -> None:
    experiment = prepare_experiment(with_extra(tmp_path, other_corpus(tmp_path / "other")))
    for fold in experiment.split.folds:
        assert not any(item.startswith("chirps/") for part in fold.parts.values() for item in part)


def test_held_out_speakers_are_not_trained_on(tmp_path: Path) -> None:
    experiment = prepare_experiment(with_extra(tmp_path, other_corpus(tmp_path / "other"), 1))
    away = {item.speaker for item in experiment.extras.held_out["chirps"]}
    assert len(away) == 1
    assert away.isdisjoint(item.speaker for item in experiment.extras.train)
    assert len(experiment.extras.train) == 18


def test_speakers_of_a_published_part_are_held_out_and_others_tune_the_decoder(
    tmp_path: Path,
) -> None:
    path = other_corpus(tmp_path / "other")
    manifest = read_manifest(path)
    parts = {"s1": "train", "s2": "train", "s3": "test", "s4": "test"}
    rows = [row.model_copy(update={"split": parts[row.speaker]}) for row in manifest.utterances]
    write_manifest(path, manifest.header, rows)
    extra = {"manifest": str(path), "held_out_speakers": 1, "held_out_split": "test"}
    config = with_changes(make_config(tmp_path), extra=[extra | {"decoder_speakers": 1}])
    extras = prepare_experiment(config).extras
    (tested,) = {row.speaker for row in extras.held_out["chirps"]}
    assert tested in {"chirps/s3", "chirps/s4"}
    trained = {row.speaker for row in extras.train}
    assert tested not in trained
    assert len(trained) == 2
    assert trained >= {"chirps/s3", "chirps/s4"} - {tested}
    assert any("1 left to tune their decoder" in note for note in extras.notes)
    for values, message in (
        ({"held_out_speakers": 3}, "held_out_speakers below its 2 speakers of split test, got 3"),
        ({"decoder_speakers": 2}, "decoder_speakers below its 2 speakers that are not held out"),
    ):
        with pytest.raises(ProtocolError, match=message):
            prepare_experiment(with_changes(config, extra=[extra | values]))


def test_a_small_corpus_is_repeated_within_an_epoch(tmp_path: Path) -> None:
    path = other_corpus(tmp_path / "other")
    extra = [{"manifest": str(path), "held_out_speakers": 1, "repeat": 3}]
    config = make_config(tmp_path, batch_size=6, epochs=1, augment={"time_masks": 1})
    config = with_changes(config, extra=extra)
    extras = prepare_experiment(config).extras
    assert (len(extras.train), len(extras.epoch)) == (18, 54)
    metrics = run(config, "phonemo train", folds=["speaker-s1"])
    note = "trained also on 18 utterances of chirps, 3 times an epoch, 1 speakers held out"
    assert note in metrics["protocol_note"]
    fold = json.loads((Path(config.output) / "seed-1/speaker-s1/metrics.json").read_text())
    assert fold["steps"] == (12 + 54) / 6
    dataset = SpeechDataset(
        prepare_experiment(config).manifest,
        extras.epoch[:3],
        prepare_experiment(config).targets,
        draws=AugmentationSeed.of(config.train, 1),
    )
    assert len({row.id for row in dataset.utterances}) == 1
    spans = {str(dataset[index]["spans"]["time"]) for index in range(3)}
    assert len(spans) == 3, "each time it is masked elsewhere"


def test_utterances_without_a_known_emotion_are_used_for_phonemes_only(tmp_path: Path) -> None:
    path = other_corpus(tmp_path / "other", emotion=None)
    config = with_extra(tmp_path, path)
    assert len(prepare_experiment(config).extras.train) == 24
    with pytest.raises(ProtocolError, match="no utterance has a usable target"):
        prepare_experiment(with_changes(config, model={"auxiliary": None}))


def test_the_tested_corpus_cannot_be_an_extra(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    with pytest.raises(LeakageError, match="shares 24 recordings with"):
        prepare_experiment(with_extra(tmp_path, Path(config.manifest)))
    copy = make_corpus(tmp_path / "copy")  # other files of the same corpus
    with pytest.raises(LeakageError, match="is of the same corpus as"):
        prepare_experiment(with_extra(tmp_path, copy))


def test_a_renamed_copy_of_the_manifest_is_found_by_its_recordings(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    manifest = read_manifest(config.manifest)
    renamed = Path(config.manifest).with_name("renamed.jsonl")
    header = manifest.header.model_copy(update={"corpus": "innocent"})
    write_manifest(renamed, header, manifest.utterances[:5])
    with pytest.raises(LeakageError, match="shares 5 recordings"):
        prepare_experiment(with_extra(tmp_path, renamed))


def test_not_all_speakers_can_be_held_out(tmp_path: Path) -> None:
    with pytest.raises(
        ProtocolError, match="expected held_out_speakers below its 4 speakers, got 4"
    ):
        prepare_experiment(with_extra(tmp_path, other_corpus(tmp_path / "other"), 4))


def test_a_run_trains_on_extras_and_notes_them(tmp_path: Path) -> None:
    config = with_extra(tmp_path, other_corpus(tmp_path / "other"), 1)
    metrics = run(config, "phonemo train", folds=["speaker-s1"])
    assert "trained also on 18 utterances of chirps" in metrics["protocol_note"]
    home = Path(config.output) / "seed-1" / "speaker-s1"
    fold = json.loads((home / "metrics.json").read_text(encoding="utf-8"))
    result = fold["extra"]["chirps"]
    assert result["utterances"] == 6
    assert result["speakers"] == 1
    assert result["per"] >= 0
    assert metrics["extra"]["chirps"] == result | {"trainings": 1}
    learnt = prepare_experiment(config).extras.train
    own = [item.model_copy(update={"id": item.id.partition("/")[2]}) for item in learnt]
    own = [item.model_copy(update={"speaker": item.speaker.partition("/")[2]}) for item in own]
    lineage = provenance_of(home / "model")
    count, speakers = lineage.overlap("chirps", own)
    assert (count, len(speakers)) == (18, 3)
    assert lineage.overlap("beeps", own)[0] > 0  # the same names in the main corpus
    assert lineage.overlap("other", own) == (0, [])
    assert lineage.trained_on == {"beeps", "chirps"}


def test_a_changed_extra_manifest_is_noticed_on_resume(tmp_path: Path) -> None:
    path = other_corpus(tmp_path / "other")
    config = with_extra(tmp_path, path)
    run(config, "phonemo train", folds=["speaker-s1"])
    manifest = read_manifest(path)
    write_manifest(path, manifest.header, manifest.utterances[:-1])
    with pytest.raises(Exception, match="changed since this run started"):
        run(config, "phonemo train", folds=["speaker-s2"])


def test_a_part_of_a_merged_main_corpus_cannot_be_an_extra(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    merge([Path(config.manifest), other_corpus(tmp_path / "other")], tmp_path / "both.jsonl")
    copy = other_corpus(tmp_path / "copy")  # other files of one of the merged corpora
    with pytest.raises(LeakageError, match="is of the same corpus as"):
        prepare_experiment(
            with_changes(with_extra(tmp_path, copy), manifest=str(tmp_path / "both.jsonl"))
        )


def test_a_merged_extra_is_recorded_by_its_corpora(tmp_path: Path) -> None:
    chirps = other_corpus(tmp_path / "other")
    tones = other_corpus(tmp_path / "tones", seed=5)
    manifest = read_manifest(tones)
    header = manifest.header.model_copy(update={"corpus": "tones"})
    write_manifest(tones, header, manifest.utterances)
    merge([chirps, tones], tmp_path / "both.jsonl")
    lineage = prepare_experiment(with_extra(tmp_path, tmp_path / "both.jsonl")).extras.lineage
    assert lineage.trained_on == {"chirps", "tones"}
    assert lineage.overlap("tones", read_manifest(tones).utterances)[0] == 24
