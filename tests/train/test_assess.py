"""A run tested again, and a model tested on somebody else's data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from phonemo.corpora.manifest import Header, Phonemes, Utterance, read_manifest, write_manifest
from phonemo.errors import CheckpointError, LabelError, ManifestError, RunError
from phonemo.files import read_rows, write_rows
from phonemo.labels import LabelSet
from phonemo.train.experiments.assess import assess_model, assess_run, rescore_run, write_assessment
from phonemo.train.experiments.training_run import run
from phonemo.train.model_folder import load_trained
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.train.tiny_run import make_config, with_changes
from tests.train.tiny_training import save_untrained

FOLDS = ("speaker-s1", "speaker-s3")
LABELS = LabelSet(("anger", "neutral", "sadness"), {"rage": "anger"})
#: Emotions in somebody else's words, in turn.
WORDS = ("anger", "rage", "neutral", "sadness", "fear", None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run folder with two of four folds done; its inventory is not the plain one."""
    config = make_config(tmp_path_factory.mktemp("assess"), epochs=1)
    config = with_changes(config, model={"auxiliary": {"inventory": "vowels"}})
    run(config, "test", folds=FOLDS)
    return Path(config.output)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder with a merge, that never saw any data."""
    folder = tmp_path_factory.mktemp("model")
    save_untrained(make_config(folder), folder / "model", LABELS)
    return folder / "model"


def _foreign(model: Path, name: str, words=WORDS, alphabet: str = "ipa") -> Path:
    """Another manifest over the same audio, whose emotions go round through ``words``."""
    source = read_manifest(model.parent / "corpus" / "manifest.jsonl")
    symbols = ("a", "t") if alphabet == "ipa" else ("AA", "T")
    rows = [
        Utterance(
            id=f"foreign-{number}",
            file=item.file,
            speaker=item.speaker,
            emotion=words[number % len(words)],
            phonemes=Phonemes(alphabet=alphabet, source="test", symbols=symbols),
        )
        for number, item in enumerate(source.utterances)
    ]
    path = model.parent / "corpus" / f"{name}.jsonl"
    write_manifest(path, Header(corpus="foreign", root=".", phonemo="test"), rows)
    return path


# A run ---------------------------------------------------------------------------------------


def test_a_run_reproduces_its_predictions(finished):
    message: list[tuple[int, int]] = []
    assessment = assess_run(finished, lambda *it: message.append(it))
    stored = {row["id"]: row for row in read_rows(finished / "predictions.jsonl")}
    assert "0 of 12 predictions differ" in assessment.notes[-1]
    assert {row["id"] for row in assessment.rows} == stored.keys()
    for row in assessment.rows:
        before = stored[row["id"]]
        for key in ("fold", "seed", "truth", "label", "speaker", "phonemes", "reference"):
            assert row[key] == before[key], key
        for name, score in row["scores"].items():
            assert score == pytest.approx(before["scores"][name], abs=1e-4)
    results = json.loads((finished / "metrics.json").read_text())["results"]
    for key in ("wa", "ua", "phonemes", "confusion"):
        assert assessment.results[key] == results[key]
    assert results["phonemes"]["utterances"] == 12
    assert message[-1] == (6, 6)


def test_changed_predictions_are_counted(finished, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / "run"))
    path = copy / "seed-1" / FOLDS[1] / "predictions.jsonl"
    rows = read_rows(path)
    other = {"anger": "neutral", "neutral": "sadness", "sadness": "anger"}
    write_rows(path, [rows[0] | {"label": other[rows[0]["label"]]}, *rows[1:]])
    assert "1 of 12 predictions differ" in assess_run(copy).notes[-1]


def test_only_finished_folds_are_tested(finished, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / "run"))
    (copy / "seed-1" / FOLDS[0] / "metrics.json").unlink()
    assessment = assess_run(copy)
    assert {row["fold"] for row in assessment.rows} == {FOLDS[1]}
    (copy / "seed-1" / FOLDS[1] / "metrics.json").unlink()
    with pytest.raises(RunError, match="no fold is finished; run: phonemo train"):
        assess_run(copy)


def test_a_broken_model_of_a_run_is_named(finished, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / "run"))
    (copy / "seed-1" / FOLDS[1] / "model" / "labels.json").unlink()
    with pytest.raises(CheckpointError, match=FOLDS[1]):
        assess_run(copy)


# A model -------------------------------------------------------------------------------------


def test_a_model_on_another_manifest(model):
    """Emotions that it does not know are left out, its own words for them are used."""
    manifest = _foreign(model, "all")
    assessment = assess_model(model, manifest)
    assert len(assessment.rows) == 16  # four of six words
    assert {row["truth"] for row in assessment.rows} == set(LABELS.names)
    assert assessment.notes[0].startswith("8 of 24 utterances")
    assert assessment.notes[1].endswith("not scored: none")
    assert assessment.results["utterances"] == 16
    assert len(assessment.notes) == 2


def test_other_spellings_of_the_emotions_are_scored_and_said(model):
    """As in manifests that were made by hand."""
    words = ("Angry", "sadness", "NEU", "Freude")
    assessment = assess_model(model, _foreign(model, "spelled", words))
    assert len(assessment.rows) == 18
    assert {row["truth"] for row in assessment.rows} == set(LABELS.names)
    expected = "emotions of the manifest, renamed: Angry -> anger, NEU -> neutral"
    assert assessment.notes[2] == expected


def test_a_subset_of_labels_is_renormalised(model):
    """Two of three emotions, one of them in the manifest's own word."""
    manifest = _foreign(model, "subset")
    assessment = assess_model(model, manifest, ("rage", "sadness"))
    predictor, source = TorchRecognizer.load(model), read_manifest(manifest)
    by_id = {row.id: row for row in source.utterances}
    assert len(assessment.rows) == 12
    assert "neutral" in assessment.notes[1]
    for row in assessment.rows:
        one = by_id[row["id"]]
        assert row["truth"] == LABELS.merged(one.emotion)
        assert row["scores"].keys() == {"anger", "sadness"}
        full = predictor.predict(source.audio_path(one)).scores
        share = full["anger"] / (full["anger"] + full["sadness"])
        assert row["scores"]["anger"] == pytest.approx(share, abs=1e-4)
        assert sum(row["scores"].values()) == pytest.approx(1, abs=2e-6)
        assert row["label"] == max(row["scores"], key=row["scores"].get)
    assert assessment.results["confusion"]["labels"] == ["anger", "sadness"]
    assert {row["truth"] for row in assessment.rows} == {"anger", "sadness"}


