"""rakshak: names by hand, and the real clips beside the repository."""

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
    return {"-".join(Path(one.file).stem.split("-")[:2]): one for one in reading.utterances}


def test_a_command_has_all_that_its_name_says(fake: CorpusReading) -> None:
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


def test_what_a_name_leaves_open_is_unknown(fake: CorpusReading) -> None:
    found = keyed(fake)
    strange = found["unknown-safe"]
    assert (strange.emotion, strange.transcript, strange.language) == ("fear", None, None)
    unlabelled = found["stop-scream"]
    assert (unlabelled.emotion, unlabelled.speaker, unlabelled.transcript) == (None, None, "stop")


def test_backgrounds_have_no_words_and_no_emotion_whatever_their_names_say(
    fake: CorpusReading,
) -> None:
    found = keyed(fake)
    quiet, shards = found["background-safe"], found["background-glass break"]
    assert [(one.emotion, one.transcript, one.language) for one in (quiet, shards)] == [
        (None, "", None)
    ] * 2
    assert (quiet.speaker, shards.speaker) == (BOB, None)
    assert shards.file.startswith("Near Lake/")


def test_what_is_left_out_is_counted(fake: CorpusReading) -> None:
    assert len(fake.utterances) == 6
    assert fake.skipped == {
        "macOS ._ file": 1,
        "not wav, flac or ogg": 1,
        "file name not like bacho-safe-angry-1562907046662-HASH": 2,
    }


def test_the_place_itself_is_refused(tmp_path: Path) -> None:
    root = tiny.make_rakshak(tmp_path)
    with pytest.raises(CorpusError, match="pass the folder that contains webservice"):
        CORPORA["rakshak"].read(root / "webservice")


def test_real_clips_are_those_of_the_metadata(shared_folder: Path) -> None:
    root = shared_folder / "corpora" / "rakshak"
    reading = CORPORA["rakshak"].read(root)
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        wanted = {row["file"]: row for row in csv.DictReader(stream)}
    found = {one.file: one for one in reading.utterances}
    assert found.keys() == wanted.keys()
    for file, row in wanted.items():
        one = found[file]
        assert (one.speaker or "", one.emotion or "", one.transcript) == (
            row["speaker"],
            row["emotion"],
            row["transcript"],
        )
        # the metadata gives backgrounds, in which nothing is said, a language
        assert one.language == (row["language"] if row["transcript"] else None)


def test_real_counts(shared_folder: Path) -> None:
    reading = CORPORA["rakshak"].read(shared_folder / "corpora" / "rakshak")
    assert reading.skipped == {}
    assert len({one.speaker for one in reading.utterances} - {None}) == 102
    assert Counter(one.emotion for one in reading.utterances) == {
        "calm": 739,
        "anger": 448,
        "fear": 421,
        "happiness": 386,
        None: 1116,
    }
    assert {one.emotion for one in reading.utterances if one.transcript == ""} == {None}
