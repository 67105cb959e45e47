"""Training and testing take copies of a recording for what they are, whatever their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from phonemo.config import RunConfig
from phonemo.corpora.manifest import Manifest, read_manifest, write_manifest
from phonemo.errors import LeakageError
from phonemo.train.experiments.assess import assess_model
from phonemo.train.experiments.baselines.text_baseline import text_baseline
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.finetune import plan
from phonemo.train.model_folder import save_trained
from phonemo.train.provenance import PROVENANCE, overlap_of, provenance_from, provenance_of
from tests.train.tiny_run import make_config, make_corpus, with_changes
from tests.train.tiny_training import make_lively


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return make_config(tmp_path)


def copy_recording(config: RunConfig, source: str, target: str) -> None:
    """Replace an utterance's audio by that of another, in another container."""
    manifest = read_manifest(config.manifest)
    samples, rate = soundfile.read(manifest.root / f"{source}.wav", dtype="int16")
    soundfile.write(manifest.root / f"{target}.flac", samples, rate, subtype="PCM_16")
    rows = [
        row.model_copy(update={"file": f"{target}.flac"}) if row.id == target else row
        for row in manifest.utterances
    ]
    write_manifest(Path(config.manifest), manifest.header, rows)


def renamed(config: RunConfig, folder: Path) -> Manifest:
    """The same audio as FLAC, as other utterances of other speakers of another corpus."""
    manifest = read_manifest(config.manifest)
    rows = []
    for number, row in enumerate(manifest.utterances):
        samples, rate = soundfile.read(manifest.audio_path(row), dtype="int16")
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{number}.flac", samples, rate, subtype="PCM_16")
        names = {"id": f"u{number}", "file": f"{number}.flac", "speaker": f"new {row.speaker}"}
        rows.append(row.model_copy(update=names))
    header = manifest.header.model_copy(update={"corpus": "renamed"})
    write_manifest(folder / "renamed.jsonl", header, rows)
    return read_manifest(folder / "renamed.jsonl")


def test_speakers_with_the_same_recording_are_tested_together_and_a_note_says_so(config):
    copy_recording(config, "s1-anger-0", "s2-anger-0")
    split = prepare_experiment(config).split
    assert len(split.folds) == 3
    assert any("speakers 's1', 's2' share the same recordings" in note for note in split.notes)
    assert len(prepare_experiment(with_changes(config, extra=[])).digests) == 24


def test_a_training_whose_speakers_all_share_recordings_is_refused(config):
    for one, other in (("s1", "s2"), ("s2", "s3"), ("s3", "s4")):
        copy_recording(config, f"{one}-anger-0", f"{other}-anger-1")
    with pytest.raises(LeakageError, match=r"s1-anger-0.wav = s2-anger-1.flac"):
        prepare_experiment(config)
    with pytest.raises(LeakageError, match="share the same recordings"):
        text_baseline(Path(config.manifest), config.protocol)


def test_finetune_marks_its_score_as_leaky_if_too_few_speakers_share_no_recording(config):
    copy_recording(config, "s1-anger-0", "s2-anger-1")
    copy_recording(config, "s2-anger-0", "s3-anger-1")
    made = plan(config.manifest, Path(config.output), str(config.model.backbone), threads=1)
    assert made.config.protocol.name == "random-leaky"
    assert any(
        note.startswith("LEAKY: speakers s1, s2, s3 share the same recordings, such as ")
        and "so 2 speakers are too few" in note
        for note in made.notes
    )


def test_an_extra_corpus_with_copies_of_tested_recordings_is_refused(config, tmp_path):
    path = renamed(config, tmp_path / "other").path
    with pytest.raises(LeakageError, match=r"has 24 copies of recordings of .*: u0 = s1-"):
        prepare_experiment(with_changes(config, extra=[{"manifest": str(path)}]))


def test_a_model_recognizes_its_training_recordings_under_other_names(config, tmp_path):
    experiment = prepare_experiment(config)
    rows = list(experiment.utterances.values())
    lineage = provenance_from("beeps", rows[:10], experiment.digests)
    folder = tmp_path / "model"
    save_trained(folder, make_lively(experiment), experiment.targets.labels, lineage=lineage)
    assert provenance_of(folder) == lineage
    other = renamed(config, tmp_path / "other")
    assert overlap_of(lineage, other, other.utterances) == (10, [])
    assessment = assess_model(folder, tmp_path / "other" / "renamed.jsonl")
    assert any(
        note.startswith("LEAKY: the model was trained on 10 of these 24")
        for note in assessment.notes
    )
    assert all(row.get("leaky") for row in assessment.rows)
    changed = with_changes(config, manifest=str(other.path), model={"start": str(folder)})
    with pytest.raises(LeakageError, match="was trained on 10 of the test utterances"):
        prepare_experiment(changed)


def test_a_model_without_listed_recordings_is_compared_by_names_alone(config, tmp_path):
    rows = read_manifest(config.manifest).utterances
    lineage = provenance_from("beeps", rows)
    (tmp_path / "old").mkdir()
    assert "recordings" not in lineage.to_json()
    other = renamed(config, tmp_path / "other")
    assert overlap_of(lineage, other, other.utterances) == (0, [])
    assert not (tmp_path / "old" / PROVENANCE).exists()


def test_a_merged_manifest_is_compared_by_its_own_ids(config, tmp_path):
    digests = {"a/1": "f" * 32}
    rows = [read_manifest(make_corpus(tmp_path / "x", takes=1)).utterances[0]]
    merged = [rows[0].model_copy(update={"id": "a/1", "speaker": "a/s"})]
    lineage = provenance_from("x", [rows[0]], {rows[0].id: "f" * 32})
    assert lineage.overlap("a+b", merged, digests) == (1, [])
    assert lineage.overlap("a+b", merged) == (0, [])
