"""emotiontts: names, the real clips, and which block of numbers is sad."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusReading
from phonemo.errors import CorpusError
from tests import tiny

#: The README's names of the two swapped blocks -> the recorded emotions.
EXCHANGED = {"anger": "sadness", "sadness": "anger"}


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> CorpusReading:
    return CORPORA["emotiontts"].read(tiny.make_emotiontts(tmp_path_factory.mktemp("tts")))


@pytest.fixture(scope="module")
def real(shared_folder: Path) -> CorpusReading:
    return CORPORA["emotiontts"].read(shared_folder / "corpora" / "emotiontts")


def test_the_first_utterance_by_hand(fake: CorpusReading) -> None:
    assert fake.utterances[0] == Utterance(
        id="ema00001",
        file="plain-to-emotional/ema/wav/ema00001.wav",
        speaker="ema",
        gender="f",
        language="ko",
        transcript="오월 십칠일 기준.",
        style="plain-to-emotional",
        emotion="neutral",
    )


def test_each_hundred_is_one_emotion(fake: CorpusReading) -> None:
    assert {utterance.id: utterance.emotion for utterance in fake.utterances} == {
        "ema00001": "neutral",
        "ema00101": "happiness",
        "ema00300": "sadness",
        "neo00201": "sadness",
        "neo00400": "anger",
    }


def test_kind_gender_and_missing_words(fake: CorpusReading) -> None:
    *_, last = fake.utterances
    assert (last.style, last.gender, last.transcript) == ("emotional-to-emotional", "m", None)
    assert fake.utterances[1].transcript is None, "a file of blanks has no words that are known"


def test_skipped_files_are_counted(fake: CorpusReading) -> None:
    assert fake.skipped == {
        "macOS ._ file": 1,
        "file name not like ema00001": 1,
        "number outside 00001 to 00400": 2,
        "speaker in the file name is not the folder's": 1,
    }


def test_one_kind_is_enough_and_the_folder_of_a_kind_is_rejected(tmp_path: Path) -> None:
    root = tiny.make_emotiontts(tmp_path)
    (root / "emotional-to-emotional").rename(tmp_path / "away")
    assert {utterance.style for utterance in CORPORA["emotiontts"].read(root).utterances} == {
        "plain-to-emotional"
    }
    with pytest.raises(CorpusError, match="pass the folder with plain-to-emotional"):
        CORPORA["emotiontts"].read(root / "plain-to-emotional")


def test_a_transcript_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    root = tiny.make_emotiontts(tmp_path)
    path = root / "plain-to-emotional" / "ema" / "transcript" / "ema00001.txt"
    path.write_bytes("기준".encode("cp949"))
    with pytest.raises(CorpusError, match=r"ema00001.txt: expected UTF-8"):
        CORPORA["emotiontts"].read(root)


def test_real_clips_match_the_metadata(shared_folder: Path, real: CorpusReading) -> None:
    path = shared_folder / "corpora" / "emotiontts" / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        metadata = {row["file"]: row for row in csv.DictReader(stream)}
    utterances = {utterance.file: utterance for utterance in real.utterances}
    assert utterances.keys() == metadata.keys()
    for file, row in metadata.items():
        utterance = utterances[file]
        # the metadata has the emotions of the release's README
        emotion = EXCHANGED.get(row["emotion"], row["emotion"])
        assert (utterance.speaker, utterance.language, utterance.emotion) == (
            row["speaker"],
            "ko",
            emotion,
        )


def test_real_counts_are_the_published_ones(real: CorpusReading) -> None:
    card = CORPORA["emotiontts"].card
    assert real.skipped == {}
    assert len(real.utterances) == card.utterances
    assert Counter(utterance.emotion for utterance in real.utterances) == card.emotions
    genders = dict.fromkeys((utterance.speaker, utterance.gender) for utterance in real.utterances)
    assert Counter(gender for _, gender in genders) == {"f": 7, "m": 8}
    assert Counter(utterance.style for utterance in real.utterances) == {
        "plain-to-emotional": 100,
        "emotional-to-emotional": 200,
    }


def test_the_block_read_as_anger_has_the_brighter_voices(
    shared_folder: Path, real: CorpusReading
) -> None:
    """Compare the blocks of every speaker on equal plain-to-emotional texts: the README is wrong.

    Angry speech has more of its power above 1 kHz than sad speech (Banse and Scherer, 1996).
    """
    root = shared_folder / "corpora" / "emotiontts"
    brightness: defaultdict[tuple[str | None, str | None], list[float]] = defaultdict(list)
    for utterance in real.utterances:
        if utterance.emotion in EXCHANGED:
            brightness[utterance.speaker, utterance.emotion].append(
                _brightness(root / utterance.file)
            )
    speakers = {speaker for speaker, _ in brightness}
    margins = [
        np.mean(brightness[speaker, "anger"]) - np.mean(brightness[speaker, "sadness"])
        for speaker in speakers
    ]
    assert len(margins) == 15
    assert min(margins) > 1.0
    assert np.mean(margins) > 4.0


def _brightness(path: Path) -> float:
    """Level from 1 to 4 kHz minus level from 80 Hz to 1 kHz, in decibels."""
    samples, rate = soundfile.read(path)
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / rate)
    low, high = (
        power[(frequency > edges[0]) & (frequency < edges[1])].sum()
        for edges in ((80, 1000), (1000, 4000))
    )
    return float(10 * np.log10(high / low))
