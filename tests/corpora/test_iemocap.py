"""The IEMOCAP reader on a miniature with the irregularities of the release."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.readers.iemocap import CARD, read
from phonemo.errors import CorpusError
from phonemo.labels import LabelSet
from tests.iemocap_counts import (
    FOUR_CLASS_RELEASE,
    FOUR_CLASSES,
    count_four_class,
    four_class,
    is_improvised,
    is_scripted,
)
from tests.tiny_iemocap import DIALOGS, ODDITIES, make_iemocap


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_iemocap(tmp_path_factory.mktemp("iemocap"))


@pytest.fixture(scope="module")
def reading(release: Path) -> CorpusReading:
    return read(release)


@pytest.fixture
def session(tmp_path: Path, release: Path) -> Path:
    """A release with only session 1, which a test may modify."""
    shutil.copytree(release / "Session1", tmp_path / "Session1")
    return tmp_path / "Session1"


def find(reading: CorpusReading, utterance: str) -> Utterance:
    return next(row for row in reading.utterances if row.id == utterance)


# ---- a complete release


def test_an_utterance_has_all_fields_of_the_release(reading: CorpusReading) -> None:
    assert find(reading, "Ses01F_impro01_M000") == Utterance(
        id="Ses01F_impro01_M000",
        file="Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
        speaker="Ses01M",
        gender="m",
        session="1",
        dialog="Ses01F_impro01",
        language="en",
        transcript="A cat and a dog.",
        style="improvised",
        emotion="anger",
        arousal=0.75,
        valence=0.2,
        dominance=0.7,
        scale=(1, 5),
        votes={"neutral": 0.5, "anger": 1.5},
        phonemes=Phonemes(
            alphabet="arpabet",
            source="phseg",
            symbols=("AH", "K", "AE", "T", "AE", "N", "D", "AH", "D", "AO", "G"),
            times=tuple((n / 100, (n + 3) / 100) for n in range(3, 36, 3)),
        ),
    )


def test_every_dialog_is_read_with_both_of_its_actors(reading: CorpusReading) -> None:
    assert len(reading.utterances) == 60
    assert len({utterance.id for utterance in reading.utterances}) == 60
    assert {utterance.dialog for utterance in reading.utterances} == {
        d for two in DIALOGS.values() for d in two
    }
    assert Counter(utterance.speaker for utterance in reading.utterances) == {
        f"Ses0{number}{letter}": 6 for number in range(1, 6) for letter in "FM"
    }


def test_the_letter_of_the_turn_gives_speaker_and_gender(reading: CorpusReading) -> None:
    for utterance in reading.utterances:
        letter = utterance.id.split("_")[-1][0]
        assert (utterance.speaker, utterance.gender) == (
            f"{utterance.id[:5]}{letter}",
            letter.lower(),
        )
        assert utterance.session == utterance.id[4]


def test_emotions_are_canonical_and_counted_by_hand(reading: CorpusReading) -> None:
    assert Counter(utterance.emotion for utterance in reading.utterances) == {
        "neutral": 10,
        "anger": 10,
        "sadness": 10,
        "happiness": 10,
        "excited": 6,
        "frustration": 5,
        "surprise": 1,
        "fear": 1,
        "disgust": 1,
        "other": 1,
        None: 5,
    }


def test_skipped_entries_are_counted_by_reason(reading: CorpusReading) -> None:
    assert reading.skipped == {
        "alignment broken off or malformed (kept, no phonemes)": 1,
        "alignment missing (kept, no phonemes)": 1,
        "alignment of fillers alone (kept, no phonemes)": 1,
        "emotion not agreed on (kept, no emotion)": 5,
        "macOS ._ file": 8,
        "stray line in a transcript": 10,
        "tag taken out of a transcript": 2,
        "turn without a recording": 20,
    }


def test_root_may_be_the_parent_folder_and_files_are_relative_to_it(release: Path) -> None:
    above = read(release.parent)
    assert len(above.utterances) == 60
    assert all((release.parent / utterance.file).is_file() for utterance in above.utterances)
    assert above.utterances[0].file.startswith("IEMOCAP_full_release/Session1/")


def test_files_exist_and_the_root_may_be_a_string(release: Path) -> None:
    reading = read(str(release))  # type: ignore[arg-type]
    assert all((release / utterance.file).is_file() for utterance in reading.utterances)


def test_tags_are_removed_and_a_tag_only_transcript_is_empty(reading: CorpusReading) -> None:
    tagged = find(reading, ODDITIES["tag"])
    assert tagged.transcript == "Look, it's better."
    assert tagged.phonemes is not None
    assert " ".join(tagged.phonemes.symbols) == "L UH K IH T S B EH T ER"
    only_tag = find(reading, ODDITIES["tag alone"])
    assert (only_tag.transcript, only_tag.phonemes) == ("", None)


def test_latin_1_is_read_if_a_file_is_not_utf_8(reading: CorpusReading) -> None:
    assert find(reading, ODDITIES["latin-1 transcript"]).transcript == "Café, I know."
    dialog = ODDITIES["latin-1 evaluation"]
    assert find(reading, f"{dialog}_F000").emotion == "neutral"


def test_files_of_individual_raters_are_ignored(reading: CorpusReading) -> None:
    contradicted = find(reading, ODDITIES["contradicted by one rater's own file"])
    assert contradicted.emotion == "neutral"


@pytest.mark.parametrize("oddity", ["alignment missing", "alignment cut off"])
def test_no_alignment_leaves_the_phonemes_unknown(reading: CorpusReading, oddity: str) -> None:
    utterance = find(reading, ODDITIES[oddity])
    assert utterance.phonemes is None
    assert utterance.transcript is not None


def test_the_frame_offset_moves_every_alignment(release: Path, reading: CorpusReading) -> None:
    shifted = find(read(release, frame_offset=2), "Ses01F_impro01_M000").phonemes
    still = find(reading, "Ses01F_impro01_M000").phonemes
    assert shifted is not None
    assert still is not None
    assert (shifted.times or ())[0] == pytest.approx((0.05, 0.08))
    assert (still.times or ())[0] == pytest.approx((0.03, 0.06))


# ---- an incomplete release


def test_existing_sessions_are_read(session: Path) -> None:
    assert {utterance.session for utterance in read(session.parent).utterances} == {"1"}


def test_no_session_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"Session1 .* pass IEMOCAP_full_release"):
        read(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["dialog/EmoEvaluation", "sentences/wav"])
def test_a_session_without_its_folders_is_an_error(session: Path, folder: str) -> None:
    shutil.rmtree(session / folder)
    with pytest.raises(CorpusError, match=f"{folder}: no such folder; unpack the whole release"):
        read(session.parent)


def test_a_release_without_recordings_is_an_error(session: Path) -> None:
    shutil.rmtree(session / "sentences" / "wav")
    (session / "sentences" / "wav").mkdir()
    with pytest.raises(CorpusError, match="expected recordings"):
        read(session.parent)


def test_recordings_without_texts_are_kept_and_counted(session: Path) -> None:
    shutil.rmtree(session / "dialog" / "transcriptions")
    (session / "dialog" / "EmoEvaluation" / "Ses01M_script01_1.txt").unlink()
    reading = read(session.parent)
    assert len(reading.utterances) == 12
    assert reading.skipped["recording without a transcript (kept)"] == 12
    assert reading.skipped["recording without an evaluation (kept, no emotion)"] == 6
    assert reading.skipped["emotion not agreed on (kept, no emotion)"] == 1
    assert all(utterance.transcript is None for utterance in reading.utterances)
    assert find(reading, "Ses01M_script01_1_F000").emotion is None


def test_a_turn_without_words_has_an_empty_transcript(session: Path) -> None:
    path = session / "dialog/transcriptions/Ses01F_impro01.txt"
    path.write_text("Ses01F_impro01_F000 [006.2901-008.2357]:\n", encoding="utf-8")
    reading = read(session.parent)
    assert find(reading, "Ses01F_impro01_F000").transcript == ""
    assert find(reading, "Ses01F_impro01_M000").transcript is None


def test_texts_without_a_recording_are_counted(session: Path) -> None:
    (session / "sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav").unlink()
    reading = read(session.parent)
    assert len(reading.utterances) == 11
    assert reading.skipped["evaluation without a recording"] == 1
    assert reading.skipped["turn without a recording"] == 5


def test_repeated_turns_are_counted_and_the_first_is_used(session: Path) -> None:
    for folder in ("EmoEvaluation", "transcriptions"):
        path = session / "dialog" / folder / "Ses01F_impro01.txt"
        text = path.read_text(encoding="utf-8")
        again = text.replace("\tneu\t", "\tsad\t").replace("It's hot.", "It's cold.")
        path.write_text(text + "\n" + again, encoding="utf-8")
    reading = read(session.parent)
    assert reading.skipped["turn evaluated again"] == 6
    assert reading.skipped["turn transcribed again"] == 8
    first = find(reading, "Ses01F_impro01_F000")
    assert (first.emotion, first.transcript) == ("neutral", "It's hot.")


def test_flac_is_read_wav_is_preferred_and_other_names_are_counted(session: Path) -> None:
    folder = session / "sentences" / "wav" / "Ses01F_impro01"
    audio, rate = soundfile.read(folder / "Ses01F_impro01_F000.wav")
    for name in ("Ses01F_impro01_F000", "Ses01F_impro01_F001", "notes", "Ses01F_impro01_MXX0"):
        soundfile.write(folder / f"{name}.flac", audio, rate)
    (folder / "Ses01F_impro01_F001.wav").unlink()
    reading = read(session.parent)
    assert len(reading.utterances) == 12
    assert find(reading, "Ses01F_impro01_F000").file.endswith(".wav")
    assert find(reading, "Ses01F_impro01_F001").file.endswith(".flac")
    assert reading.skipped["recording whose name is no utterance's"] == 2
    assert reading.skipped["same name with another extension"] == 1


# ---- published counts


def test_the_published_counts_agree_with_each_other_and_the_card() -> None:
    release = FOUR_CLASS_RELEASE
    assert release.total == 5531
    for part in (release.emotions, release.sessions, release.speakers, release.styles):
        assert sum(part.values()) == release.total
    for session, count in release.sessions.items():
        actors = (f"Ses0{session}{letter}" for letter in "FM")
        assert sum(release.speakers[actor] for actor in actors) == count
    emotions = CARD.emotions or {}
    total = Counter[str]()
    for emotion, count in emotions.items():
        total[FOUR_CLASSES.merge.get(emotion, emotion)] += count
    assert total == release.emotions
    assert (CARD.utterances, CARD.speakers) == (10039, 10)
    assert all(str(number) in CARD.note for number in (5531, 2943, 2588))


def test_four_classes_merge_excited_and_leave_out_the_rest(reading: CorpusReading) -> None:
    selected = four_class(reading.utterances)
    assert Counter(utterance.emotion for utterance in selected) == {
        "neutral": 10,
        "anger": 10,
        "sadness": 10,
        "happiness": 16,
    }
    assert find(reading, "Ses01M_script01_1_F002").emotion == "excited"
    LabelSet(FOUR_CLASSES.names, FOUR_CLASSES.merge)


def test_four_class_counts_of_the_miniature(reading: CorpusReading) -> None:
    counts = count_four_class(reading.utterances)
    assert counts.total == 46
    assert counts.sessions == {"1": 9, "2": 9, "3": 9, "4": 9, "5": 10}
    assert counts.speakers["Ses05M"] == 5
    assert counts.styles == {"improvised": 20, "scripted": 26}


def test_the_dialog_determines_scripted_or_improvised(reading: CorpusReading) -> None:
    for utterance in reading.utterances:
        assert is_scripted(utterance) == ("script" in utterance.id)
        assert is_improvised(utterance) == ("impro" in utterance.id)
    nobody = Utterance(id="a", file="a.wav")
    assert not is_scripted(nobody)
    assert not is_improvised(nobody)


def test_the_real_release_has_its_published_counts() -> None:
    root = os.environ.get("PHONEMO_IEMOCAP")
    if root is None:
        pytest.skip("needs the licensed release: set PHONEMO_IEMOCAP to its folder")
    utterances = read(Path(root)).utterances
    assert len(utterances) == CARD.utterances
    assert count_four_class(utterances) == FOUR_CLASS_RELEASE
