"""The script control: what the words alone give away, on folds that share no speaker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from phonemo.cli.main import app
from phonemo.config import ProtocolConfig
from phonemo.corpora.manifest import Header, Utterance, write_manifest
from phonemo.corpora.splits import make_split
from phonemo.errors import CorpusError, LabelError, LeakageError
from phonemo.train.experiments.baselines.text_baseline import text_baseline

SPEAKER = ProtocolConfig(name="speaker")
EMOTIONS = ("anger", "neutral", "sadness")


def write(folder, text, emotions=EMOTIONS, **more):
    """A manifest without audio: six speakers, who say ``text(emotion, take)``."""
    rows = [
        Utterance(
            id=f"{speaker}-{emotion}-{take}",
            file="nowhere.wav",
            speaker=f"s{speaker}",
            emotion=emotion,
            transcript=text(emotion, take),
            **more,
        )
        for speaker in range(6)
        for emotion in emotions
        for take in range(4)
    ]
    path = folder / "manifest.jsonl"
    write_manifest(path, Header(corpus="words", root=".", phonemo="test"), rows)
    return path


def test_a_script_that_names_the_emotion_is_predictive(tmp_path):
    path = write(tmp_path, lambda emotion, take: f"This is {emotion}, take {take}!")
    result = text_baseline(path, SPEAKER)
    assert (result.ua, result.wa) == (1, 1)
    assert result.chance_ua == pytest.approx(1 / 3)
    assert (result.utterances, result.wordless, result.texts) == (72, 0, 12)


def test_the_same_script_for_every_emotion_is_at_chance(tmp_path):
    path = write(tmp_path, lambda emotion, take: f"The same words, take {take}.")
    result = text_baseline(path, SPEAKER)
    assert result.ua == pytest.approx(1 / 3)
    assert result.texts == 4


def test_words_of_the_test_part_are_not_fitted(tmp_path):
    """A sentence-disjoint protocol takes what a speaker-disjoint one gives."""
    words = {("anger", n): f"a{n}" for n in range(4)} | {("neutral", n): f"n{n}" for n in range(4)}
    path = write(tmp_path, lambda *one: words[one], emotions=("anger", "neutral"))
    assert text_baseline(path, SPEAKER).ua == 1
    assert text_baseline(path, ProtocolConfig(name="sentence")).ua < 0.7


def test_utterances_without_words_are_counted(tmp_path):
    path = write(tmp_path, lambda emotion, take: emotion if take else "...")
    result = text_baseline(path, SPEAKER)
    assert (result.utterances, result.wordless) == (54, 18)
    with pytest.raises(CorpusError, match="no utterance has a transcript"):
        text_baseline(write(tmp_path, lambda *_: None), SPEAKER)


def test_emotions_can_be_chosen_and_one_is_too_few(tmp_path):
    path = write(tmp_path, lambda emotion, take: emotion)
    assert text_baseline(path, SPEAKER, ["anger", "sadness"]).utterances == 48
    with pytest.raises(LabelError, match="at least two"):
        text_baseline(path, SPEAKER, ["anger"])


def test_an_unused_emotion_is_an_error(tmp_path):
    path = write(tmp_path, lambda emotion, take: emotion)
    with pytest.raises(
        LabelError, match="no utterance has the emotion 'sad'; present: anger, neutral, sadness"
    ):
        text_baseline(path, SPEAKER, ["anger", "neutral", "sad"])


def test_a_training_part_with_one_emotion_is_an_error(tmp_path):
    rows = [
        Utterance(id=name, file="x.wav", speaker=name, emotion=emotion, transcript="words")
        for name, emotion in (("a", "anger"), ("b", "anger"), ("c", "neutral"))
    ]
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, Header(corpus="words", root=".", phonemo="test"), rows)
    with pytest.raises(
        LabelError, match="expected at least two emotions in the training data, got one"
    ):
        text_baseline(path, SPEAKER)


def test_speakers_are_kept_apart(tmp_path, monkeypatch):
    path = write(tmp_path, lambda emotion, take: emotion, session="one")
    monkeypatch.setattr("phonemo.train.experiments.baselines.crossvalidation.make_split", leaking)
    with pytest.raises(LeakageError):
        text_baseline(path, SPEAKER)


def leaking(utterances, protocol, copies):
    """One utterance of the first fold's test part changes places with one it learns from."""
    split = make_split(utterances, protocol, copies)
    fold = split.folds[0]
    train, test = (*fold.train[1:], fold.test[0]), (*fold.test[1:], fold.train[0])
    return replace(split, folds=(replace(fold, train=train, test=test), *split.folds[1:]))


def test_the_command_prints_chance(tmp_path):
    path = write(tmp_path, lambda emotion, take: emotion if take else "")
    done = CliRunner().invoke(app, ["script", str(path)])
    assert done.exit_code == 0, done.output
    assert "UA 100.0%" in done.stdout
    assert "chance: UA 33.3%, WA 33.3%" in done.stdout
    assert "18 utterances have no transcript" in done.stdout
    assert done.stdout.count("\n") == 4


def test_scripted_and_improvised_speech_are_scored_separately(tmp_path):
    def row(speaker, emotion, take, style):
        text = f"this is {emotion}" if style == "scripted" else f"nothing to tell {take}"
        return Utterance(
            id=f"{speaker}-{emotion}-{take}-{style}",
            file="nowhere.wav",
            speaker=f"s{speaker}",
            emotion=emotion,
            transcript=text,
            style=style,
        )

    rows = [
        row(speaker, emotion, take, style)
        for speaker in range(4)
        for emotion in EMOTIONS
        for take in range(3)
        for style in ("scripted", "improvised")
    ]
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, Header(corpus="words", root=".", phonemo="test"), rows)
    result = text_baseline(path, SPEAKER)
    assert list(result.styles) == ["scripted", "improvised"]
    assert result.styles["scripted"] == (1, 1)
    assert result.styles["improvised"][0] == pytest.approx(1 / 3)
    printed = CliRunner().invoke(app, ["script", str(path)]).output
    assert "scripted speech: UA 100.0%, WA 100.0%" in printed


def test_without_styles_none_is_scored(tmp_path):
    assert text_baseline(write(tmp_path, lambda *one: "a"), SPEAKER).styles == {}


def test_a_protocol_of_one_style_excludes_others(tmp_path):
    path = write(tmp_path, lambda *one: "a b", style="scripted")
    assert text_baseline(path, SPEAKER).utterances == 72
    scripted = ProtocolConfig(name="speaker", style="scripted")
    assert text_baseline(path, scripted).utterances == 72
    with pytest.raises(LabelError):
        text_baseline(path, ProtocolConfig(name="speaker", style="improvised"))
