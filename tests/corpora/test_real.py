"""The readers on real speech beside the repository, compared with independent tables."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.corpora import CORPORA
from phonemo.corpora.g2p.alphabets import IPA_CLASS
from phonemo.corpora.prepare import audit
from phonemo.corpora.readers.base import CorpusReading
from phonemo.corpora.readers.emodb_labels import LabelledSegment, classify, parse_lablaut
from phonemo.labels import EMOTIONS

#: Corpora whose complete release is available, and their hours.
WHOLE = {"emodb": 0.41, "ravdess": 1.48, "nemo": 3.07}
PRESENT = (*WHOLE, "speechocean762")


@pytest.fixture(scope="module")
def real(shared_folder: Path) -> dict[str, CorpusReading]:
    return {name: CORPORA[name].read(shared_folder / "corpora" / name) for name in PRESENT}


@pytest.mark.parametrize("name", PRESENT)
def test_every_field_matches_the_metadata(
    name: str, shared_folder: Path, real: dict[str, CorpusReading]
) -> None:
    path = shared_folder / "corpora" / name / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        metadata = {row["file"]: row for row in csv.DictReader(stream)}
    utterances = {utterance.file: utterance for utterance in real[name].utterances}
    assert utterances.keys() == metadata.keys()
    for file, row in metadata.items():
        utterance = utterances[file]
        assert (utterance.speaker, utterance.gender, utterance.language) == (
            row["speaker"],
            row["gender"],
            row["language"],
        )
        assert (utterance.transcript, utterance.emotion) == (
            row["transcript"],
            row["emotion"] or None,
        )


@pytest.mark.parametrize("name", WHOLE)
def test_the_published_counts_are_met(name: str, real: dict[str, CorpusReading]) -> None:
    card, utterances = CORPORA[name].card, real[name].utterances
    assert len(utterances) == card.utterances
    assert len({utterance.speaker for utterance in utterances}) == card.speakers
    assert Counter(utterance.emotion for utterance in utterances) == card.emotions


def test_emodb_labels(shared_folder: Path, real: dict[str, CorpusReading]) -> None:
    """533 of 535 have manual phones; 08a01Ab and 08a01Wa have empty files."""
    reading = real["emodb"]
    bare = [utterance.id for utterance in reading.utterances if utterance.phonemes is None]
    assert bare == ["08a01Ab", "08a01Wa"]
    assert reading.skipped == {
        "lablaut: labels without audio": 2,
        "lablaut: no phone is labelled": 3,
    }


def test_emodb_labels_of_one_utterance_by_hand(real: dict[str, CorpusReading]) -> None:
    """03a01Fa, "Der Lappen liegt auf dem Eisschrank.", read off its label file by hand."""
    first = next(utterance for utterance in real["emodb"].utterances if utterance.id == "03a01Fa")
    assert first.phonemes is not None
    assert " ".join(first.phonemes.symbols) == ("t ɛ ɐ l a p m l i t a f d ɪ m aɪ s ʃ ʁ a ŋ k")
    assert first.phonemes.times is not None
    assert first.phonemes.times[0] == (0.119160, 0.144370)
    assert first.phonemes.times[5] == (0.427091, 0.551660)


def test_emodb_times_lie_in_order_within_the_audio(
    shared_folder: Path, real: dict[str, CorpusReading]
) -> None:
    root = shared_folder / "corpora" / "emodb"
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        seconds = {row["file"]: float(row["duration_s"]) for row in csv.DictReader(stream)}
    for utterance in real["emodb"].utterances:
        if utterance.phonemes is None or utterance.phonemes.times is None:
            continue
        edges = [edge for times in utterance.phonemes.times for edge in times]
        assert edges == sorted(edges), utterance.id
        assert all(start < end for start, end in utterance.phonemes.times), utterance.id
        assert edges[-1] <= seconds[utterance.file] + 0.001, utterance.id


def test_emodb_rows_give_starts_not_ends(shared_folder: Path) -> None:
    """Vowels are louder than closures and pauses, by about 20 dB where rows are read as starts.

    Read as ends, the same rows make the vowels the quieter ones: the margin is below zero.
    """
    levels: dict[str, list[float]] = {"starts": [], "ends": []}
    for audio in sorted((shared_folder / "corpora" / "emodb" / "wav").glob("*.flac"))[::13]:
        (labels, *_) = (audio.parent.parent / "lablaut").glob(f"{audio.stem}*.lablaut")
        segments = parse_lablaut(labels.read_text("latin-1"))
        as_ends = [
            LabelledSegment(previous.start, row.start, row.label)
            for previous, row in itertools.pairwise(segments)
        ]
        samples, rate = soundfile.read(audio)
        levels["starts"].append(_vowels_above_silence(segments, samples, rate))
        levels["ends"].append(_vowels_above_silence(as_ends, samples, rate))
    assert len(levels["starts"]) > 40
    assert all(np.greater(levels["starts"], levels["ends"]))
    assert np.mean(levels["starts"]) > 15
    assert np.mean(levels["ends"]) < 5


def _vowels_above_silence(
    segments: Sequence[LabelledSegment],
    samples: np.ndarray[tuple[int], np.dtype[np.float64]],
    rate: int,
) -> float:
    """Mean level of vowel rows minus that of closures and pauses, in decibels."""
    vowels, silences = [], []
    for segment in segments:
        kind, symbols = classify(segment.label)
        inside = samples[round(segment.start * rate) : round(segment.end * rate)]
        level = 10 * np.log10(np.mean(inside**2) + 1e-7) if inside.size else None
        if level is not None and kind in ("closure", "pause"):
            silences.append(level)
        elif level is not None and symbols and IPA_CLASS[symbols[0]] in ("vowel", "diphthong"):
            vowels.append(level)
    return float(np.mean(vowels) - np.mean(silences))


def test_ravdess_twins_of_actor_07(shared_folder: Path, real: dict[str, CorpusReading]) -> None:
    root = shared_folder / "corpora" / "ravdess"
    actor = [utterance for utterance in real["ravdess"].utterances if utterance.speaker == "07"]
    checked = audit(actor, root, lambda: None)
    assert checked.twins == (
        (
            "Actor_07/03-01-03-01-02-01-07.flac",
            "Actor_07/03-01-03-01-02-02-07.flac",
        ),
    )
    assert checked.faults == {}
    assert len(checked.utterances) == 60


def test_speechocean762_is_complete(real: dict[str, CorpusReading]) -> None:
    card, reading = CORPORA["speechocean762"].card, real["speechocean762"]
    assert reading.skipped == {}
    assert len(reading.utterances) == card.utterances
    assert len({utterance.speaker for utterance in reading.utterances}) == card.speakers
    assert Counter(utterance.gender for utterance in reading.utterances) == {"f": 2500, "m": 2500}


@pytest.mark.parametrize(
    ("name", "clips", "emotions"), [("picovoice", 619, {None}), ("esc10", 400, None)]
)
def test_tables_of_recordings_without_emotions(
    name: str, clips: int, emotions: set[None] | None, shared_folder: Path
) -> None:
    reading = CORPORA["csv"].read(shared_folder / "corpora" / name / "metadata.csv")
    assert len(reading.utterances) == clips
    values = {utterance.emotion for utterance in reading.utterances}
    assert values == emotions if emotions else values.isdisjoint(EMOTIONS)


def test_speechocean762_phones(real: dict[str, CorpusReading]) -> None:
    first = real["speechocean762"].utterances[0]
    assert (first.id, first.transcript) == ("000010011", "WE CALL IT BEAR")
    assert first.phonemes is not None
    assert " ".join(first.phonemes.symbols) == "W IY K AO L IH T B EH R"
    assert all(utterance.phonemes is not None for utterance in real["speechocean762"].utterances)
