"""A leak of each kind, planted: refused, or said aloud. Not one gets into a table unnoticed."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.config import ProtocolConfig, load_config, write_config
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.manifest import Header, Utterance, read_manifest, write_manifest
from phonemo.corpora.splits import make_split
from phonemo.errors import ConfigError, LeakageError
from phonemo.evaluation.report import summary_lines
from phonemo.files import sha256_of
from phonemo.train.experiments.baselines.text_baseline import text_baseline
from phonemo.train.experiments.training_run import run
from phonemo.train.trainer import PhonemoTrainer
from tests.train.tiny_run import EMOTIONS, make_config


def written(folder: Path, text) -> Path:
    """A manifest without audio: six speakers, who say ``text(emotion, speaker)``."""
    rows = [
        Utterance(
            id=f"{speaker}-{emotion}",
            file="nowhere.wav",
            speaker=f"s{speaker}",
            emotion=emotion,
            transcript=text(emotion, speaker),
        )
        for speaker in range(6)
        for emotion in EMOTIONS
    ]
    path = folder / "manifest.jsonl"
    write_manifest(path, Header(corpus="words", root=".", phonemo="test"), rows)
    return path


def invoked(*command):
    return CliRunner().invoke(app, [str(one) for one in command])


# The speaker --------------------------------------------------------------------------------------


def test_a_speaker_on_both_sides_is_refused(tmp_path):
    """The same folds without the planted speaker go through."""
    config = make_config(tmp_path)
    manifest = read_manifest(config.manifest)
    everybody = [one.model_copy(update={"speaker": "s1"}) for one in manifest.utterances]
    leaky = make_split(everybody, ProtocolConfig(name="random-leaky", folds=3))
    with pytest.raises(LeakageError, match="share 1 speaker"):
        assert_no_leakage(measure_leakage(everybody, leaky), ProtocolConfig(name="speaker"))
    assert_no_leakage(
        measure_leakage(everybody, leaky), ProtocolConfig(name="random-leaky", folds=3)
    )
    clean = make_split(manifest.utterances, config.protocol)
    assert_no_leakage(measure_leakage(manifest.utterances, clean), config.protocol)


def test_a_leak_that_was_asked_for_is_in_every_line(tmp_path):
    config = make_config(tmp_path, epochs=1)
    loose = config.model_copy(update={"protocol": ProtocolConfig(name="random-leaky", folds=3)})
    metrics = run(loose, "phonemo train", folds=["random-1"])
    assert metrics["leaky"]
    assert any("LEAKY: train and test share speakers" in line for line in summary_lines(metrics))


# Selection on test --------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["test", "test_ua", "eval_test"])
def test_no_config_can_pick_by_the_test_part(tmp_path, score):
    path = tmp_path / "config.yaml"
    write_config(path, make_config(tmp_path))
    with pytest.raises(ConfigError, match=r"train\.select_by"):
        load_config(path, [f"train.select_by={score}"])


def test_the_trainer_has_no_place_for_a_test_part():
    assert not [name for name in inspect.signature(PhonemoTrainer).parameters if "test" in name]


def test_other_labels_in_the_test_part_change_no_weight(tmp_path):
    """What is trained and picked is the same, whatever the test part says."""
    weights, scores = [], []
    for number in (1, 2):
        home = tmp_path / str(number)
        home.mkdir()
        config = make_config(home, epochs=3)
        if number == 2:
            _turn_labels(Path(config.manifest), "s1")
        metrics = run(config, "phonemo train", folds=["speaker-s1"])
        model = Path(config.output) / "seed-1" / "speaker-s1" / "model"
        weights.append(sha256_of(model / "model-00002-of-00002.safetensors"))
        scores.append(metrics["results"]["ua"]["mean"])
    assert weights[0] == weights[1]
    assert scores[0] != scores[1], "the planted labels were tested"


def _turn_labels(path: Path, speaker: str) -> None:
    manifest = read_manifest(path)
    following = dict(zip(EMOTIONS, (*EMOTIONS[1:], EMOTIONS[0]), strict=True))
    rows = [
        one.model_copy(update={"emotion": following[one.emotion]})
        if one.speaker == speaker
        else one
        for one in manifest.utterances
    ]
    write_manifest(path, manifest.header, rows)


# The script ---------------------------------------------------------------------------------------


def test_a_near_duplicate_script_is_counted_and_measured(tmp_path):
    """Each emotion has its sentence, said with one word more or less by each speaker."""
    sentences = {
        "anger": "give me back my money right now",
        "neutral": "the train to the city leaves at nine",
        "sadness": "nobody has called me for a whole week",
    }
    path = written(tmp_path, lambda emotion, n: sentences[emotion] + (" please" if n % 2 else ""))
    answer = invoked("inspect", path)
    assert answer.exit_code == 0
    assert "warning: 100 % of test utterances share their sentence with train" in answer.stdout
    assert text_baseline(path, ProtocolConfig(name="speaker")).ua == 1
    assert "UA 100.0%" in invoked("script", path).stdout


def test_near_duplicates_are_dropped_where_that_is_asked_for(tmp_path):
    path = written(
        tmp_path,
        lambda emotion, n: (
            f"nobody has called {emotion} for a whole week" if n < 2 else f"x{n} {emotion}"
        ),
    )
    rows = read_manifest(path).utterances
    loose, strict = (
        make_split(rows, ProtocolConfig(name="speaker", drop_near_duplicates=limit))
        for limit in (None, 0.6)
    )
    first = {fold.name: fold for fold in strict.folds}["speaker-s0"]
    before = {fold.name: fold for fold in loose.folds}["speaker-s0"]
    gone = {*before.train, *before.validation} - {*first.train, *first.validation}
    assert gone == {f"1-{emotion}" for emotion in EMOTIONS}
