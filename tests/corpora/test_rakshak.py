"""rakshak: file names, and the real clips beside the repository."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from phonemo.corpora import CORPORA
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.readers.base import CorpusReading
from phonemo.errors import CorpusError
from phonemo.labels import LabelSet
from tests import tiny

ANN, BOB = "a" * 12, "b" * 12


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> CorpusReading:
    return CORPORA["rakshak"].read(tiny.make_rakshak(tmp_path_factory.mktemp("rakshak")))


def keyed(reading: CorpusReading) -> dict[str, Utterance]:
    """Keyword and environment -> utterance; the fakes differ in them."""
    return {
        "-".join(Path(utterance.file).stem.split("-")[:2]): utterance
        for utterance in reading.utterances
    }


def test_a_command_has_all_fields_of_its_name(fake: CorpusReading) -> None:
    name = f"webservice/bacho-safe-angry-1562907046662-{'a' * 56}"
    assert keyed(fake)["bacho-safe"] == Utterance(
        id=name,
        file=f"{name}.wav",
        speaker=ANN,
        language="hi",
        transcript="bacho",
        emotion="anger",
    )


def test_calm_stays_calm_and_a_config_merges_it(fake: CorpusReading) -> None:
    calm = keyed(fake)["help-safe"]
    assert (calm.emotion, calm.language, calm.transcript) == ("calm", "en", "help")
    merged = LabelSet(("anger", "happiness", "neutral", "sadness"), {"calm": "neutral"})
    assert merged.merged(calm.emotion or "") == "neutral"


def test_fields_missing_from_a_name_are_unknown(fake: CorpusReading) -> None:
    utterances = keyed(fake)
    strange = utterances["unknown-safe"]
    assert (strange.emotion, strange.transcript, strange.language) == ("fear", None, None)
    unlabelled = utterances["stop-scream"]
    assert (unlabelled.emotion, unlabelled.speaker, unlabelled.transcript) == (None, None, "stop")


def test_backgrounds_have_no_words_and_no_emotion_regardless_of_their_names(
    fake: CorpusReading,
) -> None:
    utterances = keyed(fake)
    quiet, shards = utterances["background-safe"], utterances["background-glass break"]
    assert [
        (utterance.emotion, utterance.transcript, utterance.language)
        for utterance in (quiet, shards)
    ] == [(None, "", None)] * 2
    assert (quiet.speaker, shards.speaker) == (BOB, None)
    assert shards.file.startswith("Near Lake/")


def test_skipped_files_are_counted(fake: CorpusReading) -> None:
    assert len(fake.utterances) == 6
    assert fake.skipped == {
        "macOS ._ file": 1,
        "not a recording": 1,
        "file name not like bacho-safe-angry-1562907046662-HASH": 2,
    }


def test_the_folder_of_a_place_is_rejected(tmp_path: Path) -> None:
    root = tiny.make_rakshak(tmp_path)
    with pytest.raises(CorpusError, match="pass the folder that contains webservice"):
        CORPORA["rakshak"].read(root / "webservice")


def test_real_clips_match_the_metadata(shared_folder: Path) -> None:
    root = shared_folder / "corpora" / "rakshak"
    reading = CORPORA["rakshak"].read(root)
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        metadata = {row["file"]: row for row in csv.DictReader(stream)}
    utterances = {utterance.file: utterance for utterance in reading.utterances}
    assert utterances.keys() == metadata.keys()
    for file, row in metadata.items():
        utterance = utterances[file]
        assert (utterance.speaker or "", utterance.emotion or "", utterance.transcript) == (
            row["speaker"],
            row["emotion"],
            row["transcript"],
        )
        # the metadata has a language for backgrounds, which contain no speech
        assert utterance.language == (row["language"] if row["transcript"] else None)


def test_real_counts(shared_folder: Path) -> None:
    reading = CORPORA["rakshak"].read(shared_folder / "corpora" / "rakshak")
    assert reading.skipped == {}
    assert len({utterance.speaker for utterance in reading.utterances} - {None}) == 102
    assert Counter(utterance.emotion for utterance in reading.utterances) == {
        "calm": 739,
        "anger": 448,
        "fear": 421,
        "happiness": 386,
        None: 1116,
    }
    assert {
        utterance.emotion for utterance in reading.utterances if utterance.transcript == ""
    } == {None}
