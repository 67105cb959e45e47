"""The readers on real speech beside the repository, against tables that others made of it."""

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

#: Corpora of which the whole release is there, and the hours of it.
WHOLE = {"emodb": 0.41, "ravdess": 1.48, "nemo": 3.07}
PRESENT = (*WHOLE, "speechocean762")


@pytest.fixture(scope="module")
def real(shared_folder: Path) -> dict[str, CorpusReading]:
    return {name: CORPORA[name].read(shared_folder / "corpora" / name) for name in PRESENT}


@pytest.mark.parametrize("name", PRESENT)
def test_every_field_is_that_of_the_metadata(
    name: str, shared_folder: Path, real: dict[str, CorpusReading]
) -> None:
    path = shared_folder / "corpora" / name / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        wanted = {row["file"]: row for row in csv.DictReader(stream)}
    found = {one.file: one for one in real[name].utterances}
    assert found.keys() == wanted.keys()
    for file, row in wanted.items():
        one = found[file]
        assert (one.speaker, one.gender, one.language) == (
            row["speaker"],
            row["gender"],
            row["language"],
        )
        assert (one.transcript, one.emotion) == (row["transcript"], row["emotion"] or None)


@pytest.mark.parametrize("name", WHOLE)
def test_the_published_counts_are_met(name: str, real: dict[str, CorpusReading]) -> None:
    card, found = CORPORA[name].card, real[name].utterances
    assert len(found) == card.utterances
    assert len({one.speaker for one in found}) == card.speakers
    assert Counter(one.emotion for one in found) == card.emotions


def test_emodb_labels(shared_folder: Path, real: dict[str, CorpusReading]) -> None:
    """533 of 535 have hand-made phones; 08a01Ab and 08a01Wa have empty files."""
    reading = real["emodb"]
    bare = [one.id for one in reading.utterances if one.phonemes is None]
    assert bare == ["08a01Ab", "08a01Wa"]
    assert reading.skipped == {
        "lablaut: labels without audio": 2,
        "lablaut: no phone is labelled": 3,
    }


def test_emodb_labels_by_ear(real: dict[str, CorpusReading]) -> None:
    """03a01Fa, "Der Lappen liegt auf dem Eisschrank.", read off its label file by hand."""
    first = next(one for one in real["emodb"].utterances if one.id == "03a01Fa")
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
    for one in real["emodb"].utterances:
        if one.phonemes is None or one.phonemes.times is None:
            continue
        edges = [edge for times in one.phonemes.times for edge in times]
        assert edges == sorted(edges), one.id
        assert all(start < end for start, end in one.phonemes.times), one.id
        assert edges[-1] <= seconds[one.file] + 0.001, one.id


def test_emodb_rows_give_starts_not_ends(shared_folder: Path) -> None:
    """Vowels are louder than closures and pauses, by about 20 dB where rows are read as starts.

    Read as ends, the same rows make the vowels the quieter ones: the margin is below zero.
    """
    levels: dict[str, list[float]] = {"starts": [], "ends": []}
    for audio in sorted((shared_folder / "corpora" / "emodb" / "wav").glob("*.flac"))[::13]:
        (labels, *_) = (audio.parent.parent / "lablaut").glob(f"{audio.stem}*.lablaut")
        segments = parse_lablaut(labels.read_text("latin-1"))
        as_ends = [
            LabelledSegment(before.start, row.start, row.label)
            for before, row in itertools.pairwise(segments)
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
    """Mean level of vowel rows less that of closures and pauses, in decibels."""
    vowels, silences = [], []
    for one in segments:
        kind, symbols = classify(one.label)
        inside = samples[round(one.start * rate) : round(one.end * rate)]
        level = 10 * np.log10(np.mean(inside**2) + 1e-7) if inside.size else None
        if level is not None and kind in ("closure", "pause"):
            silences.append(level)
        elif level is not None and symbols and IPA_CLASS[symbols[0]] in ("vowel", "diphthong"):
            vowels.append(level)
    return float(np.mean(vowels) - np.mean(silences))


def test_ravdess_twins_of_actor_07(shared_folder: Path, real: dict[str, CorpusReading]) -> None:
    root = shared_folder / "corpora" / "ravdess"
    actor = [one for one in real["ravdess"].utterances if one.speaker == "07"]
    checked = audit(actor, root, lambda: None)
    assert checked.twins == (
        (
            "Actor_07/03-01-03-01-02-01-07.flac",
            "Actor_07/03-01-03-01-02-02-07.flac",
        ),
    )
    assert checked.faults == {}
    assert len(checked.utterances) == 60


def test_speechocean762_is_whole(real: dict[str, CorpusReading]) -> None:
    card, found = CORPORA["speechocean762"].card, real["speechocean762"]
    assert found.skipped == {}
    assert len(found.utterances) == card.utterances
    assert len({one.speaker for one in found.utterances}) == card.speakers
    assert Counter(one.gender for one in found.utterances) == {"f": 2500, "m": 2500}


@pytest.mark.parametrize(
    ("name", "clips", "emotions"), [("picovoice", 619, {None}), ("esc10", 400, None)]
)
def test_tables_of_recordings_without_emotions(
    name: str, clips: int, emotions: set[None] | None, shared_folder: Path
) -> None:
    reading = CORPORA["csv"].read(shared_folder / "corpora" / name / "metadata.csv")
    assert len(reading.utterances) == clips
    found = {one.emotion for one in reading.utterances}
    assert found == emotions if emotions else found.isdisjoint(EMOTIONS)


def test_speechocean762_phones(real: dict[str, CorpusReading]) -> None:
    first = real["speechocean762"].utterances[0]
    assert (first.id, first.transcript) == ("000010011", "WE CALL IT BEAR")
    assert first.phonemes is not None
    assert " ".join(first.phonemes.symbols) == "W IY K AO L IH T B EH R"
    assert all(one.phonemes is not None for one in real["speechocean762"].utterances)
