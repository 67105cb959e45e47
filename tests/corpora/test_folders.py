"""Custom folders: emotions, speakers and splits from names, and the errors."""

from __future__ import annotations

from pathlib import Path, PurePath
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.readers.formats import folders
from phonemo.corpora.readers.formats.audiofolder import read_recordings
from phonemo.corpora.readers.formats.folder_names import emotion_of, is_filler, part_of
from phonemo.corpora.readers.formats.folders import read_folders
from phonemo.errors import CorpusError, UsageError
from tests import tiny

SPLIT_FOLDERS = (
    *("train", "training", "dev", "valid", "validation", "val", "test", "testing", "eval"),
    *("evaluation", "Train", "TEST", "train_set", "Test-Data", "dev clean", "val2", "训练集"),
)


def folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def rows(root: Path, **options) -> list[tuple[str, str | None, str | None]]:
    return [
        (utterance.file, utterance.emotion, utterance.speaker)
        for utterance in read_folders(root, **options).utterances
    ]


def test_a_folder_for_each_emotion(tmp_path):
    folder(tmp_path, "Angry/a.wav", "sad/b.wav", "glee/c.wav")
    assert rows(tmp_path) == [
        ("Angry/a.wav", "anger", None),
        ("glee/c.wav", "glee", None),
        ("sad/b.wav", "sadness", None),
    ]
    assert read_folders(tmp_path).notes == (
        "mapped: Angry -> anger (1), sad -> sadness (1)",
        "no name of phonemo's, kept: glee (1)",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("anger/ann/1.wav", "anger/bob/1.wav", "calm/ann/2.wav"),
        ("ann/anger/1.wav", "bob/anger/1.wav", "ann/calm/2.wav"),
        ("2024/ann/anger/1.wav", "2024/bob/calm/1.wav"),
        ("wav/anger/ann/1.wav", "wav/calm/bob/1.wav"),
        ("anger/ann/wav/1.wav", "calm/bob/wav/1.wav"),
        ("ann/anger/session1/1.wav", "bob/calm/session2/1.wav"),
        ("ann/01 - Anger/1.wav", "bob/02 - Calm/1.wav"),
        ("happy project/ann/anger/1.wav", "happy project/bob/calm/1.wav"),
    ],
)
def test_the_levels_of_emotion_and_speaker_are_detected(tmp_path, names):
    folder(tmp_path, *names)
    found = rows(tmp_path)
    assert {emotion for _, emotion, _ in found} == {"anger", "calm"}
    assert {speaker for _, _, speaker in found} == {"ann", "bob"}


def test_a_speaker_whose_name_is_an_emotion_is_a_speaker(tmp_path):
    folder(tmp_path, "Joy/angry/1.wav", "Bob/sad/1.wav", "Ann/sad/1.wav")
    assert rows(tmp_path) == [
        ("Ann/sad/1.wav", "sadness", "Ann"),
        ("Bob/sad/1.wav", "sadness", "Bob"),
        ("Joy/angry/1.wav", "anger", "Joy"),
    ]


def test_emotions_may_be_at_different_depths(tmp_path):
    folder(tmp_path, "angry/x.wav", "sad/x.wav", "My data/angry/x.wav", "calls/sad/y.wav")
    assert rows(tmp_path) == [
        ("My data/angry/x.wav", "anger", None),
        ("angry/x.wav", "anger", None),
        ("calls/sad/y.wav", "sadness", None),
        ("sad/x.wav", "sadness", None),
    ]


def test_recordings_outside_the_emotions_are_skipped_and_counted(tmp_path):
    folder(tmp_path, "anger/a.wav", "calm/b.wav", "stray.wav", "anger/notes.txt", "README")
    reading = read_folders(tmp_path)
    assert [row.file for row in reading.utterances] == ["anger/a.wav", "calm/b.wav"]
    assert reading.skipped == {
        "not in a folder named after an emotion, such as stray.wav": 1,
        "not a recording (.txt)": 1,
        "not a recording (no extension)": 1,
    }


def test_the_speaker_may_be_in_the_files_name(tmp_path):
    folder(tmp_path, "anger/ann_1.wav", "anger/bob_2.wav", "calm/odd.wav")
    found = rows(tmp_path, speaker="{speaker}_*")
    assert [speaker for _, _, speaker in found] == ["ann", "bob", None]
    with pytest.raises(UsageError, match=r"'\{speaker\}_\*'"):
        rows(tmp_path, speaker="(.*)_")


