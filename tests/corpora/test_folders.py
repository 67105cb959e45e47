"""Custom folders: detecting the levels of emotion and speaker, and the errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonemo.corpora.readers.formats.folders import SYNONYMS, canonical, read_folders
from phonemo.errors import CorpusError, UsageError
from phonemo.labels import EMOTIONS
from tests import tiny


def folder(root: Path, *names: str) -> Path:
    for name in names:
        tiny.write_sound(root / name)
    return root


def heard(root: Path, **options) -> list[tuple[str, str | None, str | None]]:
    reading, _ = read_folders(root, **options)
    return [
        (utterance.file, utterance.emotion, utterance.speaker) for utterance in reading.utterances
    ]


def test_a_folder_for_each_emotion(tmp_path):
    folder(tmp_path, "Angry/a.wav", "sad/b.wav", "glee/c.wav")
    assert heard(tmp_path) == [
        ("Angry/a.wav", "anger", None),
        ("glee/c.wav", "glee", None),
        ("sad/b.wav", "sadness", None),
    ]


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (("anger/ann/1.wav", "anger/bob/1.wav", "calm/ann/2.wav"), 0),
        (("ann/anger/1.wav", "bob/anger/1.wav", "ann/calm/2.wav"), 1),
        (("2024/ann/anger/1.wav", "2024/bob/calm/1.wav"), 2),
    ],
)
def test_the_level_of_the_emotions_is_detected(tmp_path, names, level):
    folder(tmp_path, *names)
    _, layout = read_folders(tmp_path)
    assert layout.emotion == level
    assert {speaker for _, _, speaker in heard(tmp_path)} == {"ann", "bob"}


def test_the_speaker_may_be_in_the_files_name(tmp_path):
    folder(tmp_path, "anger/ann_1.wav", "anger/bob_2.wav", "calm/odd.wav")
    rows = heard(tmp_path, speaker="{speaker}_*")
    assert [speaker for _, _, speaker in rows] == ["ann", "bob", None]
    with pytest.raises(UsageError, match=r"'\{speaker\}_\*'"):
        heard(tmp_path, speaker="(.*)_")


def test_ambiguous_levels_are_an_error(tmp_path):
    folder(tmp_path, "x/a/1.wav", "y/b/2.wav")
    with pytest.raises(CorpusError, match=r"level 1: x, y; level 2: a, b.*--emotion-level"):
        heard(tmp_path)
    assert heard(tmp_path, emotion_level=2)[0] == ("x/a/1.wav", "a", "x")
    with pytest.raises(UsageError, match="from 1 to 2, got 3"):
        heard(tmp_path, emotion_level=3)


def test_recordings_outside_a_folder_are_an_error(tmp_path):
    folder(tmp_path, "anger/a.wav", "stray.wav")
    with pytest.raises(CorpusError, match=r"stray\.wav is not in a folder"):
        heard(tmp_path)


def test_a_folder_without_recordings_is_an_error_with_the_formats(tmp_path):
    (tmp_path / "anger").mkdir()
    with pytest.raises(CorpusError, match="expected recordings"):
        heard(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        heard(tmp_path / "none")


def test_every_synonym_is_a_canonical_emotion():
    assert set(SYNONYMS.values()) <= set(EMOTIONS)
    assert not set(SYNONYMS) & set(EMOTIONS)
    assert canonical(" HAPPY ") == "happiness"
    assert canonical("生气") == "anger"


class TestCommand:
    @pytest.fixture
    def phonemo(self, monkeypatch, capsys):
        from phonemo.cli.main import main

        def run(*words: object) -> tuple[int, str, str]:
            monkeypatch.setattr("sys.argv", ["phonemo", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main()
            output = capsys.readouterr()
            return ended.value.code or 0, output.out, output.err

        return run

    def test_the_command_counts_warns_and_prints_the_next_step(self, phonemo, tmp_path):
        folder(tmp_path, "anger/a.wav", "calm/b.wav")
        (tmp_path / "calm" / "broken.wav").write_bytes(b"no audio")
        code, out, err = phonemo("init-corpus", tmp_path, "-q")
        assert (code, err) == (0, "")
        assert "2 utterances, 0 speakers, 2 emotions" in out
        assert "0 known speakers, so scores cannot be speaker-independent" in out
        assert "fewer than 6 utterances" in out
        assert out.splitlines()[-1] == f"  next: phonemo finetune {tmp_path / 'manifest.jsonl'}"

    def test_a_table_can_replace_the_folder_names(self, phonemo, tmp_path):
        folder(tmp_path, "a.wav", "b.wav")
        tiny.write_text(tmp_path / "t.csv", "file,emotion,speaker\na.wav,anger,x\nb.wav,calm,y\n")
        code, out, _ = phonemo("init-corpus", tmp_path, "--csv", tmp_path / "t.csv", "-q")
        assert code == 0
        assert "2 utterances, 2 speakers" in out
        code, _, err = phonemo("init-corpus", tmp_path, "--csv", "t.csv", "--language", "en")
        assert code == 2
        assert err.count("\n") == 1
