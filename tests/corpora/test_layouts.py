"""Known corpora recognized by the names of their files and folders."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.corpora.readers.formats.folders import read_folders
from phonemo.corpora.readers.layouts import LAYOUTS, recognize_layout
from phonemo.errors import CorpusError
from phonemo.labels import EMOTIONS
from tests import tiny
from tests.corpora.test_folders import folder

#: Path -> emotion, speaker, gender, language, transcript, split.
RELEASES: dict[str, dict[str, tuple[str | None, ...]]] = {
    "RAVDESS": {
        "Actor_01/03-01-05-01-01-01-01.wav": (
            *("anger", "01", "m", "en", "Kids are talking by the door.", None),
        ),
        "Actor_02/03-01-08-02-02-01-02.wav": (
            *("surprise", "02", "f", "en", "Dogs are sitting by the door.", None),
        ),
        "test/Actor_24/03-01-02-02-02-01-24.wav": (
            *("calm", "24", "f", "en", "Dogs are sitting by the door.", "test"),
        ),
    },
    "TESS": {
        "OAF_angry/OAF_back_angry.wav": ("anger", "OAF", "f", "en", "Say the word back.", None),
        "OAF_Pleasant_surprise/OAF_bar_ps.wav": (
            *("surprise", "OAF", "f", "en", "Say the word bar.", None),
        ),
        "OAF_neutral/OA_bite_neutral.wav": (
            *("neutral", "OAF", "f", "en", "Say the word bite.", None),
        ),
        "YAF_pleasant_surprised/w.wav": ("surprise", "YAF", "f", "en", None, None),
        "YAF_Fear/w.wav": ("fear", "YAF", "f", "en", None, None),
    },
    "CREMA-D": {
        "AudioWAV/1001_DFA_ANG_XX.wav": (
            *("anger", "1001", None, "en", "Don't forget a jacket.", None),
        ),
        "1091_IEO_SAD_LO.wav": ("sadness", "1091", None, "en", "It's eleven o'clock.", None),
    },
    "SAVEE": {
        "DC_a01.wav": ("anger", "DC", "m", "en", None, None),
        "AudioData/KL/su15.wav": ("surprise", "KL", "m", "en", None, None),
        "JE_sa02.wav": ("sadness", "JE", "m", "en", None, None),
        "JK/n30.wav": ("neutral", "JK", "m", "en", None, None),
    },
    "EmoDB": {
        "wav/03a01Wa.wav": (
            *("anger", "03", "m", "de", "Der Lappen liegt auf dem Eisschrank.", None),
        ),
        "16b02Lb.wav": (
            "boredom",
            "16",
            "f",
            "de",
            "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
            None,
        ),
    },
    "EMOVO": {
        "f1/dis-f1-b1.wav": ("disgust", "f1", "f", "it", None, None),
        "m3/gio-m3-l4.wav": ("happiness", "m3", "m", "it", None, None),
        "m3/tri-m3-n5.wav": ("sadness", "m3", "m", "it", None, None),
    },
    "URDU": {
        "Angry/SM1_F1_A01.wav": ("anger", "SM1", "m", "ur", None, None),
        "Sad/SF13_F4_S040.wav": ("sadness", "SF13", "f", "ur", None, None),
    },
    "nEMO": {
        "samples/SK1_surprised_12.wav": ("surprise", "SK1", None, "pl", None, None),
        "samples/MP0_anger_1.wav": ("anger", "MP0", None, "pl", None, None),
    },
    "ESD": {
        "0001/Angry/0001_000351.wav": ("anger", "0001", "f", "zh", None, None),
        "0011/Surprise/train/0011_001451.wav": ("surprise", "0011", "m", "en", None, "train"),
        "0011/Neutral/evaluation/0011_000001.wav": (
            *("neutral", "0011", "m", "en", None, "validation"),
        ),
        "0019/Happy/test/0019_000721.wav": ("happiness", "0019", "f", "en", None, "test"),
        "sad/0004/0004_001060.wav": ("sadness", "0004", "m", "zh", None, None),
    },
}


@pytest.mark.parametrize("title", RELEASES)
def test_a_corpus_is_recognized_by_its_names(tmp_path: Path, title: str) -> None:
    folder(tmp_path, *RELEASES[title])
    reading = read_folders(tmp_path)
    assert {
        row.file: (row.emotion, row.speaker, row.gender, row.language, row.transcript, row.split)
        for row in reading.utterances
    } == RELEASES[title]
    assert reading.notes[0].startswith(f"recognized as {title}, by the names of ")
    assert reading.warnings == ()
    assert reading.skipped == {}


def test_every_layout_is_tested_and_has_phonemos_emotions() -> None:
    assert {layout.title for layout in LAYOUTS} == set(RELEASES)
    for layout in LAYOUTS:
        assert set(layout.emotions.values()) <= set(EMOTIONS)


def test_song_and_silent_video_are_skipped_where_there_is_speech(tmp_path: Path) -> None:
    folder(tmp_path, "03-01-05-01-01-01-01.wav", "03-02-05-01-01-01-01.wav")
    folder(tmp_path, "02-01-05-01-01-01-01.wav")
    reading = read_folders(tmp_path)
    assert [row.id for row in reading.utterances] == ["03-01-05-01-01-01-01.wav"]
    assert sum(reading.skipped.values()) == 2
    (tmp_path / "03-01-05-01-01-01-01.wav").unlink()
    (tmp_path / "02-01-05-01-01-01-01.wav").unlink()
    reading = read_folders(tmp_path)
    assert len(reading.utterances) == 1
    assert reading.notes[1] == "all recordings: song, not speech (channel 02)"


def test_copies_with_longer_names_keep_the_code_and_contradictions_are_reported(
    tmp_path: Path,
) -> None:
    folder(tmp_path, *(f"Actor_01/03-01-05-01-01-01-01{end}.wav" for end in ("_angry", "_noise")))
    assert read_folders(tmp_path).warnings == ()
    folder(tmp_path, "Actor_01/03-01-05-01-01-01-01_sad.wav", "Fear/03-01-05-01-01-02-01.wav")
    reading = read_folders(tmp_path)
    assert {(row.emotion, row.speaker) for row in reading.utterances} == {("anger", "01")}
    (warning,) = reading.warnings
    assert warning.startswith("2 recordings have another emotion in their name or folder than in")
    assert "01_sad.wav is anger, not sadness" in warning


def test_names_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    folder(tmp_path, *(f"DC_{code}.wav" for code in ("a01", "d02", "f03", "sa04")), "intro.wav")
    reading = read_folders(tmp_path)
    assert len(reading.utterances) == 4
    assert reading.skipped == {"file name not like SAVEE's": 1}


def test_a_few_names_do_not_make_a_corpus(tmp_path: Path) -> None:
    folder(tmp_path, "anger/DC_a01.wav", "calm/1.wav", "calm/2.wav")
    assert [row.speaker for row in read_folders(tmp_path).utterances] == [None] * 3


def test_several_corpora_in_one_folder_keep_their_speakers_apart(tmp_path: Path) -> None:
    names = ("ravdess/Actor_03/03-01-05-01-01-01-03.wav", "emodb/03a01Wa.wav", "emodb/08a01Fa.wav")
    reading = read_folders(folder(tmp_path, *names))
    assert {row.speaker for row in reading.utterances} == {"ravdess/03", "emodb/03", "emodb/08"}
    assert reading.notes[0].startswith("recognized as EmoDB (2), RAVDESS (1), by the names of 3")


def test_options_replace_what_the_names_say(tmp_path: Path) -> None:
    folder(tmp_path, "happy/OAF_back_angry.wav", "happy/YAF_back_angry.wav")
    (first, _) = read_folders(tmp_path, emotion_level=1).utterances
    assert (first.emotion, first.speaker) == ("happiness", None)
    (first, _) = read_folders(tmp_path, speaker="*_{speaker}_*", language="fr").utterances
    assert (first.emotion, first.speaker, first.language) == ("anger", "back", "fr")
    assert first.transcript is None  # it is English


@given(st.lists(st.text(max_size=12).map(lambda text: f"a/{text}.wav"), min_size=1, max_size=5))
def test_any_names_are_recognized_or_not(names: list[str]) -> None:
    known = recognize_layout([PurePath(name) for name in names])
    assert known is None or all(recording.emotion for recording in known.recordings.values())


def test_the_command_says_what_it_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from phonemo.cli.main import main

    for actor in ("01", "02", "03"):
        tiny.write_sound(tmp_path / f"Actor_{actor}" / f"03-01-05-01-01-01-{actor}.wav")
    monkeypatch.setattr("sys.argv", ["phonemo", "init-corpus", str(tmp_path), "-q"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "  recognized as RAVDESS, by the names of 3 recordings\n" in out
    assert "  emotions: anger 3\n  speakers: 01 1, 02 1, 03 1\n" in out


@pytest.mark.parametrize("rest", ["_16k", "-16kHz", " (1)", "_noise", ".mono"])
@pytest.mark.parametrize("title", sorted(RELEASES))
def test_copies_with_something_behind_the_names_are_recognized(
    tmp_path: Path, title: str, rest: str
) -> None:
    original = read_folders(folder(tmp_path / "a", *RELEASES[title])).utterances
    names = (PurePath(name) for name in RELEASES[title])
    copies = [str(name.with_name(f"{name.stem}{rest}{name.suffix}")) for name in names]
    found = read_folders(folder(tmp_path / "b", *copies)).utterances
    assert len(found) == len(original)
    facts = [[(row.emotion, row.speaker, row.gender) for row in some] for some in (original, found)]
    assert sorted(facts[0], key=str) == sorted(facts[1], key=str)


def test_a_known_corpus_among_many_other_recordings_is_named_in_the_error(tmp_path: Path) -> None:
    known = [f"03-01-0{code}-01-01-01-01.wav" for code in range(1, 7)]
    other = [f"mine/{emotion}/1.wav" for emotion in ("angry", "sad")]
    with pytest.raises(CorpusError, match=r"6 of 8 recordings are named like RAVDESS's: move"):
        read_folders(folder(tmp_path, *known, *other))