def test_emotions_may_be_in_the_files_names(tmp_path):
    folder(tmp_path, "ann/happy_1.wav", "ann/2-SAD.wav", "bob/angry01.wav", "bob/x_angry.wav")
    assert rows(tmp_path) == [
        ("ann/2-SAD.wav", "sadness", "ann"),
        ("ann/happy_1.wav", "happiness", "ann"),
        ("bob/angry01.wav", "anger", "bob"),
        ("bob/x_angry.wav", "anger", "bob"),
    ]
    assert "emotions from file names, such as 2-SAD.wav" in read_folders(tmp_path).notes


@pytest.mark.parametrize(
    "names", [("Actor_01/x.wav", "Actor_02/y.wav"), ("01/x.wav", "02/y.wav"), ("joy/1.wav",)]
)
def test_folders_that_are_no_emotions_are_an_error_unless_they_are_requested(tmp_path, names):
    folder(tmp_path, *names, "ann/2.wav", "bob/3.wav")
    with pytest.raises(CorpusError, match=r"expected folders named after emotions.*level 1: .*ann"):
        rows(tmp_path)
    assert len(rows(tmp_path, emotion_level=1)) == len(names) + 2


def test_levels_without_an_emotion_are_listed(tmp_path):
    folder(tmp_path, "x/a/1.wav", "y/b/2.wav")
    with pytest.raises(CorpusError, match=r"level 1: x, y; level 2: a, b.*--emotion-level"):
        rows(tmp_path)
    assert rows(tmp_path, emotion_level=2)[0] == ("x/a/1.wav", "a", "x")
    with pytest.raises(UsageError, match="from 1 to 2, got 3"):
        rows(tmp_path, emotion_level=3)


def test_two_levels_of_emotions_are_ambiguous(tmp_path):
    folder(tmp_path, "anger/calm/1.wav", "calm/anger/2.wav")
    with pytest.raises(CorpusError, match=r"ambiguous \(level 1: anger, calm; .*--emotion-level"):
        rows(tmp_path)


