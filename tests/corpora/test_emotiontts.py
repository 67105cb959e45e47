"""emotiontts: names by hand, the real clips, and which block of numbers is sad."""

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

#: The README's names of the two blocks that it exchanges -> what was recorded.
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
    assert {one.id: one.emotion for one in fake.utterances} == {
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


def test_what_is_left_out_is_counted(fake: CorpusReading) -> None:
    assert fake.skipped == {
        "macOS ._ file": 1,
        "file name not like ema00001": 1,
        "number outside 00001 to 00400": 2,
        "speaker in the file name is not the folder's": 1,
    }


def test_one_kind_alone_is_enough_and_a_kind_itself_is_refused(tmp_path: Path) -> None:
    root = tiny.make_emotiontts(tmp_path)
    (root / "emotional-to-emotional").rename(tmp_path / "away")
    assert {one.style for one in CORPORA["emotiontts"].read(root).utterances} == {
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


def test_real_clips_are_those_of_the_metadata(shared_folder: Path, real: CorpusReading) -> None:
    path = shared_folder / "corpora" / "emotiontts" / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        wanted = {row["file"]: row for row in csv.DictReader(stream)}
    found = {one.file: one for one in real.utterances}
    assert found.keys() == wanted.keys()
    for file, row in wanted.items():
        one = found[file]
        # its emotions are those of the release's README
        emotion = EXCHANGED.get(row["emotion"], row["emotion"])
        assert (one.speaker, one.language, one.emotion) == (row["speaker"], "ko", emotion)


def test_real_counts_are_the_published_ones(real: CorpusReading) -> None:
    card = CORPORA["emotiontts"].card
    assert real.skipped == {}
    assert len(real.utterances) == card.utterances
    assert Counter(one.emotion for one in real.utterances) == card.emotions
    genders = dict.fromkeys((one.speaker, one.gender) for one in real.utterances)
    assert Counter(gender for _, gender in genders) == {"f": 7, "m": 8}
    assert Counter(one.style for one in real.utterances) == {
        "plain-to-emotional": 100,
        "emotional-to-emotional": 200,
    }


def test_the_block_that_is_read_as_anger_is_the_bright_one(
    shared_folder: Path, real: CorpusReading
) -> None:
    """Of every speaker, whose texts are the same in plain-to-emotional; so the README is wrong.

    Angry speech has more of its power above 1 kHz than sad speech (Banse and Scherer, 1996).
    """
    root = shared_folder / "corpora" / "emotiontts"
    brightness: defaultdict[tuple[str | None, str | None], list[float]] = defaultdict(list)
    for one in real.utterances:
        if one.emotion in EXCHANGED:
            brightness[one.speaker, one.emotion].append(_brightness(root / one.file))
    speakers = {speaker for speaker, _ in brightness}
    margins = [
        np.mean(brightness[speaker, "anger"]) - np.mean(brightness[speaker, "sadness"])
        for speaker in speakers
    ]
    assert len(margins) == 15
    assert min(margins) > 1.0
    assert np.mean(margins) > 4.0


def _brightness(path: Path) -> float:
    """The level from 1 to 4 kHz less that from 80 Hz to 1 kHz, in decibels."""
    samples, rate = soundfile.read(path)
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / rate)
    low, high = (
        power[(frequency > edges[0]) & (frequency < edges[1])].sum()
        for edges in ((80, 1000), (1000, 4000))
    )
    return float(10 * np.log10(high / low))