def test_labels_missing_from_the_manifest_cannot_be_chosen(model):
    assessment = assess_model(model, _foreign(model, "two", ("neutral", "sadness")))
    assert all(row["scores"].keys() == {"neutral", "sadness"} for row in assessment.rows)


@pytest.mark.parametrize(
    ("words", "names", "error", "match"),
    [
        (("fear", "joy"), (), LabelError, "two common emotions: .* the manifest has fear, joy"),
        (("anger", "rage"), (), LabelError, "two common emotions: .* the manifest has anger, rage"),
        ((None,), (), LabelError, "two common emotions: .* the manifest has none"),
        (WORDS, ("anger", "joy"), LabelError, "unknown label 'joy'"),
        (WORDS, ("anger", "rage"), LabelError, "at least two labels, got 1"),
        (("fear",), ("anger", "neutral"), ManifestError, "no utterance has one of the emotions"),
    ],
)
def test_too_few_common_emotions_are_an_error(model, words, names, error, match):
    with pytest.raises(error, match=match) as caught:
        assess_model(model, _foreign(model, "wrong", words), names)
    assert "\n" not in str(caught.value)


def test_training_data_is_marked_leaky(finished):
    """The model of a fold, on the manifest that it was trained from."""
    home = finished / "seed-1" / FOLDS[0] / "model"
    manifest = finished.parent.parent / "corpus" / "manifest.jsonl"
    note = assess_model(home, manifest).notes[-1]
    assert note.startswith("LEAKY: the model was trained on 18 of these 24 utterances")
    assert "s2, s3, s4" in note


def test_phonemes_of_another_alphabet_are_ignored(tmp_path):
    """English models are tested on German emotions, without the phonemes."""
    config = make_config(tmp_path)
    auxiliary = {"auxiliary": {"alphabet": "arpabet"}}
    english = _foreign(tmp_path / "model", "english", alphabet="arpabet")
    arpabet = with_changes(config, manifest=str(english), model=auxiliary)
    arpabet = with_changes(arpabet, labels={"merge": {"rage": "anger"}})
    save_untrained(arpabet, tmp_path / "model")
    assert load_trained(tmp_path / "model").inventory.alphabet == "arpabet"
    german = assess_model(tmp_path / "model", tmp_path / "corpus" / "manifest.jsonl")
    assert len(german.rows) == 24
    assert {row["phonemes"] for row in german.rows} == {None}
    own = assess_model(tmp_path / "model", english)
    assert {tuple(row["reference"]) for row in own.rows} == {("AA", "T")}


def test_a_run_folder_is_not_a_model(finished):
    with pytest.raises(
        CheckpointError, match="expected a model folder, got a run folder"
    ) as caught:
        assess_model(finished, finished)
    hint = str(caught.value).rpartition(" as ")[2]
    assert load_trained(hint).labels.names == LABELS.names


def test_written_predictions_match_the_assessment(model, tmp_path):
    assessment = assess_model(model, _foreign(model, "written"))
    path = tmp_path / "deep" / "answers.jsonl"
    write_assessment(path, assessment)
    assert read_rows(path) == assessment.rows
    assert json.loads((tmp_path / "deep" / "answers.metrics.json").read_text()) == (
        json.loads(json.dumps(assessment.results))
    )


def test_predictions_are_rescored_without_audio(finished, monkeypatch):
    monkeypatch.setattr(
        "phonemo.train.experiments.assess.load_trained", lambda _: pytest.fail("it listens")
    )
    result = rescore_run(finished, ["neutral", "anger"], "two", "test")
    written = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert {key for key in written if written[key] != result[key]} == {
        "name",
        "title",
        "protocol_note",
        "results",
    }
    assert result["protocol_note"].endswith("4 of 12 answers are left out")
    assert written["protocol_note"] in result["protocol_note"]
    assert result["results"]["labels"] == ["anger", "neutral"]


def test_a_run_without_a_finished_fold_is_an_error(finished, tmp_path):
    bare = Path(shutil.copytree(finished, tmp_path / "bare"))
    (bare / "metrics.json").unlink()
    with pytest.raises(RunError, match="no fold is finished"):
        rescore_run(bare, ["neutral", "anger"], "two", "test")