def test_a_folder_without_usable_names_is_an_error_with_what_was_found(tmp_path):
    folder(tmp_path, "stray.wav")
    for level in (None, 1):
        with pytest.raises(CorpusError, match=r"stray\.wav is not in a folder"):
            rows(tmp_path, emotion_level=level)
    (tmp_path / "stray.wav").rename(tmp_path / "stray.doc")
    with pytest.raises(CorpusError, match=r"expected recordings .*not a recording \(\.doc\): 1"):
        rows(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        rows(tmp_path / "none")


class TestSplits:
    """Folders such as train, val and test."""

    @staticmethod
    def splits(reading: CorpusReading) -> dict[str, str | None]:
        return {row.file: row.split for row in reading.utterances}

    def test_they_are_splits_and_no_speakers(self, tmp_path):
        names = [
            f"{part}/{emotion}/1.wav"
            for part in ("train", "val", "test")
            for emotion in ("angry", "sad")
        ]
        reading = read_folders(folder(tmp_path, *names))
        assert set(self.splits(reading).values()) == {"train", "validation", "test"}
        assert {row.speaker for row in reading.utterances} == {None}
        assert reading.notes[0] == "splits from folder names: train 2, validation 2, test 2"

    def test_the_speaker_is_searched_in_other_folders(self, tmp_path):
        folder(tmp_path, "train/ann/anger/1.wav", "test/bob/anger/1.wav", "dev/cid/calm/1.wav")
        found = {row.speaker: row.split for row in read_folders(tmp_path).utterances}
        assert found == {"ann": "train", "bob": "test", "cid": "validation"}

    def test_evaluation_is_validation_if_there_is_a_test_part(self, tmp_path):
        folder(tmp_path, "train/anger/1.wav", "evaluation/calm/2.wav")
        assert self.splits(read_folders(tmp_path))["evaluation/calm/2.wav"] == "test"
        folder(tmp_path, "test/calm/3.wav")
        assert self.splits(read_folders(tmp_path))["evaluation/calm/2.wav"] == "validation"

    def test_a_name_may_have_the_split_and_the_emotion(self, tmp_path):
        folder(tmp_path, "train_angry/1.wav", "sad-test/2.wav")
        found = read_folders(tmp_path)
        assert self.splits(found) == {"train_angry/1.wav": "train", "sad-test/2.wav": "test"}

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.lists(
                st.sampled_from((*SPLIT_FOLDERS, "angry", "sad", "ann", "bob", "wav", "My data")),
                min_size=1,
                max_size=4,
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_no_split_folder_is_ever_a_speaker_or_an_emotion(self, tmp_path_factory, parts):
        root = tmp_path_factory.mktemp("splits")
        folder(root, *(f"{'/'.join(names)}/{number}.wav" for number, names in enumerate(parts)))
        try:
            reading = read_folders(root)
        except CorpusError:
            return
        for row in reading.utterances:
            assert row.speaker not in SPLIT_FOLDERS
            assert row.emotion in {"anger", "sadness", "ann", "bob"}
            assert (row.split is None) == (not set(row.file.split("/")) & set(SPLIT_FOLDERS))


def test_every_recording_of_random_folders_is_read_or_counted(tmp_path, monkeypatch):
    words = ("train", "eval", "angry", "Joy", "OAF_sad", "Actor_01", "0011", "ann", "wav", "生气")
    stems = ("03-01-05-01-01-01-01", "OAF_back_ps", "DC_a01", "03a01Wa", "ann_1", "sad", "")
    for seed in range(300):
        draw = Random(seed)
        paths = {
            PurePath(
                *draw.choices(words, k=draw.randint(0, 3)), f"{draw.choice(stems)}{number}.wav"
            )
            for number in range(draw.randint(1, 6))
        }
        monkeypatch.setattr(folders, "_recordings", lambda root, skipped, paths=paths: list(paths))
        level = draw.choice((None, None, 1, 2))
        try:
            reading = read_folders(tmp_path, emotion_level=level)
        except (CorpusError, UsageError) as error:
            messages = [str(error)]
        else:
            messages = [*reading.notes, *reading.warnings, *reading.skipped]
            assert len(reading.utterances) + sum(reading.skipped.values()) == len(paths)
        assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("name", SPLIT_FOLDERS)
def test_names_of_splits(name):
    assert part_of(name) is not None
    assert emotion_of(name) is None


def test_names_that_only_contain_a_split_are_none():
    assert [part_of(name) for name in ("anna_test", "Trainor", "valerie", "train test")] == [
        None
    ] * 4
    assert [is_filler(name) for name in ("wav", "My data", "fold_3", "ann", "01")] == [True] * 3 + [
        False
    ] * 2


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("OAF_angry", "anger"),
        ("01 - Sad", "sadness"),
        ("生气", "anger"),
        ("Freude", "happiness"),
        ("happy_sad", None),
        ("other people", None),
        ("other", "other"),
        ("05", None),
        ("Actor_05", None),
        ("", None),
    ],
)
def test_the_emotion_in_a_name(name, emotion):
    assert emotion_of(name) == emotion


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

    @staticmethod
    def sounds(root: Path, *names: str) -> None:
        for name in names:
            tiny.write_sound(root / name)

    def test_the_command_counts_warns_and_prints_the_next_step(self, phonemo, tmp_path):
        self.sounds(tmp_path, "anger/a.wav", "calm/b.wav")
        (tmp_path / "calm" / "broken.wav").write_bytes(b"no audio")
        (tmp_path / "calm" / "empty.wav").touch()
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        (tmp_path / "calm" / "pointer.wav").write_bytes(pointer)
        code, out, err = phonemo("init-corpus", tmp_path, "-q")
        assert (code, err) == (0, "")
        assert "2 utterances, 0 speakers, 2 emotions" in out
        assert "a Git LFS pointer, not the recording; run: git lfs pull 1" in out
        assert "audio: cannot be decoded (text) 1" in out
        assert "audio: empty 1" in out
        assert "0 known speakers, so scores cannot be speaker-independent" in out
        assert "fewer than 6 utterances" in out
        assert out.splitlines()[-1] == f"  next: phonemo finetune {tmp_path / 'manifest.jsonl'}"

    def test_the_command_prints_splits_and_renamed_emotions(self, phonemo, tmp_path):
        self.sounds(tmp_path, "train/Angry/a.wav", "test/sad/b.wav")
        _, out, _ = phonemo("init-corpus", tmp_path, "-q")
        assert "  splits from folder names: train 1, test 1\n" in out
        assert "  mapped: Angry -> anger (1), sad -> sadness (1)\n" in out
        assert "  speakers: (none) 2\n" in out

    def test_folders_that_are_no_emotions_end_with_one_line(self, phonemo, tmp_path):
        self.sounds(tmp_path, "ann/a.wav", "bob/b.wav")
        code, out, err = phonemo("init-corpus", tmp_path, "-q")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "set --emotion-level" in err

    def test_a_table_can_replace_the_folder_names(self, phonemo, tmp_path):
        self.sounds(tmp_path, "a.wav", "b.wav")
        tiny.write_text(tmp_path / "t.csv", "file,emotion,speaker\na.wav,anger,x\nb.wav,calm,y\n")
        code, out, _ = phonemo("init-corpus", tmp_path, "--csv", tmp_path / "t.csv", "-q")
        assert code == 0
        assert "2 utterances, 2 speakers" in out
        code, _, err = phonemo("init-corpus", tmp_path, "--csv", "t.csv", "--language", "en")
        assert code == 2
        assert err.count("\n") == 1


class TestMetadata:
    """The metadata table of an audiofolder."""

    def test_it_replaces_the_names(self, tmp_path):
        folder(tmp_path, "train/1.wav", "test/2.wav")
        table = "file_name,label,age\ntrain/1.wav,Angry,30\ntest/2.wav,sad,31\n"
        tiny.write_text(tmp_path / "metadata.csv", table)
        reading = read_recordings(tmp_path, language="en")
        assert [(row.file, row.emotion, row.split) for row in reading.utterances] == [
            ("train/1.wav", "anger", "train"),
            ("test/2.wav", "sadness", "test"),
        ]
        assert {row.language for row in reading.utterances} == {"en"}
        assert reading.notes[0] == "read from metadata.csv"
        assert "columns not used: age" in reading.notes

    def test_every_split_may_have_one(self, tmp_path):
        for part in ("train", "validation"):
            line = f'{{"file_name": "a.wav", "emotion": "happy", "speaker": "{part[0]}"}}\n'
            tiny.write_text(tmp_path / part / "metadata.jsonl", line)
        assert [
            (row.id, row.file, row.speaker, row.split)
            for row in read_recordings(tmp_path).utterances
        ] == [
            ("train/a", "train/a.wav", "t", "train"),
            ("validation/a", "validation/a.wav", "v", "validation"),
        ]

    @pytest.mark.parametrize(
        ("table", "note"),
        [
            (
                "file_name,transcript\nanger/1.wav,hello\n",
                "without a column of emotions or ratings",
            ),
            ("name,value\nx,1\n", "expected a column 'file'"),
        ],
    )
    def test_without_emotions_the_names_are_read(self, tmp_path, table, note):
        folder(tmp_path, "anger/1.wav", "calm/2.wav")
        tiny.write_text(tmp_path / "metadata.csv", table)
        reading = read_recordings(tmp_path)
        assert [row.emotion for row in reading.utterances] == ["anger", "calm"]
        assert note in reading.notes[0]


def test_speakers_in_file_names_are_suggested(tmp_path):
    names = [
        f"{emotion}/{name}_{n}.wav"
        for emotion in ("sad", "calm")
        for name in ("a", "b")
        for n in (1, 2)
    ]
    notes = read_folders(folder(tmp_path, *names)).notes
    assert notes[-1] == "file names begin with a, b: if these are speakers, --speaker '{speaker}_*'"
    assert "file names" not in " ".join(read_folders(tmp_path, speaker="{speaker}_*").notes)


@pytest.mark.parametrize(
    "name", ["TrainData", "testdata", "ValSet", "devset", "Test-Data", "TestWavs"]
)
def test_parts_written_with_another_word_are_parts(name: str) -> None:
    assert part_of(name) is not None


@pytest.mark.parametrize("name", ["data", "wav", "sets", "Trainer", "Tess", "Devi", "testa"])
def test_words_that_only_resemble_parts_are_none(name: str) -> None:
    assert part_of(name) is None


@pytest.mark.parametrize(
    "name", ["not_angry", "non-angry", "no anger", "ohne Wut", "nicht traurig"]
)
def test_a_negated_emotion_is_not_that_emotion(name: str) -> None:
    assert emotion_of(name) is None
    assert emotion_of("no_emotion") == "neutral"


@pytest.mark.parametrize("above", [True, False])
def test_folders_of_genders_are_genders_and_not_speakers(tmp_path: Path, above: bool) -> None:
    names = [
        f"{gender}/{emotion}/1.wav" if above else f"{emotion}/{gender}/1.wav"
        for gender in ("Female", "male")
        for emotion in ("angry", "sad")
    ]
    found = read_folders(folder(tmp_path, *names)).utterances
    assert {(row.speaker, row.gender) for row in found} == {(None, "f"), (None, "m")}


@pytest.mark.parametrize("names", [("16k", "48kHz"), ("English", "German"), ("Fort", "Faible")])
def test_folders_of_rates_languages_and_intensities_are_not_speakers(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    files = [f"{name}/{emotion}/1.wav" for name in names for emotion in ("angry", "sad")]
    assert {speaker for *_, speaker in rows(folder(tmp_path, *files))} == {None}


def test_genders_in_file_names_are_not_suggested_as_speakers(tmp_path: Path) -> None:
    files = [
        f"{sex}_{n}_{emotion}.wav" for sex in "FM" for n in "12" for emotion in ("sad", "fear")
    ]
    notes = read_folders(folder(tmp_path, *files)).notes
    assert not any("--speaker" in note for note in notes)


def test_recordings_that_the_metadata_table_does_not_name_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, "wav/a.wav", "wav/b.wav", "c.flac", "notes.txt")
    tiny.write_text(tmp_path / "metadata.csv", "file_name,emotion\n./wav/a.wav,sad\n")
    assert read_recordings(tmp_path).skipped == {"not in the table": 2}
